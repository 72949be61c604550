"""Convolution without columns: the tile walks over the image itself.

In channels-last memory the numbers that one row of a window covers lie side by side, kw * C of them. So a window is kh
stretches, and the tile of `tile.py` reads them where they are:

    forward     y[position, f]   = sum over stretches of x  times  kernels     A = x, B = the kernels, packed
    weights     dw[(p, q, c), f] = sum over positions of x  times  dy          A = x, B = dy
    input       dx               = the forward pass over dy, with the kernels turned by 180 degrees and transposed

Nothing is unfolded. A dilated window has kh * kw stretches of C numbers each. With a stride, the pixels of dx fall into
stride * stride classes, each of which has met its own part of the kernel: a forward pass of its own over dy.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minicnn.kernels.numba.frame import gradients_before, pool_images, put
from minicnn.kernels.numba.product import HEIGHTS, MOST_HEIGHT, tile
from minicnn.kernels.numba.tile import MAX_VECTORS
from minicnn.kernels.numba.vector import load, positive_part, store


class Window(NamedTuple):
    """How a kernel lies on a framed image (height, width, channels) whose first pixel is at (top, left)."""

    height: int
    width: int
    channels: int
    top: int
    left: int
    kh: int
    kw: int
    down: int
    across: int
    """Dilation: pixels from one row, or column, of the kernel to the next."""
    lanes: int


@njit(nogil=True, cache=True)
def pack(kernels, depth, width, panels, lanes, first, last, packed):  # type: ignore[no-untyped-def]
    """Lay rows `first` to `last` of kernels (depth, width), flat, down panel after panel, the last filled with zeros."""
    for k in range(first, last):
        f0 = 0
        for vectors in panels:
            wide = vectors * lanes
            used = min(wide, width - f0)
            to, at = f0 * depth + k * wide, k * width + f0
            for f in range(used):
                packed[to + f] = kernels[at + f]
            for f in range(used, wide):
                packed[to + f] = 0
            f0 += wide


@njit(nogil=True)
def _positions(x, n, window, starts, packed, panels, bias, relu, places, first, last, frame, out, y):  # type: ignore[no-untyped-def]
    """Compute positions `first` to `last` of an image that is in the frame; position t goes to pixel places[t] of y[n]."""
    _, h, w, features = y.shape
    lanes, row = window.lanes, window.width * window.channels
    target, base = y.reshape(-1), n * h * w * features
    offsets = np.empty(MOST_HEIGHT, dtype=np.int64)
    rows, depth = window.kh, window.kw * window.channels
    dilated = window.across > 1 and window.kw > 1
    f0, at = 0, 0
    for vectors in panels:
        wide, tall = vectors * lanes, HEIGHTS[vectors]
        used = min(wide, features - f0)
        for t in range(first, last, tall):
            here = min(tall, last - t)
            for m in range(tall):
                offsets[m] = starts[t + min(m, here - 1)]  # a tile that is not full repeats its last row
            if not dilated:
                step = window.down * row
                tile(vectors, out, 0, wide, False, frame, offsets, step, 1, packed, at, depth * wide, wide, rows, depth)
            else:
                c, step = window.channels, window.across * window.channels
                for p in range(rows):
                    b_at = at + p * depth * wide
                    tile(
                        vectors,
                        out,
                        0,
                        wide,
                        p > 0,
                        frame,
                        offsets,
                        step,
                        1,
                        packed,
                        b_at,
                        c * wide,
                        wide,
                        window.kw,
                        c,
                    )
                    for m in range(tall):
                        offsets[m] += window.down * row
            for m in range(here):
                to = base + places[t + m] * features + f0
                for k in range(0, wide, lanes):
                    v = load(out, m * wide + k) + load(bias, f0 + k)
                    if relu:
                        v = positive_part(v)
                    if k + lanes <= used:
                        store(target, to + k, v)
                    else:
                        store(out, m * wide + k, v)
                        for f in range(k, used):
                            target[to + f] = out[m * wide + f]
        f0 += wide
        at += rows * depth * wide


@njit(nogil=True, cache=True)
def forward(  # type: ignore[no-untyped-def]
    x, window, starts, packed, panels, bias, relu, pool, parts, places, first, last, z, y, argmax
):
    """y (N, oh, ow, F) = x (N, H, W, C) through packed kernels, for units `first` to `last`: an image's part each.

    starts : where in the frame the window of each position begins;   places : the pixel of y that it gives
    bias : as wide as all panels; ReLU comes after it if `relu`, and max pooling if `pool` has a size
    z : (1, oh, ow, F), where an image waits for being pooled
    """
    frame = np.zeros(window.height * window.width * window.channels, dtype=x.dtype)
    inside = frame[window.top * window.width * window.channels :]
    out = np.empty(MOST_HEIGHT * MAX_VECTORS * window.lanes, dtype=x.dtype)
    held = -1
    for unit in range(first, last):
        n, part = unit // parts, unit % parts
        if n != held:
            put(x, n, 0, window.left, inside, 0, x.shape[1], window.width, window.channels)
            held = n
        a, b = len(starts) * part // parts, len(starts) * (part + 1) // parts
        if pool.kh:
            _positions(x, 0, window, starts, packed, panels, bias, relu, places, a, b, frame, out, z)
            pool_images(z, 1, pool, y, argmax, n)
        else:
            _positions(x, n, window, starts, packed, panels, bias, relu, places, a, b, frame, out, y)


@njit(nogil=True, cache=True)
def weights(  # type: ignore[no-untyped-def]
    x, window, stride_h, stride_w, dy, y, argmax, relu, pool, k_offsets, panels, first, last, z, wide_dy, dz, sums, db
):
    """Add dw (kh * kw * C, f) to sums and db to db (f,), over images `first` to `last`.

    k_offsets : where in the frame each row of dw has its pixel for the first position
    z : (1, oh, ow, F), where the gradient of the convolution's own output waits
    wide_dy : (oh, ow, f), the same with channels filled up
    dz : all gradients of the convolution's output, for `forward` to go on with; empty if nobody needs them
    """
    oh, ow, f = wide_dy.shape
    depth, row = len(k_offsets), window.width * window.channels
    frame = np.zeros(window.height * row, dtype=x.dtype)
    inside = frame[window.top * row :]
    offsets = np.empty(MOST_HEIGHT, dtype=np.int64)
    gradient, total = wide_dy.reshape(-1), sums.reshape(-1)
    a_row, a_step = stride_h * row, stride_w * window.channels
    for n in range(first, last):
        put(x, n, 0, window.left, inside, 0, x.shape[1], window.width, window.channels)
        if relu:
            gradients_before(dy, y, argmax, pool, n, 1, z)
            if dz.size:
                dz[n] = z[0]
            put(z, 0, 0, 0, gradient, 0, oh, ow, f)
        else:
            put(dy, n, 0, 0, gradient, 0, oh, ow, f)
        for position in range(oh * ow):
            for k in range(0, f, window.lanes):
                store(db, k, load(db, k) + load(gradient, position * f + k))
        f0 = 0
        for vectors in panels:
            wide, tall = vectors * window.lanes, HEIGHTS[vectors]
            for k in range(0, depth, tall):
                for m in range(tall):
                    offsets[m] = k_offsets[min(k + m, depth - 1)]
                to = k * f + f0
                tile(vectors, total, to, f, True, frame, offsets, a_row, a_step, gradient, f0, ow * f, f, oh, ow)
            f0 += wide
