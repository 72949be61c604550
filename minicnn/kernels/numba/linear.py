"""The fully connected layer's three matrix products, on the tile of the convolutions.

BLAS would be as fast, but has threads of its own. They spin for milliseconds after each product, in case another one
should come, and take the processors from ours; they know nothing of `set_num_threads` either. Small products they
leave alone, and so do we: there the plain body is as good as anything.
"""

import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from minicnn.backend import Array, get_num_threads, in_threads, plain_body
from minicnn.kernels.numba.memory import is_float
from minicnn.kernels.numba.product import HEIGHTS, MOST_HEIGHT, cut_into_panels, evenly, multiply, pack, rounded_up
from minicnn.kernels.numba.setup import Order, filled_up
from minicnn.kernels.numba.vector import VECTOR_BYTES

SMALL = 1 << 18
"""Multiply-adds up to which OpenBLAS, NumPy's library, stays in the caller's thread."""


def linear_forward(x: Array, w: Array, b: Array | None) -> Array:
    """The bias is what the sums begin with."""
    if not _supported(x, w) or (b is not None and (b.shape != w.shape[:1] or not is_float(x, b))):
        return plain_body("linear_forward")(x, w, b)
    (n, d), k = x.shape, len(w)
    return _product(x, n, d, 1, w, Order(d, k, 1, d), b)


def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Nothing is transposed but on the way into panels."""
    if not _supported(x, w) or dy.shape != (len(x), len(w)) or not is_float(dy, x):
        return plain_body("linear_backward")(dy, x, w)
    (n, d), k = x.shape, len(w)
    dx = _product(dy, n, k, 1, w, Order(k, d, d, 1), None)
    dw = _product(dy, k, 1, k, x, Order(n, d, d, 1), None)
    return dx, dw, dy.sum(axis=0)


def _supported(x: Array, w: Array) -> bool:
    fits = x.ndim == w.ndim == 2 and x.shape[1] == w.shape[1] and is_float(x, w)
    return fits and x.size * len(w) > SMALL and len(x) >= FEW


FEW = 16
"""Rows of x that do not repay laying down the weights in panels."""


class Layout(NamedTuple):
    """How the columns of B are cut: the vectors of each panel, how wide they are together, and where they begin."""

    panels: np.ndarray
    width: int
    edges: np.ndarray
    lanes: int
    rows: int
    """A multiple of the heights of all tiles: threads that begin there do not write to each other's rows."""


@functools.lru_cache(maxsize=256)
def _layout(columns: int, itemsize: int) -> Layout:
    lanes = VECTOR_BYTES // itemsize
    panels = cut_into_panels(columns, lanes)
    edges, rows = np.concatenate([[0], np.cumsum(panels)]) * lanes, int(np.lcm.reduce(HEIGHTS[panels]))
    return Layout(panels, rounded_up(columns, lanes), edges, lanes, rows)


def _product(a: Array, rows: int, row: int, step: int, b: Array, order: Order, bias: Array | None) -> np.ndarray:
    """Return A B + bias, (rows, order.n), where A[m, k] is number m * row + k * step of a, and B is b by `order`."""
    a, b = np.ascontiguousarray(a).reshape(-1), np.ascontiguousarray(b).reshape(-1)
    panels, width, edges, lanes, together = _layout(order.n, a.itemsize)
    packed, start = np.empty(order.k * width, dtype=a.dtype), filled_up(bias, width, a.dtype.name)
    in_threads(lambda i, j: pack(b, _ONE_TAP, order, panels, lanes, i, j, packed), order.k, cost=width)
    out, cost = np.empty((rows + MOST_HEIGHT, width), dtype=a.dtype), rows * order.k * width // lanes
    target = out.reshape(-1)
    if len(panels) >= get_num_threads():  # every thread takes some columns

        def work(i: int, j: int) -> None:
            _multiply(target, width, start, a, row, step, 0, rows, packed, order.k, edges[i], panels[i:j], lanes)

        in_threads(work, len(panels), cost=cost // len(panels))
    else:
        parts = -(-rows // together)

        def work(i: int, j: int) -> None:
            last = min(rows, j * together)
            _multiply(target, width, start, a, row, step, i * together, last, packed, order.k, 0, panels, lanes)

        in_threads(work, parts, cost=cost // parts)
    return np.ascontiguousarray(out[:rows, : order.n])


_ONE_TAP = np.zeros(1, dtype=np.int64)


@njit(nogil=True, cache=True)
def _multiply(out, width, bias, a, row, step, first, last, packed, depth, f0, panels, lanes):  # type: ignore[no-untyped-def]
    """Compute rows `first` to `last` of the columns from f0 on that are in these panels."""
    zero, offsets, steps = np.int64(0), evenly(last - first, row), evenly(depth, step)
    multiply(
        out, first * width + f0, width, np.bool_(False), bias[f0:], a, first * row, offsets, steps, last - first,
        packed, f0 * depth, depth, zero, depth, panels, lanes,
    )  # fmt: skip
