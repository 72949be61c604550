"""Floor 1: the operations, each a pure function with a plain NumPy/CuPy body that is its specification.

Contracts that every filling of a slot keeps: images are (N, C, H, W); kernels (F, C/groups, kh, kw) and matrices
(K, D), as in PyTorch; the output has the input's dtype, float32 or float64; inputs and `dy` are never written to;
the first of equal maxima wins; losses are means over the batch.
"""

from minicnn.ops.activation import (
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
from minicnn.ops.adaptive_pool import adaptive_avg_pool2d_backward, adaptive_avg_pool2d_forward
from minicnn.ops.conv import col2im, conv2d_backward, conv2d_forward, im2col
from minicnn.ops.conv_transpose import conv_transpose2d_backward, conv_transpose2d_forward
from minicnn.ops.drop_connect import (
    drop_connect_backward,
    drop_connect_forward,
    drop_connect_inference_backward,
    drop_connect_inference_forward,
)
from minicnn.ops.dropout import dropout_backward, dropout_forward
from minicnn.ops.embedding import embedding_backward, embedding_forward
from minicnn.ops.fractional_pool import fractional_max_pool2d_backward, fractional_max_pool2d_forward
from minicnn.ops.fused import (
    add_relu_forward,
    batch_norm_inference_relu_forward,
    batch_norm_relu_backward,
    batch_norm_relu_forward,
    conv2d_relu_backward,
    conv2d_relu_forward,
    conv2d_relu_max_pool2d_backward,
    conv2d_relu_max_pool2d_forward,
)
from minicnn.ops.linear import linear_backward, linear_forward
from minicnn.ops.loss import (
    soft_cross_entropy_backward,
    soft_cross_entropy_forward,
    softmax_cross_entropy_backward,
    softmax_cross_entropy_forward,
)
from minicnn.ops.norm import (
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_forward,
    group_norm_backward,
    group_norm_forward,
    layer_norm_backward,
    layer_norm_forward,
)
from minicnn.ops.pool import (
    avg_pool2d_backward,
    avg_pool2d_forward,
    global_avg_pool2d_backward,
    global_avg_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
    max_unpool2d_backward,
    max_unpool2d_forward,
)
from minicnn.ops.random import random_bits, random_keys, random_normal, random_permutation, random_uniform
from minicnn.ops.recurrent import lstm_backward, lstm_forward, rnn_backward, rnn_forward
from minicnn.ops.roi_pool import roi_max_pool2d_backward, roi_max_pool2d_forward
from minicnn.ops.update import adam_update, adam_update_all, sgd_update, sgd_update_all
from minicnn.ops.upsample import (
    upsample_bilinear_backward,
    upsample_bilinear_forward,
    upsample_nearest_backward,
    upsample_nearest_forward,
)
from minicnn.ops.warp import warp

__all__ = [
    "adam_update",
    "adam_update_all",
    "adaptive_avg_pool2d_backward",
    "adaptive_avg_pool2d_forward",
    "add_relu_forward",
    "avg_pool2d_backward",
    "avg_pool2d_forward",
    "batch_norm_backward",
    "batch_norm_forward",
    "batch_norm_inference_backward",
    "batch_norm_inference_forward",
    "batch_norm_inference_relu_forward",
    "batch_norm_relu_backward",
    "batch_norm_relu_forward",
    "col2im",
    "conv2d_backward",
    "conv2d_forward",
    "conv2d_relu_backward",
    "conv2d_relu_forward",
    "conv2d_relu_max_pool2d_backward",
    "conv2d_relu_max_pool2d_forward",
    "conv_transpose2d_backward",
    "conv_transpose2d_forward",
    "drop_connect_backward",
    "drop_connect_forward",
    "drop_connect_inference_backward",
    "drop_connect_inference_forward",
    "dropout_backward",
    "dropout_forward",
    "elu_backward",
    "elu_forward",
    "embedding_backward",
    "embedding_forward",
    "fractional_max_pool2d_backward",
    "fractional_max_pool2d_forward",
    "gelu_backward",
    "gelu_forward",
    "global_avg_pool2d_backward",
    "global_avg_pool2d_forward",
    "group_norm_backward",
    "group_norm_forward",
    "im2col",
    "layer_norm_backward",
    "layer_norm_forward",
    "leaky_relu_backward",
    "leaky_relu_forward",
    "linear_backward",
    "linear_forward",
    "lstm_backward",
    "lstm_forward",
    "max_pool2d_backward",
    "max_pool2d_forward",
    "max_unpool2d_backward",
    "max_unpool2d_forward",
    "random_bits",
    "random_keys",
    "random_normal",
    "random_permutation",
    "random_uniform",
    "relu_backward",
    "relu_forward",
    "rnn_backward",
    "rnn_forward",
    "roi_max_pool2d_backward",
    "roi_max_pool2d_forward",
    "selu_backward",
    "selu_forward",
    "sgd_update",
    "sgd_update_all",
    "sigmoid_backward",
    "sigmoid_forward",
    "silu_backward",
    "silu_forward",
    "soft_cross_entropy_backward",
    "soft_cross_entropy_forward",
    "softmax_cross_entropy_backward",
    "softmax_cross_entropy_forward",
    "softplus_backward",
    "softplus_forward",
    "tanh_backward",
    "tanh_forward",
    "upsample_bilinear_backward",
    "upsample_bilinear_forward",
    "upsample_nearest_backward",
    "upsample_nearest_forward",
    "warp",
]
