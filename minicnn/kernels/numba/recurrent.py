"""Recurrent networks: every thread takes some sequences through all steps, and waits for no other.

Input and state stand side by side in rows (x_t, h_{t-1}), and so do their weights, W = (W_ih, W_hh). A step is then one
product on the tile of the convolutions and the gates behind it, on a few sequences that stay in the cache:

    forward     a_t = W (x_t, h_{t-1}) + b                                       gates
    backward    gates        (dx_t, dh_{t-1}) = W^T da_t         dW += da_t (x_t, h_{t-1})^T

What LSTM and SimpleRNN do not share is what happens to one row between the products; a SimpleRNN's cell has no numbers.
The plain body's threads are BLAS's, which spin between its small products and take the processors from whoever has
something to do.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from minicnn.backend import Array, in_threads, parts_of, plain_body, run_parts
from minicnn.kernels.numba.memory import LINE, aligned, is_float, workspace
from minicnn.kernels.numba.product import MOST_HEIGHT, cut_into_panels, evenly, multiply, pack, rounded_up
from minicnn.kernels.numba.setup import Order, filled_up
from minicnn.kernels.numba.squash import sigmoid, tanh
from minicnn.kernels.numba.vector import VECTOR_BYTES

BLOCK = 48
"""Sequences that go through the steps together, a multiple of the heights of all tiles."""
DEPTH = 64
"""Rows that are collected for the gradient of the weights: each time, all of it is read and written."""
FEW = 16
"""Steps of all sequences together that do not repay laying down the weights in panels."""
GATE = 8
"""What a gate costs, in multiply-adds of vectors."""


def rnn_forward(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, h0: Array, *, lengths: Array | None = None
) -> Array:
    """Products and tanh in one go, in threads over sequences."""
    if not _supported(x, w_ih, w_hh, b, (h0,), lengths, gates=1):
        return plain_body("rnn_forward")(x, w_ih, w_hh, b, h0, lengths=lengths)
    y, _, _ = _forward(_rnn_forward, x, w_ih, w_hh, b, h0, _no_cell(h0), lengths, gates=0)
    return y


def rnn_backward(
    dy: Array, x: Array, w_ih: Array, w_hh: Array, h0: Array, y: Array, *, lengths: Array | None = None
) -> tuple[Array, Array, Array, Array, Array]:
    """All gradients in one go back through the steps."""
    states = (*x.shape[:2], len(w_hh))
    if not _supported(x, w_ih, w_hh, None, (h0,), lengths, gates=1) or not _alike(x, states, dy, y):
        return plain_body("rnn_backward")(dy, x, w_ih, w_hh, h0, y, lengths=lengths)
    nothing = np.empty((*states[:2], 0), dtype=x.dtype)
    return _backward(_rnn_backward, dy, x, w_ih, w_hh, h0, _no_cell(h0), y, nothing, nothing, lengths)[:5]


def lstm_forward(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, h0: Array, c0: Array, *, lengths: Array | None = None
) -> tuple[Array, Array, Array]:
    """Products and gates in one go, in threads over sequences."""
    if not _supported(x, w_ih, w_hh, b, (h0, c0), lengths, gates=4):
        return plain_body("lstm_forward")(x, w_ih, w_hh, b, h0, c0, lengths=lengths)
    return _forward(_lstm_forward, x, w_ih, w_hh, b, h0, c0, lengths, gates=4)


def lstm_backward(
    dy: Array,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    h0: Array,
    c0: Array,
    y: Array,
    c: Array,
    gates: Array,
    *,
    lengths: Array | None = None,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """All gradients in one go back through the steps."""
    n, steps, h = *x.shape[:2], w_hh.shape[-1]
    fits = _supported(x, w_ih, w_hh, None, (h0, c0), lengths, gates=4) and _alike(x, (n, steps, h), dy, y, c)
    if not fits or not _alike(x, (n, steps, 4 * h), gates):
        return plain_body("lstm_backward")(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths=lengths)
    return _backward(_lstm_backward, dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths)


def _supported(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, state: tuple[Array, ...], lengths: Array | None, *, gates: int
) -> bool:
    """Return whether shapes and types are as the operation has them, and there is enough to do."""
    if x.ndim != 3 or w_ih.ndim != 2 or w_hh.ndim != 2 or x.shape[0] * x.shape[1] < FEW:
        return False
    (n, _, d), h = x.shape, w_hh.shape[1]
    fits = w_ih.shape == (gates * h, d) and w_hh.shape == (gates * h, h) and d > 0 < h
    fits = fits and (b is None or b.shape == (gates * h,)) and (lengths is None or lengths.shape == (n,))
    arrays = (x, w_ih, w_hh, *state) if b is None else (x, w_ih, w_hh, *state, b)
    return fits and all(part.shape == (n, h) for part in state) and is_float(*arrays)


def _alike(x: Array, shape: tuple[int, ...], *arrays: Array) -> bool:
    return is_float(x, *arrays) and all(array.shape == shape for array in arrays)


def _no_cell(h0: Array) -> np.ndarray:
    return np.empty((len(h0), 0), dtype=h0.dtype)


class Layout(NamedTuple):
    """Weights in panels, and how wide rows are that go with them: as wide as the panels, or some numbers wider."""

    packed: np.ndarray
    panels: np.ndarray
    lanes: int
    width: int
    row: int


def _laid_down(w: np.ndarray, order: Order) -> Layout:
    """Lay down a matrix as the right-hand side of a product."""
    lanes, line = VECTOR_BYTES // w.itemsize, LINE // w.itemsize
    panels, width = cut_into_panels(order.n, lanes), rounded_up(order.n, lanes)
    packed = aligned(order.k * width, w.dtype.name)
    in_threads(lambda i, j: pack(w.reshape(-1), _ONE_TAP, order, panels, lanes, i, j, packed), order.k, cost=width)
    return Layout(packed, panels, lanes, width, _row(width, line))


def _row(numbers: int, line: int) -> int:
    """Return an odd number of lines with room for so many numbers.

    A column is then spread over all of the nearest cache. At powers of two, its numbers would push each other out.
    """
    return (-(-numbers // line) | 1) * line


_ONE_TAP = np.zeros(1, dtype=np.int64)


def _forward(
    kernel: Callable,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    b: Array | None,
    h0: Array,
    c0: Array,
    lengths: Array | None,
    *,
    gates: int,
) -> tuple[Array, Array, Array]:
    (n, steps, d), (rows, h) = x.shape, w_hh.shape
    x, h0, c0 = (np.ascontiguousarray(array) for array in (x, h0, c0))
    w = np.concatenate([w_ih, w_hh], axis=1)
    layout = _laid_down(w, Order(d + h, rows, 1, d + h))
    bias, line = filled_up(b, layout.width, x.dtype.name), LINE // x.itemsize
    new = np.empty if lengths is None else np.zeros
    y, c, all_gates = (new((n, steps, k), dtype=x.dtype) for k in (h, c0.shape[1], gates * h))
    ends, xh_row = _ends(x, lengths), _row(d + h, line)
    size = BLOCK * xh_row + (BLOCK + MOST_HEIGHT) * layout.row

    def work(first: int, last: int) -> None:
        room = workspace(size, x.dtype.name)
        kernel(x, h0, c0, ends, bias, *layout, room, xh_row, first, last, y, c, all_gates)

    run_parts(work, parts_of(n, cost=_cost(steps, w, layout.lanes)))
    return y, c, all_gates


def _backward(
    kernel: Callable,
    dy: Array,
    x: Array,
    w_ih: Array,
    w_hh: Array,
    h0: Array,
    c0: Array,
    y: Array,
    c: Array,
    gates: Array,
    lengths: Array | None,
) -> tuple[Array, Array, Array, Array, Array, Array]:
    (n, steps, d), (rows, h) = x.shape, w_hh.shape
    arrays = [np.ascontiguousarray(array) for array in (dy, x, h0, c0, y, c, gates)]
    w = np.concatenate([w_ih, w_hh], axis=1)
    layout = _laid_down(w, Order(rows, d + h, d + h, 1))
    da_row = _row(rows, LINE // x.itemsize)
    dx = (np.empty if lengths is None else np.zeros)(x.shape, dtype=x.dtype)
    dh0, dc0, ends = np.empty_like(arrays[2]), np.empty_like(arrays[3]), _ends(x, lengths)
    size = (DEPTH + BLOCK) * (da_row + layout.row) + (BLOCK + MOST_HEIGHT) * layout.row + BLOCK * rows

    def work(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        room, dw = workspace(size, x.dtype.name), aligned((rows + MOST_HEIGHT) * layout.row, x.dtype.name)
        dw[:] = 0
        db = kernel(*arrays, ends, *layout, room, da_row, first, last, dx, dh0, dc0, dw)
        return dw, db

    parts = run_parts(work, parts_of(n, cost=2 * _cost(steps, w, layout.lanes)))
    dw, db = parts[0]
    for more_dw, more_db in parts[1:]:
        dw += more_dw
        db += more_db
    dw = dw.reshape(-1, layout.row)[:rows]
    return dx, dw[:, :d].copy(), dw[:, d : d + h].copy(), db.astype(x.dtype), dh0, dc0


def _ends(x: Array, lengths: Array | None) -> np.ndarray:
    """Return after how many steps each sequence ends."""
    steps = x.shape[1]
    return np.full(len(x), steps) if lengths is None else np.minimum(lengths, steps).astype(np.int64)


def _cost(steps: int, w: np.ndarray, lanes: int) -> int:
    """Return what a sequence costs, in multiply-adds of vectors."""
    return steps * (w.size // lanes + GATE * len(w) // lanes)


# What happens to a row between the products


@register_jitable(error_model="numpy", fastmath={"contract"})
def _lstm_gates(a, c_before, gates, c, y):  # type: ignore[no-untyped-def]
    h = len(y)
    for j in range(2 * h):
        gates[j] = sigmoid(a[j])
    for j in range(2 * h, 3 * h):
        gates[j] = tanh(a[j])
    for j in range(3 * h, 4 * h):
        gates[j] = sigmoid(a[j])
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    for j in range(h):
        c[j] = f[j] * c_before[j] + i[j] * g[j]
    for j in range(h):
        y[j] = o[j] * tanh(c[j])


@register_jitable(error_model="numpy", fastmath={"contract"})
def _lstm_gates_back(dh, c_before, gates, c, y, dc, spare, da):  # type: ignore[no-untyped-def]
    """Write da, given dh and the dc of the next step; dc becomes that of the step before."""
    h, one = len(y), dc.dtype.type(1)
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    da_i, da_f, da_g, da_o = da[:h], da[h : 2 * h], da[2 * h : 3 * h], da[3 * h : 4 * h]
    tanh_c = spare[:h]
    for j in range(h):
        tanh_c[j] = tanh(c[j])
    for j in range(h):
        dc[j] += dh[j] * o[j] * (one - tanh_c[j] * tanh_c[j])
    for j in range(h):
        da_i[j] = dc[j] * g[j] * i[j] * (one - i[j])
    for j in range(h):
        da_f[j] = dc[j] * c_before[j] * f[j] * (one - f[j])
    for j in range(h):
        da_g[j] = dc[j] * i[j] * (one - g[j] * g[j])
    for j in range(h):
        da_o[j] = dh[j] * tanh_c[j] * o[j] * (one - o[j])
    for j in range(h):
        dc[j] *= f[j]


@register_jitable(error_model="numpy", fastmath={"contract"})
def _rnn_gates(a, c_before, gates, c, y):  # type: ignore[no-untyped-def]
    for j in range(len(y)):
        y[j] = tanh(a[j])


@register_jitable(error_model="numpy", fastmath={"contract"})
def _rnn_gates_back(dh, c_before, gates, c, y, dc, spare, da):  # type: ignore[no-untyped-def]
    one = y.dtype.type(1)
    for j in range(len(y)):
        da[j] = dh[j] * (one - y[j] * y[j])


# The steps


@njit(nogil=True)
def _block(count):  # type: ignore[no-untyped-def]
    """Return how many sequences make a block, of which all have about as many."""
    blocks = -(-count // BLOCK)
    return -(-count // blocks)


def _through_steps(gates_of: Callable) -> Callable:
    """Make the forward pass of sequences `first` to `last`.

    room : flat, for rows (x, h) of a block, and its a; what stands in y, c and gates behind a sequence's end stays
    """

    @njit(nogil=True, cache=True)
    def forward(  # type: ignore[no-untyped-def]
        x, h0, c0, ends, bias, packed, panels, lanes, width, a_row, room, xh_row, first, last, y, c, gates
    ):
        d, h, zero = x.shape[2], h0.shape[1], np.int64(0)
        depth = d + h
        xh, a = room[: BLOCK * xh_row], room[BLOCK * xh_row :]
        steps = evenly(depth, np.int64(1))
        block = _block(last - first)
        for n0 in range(first, last, block):
            count = min(block, last - n0)
            offsets = evenly(count, xh_row)
            for m in range(count):
                xh[m * xh_row + d : m * xh_row + depth] = h0[n0 + m]
            for t in range(ends[n0 : n0 + count].max()):
                for m in range(count):
                    if t < ends[n0 + m]:
                        xh[m * xh_row : m * xh_row + d] = x[n0 + m, t]
                    else:
                        xh[m * xh_row : m * xh_row + d] = 0
                multiply(
                    a, zero, a_row, np.bool_(False), bias, xh, zero, offsets, steps, count,
                    packed, zero, depth, zero, depth, panels, lanes,
                )  # fmt: skip
                for m in range(count):
                    n = n0 + m
                    if t < ends[n]:
                        c_before = c[n, t - 1] if t > 0 else c0[n]
                        gates_of(a[m * a_row : m * a_row + width], c_before, gates[n, t], c[n, t], y[n, t])
                        xh[m * xh_row + d : m * xh_row + depth] = y[n, t]

    return forward


def _back_through_steps(gates_back: Callable) -> Callable:
    """Make the backward pass of sequences `first` to `last`; their part of dW is added to dw, and that of db returned.

    room : flat, for some steps' da and (x, h), and for a block's (dx, dh), dc and a row
    """

    @njit(nogil=True, cache=True)
    def backward(  # type: ignore[no-untyped-def]
        dy, x, h0, c0, y, c, gates, ends, packed, panels, lanes, width, row, room, da_row, first, last, dx, dh0, dc0, dw
    ):
        d, h, cells, rows = x.shape[2], h0.shape[1], c0.shape[1], packed.size // width
        zero, one, nothing = np.int64(0), np.int64(1), np.zeros(width, dtype=x.dtype)
        most = DEPTH + BLOCK
        da, room = room[: most * da_row], room[most * da_row :]
        xh, room = room[: most * row], room[most * row :]
        dxh, room = room[: (BLOCK + MOST_HEIGHT) * row], room[(BLOCK + MOST_HEIGHT) * row :]
        dc, spare = room[: BLOCK * cells].reshape(BLOCK, cells), np.empty(h, dtype=x.dtype)
        db, sums = np.zeros(rows, dtype=np.float64), np.empty(rows, dtype=x.dtype)
        along_rows, down_rows = evenly(rows, one), evenly(most, da_row)
        xh[:] = 0
        block = _block(last - first)
        for n0 in range(first, last, block):
            count, filled = min(block, last - n0), 0
            offsets = evenly(count, da_row)
            dxh[:] = 0  # from behind the last step nothing comes back
            dc[:] = 0
            for t in range(ends[n0 : n0 + count].max() - 1, -1, -1):
                sums[:] = 0
                for m in range(count):
                    n, line = n0 + m, da[(filled + m) * da_row : (filled + m) * da_row + rows]
                    left = xh[(filled + m) * row : (filled + m) * row + d + h]
                    if t < ends[n]:
                        left[:d] = x[n, t]
                        left[d:] = y[n, t - 1] if t > 0 else h0[n]
                        dh, dy_t = dxh[m * row + d : m * row + d + h], dy[n, t]
                        for j in range(h):
                            dh[j] += dy_t[j]
                        c_before = c[n, t - 1] if t > 0 else c0[n]
                        gates_back(dh, c_before, gates[n, t], c[n, t], y[n, t], dc[m], spare, line)
                        for j in range(rows):
                            sums[j] += line[j]
                    else:
                        left[:] = 0
                        line[:] = 0
                for j in range(rows):
                    db[j] += sums[j]
                multiply(
                    dxh, zero, row, np.bool_(False), nothing, da, filled * da_row, offsets, along_rows, count,
                    packed, zero, rows, zero, rows, panels, lanes,
                )  # fmt: skip
                for m in range(count):
                    if t < ends[n0 + m]:
                        dx[n0 + m, t] = dxh[m * row : m * row + d]
                filled += count
                if filled >= DEPTH or t == 0:
                    multiply(
                        dw, zero, row, np.bool_(True), nothing, da, zero, along_rows, down_rows, rows,
                        xh, zero, one, row, filled, panels, lanes,
                    )  # fmt: skip
                    filled = 0
            for m in range(count):
                dh0[n0 + m] = dxh[m * row + d : m * row + d + h]
                dc0[n0 + m] = dc[m]
        return db

    return backward


_lstm_forward, _lstm_backward = _through_steps(_lstm_gates), _back_through_steps(_lstm_gates_back)
_rnn_forward, _rnn_backward = _through_steps(_rnn_gates), _back_through_steps(_rnn_gates_back)
