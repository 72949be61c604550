"""Long short-term memory as students write it."""

import numpy as np
from scipy.special import expit

from mistakes.registry import mistake


def _inside(x, lengths):
    """Where a step belongs to its sequence: (N, T, 1)."""
    if lengths is None:
        return np.ones((*x.shape[:2], 1), dtype=bool)
    return (np.arange(x.shape[1]) < lengths[:, None])[:, :, None]


def _run(x, w_ih, w_hh, b, h0, c0, lengths, step):
    """Run `step(a, c) -> h, c, gates` along the sequence; a is W_ih x_t + W_hh h_{t-1} + b."""
    inside = _inside(x, lengths)
    x, h, c, found = np.where(inside, x, 0), h0, c0, []
    for t in range(x.shape[1]):
        a = x[:, t] @ w_ih.T + h @ w_hh.T
        h, c, gates = step(a if b is None else a + b, c)
        found.append((h, c, gates))
    return tuple(np.where(inside, np.stack(each, axis=1), 0) for each in zip(*found, strict=True))


def _gates(a):
    """i, f, g, o from a (N, 4H)."""
    i, f, g, o = np.split(a, 4, axis=1)
    return expit(i), expit(f), np.tanh(g), expit(o)


@mistake("lstm_forward", "transposed", where="gates", also=("forward-differs",))
def gates_in_another_order(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Reads the four parts as i, f, o, g, as another library stores them."""

    def step(a, c):
        i, f, o, g = np.split(a, 4, axis=1)
        i, f, o, g = expit(i), expit(f), expit(o), np.tanh(g)
        c = f * c + i * g
        return o * np.tanh(c), c, np.hstack([i, f, o, g])

    return _run(x, w_ih, w_hh, b, h0, c0, lengths, step)


@mistake("lstm_forward", "scale", where="c", also=("missing-term", "forward-differs"))
def nothing_is_forgotten(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Adds to the cell, as in 1997, and computes a forget gate that nothing uses."""

    def step(a, c):
        i, f, g, o = _gates(a)
        c = c + i * g
        return o * np.tanh(c), c, np.hstack([i, f, g, o])

    return _run(x, w_ih, w_hh, b, h0, c0, lengths, step)


@mistake("lstm_forward", "forward-differs", where="y", also=("missing-term",))
def shows_the_cell_as_it_is(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """h = o * c, without tanh."""

    def step(a, c):
        i, f, g, o = _gates(a)
        c = f * c + i * g
        return o * c, c, np.hstack([i, f, g, o])

    return _run(x, w_ih, w_hh, b, h0, c0, lengths, step)


@mistake("lstm_forward", "forward-differs", where="gates")
def four_sigmoids(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Applies the sigmoid to all four parts at once, g among them."""

    def step(a, c):
        i, f, g, o = np.split(expit(a), 4, axis=1)
        c = f * c + i * g
        return o * np.tanh(c), c, np.hstack([i, f, g, o])

    return _run(x, w_ih, w_hh, b, h0, c0, lengths, step)


@mistake("lstm_forward", "wrong-cache", where="y")
def shows_the_cell_before(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Computes h from the cell that the step began with."""

    def step(a, c):
        i, f, g, o = _gates(a)
        return o * np.tanh(c), f * c + i * g, np.hstack([i, f, g, o])

    return _run(x, w_ih, w_hh, b, h0, c0, lengths, step)


@mistake("lstm_forward", "forward-differs", where="gates")
def remembers_what_came_before_the_gates(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Returns a, where the values of the gates were asked for."""

    def step(a, c):
        i, f, g, o = _gates(a)
        c = f * c + i * g
        return o * np.tanh(c), c, a

    return _run(x, w_ih, w_hh, b, h0, c0, lengths, step)


@mistake("lstm_forward", "ignores-argument", where="c", also=("missing-term",))
def an_empty_cell_to_begin_with(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Starts the cell at zero and never looks at c0."""

    def step(a, c):
        i, f, g, o = _gates(a)
        c = f * c + i * g
        return o * np.tanh(c), c, np.hstack([i, f, g, o])

    return _run(x, w_ih, w_hh, b, h0, np.zeros_like(c0), lengths, step)


@mistake("lstm_forward", "mutates-input", where="c0")
def forgets_in_place(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Writes c *= f, where c is c0 in the first step."""

    def step(a, c):
        i, f, g, o = _gates(a)
        c *= f
        c += i * g
        return o * np.tanh(c), c.copy(), np.hstack([i, f, g, o])

    inside, h, found = _inside(x, lengths), h0, []
    for t in range(x.shape[1]):
        a = x[:, t] @ w_ih.T + h @ w_hh.T + (0 if b is None else b)
        h, c, gates = step(a, c0)
        found.append((h, c, gates))
    return tuple(np.where(inside, np.stack(each, axis=1), 0) for each in zip(*found, strict=True))


@mistake("lstm_forward", "shape", where="y")
def cells_first(x, w_ih, w_hh, b, h0, c0, *, lengths=None):
    """Returns c, y, gates."""

    def step(a, c):
        i, f, g, o = _gates(a)
        c = f * c + i * g
        return o * np.tanh(c), c, np.hstack([i, f, g, o])

    y, c, gates = _run(x, w_ih, w_hh, b, h0, c0, lengths, step)
    return c, y, gates
