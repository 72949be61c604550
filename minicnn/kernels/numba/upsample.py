"""Upsampling in channels-last memory: a pixel's place is worked out once for all of its channels."""

import math

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.geometry import PairLike, pair
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float

Shape = tuple[int, int, int, int]


def upsample_nearest_forward(x: Array, *, size: PairLike) -> Array:
    """One pass over y. Images are divided among the threads."""
    return _forward("upsample_nearest_forward", _nearest, x, size)


def upsample_nearest_backward(dy: Array, *, shape: Shape) -> Array:
    """Gradients are added where they belong, with no matrices."""
    return _backward("upsample_nearest_backward", _nearest_gradient, dy, shape)


def upsample_bilinear_forward(x: Array, *, size: PairLike) -> Array:
    """Both directions at once, with nothing stored between them."""
    return _forward("upsample_bilinear_forward", _bilinear, x, size)


def upsample_bilinear_backward(dy: Array, *, shape: Shape) -> Array:
    """Each gradient is divided among its four pixels."""
    return _backward("upsample_bilinear_backward", _bilinear_gradient, dy, shape)


def _forward(name: str, kernel, x: Array, size: PairLike) -> Array:  # type: ignore[no-untyped-def]
    if x.ndim != 4 or x.size == 0 or not is_float(x):
        return plain_body(name)(x, size=size)
    oh, ow = pair(size, "size")
    last_x, y = channels_last(x), np.empty((len(x), oh, ow, x.shape[1]), dtype=x.dtype)
    in_threads(lambda a, b: kernel(last_x[a:b], y[a:b]), len(x), cost=y[0].size)
    return channels_first(y)


def _backward(name: str, kernel, dy: Array, shape: Shape) -> Array:  # type: ignore[no-untyped-def]
    n, c, h, w = shape
    if dy.ndim != 4 or dy.shape[:2] != (n, c) or dy.size == 0 or not is_float(dy):
        return plain_body(name)(dy, shape=shape)
    last_dy, dx = channels_last(dy), np.zeros((n, h, w, c), dtype=dy.dtype)
    in_threads(lambda a, b: kernel(last_dy[a:b], dx[a:b]), n, cost=dy[0].size)
    return channels_first(dx)


@njit(nogil=True, cache=True)
def _nearest(x, y):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, C) from x (N, H, W, C)."""
    _, h, w, _ = x.shape
    images, oh, ow, channels = y.shape
    for n in range(images):
        for i in range(oh):
            row = x[n, i * h // oh]
            for j in range(ow):
                source, target = row[j * w // ow], y[n, i, j]
                for c in range(channels):
                    target[c] = source[c]


@njit(nogil=True, cache=True)
def _nearest_gradient(dy, dx):  # type: ignore[no-untyped-def]
    """Add dy (N, oh, ow, C) to dx (N, H, W, C)."""
    _, h, w, _ = dx.shape
    images, oh, ow, channels = dy.shape
    for n in range(images):
        for i in range(oh):
            row = dx[n, i * h // oh]
            for j in range(ow):
                source, target = dy[n, i, j], row[j * w // ow]
                for c in range(channels):
                    target[c] += source[c]


@njit(nogil=True)
def _between(number, length, count):  # type: ignore[no-untyped-def]
    """Return the pixels before and after a new one, and how far it lies from the first to the second."""
    place = min(max((2 * number + 1) * length / (2 * count) - 0.5, 0.0), length - 1.0)
    first = math.floor(place)
    return first, min(first + 1, length - 1), place - first


@njit(nogil=True, cache=True)
def _bilinear(x, y):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, C) from x (N, H, W, C); down first, then across, as in the body."""
    _, h, w, _ = x.shape
    images, oh, ow, channels = y.shape
    number = x.dtype.type
    for n in range(images):
        for i in range(oh):
            r0, r1, down = _between(i, h, oh)
            t, upper, lower = number(down), x[n, r0], x[n, r1]
            for j in range(ow):
                s0, s1, right = _between(j, w, ow)
                u, target = number(right), y[n, i, j]
                p00, p01, p10, p11 = upper[s0], upper[s1], lower[s0], lower[s1]
                for c in range(channels):
                    one = p00[c] + t * (p10[c] - p00[c])
                    other = p01[c] + t * (p11[c] - p01[c])
                    target[c] = one + u * (other - one)


@njit(nogil=True, cache=True)
def _bilinear_gradient(dy, dx):  # type: ignore[no-untyped-def]
    """Add dy (N, oh, ow, C) to dx (N, H, W, C)."""
    _, h, w, _ = dx.shape
    images, oh, ow, channels = dy.shape
    number, one = dx.dtype.type, dx.dtype.type(1)
    for n in range(images):
        for i in range(oh):
            r0, r1, down = _between(i, h, oh)
            t, upper, lower = number(down), dx[n, r0], dx[n, r1]
            for j in range(ow):
                s0, s1, right = _between(j, w, ow)
                u, source = number(right), dy[n, i, j]
                p00, p01, p10, p11 = upper[s0], upper[s1], lower[s0], lower[s1]
                for c in range(channels):  # the four may be one pixel, so one after the other
                    above, below = (one - t) * source[c], t * source[c]
                    p00[c] += (one - u) * above
                    p01[c] += u * above
                    p10[c] += (one - u) * below
                    p11[c] += u * below
