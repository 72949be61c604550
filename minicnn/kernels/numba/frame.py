"""What surrounds a convolution while an image is in the cache: its border, and the bias, ReLU and max pooling after it.

A frame is a copy of an image, or of a band of one, inside its border of zeros, with the channels filled up to whole
vectors. All kernels of convolution read frames, so none of them has to ask where an image ends.

A layer that follows a convolution costs little while the image that it works on is still in the cache, and much once it
has gone to memory. So the kernels take ReLU and max pooling along, on the way out and on the way back.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minicnn.kernels.numba.activation import relu_gradient
from minicnn.kernels.numba.pool import window_gradient, window_max
from minicnn.kernels.numba.vector import lanes_of, load, store, zeros_of


class Pooling(NamedTuple):
    """The windows of the max pooling after a convolution; `kh` is 0 where there is none."""

    kh: int = 0
    kw: int = 0
    sh: int = 0
    sw: int = 0
    top: int = 0
    left: int = 0


@njit(nogil=True)
def clear(array):  # type: ignore[no-untyped-def]
    """array[:] = 0"""
    lanes, zeros = lanes_of(array), zeros_of(array)
    whole = len(array) - len(array) % lanes
    for i in range(0, whole, lanes):
        store(array, i, zeros)
    for i in range(whole, len(array)):
        array[i] = 0


@njit(nogil=True)
def copy(source, at, target, to, count):  # type: ignore[no-untyped-def]
    """target[to : to + count] = source[at : at + count]"""
    lanes = lanes_of(source)
    whole = count - count % lanes
    for i in range(0, whole, lanes):
        store(target, to + i, load(source, at + i))
    for i in range(whole, count):
        target[to + i] = source[at + i]


@njit(nogil=True)
def put(x, n, row, left, frame, at, height, width, channels):  # type: ignore[no-untyped-def]
    """Copy rows row, row + 1, ... of image n into the frame (height, width, channels) that begins at `at`.

    Rows outside the image become zero. What lies left and right of it, and channels that it lacks, must be so already.
    """
    _, h, w, c = x.shape
    source = x.reshape(-1)
    for i in range(height):
        start = at + (i * width + left) * channels
        if row + i < 0 or row + i >= h:
            clear(frame[start : start + w * channels])
        elif c == channels:
            copy(source, (n * h + row + i) * w * c, frame, start, w * c)
        else:
            for j in range(w):
                copy(source, ((n * h + row + i) * w + j) * c, frame, start + j * channels, c)


@njit(nogil=True)
def gradients_before(dy, y, argmax, pool, n, images, dz):  # type: ignore[no-untyped-def]
    """Go back through max pooling (if there is one) and ReLU: dz[:images] is the gradient of the convolution's output.

    dy, y, argmax : the gradient, the value and (behind pooling) the place of what came out, for all images
    """
    part, values, before = dy[n : n + images], y[n : n + images], dz[:images]
    if pool.kh:
        where, relu = argmax[n : n + images], np.bool_(True)
        window_gradient(part, where, values, relu, pool.kh, pool.kw, pool.sh, pool.sw, pool.top, pool.left, before)
    else:
        relu_gradient(part.reshape(-1), values.reshape(-1), before.reshape(-1))


@njit(nogil=True)
def pool_images(z, images, pool, y, argmax, n):  # type: ignore[no-untyped-def]
    """Pool z[:images] into y[n], y[n + 1], ..."""
    to, where = y[n : n + images], argmax[n : n + images]
    window_max(z[:images], pool.kh, pool.kw, pool.sh, pool.sw, pool.top, pool.left, to, where)
