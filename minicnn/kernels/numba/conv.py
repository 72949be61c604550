"""Convolution, alone or with the ReLU and the max pooling behind it, by whichever algorithm suits the geometry.

The kernels know no bounds: arrays whose shapes do not fit together must never reach them. They go to the plain body,
which refuses them.
"""

import functools
from typing import Any

import numpy as np

from minicnn.backend import Array, get_num_threads, plain_body
from minicnn.geometry import PaddingLike, Pair, PairLike, conv_windows, pair, pool_windows
from minicnn.kernels.numba.algorithms import algorithm_for
from minicnn.kernels.numba.frame import Pooling
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float
from minicnn.kernels.numba.setup import NO_IMAGES, Geometry

LARGE = 64 * 64
"""Pixels: larger images do not stay in the cache from one layer to the next, so pooling is left to itself."""


def conv2d_forward(x: Array, w: Array, b: Array | None, *, algorithm: str = "auto", **options: Any) -> Array:
    """Winograd's algorithm or the direct one; the bias is added on the way out."""
    chosen = _algorithm(x, w, b, algorithm, **options)
    if chosen is None:
        return plain_body("conv2d_forward")(x, w, b, algorithm=_body_s(algorithm), **options)
    y = np.empty((len(x), *chosen.geometry.out, len(w)), dtype=x.dtype)
    chosen.forward(channels_last(x), w, b, False, y, NO_IMAGES["uint8"])
    return channels_first(y)


def conv2d_backward(
    dy: Array, x: Array, w: Array, *, need_dx: bool = True, algorithm: str = "auto", **options: Any
) -> tuple[Array | None, Array, Array]:
    """The adjoints of the forward algorithm; each thread sums over its own images."""
    chosen = _algorithm(x, w, None, algorithm, **options)
    if chosen is None or dy.shape != (len(x), len(w), *chosen.geometry.out) or not is_float(dy, x):
        return plain_body("conv2d_backward")(dy, x, w, need_dx=need_dx, algorithm=_body_s(algorithm), **options)
    last_dy = channels_last(dy)
    dx, dw, db = chosen.backward(last_dy, last_dy, NO_IMAGES["uint8"], channels_last(x), w, False, need_dx)
    return channels_first(dx) if need_dx else None, dw, db


def conv2d_relu_forward(x: Array, w: Array, b: Array | None, *, algorithm: str = "auto", **options: Any) -> Array:
    """Bias and ReLU are applied on the way out."""
    chosen = _algorithm(x, w, b, algorithm, **options)
    if chosen is None:
        return plain_body("conv2d_relu_forward")(x, w, b, algorithm=algorithm, **options)
    y = np.empty((len(x), *chosen.geometry.out, len(w)), dtype=x.dtype)
    chosen.forward(channels_last(x), w, b, True, y, NO_IMAGES["uint8"])
    return channels_first(y)


def conv2d_relu_backward(
    dy: Array, y: Array, x: Array, w: Array, *, need_dx: bool = True, algorithm: str = "auto", **options: Any
) -> tuple[Array | None, Array, Array]:
    """dy is masked by ReLU while it is in the cache."""
    chosen = _algorithm(x, w, None, algorithm, **options)
    if chosen is None or not dy.shape == y.shape == (len(x), len(w), *chosen.geometry.out) or not is_float(dy, y, x):
        return plain_body("conv2d_relu_backward")(dy, y, x, w, need_dx=need_dx, algorithm=algorithm, **options)
    gradients = channels_last(dy), channels_last(y), NO_IMAGES["uint8"]
    dx, dw, db = chosen.backward(*gradients, channels_last(x), w, True, need_dx)
    return channels_first(dx) if need_dx else None, dw, db


def conv2d_relu_max_pool2d_forward(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    pool_kernel: PairLike,
    pool_stride: PairLike | None = None,
    pool_padding: PaddingLike = 0,
    algorithm: str = "auto",
    **options: Any,
) -> tuple[Array, Array]:
    """An image is convolved, rectified and pooled before the next one; what is pooled never goes to memory."""
    pool = pool_kernel, pool_stride, pool_padding
    chosen = _algorithm(x, w, b, algorithm, **options, pool=pool)
    if chosen is None:
        names = dict(zip(("pool_kernel", "pool_stride", "pool_padding"), pool, strict=True))
        return plain_body("conv2d_relu_max_pool2d_forward")(x, w, b, algorithm=algorithm, **names, **options)
    y = np.empty((len(x), *chosen.geometry.pooled, len(w)), dtype=x.dtype)
    argmax = np.empty(y.shape, dtype=np.uint8)
    chosen.forward(channels_last(x), w, b, True, y, argmax)
    return channels_first(y), channels_first(argmax)


def conv2d_relu_max_pool2d_backward(
    dy: Array,
    y: Array,
    argmax: Array,
    x: Array,
    w: Array,
    *,
    pool_kernel: PairLike,
    pool_stride: PairLike | None = None,
    pool_padding: PaddingLike = 0,
    need_dx: bool = True,
    algorithm: str = "auto",
    **options: Any,
) -> tuple[Array | None, Array, Array]:
    """The gradient of an image before pooling is spread out in the cache, and used there."""
    pool = pool_kernel, pool_stride, pool_padding
    chosen = _algorithm(x, w, None, algorithm, **options, pool=pool)
    shape = (len(x), len(w), *chosen.geometry.pooled) if chosen is not None else ()
    if not dy.shape == y.shape == argmax.shape == shape or not is_float(dy, y, x) or argmax.dtype != np.uint8:
        names = dict(zip(("pool_kernel", "pool_stride", "pool_padding"), pool, strict=True))
        body = plain_body("conv2d_relu_max_pool2d_backward")
        return body(dy, y, argmax, x, w, need_dx=need_dx, algorithm=algorithm, **names, **options)
    gradients = channels_last(dy), channels_last(y), channels_last(argmax)
    dx, dw, db = chosen.backward(*gradients, channels_last(x), w, True, need_dx)
    return channels_first(dx) if need_dx else None, dw, db


def _body_s(algorithm: str) -> str:
    """Return what the plain body is told: it need not hear of kernels when a case is left to it."""
    return "auto" if algorithm in ("direct", "winograd") else algorithm


def _algorithm(
    x: Array,
    w: Array,
    b: Array | None,
    name: str,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    pool: tuple | None = None,
) -> Any:
    """Return the algorithm for this case; None for one that is left to the plain body."""
    fits = x.ndim == w.ndim == 4 and x.shape[1] == groups * w.shape[1] and is_float(x, w)
    if name == "im2col" or not fits or groups < 1 or len(w) % groups or x.size == 0 or w.size == 0:
        return None
    if b is not None and (b.shape != w.shape[:1] or not is_float(x, b)):
        return None
    case = x.dtype, x.shape, w.shape, stride, padding, dilation, groups, pool, name, get_num_threads()
    try:
        return algorithm_for_case(*case)
    except TypeError:  # a list among them cannot be looked up
        return algorithm_for_case.__wrapped__(*case)


@functools.lru_cache(maxsize=128)
def algorithm_for_case(
    dtype: np.dtype,
    shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: PairLike,
    padding: PaddingLike,
    dilation: PairLike,
    groups: int,
    pool: tuple | None,
    name: str,
    threads: int,
) -> Any:
    """Return the algorithm by this name, set up for a case; None where pooling has to be left to itself."""
    kernel: Pair = (w_shape[2], w_shape[3])
    pads, out = conv_windows(shape, kernel, stride, padding, dilation)
    n, c, h, w = shape
    pooling, pooled = Pooling(), out
    if pool is not None:
        size, step, ((top, _), (left, _)), pooled = pool_windows((n, c, *out), *pool)
        if size[0] * size[1] > 256 or out[0] * out[1] > LARGE:
            return None
        pooling = Pooling(*size, *step, top, left)
    steps = pair(stride, "stride"), pair(dilation, "dilation")
    geometry = Geometry(dtype.name, n, c, h, w, w_shape[0], kernel, *steps, pads, out, groups, pooling, pooled)
    return algorithm_for(geometry, name, threads)
