"""Whatever a function does, the examiner survives it: exceptions, quoted with the line, endless loops, refusals."""

import functools
import importlib.util
import signal
import sys
import textwrap
import threading
import time
import warnings

import numpy as np
import pytest

from minicnn import ops
from minicnn.backend import slots
from minicnn.check import examine
from minicnn.check.running import CandidateError, CandidateTimeout, call

if not hasattr(signal, "setitimer"):
    pytest.skip("no timers here, so nothing is interrupted", allow_module_level=True)

SECONDS = 0.5

HELPER = """\
def narrow(x):
    wanted = x.shape[0] + 99
    return x.reshape(wanted, 1)
"""

AUTHOR = """\
import numpy as np
import helper_of_the_author


def in_its_own_line(x, w, b):
    y = x @ w.T
    return y + unknown_name


def in_numpy(x, w, b):
    both = np.concatenate(
        [x, w[:, :1, None]], axis=1
    )
    return both


def in_a_helper(x, w, b):
    y = x + 1
    return helper_of_the_author.narrow(y)


def in_a_function_beside_it(x, w, b):
    return beside(x)


def beside(x):
    return {}["missing"]


class Layer:
    def __call__(self, x, w, b):
        return x.no_such_attribute

    def method(self, x, w, b):
        return x[:, 99]


def recursive(x, w, b):
    return recursive(x, w, b)


def without_words(x, w, b):
    assert len(x) > 1000


def endless(x, w, b):
    y = 0
    while True:
        y += 1


def endless_for_a_batch_of_one(x, w, b):
    while len(x) == 1:
        x = x + 0
    return x @ w.T if b is None else x @ w.T + b


def row_by_row(y, row):
    return y.missing_here


def sleeps_in_a_helper(x, w, b):
    import time
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def author(tmp_path_factory):
    """A module in a file of its own, which imports another one."""
    folder = tmp_path_factory.mktemp("author")
    (folder / "helper_of_the_author.py").write_text(HELPER)
    (folder / "author.py").write_text(AUTHOR)
    sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("author", folder / "author.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(folder))
    sys.modules.pop("helper_of_the_author")


PLAIN = "(plain: x (3, 4), w (5, 4), b (5,))"
BATCH_OF_ONE = "(a batch of one: x (1, 4), w (5, 4), b (5,))"


def linear(x, w, b):
    """A right linear_forward."""
    return x @ w.T if b is None else x @ w.T + b


def line_of(text):
    """The line of AUTHOR in which a text stands, as a report quotes it."""
    (number,) = [n for n, line in enumerate(AUTHOR.splitlines(), start=1) if text in line]
    return f"line {number}: {AUTHOR.splitlines()[number - 1].strip()}"


# Exceptions


@pytest.mark.parametrize(
    ("name", "error", "line"),
    [
        ("in_its_own_line", "NameError: name 'unknown_name'", "unknown_name"),
        ("in_numpy", "ValueError: all the input arrays must have same", "both = np.concatenate("),
        ("in_a_helper", "ValueError: cannot reshape array", "helper_of_the_author.narrow(y)"),
        ("in_a_function_beside_it", "KeyError: 'missing'", '{}["missing"]'),
        ("recursive", "RecursionError: maximum recursion depth", "return recursive(x, w, b)"),
        ("without_words", "AssertionError", "assert len(x) > 1000"),
    ],
)
def test_an_exception_is_quoted_with_the_author_s_own_line(author, name, error, line):
    report = examine("linear_forward", getattr(author, name))
    finding = report.findings[0]
    assert (finding.kind, finding.where) == ("raises", "call")
    assert finding.message.startswith(error)
    assert finding.message.endswith(f", in {line_of(line)} {PLAIN}")
    assert finding.evidence["line"] == line_of(line)
    assert report.verdict == "FAILED"


def test_the_line_is_found_in_objects_methods_and_wrappers_too(author):
    layer = author.Layer()

    @functools.wraps(author.in_numpy)
    def wrapped(*args):
        return author.in_numpy(*args)

    for function, text in (
        (layer, "no_such_attribute"),
        (layer.method, "x[:, 99]"),
        (functools.partial(author.in_numpy), "both = np.concatenate("),
        (wrapped, "both = np.concatenate("),
    ):
        assert examine("linear_forward", function).findings[0].evidence["line"] == line_of(text)


def test_a_line_in_another_file_is_named_with_the_file(author):
    """The function is Python's own `reduce`, so that no file is the function's."""
    finding = examine("relu_forward", functools.partial(functools.reduce, author.row_by_row)).findings[0]
    where = f"author.py, {line_of('y.missing_here')}"
    assert finding.message.endswith(f", in {where} (plain: x (3, 4))")
    assert finding.evidence["line"] == where


@pytest.mark.parametrize("code", [0, 1, "over"])
def test_ending_the_program_is_an_exception_like_others(code):
    def leaves(x, w, b):
        sys.exit(code)

    report = examine("linear_forward", leaves)
    (finding,) = report.findings
    assert not report.ok
    assert finding.kind == "raises"
    assert finding.message.startswith("SystemExit: the function ends the whole program; return instead, in line ")
    assert finding.evidence["line"].endswith(": sys.exit(code)")


def test_one_exception_is_named_once_with_all_its_calls(author):
    report = examine("linear_forward", author.in_its_own_line)
    assert len(report.findings) == 1
    assert "a batch of one" in report.findings[0].evidence["seen_with"]
    assert report.tallies["y"] == (0, 5)


def test_an_exception_in_one_case_names_the_case():
    def no_single_sample(x, w, b):
        if len(x) == 1:
            raise ValueError("one is too few")
        return linear(x, w, b)

    report = examine("linear_forward", no_single_sample)
    (finding,) = report.findings
    assert finding.message.startswith("ValueError: one is too few, in line ")
    assert finding.message.endswith(BATCH_OF_ONE)
    assert report.tallies["y"] == (4, 5)


@pytest.mark.parametrize("words", [(), ("later",)])
def test_what_is_not_written_yet_is_no_mistake_but_not_ok(words):
    def unwritten(x, w, b):
        raise NotImplementedError(*words)

    report = examine("linear_forward", unwritten)
    assert report.unwritten
    assert not report.ok
    assert report.verdict == "NOT WRITTEN YET"
    assert [f.kind for f in report.findings] == ["raises"]
    assert "it is not written yet" in str(report)
    assert "wrong" not in str(report)


# Time


@pytest.mark.alone
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("endless", ["while True:", "y += 1"]),
        ("endless_for_a_batch_of_one", ["while len(x) == 1:", "x = x + 0"]),
        ("sleeps_in_a_helper", ["time.sleep(60)"]),
    ],
)
def test_an_endless_loop_is_interrupted_and_its_line_named(author, name, lines):
    begun = time.perf_counter()
    report = examine("linear_forward", getattr(author, name), seconds=SECONDS)
    assert time.perf_counter() - begun < SECONDS + 2
    finding = report.findings[0]
    assert (finding.kind, finding.where) == ("too-slow", "call")
    assert "still running after" in finding.message
    assert finding.evidence["line"] in map(line_of, lines)
    assert not report.ok


def test_other_calls_count_before_an_endless_one(author):
    report = examine("linear_forward", author.endless_for_a_batch_of_one, seconds=SECONDS)
    assert report.tallies["y"].right == 1
    assert report.findings[0].message.endswith(BATCH_OF_ONE)


@pytest.mark.alone
def test_a_loop_that_catches_everything_is_interrupted_all_the_same():
    def swallows(x, w, b):
        end = time.perf_counter() + 3
        while time.perf_counter() < end:
            try:
                while time.perf_counter() < end:
                    pass
            except Exception:
                pass
        return linear(x, w, b)

    begun = time.perf_counter()
    report = examine("linear_forward", swallows, seconds=0.3)
    assert time.perf_counter() - begun < 2.5
    assert report.findings[0].kind == "too-slow"


def test_the_message_says_for_how_long_it_ran(author):
    assert "still running after 0.5 s" in examine("linear_forward", author.endless, seconds=0.5).findings[0].message


def assert_slow(report, seconds):
    (finding,) = report.findings
    assert finding.kind == "too-slow"
    assert finding.evidence["seconds"] >= seconds
    assert report.tallies["y"].right == report.tallies["y"].tried


def test_a_slow_function_is_told_without_being_interrupted():
    def computes(x):
        end = time.thread_time() + 0.03
        while time.thread_time() < end:
            pass
        return np.maximum(x, 0)

    assert_slow(examine("relu_forward", computes), 0.03)


def sleeps(x):
    """A right relu_forward, during which the processor has nothing to do."""
    time.sleep(0.03)
    return np.maximum(x, 0)


def test_a_busy_machine_makes_no_function_slow():
    """Time in which the processor works for others passes like time asleep."""
    assert not examine("relu_forward", sleeps).findings


def test_who_sleeps_long_is_slow_all_the_same(monkeypatch):
    monkeypatch.setattr("minicnn.check.manners.ASLEEP", 0.02)
    assert_slow(examine("relu_forward", sleeps), 0.03)


def test_compiling_at_the_first_call_is_not_slow():
    compiled = []

    def compiles_first(x):
        if not compiled:
            time.sleep(0.3)
            compiled.append(True)
        return np.maximum(x, 0)

    assert not examine("relu_forward", compiles_first).findings


def test_loops_in_plain_python_are_not_slow():
    def with_loops(x, w, b):
        y = np.zeros((len(x), len(w)), dtype=x.dtype)
        for n, k in np.ndindex(*y.shape):
            for d in range(x.shape[1]):
                y[n, k] += x[n, d] * w[k, d]
            if b is not None:
                y[n, k] += b[k]
        return y

    assert not examine("linear_forward", with_loops).findings


# Cases that a function may refuse


ALSO_POSSIBLE = "; worth knowing, no mistake: the operation can do this, too"


def test_a_bias_of_none_may_be_refused():
    report = examine("linear_forward", lambda x, w, b: x @ w.T + b)
    (finding,) = report.findings
    assert report.ok
    assert report.verdict == "ok"
    assert finding.remark
    assert finding.kind == "raises"
    assert finding.message.endswith(f"(no bias: x (3, 4), w (5, 4)){ALSO_POSSIBLE}")
    assert report.tallies["y"] == (5, 5)


def images_only(x, gamma, beta, *, eps):
    """Batch norm of images."""
    n, c, h, w = x.shape
    return ops.batch_norm_forward.body(x, gamma, beta, eps=eps)


def one_label_a_sample(logits, labels, *, label_smoothing=0.0, class_weights=None):
    """No labels for each pixel."""
    if labels.ndim != 1:
        raise ValueError("labels must be a vector")
    options = {"label_smoothing": label_smoothing, "class_weights": class_weights}
    return ops.softmax_cross_entropy_forward.body(logits, labels, **options)


@pytest.mark.parametrize(
    ("operation", "function", "case"),
    [
        ("batch_norm_forward", images_only, "vectors (N, C): x (6, 4), gamma (4,), beta (4,), eps=1e-05"),
        (
            "softmax_cross_entropy_forward",
            one_label_a_sample,
            "one prediction a pixel: logits (2, 3, 2, 2), labels (2, 2, 2), label_smoothing=0.0",
        ),
    ],
)
def test_unusual_shapes_may_be_refused(operation, function, case):
    report = examine(operation, function)
    (finding,) = report.findings
    assert report.ok
    assert finding.remark
    assert finding.message.endswith(f"({case}){ALSO_POSSIBLE}")


def spoiled_where(operation, condition, spoil):
    """The plain body, whose first result is spoiled where a condition on the arguments holds."""
    slot = slots()[operation]

    @functools.wraps(slot.body)
    def wrong(*args, **options):
        results = slot.body(*args, **options)
        if not condition(*args, **options):
            return results
        return (spoil(results[0]), *results[1:]) if isinstance(results, tuple) else spoil(results)

    return wrong


def of_vectors(x, *others, **options):
    return x.ndim == 2


def of_pixels(logits, labels, **options):
    return labels.ndim > 1


@pytest.mark.parametrize(
    ("operation", "condition", "case"),
    [
        ("linear_forward", lambda x, w, b: b is None, "no bias"),
        ("conv2d_forward", lambda x, w, b, **options: b is None, "no bias"),
        ("batch_norm_forward", of_vectors, "vectors (N, C)"),
        ("softmax_cross_entropy_forward", of_pixels, "one prediction a pixel"),
        ("dropout_forward", lambda x, *, p, key: p == 1, "p 1"),
    ],
)
@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (lambda y: np.sin(y) + 3, "forward-differs", "another result than the operation's for"),
        (lambda y: y * np.nan, "non-finite", "NaN or infinity for"),
    ],
)
def test_what_is_wrong_beyond_the_usual_is_worth_knowing(operation, condition, case, spoil, kind, words):
    report = examine(operation, spoiled_where(operation, condition, spoil))
    (finding,) = report.findings
    assert report.ok
    assert (finding.kind, finding.where, finding.remark) == (kind, slots()[operation].returns[0], True)
    assert f"{words} {case} (worth knowing, no mistake)" in finding.message
    assert finding.evidence["seen_with"] == [case]
    assert all(right == tried for right, tried in report.tallies.values())


def test_what_can_be_read_beyond_the_usual_is_read():
    (finding,) = examine("batch_norm_forward", spoiled_where("batch_norm_forward", of_vectors, np.negative)).findings
    assert finding.remark
    assert (finding.kind, finding.where) == ("sign", "y")
    assert finding.message.endswith("(vectors (N, C); worth knowing, no mistake)")


def test_a_usual_case_that_is_wrong_is_a_mistake():
    one_pixel = spoiled_where("batch_norm_forward", lambda x, *o, **k: x.shape[2:] == (1, 1), np.negative)
    assert not examine("batch_norm_forward", one_pixel).ok


def test_usual_shapes_may_not_be_refused():
    report = examine("batch_norm_forward", lambda x, gamma, beta, *, eps: images_only(x[0], gamma, beta, eps=eps))
    assert not report.ok
    assert report.findings[0].kind == "raises"


# Functions that run elsewhere


def test_an_error_from_elsewhere_is_quoted_as_if_it_had_happened_here():
    def proxy(x, w, b):
        raise CandidateError("IndexError", "index 5 is out of bounds", "line 12: y = x[5]")

    (finding,) = examine("linear_forward", proxy).findings
    assert finding.kind == "raises"
    assert finding.message == f"IndexError: index 5 is out of bounds, in line 12: y = x[5] {PLAIN}"
    assert finding.evidence["line"] == "line 12: y = x[5]"


def test_an_error_from_elsewhere_may_come_without_a_line():
    def proxy(x, w, b):
        raise CandidateError("MemoryError", "")

    assert examine("linear_forward", proxy).findings[0].message.startswith("MemoryError: ")


def test_a_timeout_from_elsewhere_is_one():
    calls = []

    def proxy(x, w, b):
        calls.append(len(x))
        raise CandidateTimeout(2.0, "line 3: while True:")

    report = examine("linear_forward", proxy)
    assert report.findings[0].kind == "too-slow"
    assert "still running after 2 s, in line 3: while True:" in report.findings[0].message
    assert len(calls) <= 2  # what does not end is not called again and again


def test_what_is_not_written_elsewhere_is_not_written():
    def proxy(x, w, b):
        raise CandidateError("NotImplementedError", "")

    assert examine("linear_forward", proxy).unwritten


# One call


def test_a_call_gets_copies_and_tells_what_was_written_to():
    x, weights = np.ones(3), np.ones(2)

    def writes(x, *, weights):
        x += 1
        weights[0] = 5
        return x

    outcome = call(writes, {"x": x}, {"weights": weights}, seconds=1)
    assert outcome.written_to == ("x", "weights")
    assert np.array_equal(outcome.results, [2, 2, 2])
    assert np.array_equal(x, [1, 1, 1])
    assert np.array_equal(weights, [1, 1])


def test_a_nan_that_stays_a_nan_was_not_written_to():
    assert call(lambda x: x, {"x": np.array([np.nan, 1.0])}, {}, seconds=1).written_to == ()


def test_options_that_are_not_taken_are_left_out():
    assert call(lambda x, *, a: a, {"x": 1}, {"a": 2, "b": 3}, seconds=1).results == 2


def test_what_is_printed_is_kept(capsys):
    def prints(x):
        print("shape", x.shape)
        sys.stdout.write("more" * 1000)
        return np.maximum(x, 0)

    outcome = call(prints, {"x": np.ones(3)}, {}, seconds=1)
    assert outcome.printed.startswith("shape (3,)\nmoremore")
    assert len(outcome.printed) < 1000
    report = examine("relu_forward", prints)
    assert report.ok
    assert [note[:50] for note in report.notes] == ["it prints; the first that it printed: shape (3, 4)"]
    assert capsys.readouterr() == ("", "")


def test_what_is_printed_before_an_exception_is_kept_too(capsys):
    def prints(x):
        print("so far")
        raise ValueError("no further")

    assert call(prints, {"x": 1}, {}, seconds=1).printed == "so far\n"
    assert "it prints; the first that it printed: so far" in examine("relu_forward", prints).notes
    assert capsys.readouterr() == ("", "")


def test_warnings_are_the_function_s_own_affair():
    def warns(x):
        warnings.warn("look", RuntimeWarning, stacklevel=1)
        return np.log(np.zeros(1)) / 0

    outcome = call(warns, {"x": 1}, {}, seconds=1)
    assert outcome.error == ""
    assert np.isneginf(outcome.results).all()


def test_the_clock_is_given_back_after_a_call():
    rung = []
    before = signal.signal(signal.SIGALRM, lambda *_: rung.append(True))
    try:
        assert call(lambda: time.sleep(5), {}, {}, seconds=0.05).timed_out
        assert call(lambda: 1, {}, {}, seconds=0.05).results == 1
        time.sleep(0.1)
        assert not rung
        signal.raise_signal(signal.SIGALRM)
        assert rung
    finally:
        signal.signal(signal.SIGALRM, before)


def test_in_another_thread_it_works_without_a_clock():
    reports = []
    thread = threading.Thread(target=lambda: reports.append(examine("linear_forward", linear)))
    thread.start()
    thread.join()
    assert reports[0].ok


@pytest.mark.alone
def test_the_alarm_waits_for_an_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "slow_to_import.py").write_text("import time\ntime.sleep(0.3)\nDONE = True\n")

    def imports(x, w, b):
        import slow_to_import

        while slow_to_import.DONE:
            pass

    assert examine("linear_forward", imports, seconds=0.05).findings[0].kind == "too-slow"
    assert sys.modules["slow_to_import"].DONE


def test_the_alarm_rings_also_where_the_examination_is_part_of_an_import(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    text = """
        from minicnn.check import examine
        def endless(x, w, b):
            while True:
                pass
        REPORT = examine("linear_forward", endless, seconds=0.05)
    """
    (tmp_path / "examines_itself.py").write_text(textwrap.dedent(text))
    assert importlib.import_module("examines_itself").REPORT.findings[0].kind == "too-slow"


def test_the_alarm_waits_for_numbas_compiler():
    numba = pytest.importorskip("numba", reason="Numba is not installed")
    compiled = []

    def compiles(x, w, b):
        function = numba.njit(lambda a: a.T.copy() @ a + np.abs(a).sum())
        for dtype in (np.float32, np.float64):
            compiled.append(function(np.ones((2, 2), dtype=dtype)))
        while True:
            pass

    report = examine("linear_forward", compiles, seconds=0.05)
    assert report.findings[0].kind == "too-slow"
    assert len(compiled) >= 2  # it took longer than 0.05 s, and was left to end
