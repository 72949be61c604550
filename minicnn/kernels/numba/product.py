"""Matrix products on the tile: sum over k of A[m, k] B[k, f], with B cut into panels a few vectors wide."""

import numpy as np
from numba import njit

from minicnn.kernels.numba.tile import MAX_VECTORS, TILE_1, TILE_2, TILE_3, TILE_4, tile_height
from minicnn.kernels.numba.vector import address

HEIGHTS = np.array([0, *(tile_height(vectors) for vectors in range(1, MAX_VECTORS + 1))])
MOST_HEIGHT = int(HEIGHTS.max())
"""No tile is higher; a product may write up to so many rows, less one, behind its last."""


def cut_into_panels(channels: int, lanes: int) -> np.ndarray:
    """Cut channels into panels of nearly equal width, of at most MAX_VECTORS vectors; return the vectors of each."""
    vectors = -(-channels // lanes)
    count = -(-vectors // MAX_VECTORS)
    return np.array([vectors * (i + 1) // count - vectors * i // count for i in range(count)])


def rounded_up(number: int, multiple: int) -> int:
    """Return the next multiple."""
    return -(-number // multiple) * multiple


@njit(nogil=True, cache=True)
def tile(vectors, out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth):  # type: ignore[no-untyped-def]
    """Compute the tile of `tile.py` that is so many vectors wide."""
    if vectors == 4:
        TILE_4(out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth)
    elif vectors == 3:
        TILE_3(out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth)
    elif vectors == 2:
        TILE_2(out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth)
    else:
        TILE_1(out, out_row, start, start_row, floor, a, offsets, steps, b, b_step, depth)


# Numba takes every constant for a type of its own, and compiles what it is handed to once for each. np.int64(0) is a
# number like any other.


@njit(nogil=True)
def evenly(count, row):  # type: ignore[no-untyped-def]
    """Return where `count` rows begin that lie that far apart; the last is repeated for a tile that is not full."""
    offsets = np.empty(count + MOST_HEIGHT, dtype=np.int64)
    for m in range(len(offsets)):
        offsets[m] = min(m, count - 1) * row
    return offsets


@njit(nogil=True, cache=True)
def pack(w, taps, order, panels, lanes, first, last, packed):  # type: ignore[no-untyped-def]
    """Lay rows `first` to `last` down by panels, the last filled with zeros.

    w : kernels (F, C, kh, kw), flat; row (tap, k) is row k, by `order`, of the matrix at that position of the kernel
    """
    rows = len(taps) * order.k
    for row in range(first, last):
        at, n0 = taps[row // order.k] + row % order.k * order.k_step, 0
        for vectors in panels:
            wide = vectors * lanes
            to, used = n0 * rows + row * wide, min(wide, order.n - n0)
            for n in range(used):
                packed[to + n] = w[at + (n0 + n) * order.n_step]
            for n in range(used, wide):
                packed[to + n] = 0
            n0 += wide


@njit(nogil=True, cache=True)
def multiply(  # type: ignore[no-untyped-def]
    out, out_at, out_row, add, bias, a, a_at, offsets, steps, count, b, b_at, b_panel, b_step, depth, panels, lanes
):
    """out[m, f] = bias[f] + sum over k of a[m, k] * b[k, f], for m below `count`, k below `depth`, f in all panels.

    With `add`, the sums begin with what is in `out`, and not with the bias.

    out, a, b : flat arrays; what is written to begins at `out_at`, and its rows lie `out_row` apart
    a[m, k] stands at a_at + offsets[m] + steps[k]
    b[k, f] stands at b_at + f0 * b_panel + k * b_step + (f - f0), where f0 begins f's panel; 0 for b_step says that
    panels are packed, each row of one right behind the other
    """
    f0, lowest, zero = 0, out.dtype.type(-np.inf), np.int64(0)
    for vectors in panels:
        wide, tall = vectors * lanes, HEIGHTS[vectors]
        from_a, from_b, step = address(a, a_at), address(b, b_at + f0 * b_panel), wide if b_step == 0 else b_step
        for t in range(0, count, tall):
            to, rows = address(out, out_at + t * out_row + f0), address(offsets, t)
            start, start_row = (to, out_row) if add else (address(bias, f0), zero)
            tile(
                vectors, to, out_row, start, start_row, lowest, from_a, rows, address(steps, zero), from_b, step, depth
            )
        f0 += wide
