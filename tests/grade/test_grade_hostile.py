"""Files that mean harm, or do it: none gets marks, hangs the grader, or breaks it."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from grading import HOSTILE, IMPATIENT, grade_text

from minicnn import ops
from minicnn.check.running import CandidateTimeout
from minicnn.grade import Limits, score, worker

SAID = {
    "abort": "crashed (SIGABRT)",
    "close_everything": "ended the Python process",
    "connect": "nobody can be reached",
    "endless_loop": "still running",
    "endless_loop_on_loading": "still running",
    "exit_now": "ended the Python process (exit status 0)",
    "exit_on_loading": "ended the Python process (exit status 0)",
    "flood": "File too large",
    "foreign_functions": "no foreign function can be called",
    "forge_answers": "an answer to another question",
    "huge_promises": "is too large",
    "huge_result": "MemoryError",
    "import_reference": "the reference is not to be found",
    "kill_grader": "nobody can be killed",
    "memory_bomb": "MemoryError",
    "open_files": "Too many open files",
    "patch_minicnn": "ProtocolError",
    "patch_numpy": "the result is of no use",
    "raise_limits": "the limits stay",
    "read_files_of_the_machine": "nothing can be read",
    "read_grader": "no file of the grader can be read",
    "search_memory": "the reference is not in memory",
    "sleep": "still running",
    "stack_overflow": "crashed (SIGSEGV)",
    "start_processes": "no process can be started",
    "strange_error": "Strange",
    "strange_results": "the result is of no use",
    "strange_signature": "still running",
    "system_exit": "SystemExit",
    "torch_solution": "torch: only the standard library, NumPy and Numba may be used",
    "write_files": "files were written",
}
"""What the student is told, in words that show that it failed for the right reason."""
SECONDS = 12  # three parts' time, and some more for a busy machine


@pytest.fixture(autouse=True)
def _a_temporary_folder_of_its_own(monkeypatch, tmp_path):
    """Other tests grade at the same time."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


def test_every_hostile_file_is_listed():
    assert sorted(SAID) == sorted(path.stem for path in HOSTILE.glob("*.py"))


@pytest.mark.parametrize("name", sorted(SAID))
def test_a_hostile_file_gets_no_marks_and_does_no_harm(name, capfd):
    folders, begun = _folders(), time.monotonic()
    grade = score(HOSTILE / f"{name}.py", assignment="a03_convolution_by_loops", limits=IMPATIENT)
    assert time.monotonic() - begun < SECONDS
    assert grade.score == 0
    assert SAID[name] in grade.parts[0].findings[0].message
    assert "could not judge" not in str(grade)
    assert len(str(grade)) < 10_000
    assert _folders() == folders
    assert capfd.readouterr() == ("", "")
    assert not Path("/tmp/from-a-student.txt").exists()


def test_a_hostile_file_changes_nothing_here(tmp_path):
    for name in ("patch_numpy", "patch_minicnn"):
        score(HOSTILE / f"{name}.py", assignment="a03_convolution_by_loops", limits=IMPATIENT)
    assert not np.allclose(1.0, 2.0)
    assert ops.conv2d_forward.body.__module__ == "minicnn.ops.conv"


def test_a_hostile_function_costs_its_own_part_alone(tmp_path):
    text = """
import os


def linear_forward(x, w, b):
    os.abort()


def linear_backward(dy, x, w):
    return dy @ w, dy.T @ x, dy.sum(axis=0)


def softmax_cross_entropy_forward(logits, labels):
    while True:
        pass
"""
    grade = grade_text(tmp_path, text, assignment="a02_linear_softmax", limits=IMPATIENT)
    assert [part.points for part in grade.parts] == [0, 30, 0, 0, 0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"def f(:\n", "SyntaxError"),
        (b"x = 'caf\xe9'\n", "not text in UTF-8"),
        (b"x = 1\0\n", "null bytes"),
        (b"#" * 2**21, "larger than"),
        (b"(" * 100_000, "cannot be loaded"),
        (b"from .other import helper\n", "other files are not there"),
        (b"import helper\n", "only the standard library"),
        (b"raise KeyboardInterrupt\n", "KeyboardInterrupt"),
    ],
)
def test_a_file_that_cannot_be_loaded(content, said, tmp_path):
    path = tmp_path / "answer.py"
    path.write_bytes(content)
    grade = score(path, assignment="a03_convolution_by_loops", limits=IMPATIENT)
    assert grade.score == 0
    assert said in str(grade)


@pytest.mark.alone
@pytest.mark.slow
def test_every_part_has_its_own_time_and_all_of_them_end(tmp_path):
    text = "\n".join(
        f"def {name}(*args, **options):\n    while True:\n        pass\n"
        for name in ("max_pool2d_forward", "max_pool2d_backward", "avg_pool2d_forward", "avg_pool2d_backward")
    )
    begun = time.monotonic()
    grade = grade_text(tmp_path, text, assignment="a06_pooling", limits=Limits(load=3, call=0.3, part=1))
    assert time.monotonic() - begun < 10
    assert [[str(f.kind) for f in part.findings] for part in grade.parts[:4]] == [["too-slow"]] * 4


def test_nothing_is_left_of_a_process_and_what_it_has_started(tmp_path, monkeypatch):
    start = tmp_path / "start.py"
    start.write_text("import os, time\nos.fork()\ntime.sleep(1000)\n")
    monkeypatch.setattr(worker, "START", start)
    stubborn = worker.Worker("", "answer.py", IMPATIENT)
    with pytest.raises(CandidateTimeout):
        stubborn.request(1.0, do="load")
    for _ in range(100):
        try:
            os.killpg(stubborn.process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)  # a killed orphan is there until somebody has asked for its end
    pytest.fail("a process is left")


def test_a_pipe_in_the_place_of_what_was_printed_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "text").write_text("0123456789")
    assert [worker._read(tmp_path / name, 4) for name in ("pipe", "link", "nothing", "text")] == ["", "", "", "0123"]
    assert worker._read(tmp_path / "text", 4, end=True) == "6789"


def _folders():
    return sorted(Path(tempfile.gettempdir()).glob("minicnn-grade-*"))
