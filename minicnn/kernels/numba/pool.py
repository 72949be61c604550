"""Max pooling in channels-last memory: vectors of a pixel's channels go through its window."""

import functools
from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.geometry import PaddingLike, PairLike, pool_windows
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float
from minicnn.kernels.numba.vector import (
    lanes_of,
    load,
    load_bytes,
    store,
    store_bytes,
    where_equal,
    where_greater,
    where_positive,
    zeros_of,
)

BYTE = 256
"""Pixels of a window whose positions fit into one byte."""


def max_pool2d_forward(
    x: Array, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> tuple[Array, Array]:
    """No padded copy: each window is cut off at the image's edge. Images are divided among the threads."""
    geometry, (oh, ow) = plan(x.shape, kernel, stride, padding)
    if x.size == 0 or not is_float(x) or geometry[0] * geometry[1] > BYTE:
        return plain_body("max_pool2d_forward")(x, kernel=kernel, stride=stride, padding=padding)
    last_x = channels_last(x)
    y = np.empty((len(x), oh, ow, x.shape[1]), dtype=x.dtype)
    argmax = np.empty(y.shape, dtype=np.uint8)
    in_threads(lambda a, b: window_max(last_x[a:b], *geometry, y[a:b], argmax[a:b]), len(x), cost=x[0].size)
    return channels_first(y), channels_first(argmax)


def max_pool2d_backward(
    dy: Array,
    argmax: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
) -> Array:
    """Windows that do not overlap write their pixels; only those that do add to zeros."""
    geometry, out = plan(shape, kernel, stride, padding)
    fits = dy.shape == argmax.shape == (*shape[:2], *out) and is_float(dy) and argmax.dtype == np.uint8
    if not fits or dy.size == 0 or geometry[0] * geometry[1] > BYTE:
        return plain_body("max_pool2d_backward")(dy, argmax, shape=shape, kernel=kernel, stride=stride, padding=padding)
    n, c, h, w = shape
    last_dy, last_argmax = channels_last(dy), channels_last(argmax)
    dx = np.empty((n, h, w, c), dtype=dy.dtype)

    def work(a: int, b: int) -> None:
        window_gradient(last_dy[a:b], last_argmax[a:b], last_dy[a:b], False, *geometry, dx[a:b])

    in_threads(work, n, cost=h * w * c)
    return channels_first(dx)


def max_unpool2d_backward(
    dy: Array, argmax: Array, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> Array:
    """Each window fetches its number. (The forward pass is `max_pool2d_backward`.)"""
    geometry, out = plan(dy.shape, kernel, stride, padding)
    fits = argmax.shape == (*dy.shape[:2], *out) and is_float(dy) and argmax.dtype == np.uint8
    if not fits or dy.size * argmax.size == 0 or geometry[0] * geometry[1] > BYTE:
        return plain_body("max_unpool2d_backward")(dy, argmax, kernel=kernel, stride=stride, padding=padding)
    last_dy, last_argmax = channels_last(dy), channels_last(argmax)
    dx = np.empty(last_argmax.shape, dtype=dy.dtype)

    def work(a: int, b: int) -> None:
        _fetch(last_dy[a:b], last_argmax[a:b], *geometry[1:], dx[a:b])

    in_threads(work, len(dy), cost=dx[0].size)
    return channels_first(dx)


def plan(shape: Any, kernel: Any, stride: Any, padding: Any) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Return (kh, kw, sh, sw, top, left) and the number of windows."""
    try:
        return _known_plan(shape, kernel, stride, padding)
    except TypeError:  # a list among them cannot be looked up
        return _known_plan.__wrapped__(shape, kernel, stride, padding)


@functools.lru_cache(maxsize=512)
def _known_plan(shape: Any, kernel: Any, stride: Any, padding: Any) -> tuple[tuple[int, ...], tuple[int, int]]:
    (kh, kw), (sh, sw), ((top, _), (left, _)), out = pool_windows(shape, kernel, stride, padding)
    return (kh, kw, sh, sw, top, left), out


@njit(nogil=True, cache=True)
def window_max(x, kh, kw, sh, sw, top, left, y, argmax):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, C) = the maxima of the windows of x (N, H, W, C), and argmax where in its window each stood."""
    images, h, w, channels = x.shape
    _, oh, ow, _ = y.shape
    if kh == kw == sh == sw == 2 and top == left == 0 and 2 * oh <= h and 2 * ow <= w:
        _max_of_four(x, y, argmax)
        return
    lanes, zeros, source, maxima, places = lanes_of(x), zeros_of(x), x.reshape(-1), y.reshape(-1), argmax.reshape(-1)
    whole = channels - channels % lanes
    for n in range(images):
        for i in range(oh):
            for j in range(ow):
                i0, j0, to = i * sh - top, j * sw - left, ((n * oh + i) * ow + j) * channels
                p0, p1, q0, q1 = max(0, -i0), min(kh, h - i0), max(0, -j0), min(kw, w - j0)
                window, row, first = ((n * h + i0) * w + j0) * channels, w * channels, p0 * kw + q0
                start = window + p0 * row + q0 * channels
                for c in range(0, whole, lanes):
                    best, where = load(source, start + c), zeros + first
                    for p in range(p0, p1):
                        for q in range(q0, q1):
                            pixel = load(source, window + p * row + q * channels + c)
                            where = where_greater(pixel, best, zeros + (p * kw + q), where)
                            best = where_greater(pixel, best, pixel, best)
                    store(maxima, to + c, best)
                    store_bytes(places, to + c, where)
                for c in range(whole, channels):
                    value, k = source[start + c], first
                    for p in range(p0, p1):
                        for q in range(q0, q1):
                            pixel = source[window + p * row + q * channels + c]
                            if pixel > value or pixel != pixel:
                                value, k = pixel, p * kw + q
                    maxima[to + c], places[to + c] = value, k


@njit(nogil=True, cache=True)
def _max_of_four(x, y, argmax):  # type: ignore[no-untyped-def]
    """Windows of 2 x 2 side by side: the commonest case, and here the maximum stays in a register."""
    images, oh, ow, channels = y.shape
    for n in range(images):
        for i in range(oh):
            for j in range(ow):
                upper, lower = x[n, 2 * i], x[n, 2 * i + 1]
                p00, p01, p10, p11 = upper[2 * j], upper[2 * j + 1], lower[2 * j], lower[2 * j + 1]
                best, where = y[n, i, j], argmax[n, i, j]
                for c in range(channels):
                    value, k = p00[c], 0
                    if p01[c] > value or p01[c] != p01[c]:
                        value, k = p01[c], 1
                    if p10[c] > value or p10[c] != p10[c]:
                        value, k = p10[c], 2
                    if p11[c] > value or p11[c] != p11[c]:
                        value, k = p11[c], 3
                    best[c], where[c] = value, k


@njit(nogil=True, cache=True)
def window_gradient(dy, argmax, y, relu, kh, kw, sh, sw, top, left, dx):  # type: ignore[no-untyped-def]
    """dx (N, H, W, C) from dy (N, oh, ow, C): each of its numbers goes where its maximum stood.

    relu : whether what is not positive in y, the maxima after ReLU, gives nothing; y is not read otherwise
    """
    images, h, w, channels = dx.shape
    _, oh, ow, _ = dy.shape
    lanes, target, gradients, where, values = (
        lanes_of(dx),
        dx.reshape(-1),
        dy.reshape(-1),
        argmax.reshape(-1),
        y.reshape(-1),
    )
    overlap = sh < kh or sw < kw
    all_covered = sh == kh and sw == kw and oh * sh - top >= h and ow * sw - left >= w
    whole = channels - channels % lanes
    if overlap or not all_covered:
        for i in range(target.size):
            target[i] = 0
    for n in range(images):
        for i in range(oh):
            for j in range(ow):
                i0, j0, at = i * sh - top, j * sw - left, ((n * oh + i) * ow + j) * channels
                p0, p1, q0, q1 = max(0, -i0), min(kh, h - i0), max(0, -j0), min(kw, w - j0)
                for c in range(0, whole, lanes):
                    gradient, position = load(gradients, at + c), load_bytes(where, at + c, target)
                    if relu:
                        gradient = where_positive(load(values, at + c), gradient)
                    for p in range(p0, p1):
                        for q in range(q0, q1):
                            to = ((n * h + i0 + p) * w + j0 + q) * channels + c
                            v = where_equal(position, p * kw + q, gradient)
                            store(target, to, load(target, to) + v if overlap else v)
                for c in range(whole, channels):
                    gradient = gradients[at + c] if values[at + c] > 0 or not relu else 0
                    for p in range(p0, p1):
                        for q in range(q0, q1):
                            to = ((n * h + i0 + p) * w + j0 + q) * channels + c
                            v = gradient if where[at + c] == p * kw + q else 0
                            target[to] = target[to] + v if overlap else v


@njit(nogil=True, cache=True)
def _fetch(dy, argmax, kw, sh, sw, top, left, dx):  # type: ignore[no-untyped-def]
    """dx (N, oh, ow, C) = the numbers of dy (N, H, W, C) where the maxima stood; outside the image they are 0."""
    images, oh, ow, channels = dx.shape
    _, h, w, _ = dy.shape
    for n in range(images):
        for i in range(oh):
            for j in range(ow):
                where, target = argmax[n, i, j], dx[n, i, j]
                for c in range(channels):
                    p, q = i * sh - top + int(where[c]) // kw, j * sw - left + int(where[c]) % kw
                    target[c] = dy[n, p, q, c] if 0 <= p < h and 0 <= q < w else 0
