"""Stand-ins for a student's functions and layers."""

import copy
import inspect
import os
import signal
import threading

import numpy as np
import pytest
from grading import IMPATIENT

import minicnn as mc
from minicnn import nn
from minicnn.backend import Key
from minicnn.check.running import CandidateError, CandidateTimeout
from minicnn.grade.limits import Limits
from minicnn.grade.remote import RemoteLayer, Student

TEXT = """
import os
import sys

import numpy as np

from minicnn import nn, ops

CALLS = []


def add(x, y=1, *, scale=2, **others):
    CALLS.append(1)
    print("adding")
    return scale * (x + y), len(CALLS)


def double(x, *, out):
    x *= 2
    out[...] = x


def fail(x):
    values = [1, 2]
    return values[5]


def leave():
    os._exit(7)


def wait():
    while True:
        pass


def bits(key):
    return ops.random_bits(key, count=5)


def modules():
    return sorted(name for name in sys.modules if name.startswith("minicnn"))


def environment():
    return dict(os.environ)


class Scale(nn.Layer):
    def __init__(self, channels, *, start=1.0):
        self.weight = nn.Parameter(np.full((channels, 1, 1), start, dtype=np.float32))

    def forward(self, x):
        self.saved = x
        return self.weight.data * x

    def backward(self, dy):
        self.weight.add_grad((dy * self.saved).sum(axis=(0, 2, 3)).reshape(self.weight.data.shape))
        return self.weight.data * dy
"""


@pytest.fixture(scope="module")
def student():
    with Student(TEXT, "answer.py", IMPATIENT) as student:
        yield student


@pytest.fixture(autouse=True)
def _new_part(student):
    student.begin_part()


def test_a_function_returns_what_it_returns_there(student):
    add = student.function("add")
    x = np.ones((2, 3), dtype=np.float32)
    y, _ = add(x, scale=3)
    np.testing.assert_array_equal(y, np.full((2, 3), 6, dtype=np.float32))
    assert y.dtype == np.float32
    assert student.printed().startswith("adding\n")


def test_a_function_shows_its_signature(student):
    assert str(inspect.signature(student.function("add"))) == "(x, y=None, *, scale=None, **others)"
    assert student.function("nothing") is None
    assert student.function("CALLS") is None


def test_arguments_that_are_written_to_there_are_written_to_here(student):
    x, out = np.ones(3), np.zeros(3)
    assert student.function("double")(x, out=out) is None
    np.testing.assert_array_equal(x, [2, 2, 2])
    np.testing.assert_array_equal(out, [2, 2, 2])


def test_an_error_names_the_students_own_line(student):
    with pytest.raises(CandidateError, match="IndexError: list index out of range") as caught:
        student.function("fail")(np.ones(2))
    assert caught.value.type_name == "IndexError"
    assert caught.value.line == "line 25: return values[5]"


def test_a_process_that_ended_is_started_anew(student):
    with pytest.raises(CandidateError, match=r"ended the Python process \(exit status 7\)"):
        student.function("leave")()
    add = student.function("add")
    assert add(1.0) == (4.0, 1)  # nothing is left of the old one


def test_a_part_is_given_up_after_some_deaths(student):
    leave = student.function("leave")
    for _ in range(IMPATIENT.deaths):
        with pytest.raises(CandidateError):
            leave()
    generation = student.generation
    with pytest.raises(CandidateError, match="exit status 7"):
        student.function("add")
    assert student.generation == generation
    student.begin_part()
    assert student.function("add") is not None


def test_an_endless_loop_ends_and_its_line_is_named(student):
    with pytest.raises(CandidateTimeout) as caught:
        student.function("wait")()
    assert caught.value.line in ("line 33: while True:", "line 34: pass")


def test_an_alarm_of_the_callers_leaves_no_answer_behind(student):
    """The doctor has an alarm of its own; what it interrupts must not be taken for the answer to the next call."""
    wait, add = student.function("wait"), student.function("add")

    def ring(number, frame):
        raise CandidateTimeout(0.2)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(CandidateTimeout):
            wait()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert add(1.0)[0] == 4.0


def test_a_students_function_can_be_called_from_another_thread(student):
    found = []
    thread = threading.Thread(target=lambda: found.append(student.function("add")(2.0)[0]))
    thread.start()
    thread.join()
    assert found == [6.0]


def test_random_bits_are_the_engines(student):
    key = Key(2**63 + 5, 3, 2**40)
    np.testing.assert_array_equal(student.function("bits")(key), mc.ops.random_bits(key, count=5))


def test_no_file_with_answers_is_loaded_there(student):
    known = {
        "minicnn",
        "minicnn.nn",
        "minicnn.ops",
        "minicnn.errors",
        "minicnn.ops.random",
        *(f"minicnn.nn.{name}" for name in ("init", "layer", "memory", "modes", "parameter", "summary")),
        "minicnn.nn.init.models",
        "minicnn.nn.init.schemes",
        "minicnn.nn.init.undrawn",
    }
    loaded = student.function("modules")()
    assert {name for name in loaded if not name.startswith(("minicnn.backend", "minicnn.grade"))} <= known
    deep = {name for name in loaded if name.count(".") > 2} - known
    assert all(name.startswith("minicnn.grade.child") for name in deep)


def test_the_environment_is_not_handed_on(student, monkeypatch):
    monkeypatch.setenv("SECRET", "answer")
    with Student(TEXT, "answer.py", IMPATIENT) as other:
        environment = other.function("environment")()
    assert "SECRET" not in environment
    assert environment["HOME"] != os.environ.get("HOME")


def test_a_file_is_not_run_as_a_script():
    with Student(
        "if __name__ == '__main__':\n    raise ValueError\ndef f():\n    return 1\n", "a.py", IMPATIENT
    ) as other:
        assert other.function("f")() == 1


@pytest.mark.slow
def test_numba_compiles_there_keeps_what_it_compiled_and_multiplies_matrices():
    with Student(COMPILED, "answer.py", Limits()) as other:
        x = np.arange(6.0).reshape(2, 3)
        assert other.function("total")(x) == 15.0
        np.testing.assert_array_equal(other.function("product")(x, x.T), x @ x.T)
        assert any(name.endswith(".nbi") for name in other.function("kept")())


COMPILED = """
import os

import numba


@numba.njit(cache=True)
def total(x):
    result = 0.0
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            result += x[i, j]
    return result


@numba.njit
def product(a, b):
    return a @ b


def kept():
    return [name for _, _, names in os.walk("numba") for name in names]
"""


def test_a_layer_is_checked_and_trained_like_any_other(student):
    layer = RemoteLayer(student, "Scale", (2,), {"start": 0.5}, ("weight",))
    x = mc.ops.random_normal(Key(0, 0, 0), shape=(3, 2, 4, 5))
    assert mc.gradcheck(layer, x, entries=10).ok
    assert repr(layer) == "Scale(2, start=0.5)"
    assert layer.weight.grad is None

    copied = copy.deepcopy(layer)
    copied.weight.data = copied.weight.data * 2
    x = x.astype(np.float32)
    np.testing.assert_allclose(copied(x), x)
    np.testing.assert_allclose(layer(x), 0.5 * x)
    layer.backward(x)
    layer.backward(x)
    np.testing.assert_allclose(layer.weight.grad.reshape(2), 2 * (x * x).sum(axis=(0, 2, 3)), rtol=1e-5)


def test_a_layer_goes_on_in_a_new_process_but_has_forgotten_the_last_forward_pass(student):
    layer = RemoteLayer(student, "Scale", (2,), {}, ("weight",))
    layer.weight.data = np.full((2, 1, 1), 3, dtype=np.float32)
    x = np.ones((1, 2, 1, 1), dtype=np.float32)
    layer(x)
    with pytest.raises(CandidateError):
        student.function("leave")()
    with pytest.raises(CandidateError, match="BackwardError"):
        layer.backward(x)
    np.testing.assert_array_equal(layer(x), 3 * x)


def test_a_layer_has_to_have_its_parameters(student):
    with pytest.raises(CandidateError, match=r"self\.bias is not there, or no nn\.Parameter"):
        RemoteLayer(student, "Scale", (2,), {}, ("weight", "bias"))


def test_the_engines_own_layers_are_not_there():
    text = "from minicnn import nn\n\n\nclass Mine(nn.Conv2d):\n    pass\n"
    with Student(text, "a.py", IMPATIENT) as other, pytest.raises(CandidateError) as caught:
        other.function("Mine")
    assert "minicnn.nn.Conv2d is not there while a file is graded" in str(caught.value)
    assert caught.value.line == "line 4: class Mine(nn.Conv2d):"
    assert issubclass(RemoteLayer, nn.Layer)
