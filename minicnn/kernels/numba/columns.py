"""im2col and col2im, a channel of an image at a time: what lies outside the image is left out, so nothing is padded."""

from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.geometry import PaddingLike, PairLike, conv_windows, pair
from minicnn.kernels.numba.memory import is_float


def im2col(
    x: Array, *, kernel: PairLike, stride: PairLike = 1, padding: PaddingLike = 0, dilation: PairLike = 1
) -> Array:
    """Each row of the columns is written from one row of pixels. Channels are divided among the threads."""
    if x.ndim != 4 or x.size == 0 or not is_float(x):
        return plain_body("im2col")(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    (n, c), geometry, taps, (oh, ow) = x.shape[:2], *_plan(x.shape, kernel, stride, padding, dilation)
    planes = np.ascontiguousarray(x).reshape(n * c, *x.shape[2:])
    cols = np.empty((n * c, taps, oh, ow), dtype=x.dtype)
    in_threads(lambda a, b: _unfold(planes[a:b], *geometry, cols[a:b]), n * c, cost=taps * oh * ow)
    return cols.reshape(n, c * taps, oh * ow)


def col2im(
    cols: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
) -> Array:
    """Each row of the columns is added to one row of pixels. Channels are divided among the threads."""
    (n, c, h, w), (geometry, taps, (oh, ow)) = shape, _plan(shape, kernel, stride, padding, dilation)
    if cols.size == 0 or not is_float(cols):
        body = plain_body("col2im")
        return body(cols, shape=shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    planes = np.ascontiguousarray(cols).reshape(n * c, taps, oh, ow)
    x = np.empty((n * c, h, w), dtype=cols.dtype)
    in_threads(lambda a, b: _fold(planes[a:b], *geometry, x[a:b]), n * c, cost=taps * oh * ow)
    return x.reshape(shape)


def _plan(
    shape: Any, kernel: PairLike, stride: PairLike, padding: PaddingLike, dilation: PairLike
) -> tuple[tuple[int, ...], int, tuple[int, int]]:
    """Return (kw, sh, sw, dh, dw, top, left), the number of positions of the kernel, and the number of windows."""
    kh, kw = pair(kernel, "kernel")
    ((top, _), (left, _)), out = conv_windows(shape, (kh, kw), stride, padding, dilation)
    steps = *pair(stride, "stride"), *pair(dilation, "dilation")
    return (kw, *steps, top, left), kh * kw, out


@njit(nogil=True, cache=True)
def _inside(start, step, length, windows):  # type: ignore[no-untyped-def]
    """Return the first window j for which 0 <= start + j * step < length, and the one after the last."""
    first = max(0, -(start // step))
    return first, max(first, min(windows, -((start - length) // step)))


@njit(nogil=True, cache=True)
def _unfold(planes, kw, sh, sw, dh, dw, top, left, cols):  # type: ignore[no-untyped-def]
    _, h, w = planes.shape
    count, taps, oh, ow = cols.shape
    for n in range(count):
        for k in range(taps):
            up, aside = k // kw * dh - top, k % kw * dw - left
            first, last = _inside(aside, sw, w, ow)
            tap = cols[n, k]
            if first > 0 or last < ow or up < 0 or up + (oh - 1) * sh >= h:
                tap[:] = 0
            for i in range(oh):
                if up + i * sh < 0 or up + i * sh >= h:
                    continue
                inside, pixels = tap[i, first:last], planes[n, up + i * sh, aside + first * sw :]
                if sw == 1:  # of the two loops, this one works on whole vectors
                    for j in range(inside.size):
                        inside[j] = pixels[j]
                else:
                    for j in range(inside.size):
                        inside[j] = pixels[j * sw]


@njit(nogil=True, cache=True)
def _fold(cols, kw, sh, sw, dh, dw, top, left, planes):  # type: ignore[no-untyped-def]
    _, h, w = planes.shape
    count, taps, oh, ow = cols.shape
    for n in range(count):
        planes[n] = 0
        for k in range(taps):
            up, aside = k // kw * dh - top, k % kw * dw - left
            first, last = _inside(aside, sw, w, ow)
            for i in range(oh):
                if up + i * sh < 0 or up + i * sh >= h:
                    continue
                inside, pixels = cols[n, k, i, first:last], planes[n, up + i * sh, aside + first * sw :]
                if sw == 1:
                    for j in range(inside.size):
                        pixels[j] += inside[j]
                else:
                    for j in range(inside.size):
                        pixels[j * sw] += inside[j]
