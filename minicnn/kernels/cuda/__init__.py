"""Kernels for NVIDIA GPUs, in CUDA C, loaded through CuPy.

To add one: write the kernel in `kernels.cu`, and beside this file a function with the name and the signature of an
operation in `minicnn.ops`, which launches it; list that here. An operation that is not listed runs its plain body, and
so does a case that a kernel leaves to it.
"""

from collections.abc import Callable

from minicnn.kernels.cuda.activation import relu_backward
from minicnn.kernels.cuda.fused import (
    conv2d_forward,
    conv2d_relu_backward,
    conv2d_relu_forward,
    conv2d_relu_max_pool2d_backward,
    conv2d_relu_max_pool2d_forward,
)
from minicnn.kernels.cuda.loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from minicnn.kernels.cuda.norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_relu_backward,
    batch_norm_relu_forward,
)
from minicnn.kernels.cuda.random import dropout_backward, dropout_forward, random_bits
from minicnn.kernels.cuda.update import adam_update, adam_update_all, sgd_update, sgd_update_all
from minicnn.kernels.cuda.windows import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    col2im,
    im2col,
    max_pool2d_backward,
    max_pool2d_forward,
)

FILLINGS: dict[str, Callable] = {
    "adam_update": adam_update,
    "adam_update_all": adam_update_all,
    "avg_pool2d_backward": avg_pool2d_backward,
    "avg_pool2d_forward": avg_pool2d_forward,
    "batch_norm_backward": batch_norm_backward,
    "batch_norm_forward": batch_norm_forward,
    "batch_norm_relu_backward": batch_norm_relu_backward,
    "batch_norm_relu_forward": batch_norm_relu_forward,
    "col2im": col2im,
    "conv2d_forward": conv2d_forward,
    "conv2d_relu_backward": conv2d_relu_backward,
    "conv2d_relu_forward": conv2d_relu_forward,
    "conv2d_relu_max_pool2d_backward": conv2d_relu_max_pool2d_backward,
    "conv2d_relu_max_pool2d_forward": conv2d_relu_max_pool2d_forward,
    "dropout_backward": dropout_backward,
    "dropout_forward": dropout_forward,
    "im2col": im2col,
    "max_pool2d_backward": max_pool2d_backward,
    "max_pool2d_forward": max_pool2d_forward,
    "random_bits": random_bits,
    "relu_backward": relu_backward,
    "sgd_update": sgd_update,
    "sgd_update_all": sgd_update_all,
    "softmax_cross_entropy_backward": softmax_cross_entropy_backward,
    "softmax_cross_entropy_forward": softmax_cross_entropy_forward,
}
