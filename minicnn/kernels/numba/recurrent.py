"""Recurrent networks: every thread takes some sequences through all steps, and waits for no other.

Input and state stand side by side in rows (x_t, h_{t-1}), and so do their weights, W = (W_ih, W_hh). A step is then one
product on the tile of the convolutions and the gates behind it, on a few sequences that stay in the cache:

    forward     a_t = W (x_t, h_{t-1}) + b                                       gates
    backward    gates        (dx_t, dh_{t-1}) = W^T da_t         dW += da_t (x_t, h_{t-1})^T

An LSTM and a SimpleRNN share all but what happens to one row between the products; a SimpleRNN's cell has no numbers.
The plain bodies' threads are BLAS's, which spin between the small products of the steps, and take the processors from
whoever has something to do.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit

from minicnn.backend import Array, parts_of, plain_body, run_parts
from minicnn.kernels.numba.memory import LINE, aligned, is_float, workspace
from minicnn.kernels.numba.product import MOST_HEIGHT, cut_into_panels, pack, rounded_up
from minicnn.kernels.numba.setup import Order, filled_up
from minicnn.kernels.numba.steps import BLOCK, DEPTH, lstm_back, lstm_steps, rnn_back, rnn_steps
from minicnn.kernels.numba.vector import VECTOR_BYTES

FEW = 12
"""Steps of all sequences together; fewer do not repay laying down the weights in panels, nor does a single step."""
GATE = 8
"""What a gate costs, in multiply-adds."""


def rnn_forward(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, h0: Array, *, lengths: Array | None = None
) -> Array:
    """Products and tanh in one go, in threads over sequences."""
    if not _supported(x, w_ih, w_hh, b, (h0,), lengths, gates=1):
        return plain_body("rnn_forward")(x, w_ih, w_hh, b, h0, lengths=lengths)
    y, _, _ = _forward(rnn_steps, x, w_ih, w_hh, b, h0, _no_cell(h0), lengths, gates=0)
    return y


def rnn_backward(
    dy: Array, x: Array, w_ih: Array, w_hh: Array, h0: Array, y: Array, *, lengths: Array | None = None
) -> tuple[Array, Array, Array, Array, Array]:
    """All gradients in one go back through the steps."""
    if not _supported(x, w_ih, w_hh, None, (h0,), lengths, gates=1) or not _alike(x, len(w_hh), dy, y):
        return plain_body("rnn_backward")(dy, x, w_ih, w_hh, h0, y, lengths=lengths)
    nothing = np.empty((*x.shape[:2], 0), dtype=x.dtype)
    return _backward(rnn_back, dy, x, w_ih, w_hh, h0, _no_cell(h0), y, nothing, nothing, lengths)[:5]


def lstm_forward(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, h0: Array, c0: Array, *, lengths: Array | None = None
) -> tuple[Array, Array, Array]:
    """Products and gates in one go, in threads over sequences."""
    if not _supported(x, w_ih, w_hh, b, (h0, c0), lengths, gates=4):
        return plain_body("lstm_forward")(x, w_ih, w_hh, b, h0, c0, lengths=lengths)
    return _forward(lstm_steps, x, w_ih, w_hh, b, h0, c0, lengths, gates=4)


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
    fits = _supported(x, w_ih, w_hh, None, (h0, c0), lengths, gates=4) and _alike(x, w_hh.shape[1], dy, y, c)
    if not fits or not _alike(x, len(w_hh), gates):
        return plain_body("lstm_backward")(dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths=lengths)
    return _backward(lstm_back, dy, x, w_ih, w_hh, h0, c0, y, c, gates, lengths)


def _supported(
    x: Array, w_ih: Array, w_hh: Array, b: Array | None, state: tuple[Array, ...], lengths: Array | None, *, gates: int
) -> bool:
    """Return whether shapes and types are as the operation has them, and there is enough to do."""
    if x.ndim != 3 or w_ih.ndim != 2 or w_hh.ndim != 2:
        return False
    (n, steps, d), h = x.shape, w_hh.shape[1]
    if steps < 2 or n * steps < FEW:
        return False
    fits = w_ih.shape == (gates * h, d) and w_hh.shape == (gates * h, h) and d > 0 < h
    fits = fits and (b is None or b.shape == (gates * h,)) and (lengths is None or lengths.shape == (n,))
    arrays = (x, w_ih, w_hh, *state) if b is None else (x, w_ih, w_hh, *state, b)
    return fits and all(part.shape == (n, h) for part in state) and is_float(*arrays)


def _alike(x: Array, width: int, *arrays: Array) -> bool:
    """Return whether arrays are (N, T, width) for x (N, T, D), and of its type."""
    return is_float(x, *arrays) and all(array.shape == (*x.shape[:2], width) for array in arrays)


def _no_cell(h0: Array) -> np.ndarray:
    return np.empty((len(h0), 0), dtype=h0.dtype)


class Layout(NamedTuple):
    """Weights in panels, and how wide rows are that go with them: as wide as the panels, or some numbers wider."""

    packed: np.ndarray
    panels: np.ndarray
    lanes: int
    width: int
    row: int


def _layout(depth: int, columns: int, dtype: np.dtype) -> Layout:
    """Return the layout of a matrix (depth, columns), the right-hand side of a product, with nothing laid down yet."""
    lanes = VECTOR_BYTES // dtype.itemsize
    panels, width = cut_into_panels(columns, lanes), rounded_up(columns, lanes)
    packed = aligned(depth * width, dtype.name)
    return Layout(packed, panels, lanes, width, _row(width, LINE // dtype.itemsize))


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
    x, h0, c0, w_ih, w_hh = (np.ascontiguousarray(array) for array in (x, h0, c0, w_ih, w_hh))
    layout = _layout(d + h, rows, x.dtype)
    for w, k in ((w_ih, 0), (w_hh, d)):
        _lay_down(w, k, d + h, layout.panels, layout.lanes, layout.packed)
    bias, line = filled_up(b, layout.width, x.dtype.name), LINE // x.itemsize
    new = np.empty if lengths is None else np.zeros
    y, c, all_gates = (new((n, steps, k), dtype=x.dtype) for k in (h, c0.shape[1], gates * h))
    ends, xh_row = _ends(x, lengths), _row(d + h, line)
    size = BLOCK * xh_row + (BLOCK + MOST_HEIGHT) * layout.row

    def work(first: int, last: int) -> None:
        room = workspace(size, x.dtype.name)
        kernel(x, h0, c0, ends, bias, *layout, room, xh_row, first, last, y, c, all_gates)

    run_parts(work, parts_of(n, cost=_cost(steps, d, rows, h, layout.lanes)))
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
    layout = _layout(rows, d + h, x.dtype)
    w, order = np.concatenate([w_ih, w_hh], axis=1).reshape(-1), Order(rows, d + h, d + h, 1)
    pack(w, _ONE_TAP, order, layout.panels, layout.lanes, 0, rows, layout.packed)
    da_row = _row(rows, LINE // x.itemsize)
    dx = (np.empty if lengths is None else np.zeros)(x.shape, dtype=x.dtype)
    dh0, dc0, ends = np.empty_like(arrays[2]), np.empty_like(arrays[3]), _ends(x, lengths)
    size = (DEPTH + BLOCK) * (da_row + layout.row) + (BLOCK + MOST_HEIGHT) * layout.row + BLOCK * rows

    def work(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
        room, dw = workspace(size, x.dtype.name), aligned((rows + MOST_HEIGHT) * layout.row, x.dtype.name)
        dw[:] = 0
        db = kernel(*arrays, ends, *layout, room, da_row, first, last, dx, dh0, dc0, dw)
        return dw, db

    parts = run_parts(work, parts_of(n, cost=2 * _cost(steps, d, rows, h, layout.lanes)))
    dw, db = parts[0]
    for more_dw, more_db in parts[1:]:
        dw += more_dw
        db += more_db
    dw = dw.reshape(-1, layout.row)[:rows]
    return dx, dw[:, :d].copy(), dw[:, d : d + h].copy(), db.astype(x.dtype), dh0, dc0


def _ends(x: Array, lengths: Array | None) -> np.ndarray:
    """Return after how many steps each sequence ends."""
    steps = x.shape[1]
    return np.full(len(x), steps, dtype=np.int64) if lengths is None else np.minimum(lengths.astype(np.int64), steps)


def _cost(steps: int, d: int, rows: int, h: int, lanes: int) -> int:
    """Return what a sequence costs, in multiply-adds of vectors."""
    return steps * rows * (d + h + GATE) // lanes


@njit(nogil=True, cache=True)
def _lay_down(w, k0, depth, panels, lanes, packed):  # type: ignore[no-untyped-def]
    """Lay W^T down as rows k0, k0 + 1, ... of a matrix (depth, F). Unlike `pack`, it reads w (F, K) in its order."""
    n0 = 0
    for vectors in panels:
        wide = vectors * lanes
        for n in range(n0, n0 + wide):
            to = n0 * depth + k0 * wide + n - n0
            for k in range(w.shape[1]):
                packed[to + k * wide] = w[n, k] if n < len(w) else 0
        n0 += wide
