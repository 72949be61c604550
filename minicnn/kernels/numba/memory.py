"""How arrays lie in memory.

Kernels read and write images as contiguous (N, H, W, C), channels last: the numbers of one pixel lie side by side, so
the innermost loop runs over them and fills whole vectors. Outside, the same memory is seen as (N, C, H, W).
"""

import threading

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads


def channels_last(x: Array) -> np.ndarray:
    """Return x (N, C, H, W) as contiguous (N, H, W, C); a view where x lies so already."""
    last = x.transpose(0, 2, 3, 1)
    if last.flags.c_contiguous or not x.flags.c_contiguous or x.size < FEW:
        return np.ascontiguousarray(last)
    n, c, h, w = x.shape
    turned = np.empty((n, h, w, c), dtype=x.dtype)
    planes, pixels = x.reshape(n, c, h * w), turned.reshape(n, h * w, c)
    in_threads(lambda i, j: _turn(planes[i:j], pixels[i:j]), n, cost=c * h * w)
    return turned


@njit(nogil=True, cache=True)
def _turn(planes, pixels):  # type: ignore[no-untyped-def]
    """pixels[n, i, c] = planes[n, c, i]"""
    images, channels, size = planes.shape
    for n in range(images):
        for c in range(channels):
            plane, image = planes[n, c], pixels[n]
            for i in range(size):
                image[i, c] = plane[i]


def channels_first(x: np.ndarray) -> Array:
    """Return (N, H, W, C) under the shape (N, C, H, W), as a view."""
    return x.transpose(0, 3, 1, 2)


def flat(*arrays: Array) -> list[np.ndarray] | None:
    """Return arrays of one shape as flat views of their memory, or None if they have gaps or do not lie alike."""
    first, axes = arrays[0], None
    shape, strides, views = first.shape, first.strides, []
    for array in arrays:  # the usual case, in a tenth of the time
        if array.shape != shape:
            return None
        view = array.ravel(order="K")
        if array.strides != strides or view.base is None:  # without a base it is a copy, so there were gaps
            break
        views.append(view)
    else:
        return views
    if not first.flags.c_contiguous:
        axes = sorted(range(first.ndim), key=first.strides.__getitem__, reverse=True)  # from the outermost inwards
    views = []
    for array in arrays:
        if array.shape != first.shape:
            return None
        view = array if axes is None else array.transpose(axes)
        if not view.flags.c_contiguous:
            return None
        views.append(view.reshape(-1))
    return views


def laid_as(pattern: Array, array: Array) -> np.ndarray:
    """Return an array in the memory order of a pattern of its shape: itself where it lies so already, else a copy."""
    if array.strides == pattern.strides:
        return array
    copy = np.empty_like(pattern, dtype=array.dtype)
    copy[...] = array
    return copy


def is_float(*arrays: Array) -> bool:
    """Return whether all arrays are of one type, float32 or float64: what the kernels are compiled for."""
    dtype = arrays[0].dtype
    for array in arrays:  # plainer than all(...), and half the time
        if array.dtype != dtype:
            return False
    return dtype in _FLOATS


_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


def workspace(size: int, dtype: str) -> np.ndarray:
    """Return an array of this thread's own, (size,), whose contents are whatever was left; the next call reuses it."""
    arrays = _workspaces.__dict__
    array = arrays.get(dtype)
    if array is None or len(array) < size:
        array = arrays[dtype] = aligned(size, dtype)
    return array[:size]


def aligned(size: int, dtype: str) -> np.ndarray:
    """Return a new array (size,) that begins with a line of the cache: vectors that cross one take twice as long."""
    whole = np.empty(size + LINE, dtype=dtype)
    shift = -whole.ctypes.data % LINE // whole.itemsize
    return whole[shift : shift + size]


FEW = 1 << 14
"""Numbers that NumPy has copied before threads are at work."""
LINE = 64
"""Bytes that the cache holds and moves together."""

_workspaces = threading.local()
