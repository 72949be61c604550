"""The recurrent kernels against their plain bodies, over sizes that neither blocks, tiles nor vectors divide."""

import numpy as np
import pytest
from bodies import close, in_float64
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import contiguous, memory_orders, normal

from minicnn import ops
from minicnn.backend import slots, use_backend

pytest.importorskip("numba", reason="Numba is not installed")

from numba import njit

from minicnn.kernels.numba import recurrent
from minicnn.kernels.numba.squash import sigmoid, tanh

both_kinds = pytest.mark.parametrize("kind", ["rnn", "lstm"])
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
UNITS = st.sampled_from([1, 3, 8, 9, 16, 25, 40])


@pytest.fixture(autouse=True)
def _nothing_is_too_small(monkeypatch):
    monkeypatch.setattr(recurrent, "FEW", 1)


@pytest.fixture
def no_plain_bodies(monkeypatch):
    def refuse(name):
        raise AssertionError(f"{name} was left to its plain body")

    monkeypatch.setattr(recurrent, "plain_body", refuse)


def problem(kind, n, steps, d, h, *, bias=True, dtype=np.float32, order=contiguous):
    """x, w_ih, w_hh, b and the state before the first step, small enough that errors do not grow from step to step."""
    rows, scale = (4 if kind == "lstm" else 1) * h, (d + h) ** -0.5
    w_ih, w_hh = scale * normal(1, rows, d), scale * normal(2, rows, h)
    state = [normal(4 + i, n, h) for i in range(2 if kind == "lstm" else 1)]
    arrays = [normal(0, n, steps, d), w_ih, w_hh, normal(3, rows), *state]
    arrays = [order(array.astype(np.float32).astype(dtype)) for array in arrays]
    return arrays if bias else [*arrays[:3], None, *arrays[4:]]


def both_ways(kind, arguments, dy, lengths, *, run=lambda operation: operation):
    """All results, forward and backward, of the operations, or of what `run` makes of them."""
    x, w_ih, w_hh, _, *state = arguments
    results = run(slots()[f"{kind}_forward"])(*arguments, lengths=lengths)
    results = results if isinstance(results, tuple) else (results,)
    back = run(slots()[f"{kind}_backward"])(dy, x, w_ih, w_hh, *state, *results, lengths=lengths)
    return [*results, *back]


def body(operation):
    return operation.body


@pytest.mark.usefixtures("threads", "no_plain_bodies")
@both_kinds
@both_dtypes
@given(
    n=st.sampled_from([1, 3, 7, 17, 50, 101]),
    steps=st.sampled_from([2, 5]),
    d=UNITS,
    h=UNITS,
    bias=st.booleans(),
    uneven=st.booleans(),
    order=memory_orders,
    dy_order=memory_orders,
)
@example(n=101, steps=5, d=3, h=9, bias=True, uneven=True, order=contiguous, dy_order=contiguous)  # several blocks
@example(n=1, steps=70, d=1, h=1, bias=False, uneven=False, order=contiguous, dy_order=contiguous)  # dW: several times
@example(n=17, steps=5, d=25, h=40, bias=True, uneven=True, order=contiguous, dy_order=contiguous)
def test_recurrent(dtype, kind, n, steps, d, h, bias, uneven, order, dy_order):
    arguments = problem(kind, n, steps, d, h, bias=bias, dtype=dtype, order=order)
    lengths = np.random.default_rng(n + h).integers(0, steps + 2, n, dtype=np.uint8) if uneven else None
    dy = normal(7, n, steps, h)
    want = both_ways(kind, in_float64(arguments), dy, lengths, run=body)
    with use_backend("numba"):
        got = both_ways(kind, arguments, dy_order(dy.astype(dtype)), lengths)
    close(got, want, [8 * (1 + np.abs(array).max(initial=0)) for array in want], dtype)


@both_kinds
@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e30])
def test_what_stands_behind_an_end_changes_no_bit(kind, garbage):
    arguments, dy = problem(kind, 20, 6, 5, 9), normal(7, 20, 6, 9, dtype=np.float32)
    lengths = np.arange(20) % 6 + 1
    behind, results = np.arange(6) >= lengths[:, None], []
    for fill in (0.0, garbage):
        arguments[0][behind], dy[behind] = fill, fill
        with use_backend("numba"):
            results.append(both_ways(kind, arguments, dy, lengths))
    for clean, filled in zip(*results, strict=True):
        assert np.isfinite(filled).all()
        np.testing.assert_array_equal(filled, clean)
    for array in results[1]:
        if array.shape[:2] == (20, 6):
            assert not array[behind].any()


@both_kinds
@both_dtypes
@pytest.mark.usefixtures("threads")
def test_what_is_not_a_number_stays_in_its_sequence(kind, dtype):
    arguments, dy = problem(kind, 21, 6, 5, 9, dtype=dtype), normal(7, 21, 6, 9, dtype=dtype)
    arguments[0][4, 3, 1] = np.nan
    with use_backend("numba"):
        results = both_ways(kind, arguments, dy, None)
    for array in results:
        if len(array) == 21:
            assert np.isnan(array.reshape(21, -1)).any(axis=1).tolist() == [n == 4 for n in range(21)]
    y = results[0]
    assert np.isnan(y[4, 3:]).all()
    assert not np.isnan(y[4, :3]).any()


@both_kinds
@pytest.mark.usefixtures("threads")
def test_gates_of_infinity_are_those_of_the_plain_bodies(kind):
    arguments = problem(kind, 16, 3, 2, 4, dtype=np.float64)
    arguments[3][:] = np.resize([np.inf, -np.inf, 1e4, -1e4], len(arguments[3]))
    with use_backend("numba"):
        got = slots()[f"{kind}_forward"](*arguments)
    close(
        got if isinstance(got, tuple) else (got,),
        (slots()["lstm_forward"].body(*arguments)) if kind == "lstm" else (slots()["rnn_forward"].body(*arguments),),
        [4] * (3 if kind == "lstm" else 1),
        np.float64,
    )


def test_what_a_kernel_does_not_know_is_left_to_the_plain_body():
    """Half the numbers in float64, no sequences, no features, a bias that is broadcast, and a single step."""
    x, w_ih, w_hh, b, h0 = problem("rnn", 4, 3, 2, 5)
    with use_backend("numba"):
        for arguments in (
            (x.astype(np.float64), w_ih, w_hh, b, h0),
            (x[:0], w_ih, w_hh, b, h0[:0]),
            (x[..., :0], w_ih[:, :0], w_hh, b, h0),
            (x, w_ih, w_hh, b[:1], h0),
            (x[:, :1], w_ih, w_hh, b, h0),
        ):
            y, want = ops.rnn_forward(*arguments), ops.rnn_forward.body(*arguments)
            assert y.dtype == want.dtype
            np.testing.assert_array_equal(y, want)


# Sigmoid and tanh


@njit
def _both(x, s, t):
    for i in range(len(x)):
        s[i], t[i] = sigmoid(x[i]), tanh(x[i])


@both_dtypes
def test_sigmoid_and_tanh_are_right_to_the_last_digits(dtype):
    from scipy.special import expit

    sizes = np.concatenate([np.logspace(-12, 1.9, 4001), [0.0]])
    x = np.concatenate([-sizes, sizes]).astype(dtype)
    s, t = np.empty_like(x), np.empty_like(x)
    _both(x, s, t)
    exact = x.astype(np.float64)
    np.testing.assert_allclose(s, expit(exact), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(t, np.tanh(exact), rtol=4 * np.finfo(dtype).eps)


@both_dtypes
def test_sigmoid_and_tanh_of_what_is_hardly_a_number(dtype):
    x = np.array([-np.inf, -1e30, -200, 200, 1e30, np.inf, np.nan], dtype=dtype)
    s, t = np.empty_like(x), np.empty_like(x)
    _both(x, s, t)
    np.testing.assert_allclose(s, [0, 0, 0, 1, 1, 1, np.nan], atol=1e-38)
    np.testing.assert_array_equal(t, [-1, -1, -1, 1, 1, 1, np.nan])


def test_they_are_what_their_python_says():
    s, t = np.empty(1), np.empty(1)
    _both(np.array([0.3]), s, t)
    assert s[0] == pytest.approx(sigmoid(0.3), rel=1e-14)
    assert t[0] == pytest.approx(tanh(0.3), rel=1e-14)
