"""The slots: who runs when an operation is called, and what is said to a function that does not fit."""

import copy
import importlib
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from minicnn import ops
from minicnn.backend import backends, plug, slot, slots, use_backend
from minicnn.backend.backends import Backend
from minicnn.backend.slots import Slot
from minicnn.errors import ArgumentError, DeviceError, MinicnnError, SlotError
from minicnn.kernels import numba as numba_kernels

X = np.array([-1.0, 2.0])


def plugged(x):
    return np.full_like(x, 1)


def kernel(x):
    return np.full_like(x, 2)


@pytest.fixture
def with_kernel(monkeypatch):
    """A kernel for relu_forward in the Numba table."""
    monkeypatch.setitem(numba_kernels.FILLINGS, "relu_forward", kernel)
    with use_backend("numba"):
        yield


# Who runs


@pytest.mark.usefixtures("with_kernel")
def test_a_plugged_function_comes_before_the_kernel():
    with plug(relu_forward=plugged):
        assert ops.relu_forward(X).tolist() == [1, 1]


@pytest.mark.usefixtures("with_kernel")
def test_a_kernel_comes_before_the_body():
    assert ops.relu_forward(X).tolist() == [2, 2]


@pytest.mark.usefixtures("with_kernel")
def test_the_numpy_backend_runs_the_body_though_numba_has_a_kernel():
    with use_backend("numpy"):
        assert ops.relu_forward(X).tolist() == [0, 2]


def test_an_operation_without_a_kernel_runs_its_body(monkeypatch):
    monkeypatch.delitem(numba_kernels.FILLINGS, "relu_forward", raising=False)
    with use_backend("numba"):
        assert ops.relu_forward(X).tolist() == [0, 2]


def test_the_inner_of_two_blocks_wins_and_ends_first():
    with plug(relu_forward=plugged):
        with plug(relu_forward=kernel):
            assert ops.relu_forward(X).tolist() == [2, 2]
        assert ops.relu_forward(X).tolist() == [1, 1]
    assert ops.relu_forward(X).tolist() == [0, 2]


def test_an_inner_block_keeps_what_the_outer_one_plugged_elsewhere():
    with plug(relu_forward=plugged), plug(tanh_forward=kernel):
        assert ops.relu_forward(X).tolist() == [1, 1]


def test_a_block_left_by_an_exception_unplugs():
    with pytest.raises(KeyError), plug(relu_forward=plugged):
        raise KeyError
    assert ops.relu_forward(X).tolist() == [0, 2]


def test_another_thread_does_not_see_what_is_plugged_here():
    with plug(relu_forward=plugged), ThreadPoolExecutor(1) as pool:
        assert pool.submit(ops.relu_forward, X).result().tolist() == [0, 2]


def test_plugging_im2col_reaches_conv2d_forward_past_its_kernel(monkeypatch):
    monkeypatch.setitem(numba_kernels.FILLINGS, "conv2d_forward", lambda x, w, b, **options: "kernel")
    x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))

    def im2col_of_zeros(x, *, kernel, stride=1, padding=0, dilation=1):
        return np.zeros((1, 4, 4))

    with use_backend("numba"):
        assert ops.conv2d_forward(x, w, None) == "kernel"
        with plug(im2col=im2col_of_zeros):
            assert (ops.conv2d_forward(x, w, None) == 0).all()
        with plug(tanh_forward=kernel):
            assert ops.conv2d_forward(x, w, None) == "kernel"


def slots_called_by(function, seen=()):
    """All slots that a function reaches through the names in its code, through helpers and other slots."""
    if function in seen:
        return set()
    found = set()
    codes = [function.__code__]
    for code in codes:
        codes.extend(constant for constant in code.co_consts if hasattr(constant, "co_names"))
        for name in code.co_names:
            target = function.__globals__.get(name)
            if isinstance(target, Slot):
                found |= {target.name} | slots_called_by(target.body, (*seen, function))
            elif getattr(target, "__module__", "").startswith("minicnn.ops") and hasattr(target, "__code__"):
                found |= slots_called_by(target, (*seen, function))
    return found


@pytest.mark.parametrize("name", slots())
def test_a_slot_declares_the_slots_that_its_body_calls(name):
    operation = slots()[name]
    assert set(operation.uses) == slots_called_by(operation.body)


def test_the_search_for_called_slots_finds_them():
    assert slots_called_by(ops.conv2d_backward.body) == {"im2col", "col2im"}


# What is said to a function that does not fit


def test_an_unknown_operation_is_answered_with_names_like_it():
    with pytest.raises(ArgumentError, match=r"no operation 'conv2d_backwards'; did you mean conv2d_backward"):
        plug(conv2d_backwards=plugged)


def test_a_name_like_no_other_is_answered_with_all_names():
    with pytest.raises(ArgumentError, match=r"they are .*conv2d_forward.*tanh_forward"):
        plug(zzz=plugged)


def test_a_function_with_the_wrong_arguments_is_refused_at_once():
    def backward(dy): ...

    with pytest.raises(SlotError, match=r"backward\(dy\) does not fit: the engine calls relu_backward\(dy, y\) -> dx"):
        plug(relu_backward=backward)


def test_a_function_without_a_keyword_that_has_no_default_is_refused():
    with pytest.raises(SlotError, match="kernel"):
        plug(im2col=lambda x, *, stride, padding, dilation: x)


def test_keywords_that_have_a_default_may_be_left_out():
    def mine(x, w, b, *, stride, padding):
        return ops.conv2d_forward.body(x, w, b, stride=stride, padding=padding)

    x, w = np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))
    with plug(conv2d_forward=mine):
        assert ops.conv2d_forward(x, w, None, stride=1, padding=0, dilation=1, groups=1).shape == (1, 1, 2, 2)


def test_a_keyword_that_was_left_out_is_missed_when_it_matters():
    with (
        plug(conv2d_forward=lambda x, w, b, *, stride, padding: x),
        pytest.raises(SlotError, match="does not take dilation, which is 2 here"),
    ):
        ops.conv2d_forward(np.ones((1, 1, 5, 5)), np.ones((1, 1, 2, 2)), None, stride=1, padding=0, dilation=2)


def test_every_argument_arrives_also_those_that_the_caller_left_to_their_defaults():
    seen = {}

    def mine(dy, x, w, *, stride, padding, dilation, groups, need_dx):
        seen.update(stride=stride, padding=padding, dilation=dilation, groups=groups, need_dx=need_dx)
        return ops.conv2d_backward.body(dy, x, w)

    with plug(conv2d_backward=mine):
        ops.conv2d_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)))
    assert seen == {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "need_dx": True}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda dx, dw, db: (dx, dw.transpose(1, 0, 2, 3), db), r"dw of shape \(2, 3, 2, 2\); expected \(3, 2, 2, 2\)"),
        (lambda dx, dw, db: (dx, dw.astype(np.float32), db), "dw as float32; expected float64"),
        (lambda dx, dw, db: (dx, dw, None), "None for db"),
        (lambda dx, dw, db: (None, dw, db), "None for dx"),
    ],
)
def test_results_that_are_not_like_their_arguments_are_refused(wrong, words):
    def mine(dy, x, w, **geometry):
        return wrong(*ops.conv2d_backward.body(dy, x, w, **geometry))

    with (
        plug(conv2d_backward=mine),
        pytest.raises(SlotError, match=f"mine, plugged into conv2d_backward, returned {words}"),
    ):
        ops.conv2d_backward(np.ones((1, 3, 2, 2)), np.ones((1, 2, 3, 3)), np.ones((3, 2, 2, 2)))


def test_a_block_can_be_entered_again():
    block = plug(relu_forward=lambda x: x)
    for _ in range(2):
        with block:
            assert ops.relu_forward(X) is X
        assert ops.relu_forward(X) is not X


def test_plug_without_with_is_told_to_have_no_effect():
    with pytest.warns(RuntimeWarning, match=r"plug\(relu_forward=\.\.\.\) has no effect without a with block"):
        plug(relu_forward=lambda x: x)


def test_a_slot_is_one_object_also_after_a_copy_or_a_pickle():
    assert copy.deepcopy(ops.relu_forward) is ops.relu_forward
    assert pickle.loads(pickle.dumps(ops.relu_forward)) is ops.relu_forward


def test_help_begins_with_the_arguments_as_one_would_type_them():
    first = ops.linear_backward.__doc__.splitlines()[0]
    assert first == "linear_backward(dy, x, w) -> dx, dw, db"
    first = ops.conv2d_backward.__doc__.splitlines()[0]
    assert first.startswith("conv2d_backward(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1, need_dx=True, ")


def test_an_argument_of_ones_own_with_a_default_is_welcome():
    with plug(relu_forward=lambda x, scale=3: x * scale):
        assert ops.relu_forward(X).tolist() == [-3, 6]


def test_something_that_is_no_function_is_refused():
    with pytest.raises(SlotError, match="must be a function, not int"):
        plug(relu_forward=3)


def test_returning_none_is_answered_with_what_was_expected():
    def forgetful(dy, x, w):
        pass

    with (
        plug(linear_backward=forgetful),
        pytest.raises(SlotError, match=r"forgetful.*linear_backward.*None; expected dx, dw, db.*return missing"),
    ):
        ops.linear_backward(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))


@pytest.mark.parametrize(("result", "count"), [(X, "1 value;"), ((X, X), "2 values;"), ([X] * 4, "4 values;")])
def test_returning_the_wrong_number_of_results_is_refused(result, count):
    with plug(linear_backward=lambda dy, x, w: result), pytest.raises(SlotError, match=f"{count} expected 3"):
        ops.linear_backward(np.ones((1, 1)), np.ones((1, 1)), np.ones((1, 1)))


def test_returning_a_tuple_where_one_result_is_expected_is_refused():
    with plug(relu_forward=lambda x: (x, x > 0)), pytest.raises(SlotError, match="2 values; expected 1: y"):
        ops.relu_forward(X)


def test_an_exception_in_a_plugged_function_says_where_it_was_plugged_in():
    def broken(x):
        raise ZeroDivisionError("mine")

    with plug(relu_forward=broken), pytest.raises(ZeroDivisionError, match="mine") as caught:
        ops.relu_forward(X)
    assert "broken" in caught.value.__notes__[0]
    assert "relu_forward" in caught.value.__notes__[0]


def test_slot_errors_are_type_errors_and_minicnn_errors():
    assert issubclass(SlotError, TypeError)
    assert issubclass(SlotError, MinicnnError)


# Devices


class FakeArray:
    """An array of a library that is not NumPy."""

    __module__ = "fakelib.core"
    dtype = np.dtype(np.float32)

    def __setitem__(self, index, value): ...


@pytest.fixture
def fake_device(monkeypatch):
    """A second device, on which relu_forward has a kernel."""
    monkeypatch.setattr(backends, "_library_of_type", {})
    monkeypatch.setattr(backends, "_library_of_types", {})
    monkeypatch.setitem(backends.BACKENDS, "fake", Backend("fake", "fakelib", None, lambda: None))


@pytest.mark.usefixtures("fake_device")
def test_arrays_of_two_devices_in_one_call_are_refused():
    with pytest.raises(DeviceError, match=r"arrays of fakelib and of numpy.*same device"):
        ops.linear_forward(FakeArray(), X, None)


@pytest.mark.usefixtures("fake_device")
def test_arrays_of_two_devices_are_refused_among_keywords_too():
    with pytest.raises(DeviceError):
        ops.softmax_cross_entropy_forward(X, X, class_weights=FakeArray())


@pytest.mark.usefixtures("fake_device")
def test_the_arrays_decide_which_backend_works_on_them():
    assert backends.backend_of(FakeArray(), 3, None).name == "fake"
    assert backends.backend_of(X).array_library == "numpy"


def test_a_device_is_not_asked_whether_it_runs_when_its_arrays_are_there(monkeypatch):
    """On a GPU the question costs a synchronisation, and every operation would ask it."""

    def asked():
        raise AssertionError("an array of the library is proof enough")

    class OtherArray(FakeArray):
        __module__ = "otherlib"

    monkeypatch.setattr(backends, "_library_of_type", {})
    monkeypatch.setattr(backends, "_library_of_types", {})
    monkeypatch.setitem(backends.BACKENDS, "other", Backend("other", "otherlib", None, asked))
    assert backends.backend_of(OtherArray()).name == "other"


@pytest.mark.usefixtures("fake_device")
def test_host_arrays_get_a_host_backend_while_a_device_is_in_use():
    with use_backend("fake"):
        assert backends.backend_of(X).array_library == "numpy"
        assert ops.relu_forward(X).tolist() == [0, 2]


# The register


def test_a_new_slot_is_listed_under_its_functions_name(monkeypatch):
    module = importlib.import_module("minicnn.backend.slots")  # the function `slots` hides it as an attribute
    monkeypatch.setattr(module, "_registry", {})

    @slot("a, b")
    def twice(x):
        """Doc."""
        return x, x

    assert slots() == {"twice": twice}
    assert twice.returns == ("a", "b")
    assert twice.__doc__ == "twice(x) -> a, b\n\nDoc."
    assert repr(twice) == "<operation twice(x) -> a, b>"


def test_the_list_of_slots_is_a_copy():
    slots().clear()
    assert "relu_forward" in slots()
