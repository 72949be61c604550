"""Operations that stand side by side in most networks, as one: what comes out of the first goes right into the next.

The bodies say what each of them is: the others, one after another. A kernel can do better, since the numbers between
two operations need not go to memory and back; that is all these are for. A function plugged into one of the parts is
run, for then the body is (`uses` below).
"""

from typing import Any

from minicnn.backend import Array, slot
from minicnn.geometry import PaddingLike, PairLike, conv_windows
from minicnn.ops.activation import relu_backward, relu_forward
from minicnn.ops.conv import conv2d_backward, conv2d_forward
from minicnn.ops.norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_forward,
)
from minicnn.ops.pool import max_pool2d_backward, max_pool2d_forward

_CONV_RELU = ("conv2d_forward", "im2col", "relu_forward")
_CONV_RELU_BACK = ("conv2d_backward", "im2col", "col2im", "relu_backward")


@slot("y", uses=_CONV_RELU)
def conv2d_relu_forward(x: Array, w: Array, b: Array | None, **options: Any) -> Array:
    """y = max(convolution of x, 0).   Arguments and shapes as in `conv2d_forward`."""
    return relu_forward(conv2d_forward(x, w, b, **options))


@slot("dx, dw, db", uses=_CONV_RELU_BACK)
def conv2d_relu_backward(dy: Array, y: Array, x: Array, w: Array, **options: Any) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv2d_relu_forward`.   dy, y : (N, F, oh, ow); the rest as in `conv2d_backward`"""
    return conv2d_backward(relu_backward(dy, y), x, w, **options)


@slot("y, argmax", uses=(*_CONV_RELU, "max_pool2d_forward"))
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
    """y, argmax = the maximum of each window of max(convolution of x, 0), and where it stands.

    x, w, b, options : as in `conv2d_forward`
    y, argmax : (N, F, ph, pw), as in `max_pool2d_forward`
    """
    z = relu_forward(conv2d_forward(x, w, b, **options))
    return max_pool2d_forward(z, kernel=pool_kernel, stride=pool_stride, padding=pool_padding)


@slot("dx, dw, db", uses=(*_CONV_RELU_BACK, "max_pool2d_backward"))
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
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    **options: Any,
) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv2d_relu_max_pool2d_forward`, whose output is `y`.

    A maximum is positive if and only if ReLU let it pass, so ReLU's backward pass is the same behind pooling as before
    it, where there is less to do.   dy, y, argmax : (N, F, ph, pw); the rest as in `conv2d_backward`
    """
    _, out = conv_windows(x.shape, w.shape[2:], stride, padding, dilation)
    dz = max_pool2d_backward(
        relu_backward(dy, y),
        argmax,
        shape=(len(x), len(w), *out),
        kernel=pool_kernel,
        stride=pool_stride,
        padding=pool_padding,
    )
    return conv2d_backward(dz, x, w, stride=stride, padding=padding, dilation=dilation, **options)


@slot("y", uses=("relu_forward",))
def add_relu_forward(x: Array, shortcut: Array) -> Array:
    """y = max(x + shortcut, 0), where a residual block ends.   x, shortcut, y : one shape, whatever it is

    Back goes `relu_backward(dy, y)`, to both alike.   He et al., "Deep residual learning...", 2016, figure 2.
    """
    return relu_forward(x + shortcut)


@slot("y, mean, inv_std", uses=("batch_norm_forward", "relu_forward"))
def batch_norm_relu_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """y = max(batch norm of x, 0).   Arguments and results as in `batch_norm_forward`."""
    y, mean, inv_std = batch_norm_forward(x, gamma, beta, eps=eps)
    return relu_forward(y), mean, inv_std


@slot("dx, dgamma, dbeta", uses=("batch_norm_inference_forward", "batch_norm_backward", "relu_backward"))
def batch_norm_relu_backward(
    dy: Array, x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """Gradients of `batch_norm_relu_forward`. Where its output was positive is computed anew: memory is slower.

    dy, x : (N, C, ...)   gamma, beta, mean, inv_std : (C,)
    """
    y = batch_norm_inference_forward(x, gamma, beta, mean, inv_std)
    return batch_norm_backward(relu_backward(dy, y), x, gamma, mean, inv_std)


@slot("y", uses=("batch_norm_inference_forward", "relu_forward"))
def batch_norm_inference_relu_forward(x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array) -> Array:
    """y = max(batch norm of x, 0), with statistics that are given.   As `batch_norm_inference_forward`."""
    return relu_forward(batch_norm_inference_forward(x, gamma, beta, mean, inv_std))
