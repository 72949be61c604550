"""Max pooling of regions: each bin is walked through in the map itself, a thread for some of the regions."""

import math

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.geometry import PairLike, pair
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float


def roi_max_pool2d_forward(
    x: Array, rois: Array, *, output_size: PairLike, spatial_scale: float = 1.0
) -> tuple[Array, Array]:
    """Nothing is gathered or masked. What the body would refuse goes to it."""
    fits = x.ndim == 4 and x.size * rois.size > 0 and is_float(x) and rois.ndim == 2 and rois.shape[1] == 5
    regions = rois.astype(np.float64) if fits else np.empty((0, 5))
    if not fits or not 0 < spatial_scale < math.inf or not _can_be(regions, len(x), spatial_scale):
        return plain_body("roi_max_pool2d_forward")(x, rois, output_size=output_size, spatial_scale=spatial_scale)
    oh, ow = pair(output_size, "output_size")
    last_x, y = channels_last(x), np.zeros((len(rois), oh, ow, x.shape[1]), dtype=x.dtype)
    argmax = np.full(y.shape, -1, dtype=np.int32)

    def work(a: int, b: int) -> None:
        _region_max(last_x, regions[a:b], float(spatial_scale), y[a:b], argmax[a:b])

    in_threads(work, len(rois), cost=x[0].size)
    return channels_first(y), channels_first(argmax)


def roi_max_pool2d_backward(dy: Array, argmax: Array, rois: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """One pass over dy, on one thread: regions may have pixels in common."""
    fits = dy.ndim == 4 and dy.size > 0 and is_float(dy) and argmax.shape == dy.shape and argmax.dtype == np.int32
    fits = fits and rois.shape == (len(dy), 5) and dy.shape[1] == shape[1] and rois[:, 0].min() >= 0
    if not fits or rois[:, 0].max() >= shape[0] or argmax.max() >= shape[2] * shape[3]:
        return plain_body("roi_max_pool2d_backward")(dy, argmax, rois, shape=shape)
    n, c, h, w = shape
    dx = np.zeros((n, h * w, c), dtype=dy.dtype)
    _region_gradient(channels_last(dy), channels_last(argmax), rois[:, 0].astype(np.int64), dx)
    return channels_first(dx.reshape(n, h, w, c))


def _can_be(regions: np.ndarray, images: int, scale: float) -> bool:
    """Return whether the body has nothing to say against a region: an image that is there, and ends in order."""
    image, ordered = regions[:, 0], regions[:, 3:] >= regions[:, 1:3]
    known = (image >= 0) & (image < images) & (image == np.floor(image))
    return bool(known.all() and ordered.all() and (abs(regions) * max(1.0, scale) < 2**31).all())


@njit(nogil=True)
def _rounded(value):  # type: ignore[no-untyped-def]
    """Return the nearest whole number, halves away from zero."""
    return math.trunc(value + math.copysign(0.5, value))


@njit(nogil=True)
def _bin(first, length, number, count, size):  # type: ignore[no-untyped-def]
    """Return the first pixel of a bin and the one after its last, cut off at the map's edges."""
    start, end = first + number * length // count, first - (-(number + 1) * length // count)
    return min(max(start, 0), size), min(max(end, 0), size)


@njit(nogil=True, cache=True)
def _region_max(x, regions, scale, y, argmax):  # type: ignore[no-untyped-def]
    """y (R, oh, ow, C) = the maxima over the bins of x (N, H, W, C), and argmax where each stood; empty ones stay."""
    _, h, w, channels = x.shape
    count, oh, ow, _ = y.shape
    for r in range(count):
        image = x[int(regions[r, 0])]
        left, top = _rounded(regions[r, 1] * scale), _rounded(regions[r, 2] * scale)
        width, height = _rounded(regions[r, 3] * scale) - left + 1, _rounded(regions[r, 4] * scale) - top + 1
        for i in range(oh):
            row, row_end = _bin(top, height, i, oh, h)
            for j in range(ow):
                column, column_end = _bin(left, width, j, ow, w)
                best, where = y[r, i, j], argmax[r, i, j]
                for p in range(row, row_end):
                    for q in range(column, column_end):
                        pixel, place = image[p, q], np.int32(p * w + q)
                        for c in range(channels):
                            wins = where[c] < 0 or pixel[c] > best[c] or (pixel[c] != pixel[c] and best[c] == best[c])
                            best[c] = pixel[c] if wins else best[c]
                            where[c] = place if wins else where[c]


@njit(nogil=True, cache=True)
def _region_gradient(dy, argmax, image, dx):  # type: ignore[no-untyped-def]
    """Add dy (R, oh, ow, C) to dx (N, H * W, C), where the maxima stood."""
    count, oh, ow, channels = dy.shape
    for r in range(count):
        target = dx[image[r]]
        for i in range(oh):
            for j in range(ow):
                gradient, where = dy[r, i, j], argmax[r, i, j]
                for c in range(channels):
                    if where[c] >= 0:
                        target[where[c], c] += gradient[c]
