"""SimpleRNN and LSTM as operations, against one sequence after the other, unit by unit, and against differences."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_gradient
from strategies import normal, seeds

from minicnn import ops


def sigmoid(a):
    return 1 / (1 + math.exp(-a))


def sequence_by_hand(x, w_ih, w_hh, b, h, c):
    """The states of one sequence x (T, D), and its cells; c is None for a SimpleRNN."""
    states, cells = [], []
    for x_t in x:
        a = [
            sum(w * v for w, v in zip(w_ih[k], x_t, strict=True))
            + sum(w * v for w, v in zip(w_hh[k], h, strict=True))
            + (0.0 if b is None else b[k])
            for k in range(len(w_ih))
        ]
        if c is None:
            h = [math.tanh(value) for value in a]
        else:
            i, f, g, o = (a[k * len(h) : (k + 1) * len(h)] for k in range(4))
            c = [sigmoid(f[j]) * c[j] + sigmoid(i[j]) * math.tanh(g[j]) for j in range(len(h))]
            h = [sigmoid(o[j]) * math.tanh(c[j]) for j in range(len(h))]
            cells.append(c)
        states.append(h)
    return states, cells


@st.composite
def problems(draw):
    """Arguments of lstm_forward, sizes of 1 among them, and lengths or None; those of rnn_forward are their first."""
    n, steps, d, h = (draw(st.integers(1, 3)) for _ in range(4))
    seed = draw(seeds)
    lengths = draw(st.none() | st.lists(st.integers(1, steps), min_size=n, max_size=n).map(np.array))
    bias = normal(seed + 3, 4 * h) if draw(st.booleans()) else None
    arrays = [normal(seed, n, steps, d), normal(seed + 1, 4 * h, d), normal(seed + 2, 4 * h, h), bias]
    return [*arrays, normal(seed + 4, n, h), normal(seed + 5, n, h)], lengths


def of_rnn(arguments):
    """The same for a SimpleRNN: a quarter of the weights, and no cells."""
    x, w_ih, w_hh, b, h0, _ = arguments
    k = h0.shape[1]
    return [x, w_ih[:k], w_hh[:k], None if b is None else b[:k], h0]


def expected(x, w_ih, w_hh, b, h0, c0, lengths):
    y, c = np.zeros((2, *x.shape[:2], h0.shape[1]))
    for n in range(len(x)):
        end = x.shape[1] if lengths is None else lengths[n]
        states, cells = sequence_by_hand(x[n, :end], w_ih, w_hh, b, h0[n], None if c0 is None else c0[n])
        y[n, :end] = states
        if cells:
            c[n, :end] = cells
    return y, c


@given(problems())
def test_forward_is_one_sequence_after_the_other(problem):
    arguments, lengths = problem
    y, c, _ = ops.lstm_forward(*arguments, lengths=lengths)
    want_y, want_c = expected(*arguments, lengths)
    assert_close64(y, want_y, 1e-12)
    assert_close64(c, want_c, 1e-12)
    assert_close64(
        ops.rnn_forward(*of_rnn(arguments), lengths=lengths), expected(*of_rnn(arguments), None, lengths)[0], 1e-12
    )


def assert_gradients(forward, gradients, arguments, dy):
    """Each gradient is the one that differences of `forward(*arguments)` give for its argument."""
    for i, gradient in gradients.items():
        if arguments[i] is None:
            continue

        def f(value, i=i):
            return forward(*arguments[:i], value, *arguments[i + 1 :])

        assert_gradient(gradient, f, arguments[i], dy)


@given(problems())
def test_backward_is_what_differences_say(problem):
    arguments, lengths = problem
    x, w_ih, w_hh, _, h0, c0 = arguments
    y, c, gates = ops.lstm_forward(*arguments, lengths=lengths)
    dy = normal(7, *y.shape)
    gradients = ops.lstm_backward(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths=lengths)
    assert_gradients(lambda *a: ops.lstm_forward(*a, lengths=lengths)[0], dict(enumerate(gradients)), arguments, dy)

    arguments = of_rnn(arguments)
    x, w_ih, w_hh, _, h0 = arguments
    y = ops.rnn_forward(*arguments, lengths=lengths)
    gradients = ops.rnn_backward(dy, x, w_ih, w_hh, h0, y, lengths=lengths)
    assert_gradients(lambda *a: ops.rnn_forward(*a, lengths=lengths), dict(enumerate(gradients)), arguments, dy)


@pytest.mark.parametrize("garbage", [np.nan, np.inf, 1e300])
def test_what_stands_behind_an_end_changes_no_bit(garbage):
    lengths = np.array([2, 4, 1])
    behind = np.arange(4) >= lengths[:, None]
    x, w_ih, w_hh, b = normal(0, 3, 4, 2), normal(1, 12, 2), normal(2, 12, 3), normal(3, 12)
    h0, c0, dy = normal(4, 3, 3), normal(5, 3, 3), normal(6, 3, 4, 3)
    results = []
    for fill in (0.0, garbage):
        x[behind], dy[behind] = fill, fill
        y, c, gates = ops.lstm_forward(x, w_ih, w_hh, b, h0, c0, lengths=lengths)
        gradients = ops.lstm_backward(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths=lengths)
        plain = ops.rnn_forward(x, w_ih[:3], w_hh[:3], b[:3], h0, lengths=lengths)
        of_plain = ops.rnn_backward(dy, x, w_ih[:3], w_hh[:3], h0, plain, lengths=lengths)
        results.append([y, c, gates, *gradients, plain, *of_plain])
    for clean, filled in zip(*results, strict=True):
        assert np.isfinite(filled).all()
        np.testing.assert_array_equal(filled, clean)
    for array in (results[1][i] for i in (0, 1, 2, 3, 9, 10)):  # y, c, gates, dx; y and dx of the SimpleRNN
        assert not array[behind].any()


def test_large_numbers_saturate_the_gates():
    x = np.array([[[1e4]], [[-1e4]]])
    y, c, gates = ops.lstm_forward(x, np.ones((4, 1)), np.zeros((4, 1)), None, np.zeros((2, 1)), np.ones((2, 1)))
    np.testing.assert_allclose(gates[:, 0], [[1, 1, 1, 1], [0, 0, -1, 0]], atol=1e-12)
    np.testing.assert_allclose(c[:, 0, 0], [2, 0], atol=1e-12)
    np.testing.assert_allclose(y[:, 0, 0], [math.tanh(2), 0], atol=1e-12)
