"""Matrix products on the tile: sum over k of A[m, k] B[k, f], with B cut into panels a few vectors wide."""

import numpy as np
from numba import njit

from minicnn.kernels.numba.tile import MAX_VECTORS, TILE_1, TILE_2, TILE_3, TILE_4, tile_height

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


@njit(nogil=True, cache=True, inline="never")
def tile(  # type: ignore[no-untyped-def]
    vectors, out, out_at, out_row, add, a, offsets, a_row, a_step, b, b_at, b_row, b_step, rows, depth
):
    """Compute the tile of `tile.py` that is so many vectors wide."""
    if vectors == 4:
        TILE_4(out, out_at, out_row, add, a, offsets, a_row, a_step, b, b_at, b_row, b_step, rows, depth)
    elif vectors == 3:
        TILE_3(out, out_at, out_row, add, a, offsets, a_row, a_step, b, b_at, b_row, b_step, rows, depth)
    elif vectors == 2:
        TILE_2(out, out_at, out_row, add, a, offsets, a_row, a_step, b, b_at, b_row, b_step, rows, depth)
    else:
        TILE_1(out, out_at, out_row, add, a, offsets, a_row, a_step, b, b_at, b_row, b_step, rows, depth)


@njit(nogil=True, cache=True)
def multiply(  # type: ignore[no-untyped-def]
    out, out_at, out_row, add, a, a_at, a_row, a_step, count, b, b_at, b_panel, b_step, depth, panels, lanes
):
    """out[m, f] (+)= sum over k of a[m, k] * b[k, f], for m below `count`, k below `depth`, f in all panels.

    out, a, b : flat arrays; what is written to begins at `out_at`, and its rows lie `out_row` apart
    a[m, k] stands at a_at + m * a_row + k * a_step
    b[k, f] stands at b_at + f0 * b_panel + k * b_step + (f - f0), where f0 begins f's panel; b_step 0: panels are packed
    """
    offsets = np.empty(MOST_HEIGHT, dtype=np.int64)
    f0 = 0
    for vectors in panels:
        wide, tall = vectors * lanes, HEIGHTS[vectors]
        step = wide if b_step == 0 else b_step
        for t in range(0, count, tall):
            for m in range(tall):
                offsets[m] = a_at + min(t + m, count - 1) * a_row  # a tile that is not full repeats its last row
            to, start = out_at + t * out_row + f0, b_at + f0 * b_panel
            tile(vectors, out, to, out_row, add, a, offsets, 0, a_step, b, start, 0, step, 1, depth)
        f0 += wide
