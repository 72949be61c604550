"""Kernels for the CPU, compiled by Numba.

To add one: write a function with the name and the signature of an operation in `minicnn.ops`, and list it here. An
operation that is not listed runs its plain body, and so does a case that a kernel leaves to it.
"""

from collections.abc import Callable
from pathlib import Path

from minicnn.kernels.numba.activation import (
    add_relu_forward,
    elu_backward,
    elu_forward,
    gelu_backward,
    gelu_forward,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    selu_backward,
    selu_forward,
    sigmoid_backward,
    sigmoid_forward,
    silu_backward,
    silu_forward,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from minicnn.kernels.numba.average import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool2d_backward,
    global_avg_pool2d_forward,
)
from minicnn.kernels.numba.cache import forget_if_sources_changed
from minicnn.kernels.numba.columns import col2im, im2col
from minicnn.kernels.numba.conv import (
    conv2d_backward,
    conv2d_forward,
    conv2d_relu_backward,
    conv2d_relu_forward,
    conv2d_relu_max_pool2d_backward,
    conv2d_relu_max_pool2d_forward,
)
from minicnn.kernels.numba.conv_transpose import conv_transpose2d_forward
from minicnn.kernels.numba.dropout import dropout_backward, dropout_forward
from minicnn.kernels.numba.heap import keep_freed_memory
from minicnn.kernels.numba.linear import linear_backward, linear_forward
from minicnn.kernels.numba.loss import softmax_cross_entropy_backward, softmax_cross_entropy_forward
from minicnn.kernels.numba.norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_forward,
    batch_norm_inference_relu_forward,
    batch_norm_relu_backward,
    batch_norm_relu_forward,
)
from minicnn.kernels.numba.pool import max_pool2d_backward, max_pool2d_forward, max_unpool2d_backward
from minicnn.kernels.numba.product import pack
from minicnn.kernels.numba.random import random_bits
from minicnn.kernels.numba.recurrent import lstm_backward, lstm_forward, rnn_backward, rnn_forward
from minicnn.kernels.numba.roi_pool import roi_max_pool2d_backward, roi_max_pool2d_forward
from minicnn.kernels.numba.update import adam_update, adam_update_all, sgd_update, sgd_update_all
from minicnn.kernels.numba.upsample import (
    upsample_bilinear_backward,
    upsample_bilinear_forward,
    upsample_nearest_backward,
    upsample_nearest_forward,
)
from minicnn.kernels.numba.warp import warp

keep_freed_memory()
forget_if_sources_changed(pack, Path(__file__).parent)

FILLINGS: dict[str, Callable] = {
    "adam_update": adam_update,
    "adam_update_all": adam_update_all,
    "add_relu_forward": add_relu_forward,
    "avg_pool2d_backward": avg_pool2d_backward,
    "avg_pool2d_forward": avg_pool2d_forward,
    "batch_norm_backward": batch_norm_backward,
    "batch_norm_forward": batch_norm_forward,
    "batch_norm_inference_forward": batch_norm_inference_forward,
    "batch_norm_inference_relu_forward": batch_norm_inference_relu_forward,
    "batch_norm_relu_backward": batch_norm_relu_backward,
    "batch_norm_relu_forward": batch_norm_relu_forward,
    "col2im": col2im,
    "conv2d_backward": conv2d_backward,
    "conv2d_forward": conv2d_forward,
    "conv2d_relu_backward": conv2d_relu_backward,
    "conv2d_relu_forward": conv2d_relu_forward,
    "conv2d_relu_max_pool2d_backward": conv2d_relu_max_pool2d_backward,
    "conv2d_relu_max_pool2d_forward": conv2d_relu_max_pool2d_forward,
    "conv_transpose2d_forward": conv_transpose2d_forward,
    "dropout_backward": dropout_backward,
    "dropout_forward": dropout_forward,
    "elu_backward": elu_backward,
    "elu_forward": elu_forward,
    "gelu_backward": gelu_backward,
    "gelu_forward": gelu_forward,
    "global_avg_pool2d_backward": global_avg_pool2d_backward,
    "global_avg_pool2d_forward": global_avg_pool2d_forward,
    "im2col": im2col,
    "leaky_relu_backward": leaky_relu_backward,
    "leaky_relu_forward": leaky_relu_forward,
    "linear_backward": linear_backward,
    "linear_forward": linear_forward,
    "lstm_backward": lstm_backward,
    "lstm_forward": lstm_forward,
    "max_pool2d_backward": max_pool2d_backward,
    "max_pool2d_forward": max_pool2d_forward,
    "max_unpool2d_backward": max_unpool2d_backward,
    "random_bits": random_bits,
    "relu_backward": relu_backward,
    "relu_forward": relu_forward,
    "rnn_backward": rnn_backward,
    "rnn_forward": rnn_forward,
    "roi_max_pool2d_backward": roi_max_pool2d_backward,
    "roi_max_pool2d_forward": roi_max_pool2d_forward,
    "selu_backward": selu_backward,
    "selu_forward": selu_forward,
    "sgd_update": sgd_update,
    "sgd_update_all": sgd_update_all,
    "sigmoid_backward": sigmoid_backward,
    "sigmoid_forward": sigmoid_forward,
    "silu_backward": silu_backward,
    "silu_forward": silu_forward,
    "softmax_cross_entropy_backward": softmax_cross_entropy_backward,
    "softmax_cross_entropy_forward": softmax_cross_entropy_forward,
    "softplus_backward": softplus_backward,
    "softplus_forward": softplus_forward,
    "tanh_backward": tanh_backward,
    "tanh_forward": tanh_forward,
    "upsample_bilinear_backward": upsample_bilinear_backward,
    "upsample_bilinear_forward": upsample_bilinear_forward,
    "upsample_nearest_backward": upsample_nearest_backward,
    "upsample_nearest_forward": upsample_nearest_forward,
    "warp": warp,
}
