"""Convolution and what follows it. The matrix products are cuBLAS's; bias and ReLU go over the result in one launch."""

from typing import Any

import numpy as np

from minicnn.backend import Array, plain_body
from minicnn.geometry import PaddingLike, PairLike
from minicnn.kernels.cuda.module import contiguous, for_each, is_real
from minicnn.kernels.cuda.windows import max_pool2d_forward


def conv2d_forward(x: Array, w: Array, b: Array | None, **options: Any) -> Array:
    """The body, with the bias added in place."""
    return _with_bias(x, w, b, options, relu=False)


def conv2d_relu_forward(x: Array, w: Array, b: Array | None, **options: Any) -> Array:
    """Bias and ReLU in one launch."""
    return _with_bias(x, w, b, options, relu=True)


def conv2d_relu_backward(dy: Array, y: Array, x: Array, w: Array, **options: Any) -> tuple[Array | None, Array, Array]:
    """The body: its parts have kernels."""
    return plain_body("conv2d_relu_backward")(dy, y, x, w, **options)


def conv2d_relu_max_pool2d_forward(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    pool_kernel: PairLike,
    pool_stride: PairLike | None = None,
    pool_padding: PaddingLike = 0,
    **options: Any,
) -> tuple[Array, Array]:
    """Bias and ReLU in one launch, pooling in another."""
    z = conv2d_relu_forward(x, w, b, **options)
    return max_pool2d_forward(z, kernel=pool_kernel, stride=pool_stride, padding=pool_padding)


def conv2d_relu_max_pool2d_backward(
    dy: Array, y: Array, argmax: Array, x: Array, w: Array, **options: Any
) -> tuple[Array | None, Array, Array]:
    """The body: its parts have kernels."""
    return plain_body("conv2d_relu_max_pool2d_backward")(dy, y, argmax, x, w, **options)


def _with_bias(x: Array, w: Array, b: Array | None, options: dict[str, Any], *, relu: bool) -> Array:
    body = plain_body("conv2d_forward")
    if b is None or b.shape != w.shape[:1] or not is_real(x, w, b):
        y = body(x, w, b, **options)
        return plain_body("relu_forward")(y) if relu else y
    y = contiguous(body(x, w, None, **options))
    for_each("add_bias", y.dtype, y.size, y, contiguous(b), len(w), y.shape[2] * y.shape[3], np.int64(y.size), relu)
    return y
