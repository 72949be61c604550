"""Average pooling in channels-last memory: the innermost loop runs over the channels of one pixel."""

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.geometry import PaddingLike, PairLike
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float
from minicnn.kernels.numba.pool import plan


def avg_pool2d_forward(
    x: Array, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> Array:
    """No padded copy. The pixels' shares are added up, so no pass is left for the division."""
    geometry, (oh, ow) = plan(x.shape, kernel, stride, padding)
    if x.size == 0 or not is_float(x):
        return plain_body("avg_pool2d_forward")(x, kernel=kernel, stride=stride, padding=padding)
    last_x, share = channels_last(x), x.dtype.type(1 / (geometry[0] * geometry[1]))
    y = np.empty((len(x), oh, ow, x.shape[1]), dtype=x.dtype)
    in_threads(lambda a, b: _mean(last_x[a:b], *geometry, share, y[a:b]), len(x), cost=x[0].size)
    return channels_first(y)


def avg_pool2d_backward(
    dy: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
) -> Array:
    """Windows that do not overlap write their pixels; only those that do add to zeros."""
    geometry, out = plan(shape, kernel, stride, padding)
    if dy.shape != (*shape[:2], *out) or dy.size == 0 or not is_float(dy):
        return plain_body("avg_pool2d_backward")(dy, shape=shape, kernel=kernel, stride=stride, padding=padding)
    n, c, h, w = shape
    last_dy, share = channels_last(dy), dy.dtype.type(1 / (geometry[0] * geometry[1]))
    dx = np.empty((n, h, w, c), dtype=dy.dtype)
    in_threads(lambda a, b: _mean_gradient(last_dy[a:b], *geometry, share, dx[a:b]), n, cost=h * w * c)
    return channels_first(dx)


def global_avg_pool2d_forward(x: Array) -> Array:
    """One pass. A row of pixels is summed in the array's own type, the rows in float64."""
    if x.ndim != 4 or x.size == 0 or not is_float(x):
        return plain_body("global_avg_pool2d_forward")(x)
    last_x, y = channels_last(x), np.empty(x.shape[:2], dtype=x.dtype)
    in_threads(lambda a, b: _global_mean(last_x[a:b], y[a:b]), len(x), cost=x[0].size)
    return y


def global_avg_pool2d_backward(dy: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """One pass, in threads."""
    n, c, h, w = shape
    if dy.shape != (n, c) or dy.size * h * w == 0 or not is_float(dy):
        return plain_body("global_avg_pool2d_backward")(dy, shape=shape)
    share, dx = dy / (h * w), np.empty((n, h, w, c), dtype=dy.dtype)
    in_threads(lambda a, b: _spread(share[a:b], dx[a:b]), n, cost=h * w * c)
    return channels_first(dx)


@njit(nogil=True, cache=True)
def _mean(x, kh, kw, sh, sw, top, left, share, y):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    _, oh, ow, _ = y.shape
    y[:] = 0
    for n in range(images):
        for i in range(oh):
            for j in range(ow):
                i0, j0 = i * sh - top, j * sw - left
                mean = y[n, i, j]
                for p in range(max(0, -i0), min(kh, h - i0)):
                    for q in range(max(0, -j0), min(kw, w - j0)):
                        pixel = x[n, i0 + p, j0 + q]
                        for c in range(channels):
                            mean[c] += share * pixel[c]


@njit(nogil=True, cache=True)
def _mean_gradient(dy, kh, kw, sh, sw, top, left, share, dx):  # type: ignore[no-untyped-def]
    images, h, w, channels = dx.shape
    _, oh, ow, _ = dy.shape
    overlap = sh < kh or sw < kw
    all_covered = sh == kh and sw == kw and oh * sh - top >= h and ow * sw - left >= w
    for n in range(images):
        if not all_covered:
            dx[n] = 0
        for i in range(oh):
            for j in range(ow):
                i0, j0 = i * sh - top, j * sw - left
                gradient = dy[n, i, j]
                for p in range(max(0, -i0), min(kh, h - i0)):
                    for q in range(max(0, -j0), min(kw, w - j0)):
                        pixel = dx[n, i0 + p, j0 + q]
                        if overlap:
                            for c in range(channels):
                                pixel[c] += share * gradient[c]
                        else:
                            for c in range(channels):
                                pixel[c] = share * gradient[c]


@njit(nogil=True, cache=True)
def _global_mean(x, y):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    total = np.empty(channels, dtype=np.float64)
    row = np.empty(channels, dtype=x.dtype)
    for n in range(images):
        total[:] = 0
        for i in range(h):
            row[:] = 0
            for j in range(w):
                pixel = x[n, i, j]
                for c in range(channels):
                    row[c] += pixel[c]
            for c in range(channels):
                total[c] += row[c]
        for c in range(channels):
            y[n, c] = total[c] / (h * w)


@njit(nogil=True, cache=True)
def _spread(share, dx):  # type: ignore[no-untyped-def]
    images, h, w, channels = dx.shape
    for n in range(images):
        for i in range(h):
            for j in range(w):
                pixel = dx[n, i, j]
                for c in range(channels):
                    pixel[c] = share[n, c]
