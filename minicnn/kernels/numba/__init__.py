"""Kernels for the CPU, compiled by Numba.

To add one: write a function with the name and the signature of an operation in `minicnn.ops`, and list it here. An
operation that is not listed runs its plain body, and so does a case that a kernel leaves to it.
"""

from collections.abc import Callable

from minicnn.kernels.numba.activation import relu_backward, relu_forward
from minicnn.kernels.numba.conv import (
    conv2d_backward,
    conv2d_forward,
    conv2d_relu_backward,
    conv2d_relu_forward,
    conv2d_relu_max_pool2d_backward,
    conv2d_relu_max_pool2d_forward,
)
from minicnn.kernels.numba.norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_forward,
    batch_norm_inference_relu_forward,
    batch_norm_relu_backward,
    batch_norm_relu_forward,
)
from minicnn.kernels.numba.pool import max_pool2d_backward, max_pool2d_forward

FILLINGS: dict[str, Callable] = {
    "batch_norm_backward": batch_norm_backward,
    "batch_norm_forward": batch_norm_forward,
    "batch_norm_inference_forward": batch_norm_inference_forward,
    "batch_norm_inference_relu_forward": batch_norm_inference_relu_forward,
    "batch_norm_relu_backward": batch_norm_relu_backward,
    "batch_norm_relu_forward": batch_norm_relu_forward,
    "conv2d_backward": conv2d_backward,
    "conv2d_forward": conv2d_forward,
    "conv2d_relu_backward": conv2d_relu_backward,
    "conv2d_relu_forward": conv2d_relu_forward,
    "conv2d_relu_max_pool2d_backward": conv2d_relu_max_pool2d_backward,
    "conv2d_relu_max_pool2d_forward": conv2d_relu_max_pool2d_forward,
    "max_pool2d_backward": max_pool2d_backward,
    "max_pool2d_forward": max_pool2d_forward,
    "relu_backward": relu_backward,
    "relu_forward": relu_forward,
}
