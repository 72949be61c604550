"""Warping: the four neighbours' places and weights are worked out once for all channels."""

import math

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.kernels.numba.memory import is_float

PIXEL = 24
"""The cost of a pixel of one channel, in multiply-adds."""


def warp(x: Array, coordinates: Array, *, fill: Array | None = None) -> np.ndarray:
    """Nothing is stored between coordinates and pixels. Images are divided among the threads."""
    n, c, h, w = x.shape
    fits = coordinates.ndim == 4 and coordinates.shape[:2] == (n, 2) and (fill is None or fill.shape == (c,))
    if not is_float(x) or not fits or x.size == 0 or coordinates.size == 0:
        return plain_body("warp")(x, coordinates, fill=fill)
    planes, place = np.ascontiguousarray(x), np.ascontiguousarray(coordinates, dtype=np.float64)
    outside = np.zeros(c, dtype=x.dtype) if fill is None else np.ascontiguousarray(fill, dtype=x.dtype)
    edge = 0 if fill is None else 1
    y = np.empty((n, c, *place.shape[2:]), dtype=x.dtype)
    cost = PIXEL * y[0].size
    in_threads(lambda a, b: _warp(planes[a:b], place[a:b], outside, edge, y[a:b]), n, cost=cost)
    return y


@njit(nogil=True, cache=True)
def _warp(x, place, fill, edge, y):  # type: ignore[no-untyped-def]
    """The same sums in the same order as in the body, so the same bits."""
    images, channels, h, w = x.shape
    _, _, oh, ow = y.shape
    number = x.dtype.type
    for n in range(images):
        for i in range(oh):
            for j in range(ow):
                row = min(max(place[n, 0, i, j], float(-edge)), float(h - 1 + edge))
                column = min(max(place[n, 1, i, j], float(-edge)), float(w - 1 + edge))
                r, s = math.floor(row), math.floor(column)
                t, u = number(row - r), number(column - s)
                r0, r1 = min(max(r, 0), h - 1), min(r + 1, h - 1)
                s0, s1 = min(max(s, 0), w - 1), min(s + 1, w - 1)
                inside = edge == 0 or (r >= 0 and r + 1 < h and s >= 0 and s + 1 < w)
                for c in range(channels):
                    plane = x[n, c]
                    v00, v01, v10, v11 = plane[r0, s0], plane[r0, s1], plane[r1, s0], plane[r1, s1]
                    if not inside:
                        up, down, left, right = 0 <= r < h, r + 1 < h, 0 <= s < w, s + 1 < w
                        v00 = v00 if up and left else fill[c]
                        v01 = v01 if up and right else fill[c]
                        v10 = v10 if down and left else fill[c]
                        v11 = v11 if down and right else fill[c]
                    above, below = v00 + u * (v01 - v00), v10 + u * (v11 - v10)
                    y[n, c, i, j] = above + t * (below - above)
