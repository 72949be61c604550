"""Unfolding and folding, max and average pooling: a thread for every number of the result."""

from typing import Any, TypeAlias

import numpy as np

from minicnn.backend import Array, plain_body
from minicnn.geometry import PaddingLike, PairLike, conv_windows, pair, pool_windows
from minicnn.kernels.cuda.module import WINDOWS, contiguous, for_each, is_real, new

Shape: TypeAlias = tuple[int, ...]

MANY = 256
"""Positions of a window that fit into a byte of argmax."""


def im2col(x: Array, **options: Any) -> Array:
    """One launch instead of one a position of the kernel."""
    if x.ndim != 4 or not is_real(x):
        return plain_body("im2col")(x, **options)
    windows = _of_convolution(x.shape, **options)
    n, c, _, _, kh, kw, *_, oh, ow = windows.item()
    cols = new((n, c * kh * kw, oh * ow), x)
    for_each("im2col", x.dtype, cols.size, contiguous(x), cols, windows)
    return cols


def col2im(cols: Array, *, shape: Shape, **options: Any) -> Array:
    """Every pixel gathers what it gets; nothing is added by several threads, so nothing has to be locked."""
    windows = _of_convolution(shape, **options)
    n, c, _, _, kh, kw, *_, oh, ow = windows.item()
    if cols.size != n * c * kh * kw * oh * ow or not is_real(cols):
        return plain_body("col2im")(cols, shape=shape, **options)
    x = new(shape, cols)
    for_each("col2im", x.dtype, x.size, contiguous(cols), x, windows)
    return x


def max_pool2d_forward(x: Array, **options: Any) -> tuple[Array, Array]:
    """One launch; a thread goes over its window."""
    windows = _of_pooling(x.shape, **options) if x.ndim == 4 and is_real(x) else None
    if windows is None:
        return plain_body("max_pool2d_forward")(x, **options)
    shape = *x.shape[:2], *windows.item()[-2:]
    y, argmax = new(shape, x), new(shape, x, np.uint8)
    for_each("max_pool2d_forward", x.dtype, y.size, contiguous(x), y, argmax, windows)
    return y, argmax


def max_pool2d_backward(dy: Array, argmax: Array, *, shape: Shape, **options: Any) -> Array:
    """Every pixel looks for the windows whose maximum it was."""
    windows = _of_pooling(shape, **options)
    fits = windows is not None and dy.shape == argmax.shape == (*shape[:2], *windows.item()[-2:])
    if not fits or not is_real(dy) or argmax.dtype != np.uint8:
        return plain_body("max_pool2d_backward")(dy, argmax, shape=shape, **options)
    dx = new(shape, dy)
    for_each("max_pool2d_backward", dy.dtype, dx.size, contiguous(dy), contiguous(argmax), dx, windows)
    return dx


def avg_pool2d_forward(x: Array, **options: Any) -> Array:
    """One launch; a thread goes over its window."""
    windows = _of_pooling(x.shape, **options) if x.ndim == 4 and is_real(x) else None
    if windows is None:
        return plain_body("avg_pool2d_forward")(x, **options)
    y = new((*x.shape[:2], *windows.item()[-2:]), x)
    for_each("avg_pool2d_forward", x.dtype, y.size, contiguous(x), y, windows)
    return y


def avg_pool2d_backward(dy: Array, *, shape: Shape, **options: Any) -> Array:
    """Every pixel gathers its shares."""
    windows = _of_pooling(shape, **options)
    if windows is None or dy.shape != (*shape[:2], *windows.item()[-2:]) or not is_real(dy):
        return plain_body("avg_pool2d_backward")(dy, shape=shape, **options)
    dx = new(shape, dy)
    for_each("avg_pool2d_backward", dy.dtype, dx.size, contiguous(dy), dx, windows)
    return dx


def _of_convolution(
    shape: Shape, *, kernel: PairLike, stride: PairLike = 1, padding: PaddingLike = 0, dilation: PairLike = 1
) -> np.ndarray:
    """Return how the windows lie, as the kernels want to know it."""
    size, steps, gaps = pair(kernel, "kernel"), pair(stride, "stride"), pair(dilation, "dilation")
    ((top, _), (left, _)), out = conv_windows(shape, size, stride, padding, dilation)
    return np.array((*shape, *size, *steps, *gaps, top, left, *out), dtype=WINDOWS)


def _of_pooling(
    shape: Shape, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> np.ndarray | None:
    """Likewise; None for windows of too many pixels."""
    size, steps, ((top, _), (left, _)), out = pool_windows(shape, kernel, stride, padding)
    if size[0] * size[1] > MANY:
        return None
    return np.array((*shape, *size, *steps, 1, 1, top, left, *out), dtype=WINDOWS)
