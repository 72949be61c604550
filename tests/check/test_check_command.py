"""`minicnn check FILE[:NAME]`, as a student meets it."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from minicnn.cli import main

RIGHT = """\
import numpy as np

def relu_forward(x):
    return np.maximum(x, 0)
"""
WRONG = """\
def relu_backward(dy, y):
    return dy
"""
UNWRITTEN = """\
def linear_forward(x, w, b):
    raise NotImplementedError
"""
COMMAND = [sys.executable, "-m", "minicnn", "check"]
PATIENCE = 60  # seconds, for a slow machine


@pytest.fixture
def check(tmp_path, monkeypatch, capsys):
    """Write a file, check it in this process, and return status, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(text, *arguments, name="mine.py", part=""):
        if text is not None:
            (tmp_path / name).write_text(text)
        status = main(["check", f"{name}{part}", *map(str, arguments)])
        return status, *capsys.readouterr()

    yield run
    for name in ("mine", "neighbour_of_mine"):
        sys.modules.pop(name, None)


def in_a_process(*arguments, cwd):
    """Run the command in a process of its own."""
    return subprocess.run(
        [*COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


# What it says, and its exit status


def test_a_right_function_is_ok(check):
    status, out, err = check(RIGHT)
    assert status == 0
    assert out == "examine of relu_forward: ok\n  y             right in all 5 calls\n\n"
    assert err == ""


def test_a_wrong_function_gets_its_mistake_named(check):
    status, out, _ = check(WRONG)
    assert status == 1
    assert "examine of relu_backward: FAILED" in out
    assert "* dx: [mask] the mask is not applied" in out


def test_several_functions_are_counted(check):
    status, out, _ = check(RIGHT + WRONG + UNWRITTEN)
    assert status == 1
    assert [line for line in out.splitlines() if line.startswith("examine of ")] == [
        "examine of relu_forward: ok",
        "examine of relu_backward: FAILED",
        "examine of linear_forward: NOT WRITTEN YET",
    ]
    assert out.endswith("\n1 of 3 operations right, 1 not written yet\n")


def test_all_right_is_a_success(check):
    status, out, _ = check(RIGHT + "\n\ndef relu_backward(dy, y):\n    return np.where(y > 0, dy, 0)\n")
    assert status == 0
    assert out.endswith("\n2 of 2 operations right\n")


def test_one_function_can_be_chosen(check):
    status, out, _ = check(RIGHT + WRONG, part=":relu_forward")
    assert status == 0
    assert "relu_backward" not in out
    assert "operations right" not in out


@pytest.mark.parametrize(
    ("text", "part", "words"),
    [
        (None, "", "there is no file mine.py"),
        ("def relu_forward(x):\n    return x +\n", "", "mine.py, line 2: invalid syntax: return x +"),
        ("x = 1\n\nif x:\nprint(x)\n", "", "mine.py, line 4: "),
        (
            "import numpy\nimport no_such_module_at_all\n",
            "",
            "mine.py cannot be run: ModuleNotFoundError: No module named 'no_such_module_at_all', in ",
        ),
        ("import numpy\nimport no_such_module_at_all\n", "", "line 2: import no_such_module_at_all\n"),
        ("def f(x):\n    return 1 / x\n\n\ny = f(0)\n", "", "ZeroDivisionError: division by zero, in "),
        ("def f(x):\n    return 1 / x\n\n\ny = f(0)\n", "", "line 2: return 1 / x\n"),
        ("def relu_forwards(x):\n    return x\n", "", "no function in mine.py has the name of an operation"),
        ("def relu_forwards(x):\n    return x\n", "", "it has 'relu_forwards'"),
        ("x = 3\n", "", "it has no function at all"),
        ("", "", "A layer or a loss is checked by mc.gradcheck(layer, x)"),
        (RIGHT, ":relu", "there is no function relu in mine.py; it has 'relu_forward'"),
        (RIGHT + "\n\ndef helper(x):\n    return x\n", ":helper", "helper is not the name of an operation; they are "),
        (
            RIGHT + "\nfrom minicnn.ops import relu_backward\n",
            ":relu_backward",
            "there is no function relu_backward in",
        ),
    ],
)
def test_what_cannot_be_checked_is_said_in_one_line(check, text, part, words):
    status, out, err = check(text, part=part)
    assert status == 1
    assert out == ""
    assert err.startswith("minicnn: error: ")
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("line", ["sys.exit(0)", "sys.exit('no')", "exit()", "raise SystemExit"])
def test_a_file_that_ends_the_program_is_no_success(check, line):
    status, out, err = check(f"import sys\n{line}\n{RIGHT}")
    assert status == 1
    assert out == ""
    assert err == "minicnn: error: mine.py ends the program itself (sys.exit or exit); take that out\n"


def test_a_function_that_ends_the_program_is_no_success(check):
    status, out, _ = check("import sys\n\n\ndef tanh_forward(x):\n    sys.exit(0)\n" + RIGHT)
    assert status == 1
    assert "the function ends the whole program; return instead, in line 5: sys.exit(0)" in " ".join(out.split())
    assert out.endswith("\n1 of 2 operations right\n")


@pytest.mark.parametrize("name", ["minicnn", "inspect", "json"])
def test_a_file_may_have_the_name_of_a_module(check, tmp_path, name):
    (tmp_path / "folder").mkdir()
    status, out, err = check(RIGHT, name=os.path.join("folder", f"{name}.py"))
    assert status == 0, out + err
    assert err == ""


def test_a_file_may_have_the_name_of_a_module_that_a_new_process_imports(tmp_path):
    for name in ("minicnn", "inspect", "json"):
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / f"{name}.py").write_text(RIGHT)
    for name in ("minicnn", "inspect", "json"):
        done = in_a_process(os.path.join("folder", f"{name}.py"), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""


def test_a_colon_in_a_path_is_none_of_a_name(check):
    """As in C:\\work\\mine.py, which is cut after the drive."""
    status, _, err = check(RIGHT, name="a:b.py")
    assert status == 0, err


def test_a_file_that_is_no_python_is_refused(check):
    status, _, err = check(RIGHT, name="mine.txt")
    assert status == 1
    assert "mine.txt is no Python file; its name must end in .py" in err


def test_a_folder_is_refused(check, tmp_path):
    (tmp_path / "folder").mkdir()
    status, _, err = check(None, name="folder")
    assert status == 1
    assert "there is no file folder" in err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan"])
def test_no_time_is_refused(check, seconds):
    status, _, err = check(RIGHT, "--seconds", seconds)
    assert status == 1
    assert "seconds must be above 0" in err


def test_only_the_student_s_own_functions_are_checked(check):
    """What a file imports from minicnn is right, and praise for it would mislead."""
    imports = "from minicnn.ops import *\nfrom minicnn.ops import conv2d_forward\nfrom minicnn import ops\n"
    alias = "tanh_forward = ops.tanh_forward\nsigmoid_forward = np.tanh\n"
    status, out, _ = check(imports + RIGHT + alias)
    assert status == 0
    assert out.count("examine of") == 1
    assert "examine of relu_forward: ok" in out


@pytest.mark.parametrize(
    "text",
    [
        "import numpy as np\n\nrelu_forward = lambda x: np.maximum(x, 0)\n",
        "import numpy as np\n\n\nclass Relu:\n    def __call__(self, x):\n        return np.maximum(x, 0)\n\n\n"
        "relu_forward = Relu()\n",
        "import numpy as np\nfrom dataclasses import dataclass\n\n\n@dataclass\nclass Relu:\n    least: float\n\n"
        "    def __call__(self, x):\n        return np.maximum(x, self.least)\n\n\nrelu_forward = Relu(0)\n",
        "import numba\n\n\n@numba.njit\ndef relu_forward(x):\n    return x * (x > 0)\n",
        "import functools\nimport numpy as np\n\n\ndef cut(least, x):\n    return np.maximum(x, least)\n\n\n"
        "relu_forward = functools.partial(cut, 0)\n",
    ],
    ids=["lambda", "object", "dataclass", "numba", "partial"],
)
def test_functions_may_be_made_in_any_way(check, text):
    status, out, err = check(text)
    assert status == 0, out + err


def test_a_file_may_import_its_neighbours(check, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "neighbour_of_mine.py").write_text(
        "import numpy as np\n\n\ndef cut(x):\n    return np.maximum(x, 0)\n"
    )
    text = "from neighbour_of_mine import cut\n\n\ndef relu_forward(x):\n    return cut(x)\n"
    status, _, err = check(text, name="folder/mine.py")
    assert status == 0, err


@pytest.mark.alone
def test_an_endless_loop_does_not_hold_it_up(check):
    begun = time.perf_counter()
    status, out, _ = check("def relu_forward(x):\n    while True:\n        pass\n", "--seconds", "0.5")
    assert time.perf_counter() - begun < 5
    assert status == 1
    assert "[too-slow]" in out
    assert "in line " in out


# For programs


def test_json_is_a_list_of_reports(check):
    status, out, _ = check(RIGHT + WRONG, "--json")
    assert status == 1
    first, second = json.loads(out)
    assert (first["subject"], first["ok"]) == ("relu_forward", True)
    assert (second["subject"], second["ok"]) == ("relu_backward", False)
    assert second["findings"][0]["kind"] == "mask"


def test_json_of_one_report_is_a_list_too(check):
    status, out, _ = check(RIGHT, "--json")
    assert status == 0
    assert [report["ok"] for report in json.loads(out)] == [True]


def test_what_a_student_prints_does_not_spoil_the_json(check):
    chatty = RIGHT.replace("    return", '    print("x", x.shape)\n    return')
    status, out, err = check('print("loading")\n' + chatty, "--json")
    assert status == 0
    (report,) = json.loads(out)
    assert report["ok"]
    assert report["notes"] == ["it prints; the first that it printed: x (3, 4)"]
    assert err == "loading\n"


def test_figures_show_what_is_wrong_alone(check, tmp_path):
    status, out, _ = check(RIGHT + WRONG + UNWRITTEN, "--figures", "deep/figures")
    assert status == 1
    assert [path.name for path in (tmp_path / "deep/figures").iterdir()] == ["relu_backward.png"]
    assert (tmp_path / "deep/figures/relu_backward.png").read_bytes().startswith(b"\x89PNG")
    assert f"drew {os.path.join('deep', 'figures', 'relu_backward')}.png" in out


def test_figures_leave_json_alone(check, tmp_path):
    _, out, _ = check(WRONG, "--json", "--figures", "figures")
    assert len(json.loads(out)) == 1
    assert (tmp_path / "figures/relu_backward.png").exists()


def test_a_folder_that_cannot_be_made_is_said_so(check, tmp_path):
    (tmp_path / "taken").write_text("a file")
    status, _, err = check(WRONG, "--figures", "taken")
    assert status == 1
    assert "cannot make the folder taken" in err
    assert "choose another one" in err


def test_the_status_is_that_of_the_process(tmp_path):
    for text, status in ((RIGHT, 0), (WRONG, 1)):
        (tmp_path / "mine.py").write_text(text)
        done = in_a_process("mine.py", cwd=tmp_path)
        assert done.returncode == status
        assert done.stderr == ""
        assert "\033[" not in done.stdout


# In a terminal


def in_a_terminal(command, cwd, **environment):
    """Run a command in a terminal of its own; return what it shows."""
    ours, theirs = pty.openpty()
    clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        command, cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, env={**clean, **environment}
    )
    os.close(theirs)
    shown = b""
    while select.select([ours], [], [], PATIENCE)[0]:
        try:
            shown += os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
    os.close(ours)
    assert process.wait(timeout=PATIENCE) == 1
    return shown.decode()


def test_colour_is_for_terminals_that_want_it(tmp_path):
    (tmp_path / "mine.py").write_text(RIGHT + WRONG)
    coloured = in_a_terminal([*COMMAND, "mine.py"], tmp_path)
    assert "examine of relu_forward: \033[32mok\033[0m" in coloured
    assert "examine of relu_backward: \033[31mFAILED\033[0m" in coloured
    assert "\033[" not in in_a_terminal([*COMMAND, "mine.py"], tmp_path, NO_COLOR="1")


# Watching


class Watch:
    """`minicnn check --watch` on a file, in a process of its own."""

    def __init__(self, path, *arguments):
        self.path, self.said, self.saved = path, "", 0
        self.process = subprocess.Popen(
            [*COMMAND, path.name, "--watch", *arguments],
            cwd=path.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=PATIENCE)
        self.process.stdout.close()

    def save(self, text):
        """Save the file, at a time of its own however coarse the clock of the file system is."""
        self.path.write_text(text)
        self.saved += 10
        moment = 1_700_000_000 + self.saved
        os.utime(self.path, (moment, moment))

    def until(self, words="waiting for the next save"):
        """Return what is said up to these words."""
        deadline = time.monotonic() + PATIENCE
        while words not in self.said:
            assert time.monotonic() < deadline, self.said
            if select.select([self.process.stdout], [], [], 0.2)[0]:
                self.said += os.read(self.process.stdout.fileno(), 65536).decode()
            assert self.process.poll() is None, self.said
        before, _, self.said = self.said.partition(words)
        return before

    def interrupt(self):
        """Press Ctrl-C; return the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE)


def test_watching_checks_again_after_every_save(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    with Watch(tmp_path / "mine.py") as watch:
        assert "[mask] the mask is not applied" in watch.until()
        watch.save(RIGHT)
        assert "examine of relu_forward: ok" in watch.until()
        watch.save("import os\n\nos.abort()\n")
        assert "ok" not in watch.until()  # the crash took its own process along, and not this one
        watch.path.unlink()
        time.sleep(0.6)
        assert watch.process.poll() is None
        watch.save("def relu_forward(x)\n    return x\n")
        assert "mine.py, line 1: expected ':'" in watch.until()
        watch.save(RIGHT)
        assert "examine of relu_forward: ok" in watch.until()
        assert watch.interrupt() == 0


def test_watching_hands_its_options_on(tmp_path):
    (tmp_path / "mine.py").write_text(RIGHT + WRONG)
    with Watch(tmp_path / "mine.py", "--json", "--figures", "figures", "--seconds", "3") as watch:
        said = watch.until()
        assert [r["ok"] for r in json.loads(said[said.index("[{") :])] == [True, False]
        assert (tmp_path / "figures/relu_backward.png").exists()
        assert watch.interrupt() == 0


def test_watching_waits_for_a_file_that_is_not_there_yet(tmp_path):
    with Watch(tmp_path / "mine.py") as watch:
        time.sleep(0.5)
        watch.save(RIGHT)
        assert "examine of relu_forward: ok" in watch.until()
        assert watch.interrupt() == 0
