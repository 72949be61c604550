"""Operations that are two or three in one, as students write them: the parts are right, the joint is not."""

import numpy as np

from mistakes.honest import batch_axes, conv_gradients, counts, pair, per_channel, window_view
from mistakes.registry import mistake


@mistake("conv2d_relu_forward", "missing-term", where="y")
def rectifies_without_bias(x, w, b, *, stride=1, padding=0):
    """Takes b and never adds it."""
    views = window_view(x, w.shape[2:], stride, padding)
    return np.maximum(np.einsum("ncijpq,fcpq->nfij", views, w), 0)


@mistake("conv2d_relu_backward", "mask", where="dx")
def goes_past_the_relu(dy, y, x, w, *, stride=1, padding=0):
    """Differentiates the convolution and forgets the ReLU behind it."""
    return conv_gradients(dy, x, w, stride, padding)


@mistake("conv2d_relu_backward", "mutates-input", where="dy")
def shuts_the_relu_in_dy(dy, y, x, w, *, stride=1, padding=0):
    """Sets dy to zero in place where y is."""
    dy[y <= 0] = 0
    return conv_gradients(dy, x, w, stride, padding)


@mistake("conv2d_relu_max_pool2d_backward", "mask", where="dx")
def goes_back_through_pooling_and_past_the_relu(
    dy, y, argmax, x, w, *, pool_kernel, pool_stride=None, pool_padding=0, stride=1, padding=0
):
    """Sends gradients to the maxima, also to those that ReLU had made 0."""
    (sh, sw), (ph, pw), kw = pair(pool_stride or pool_kernel), pair(pool_padding), pair(pool_kernel)[1]
    oh, ow = counts(x.shape[2:], w.shape[2:], stride, padding)
    dz = np.zeros((len(x), len(w), oh + 2 * ph, ow + 2 * pw), dtype=dy.dtype)
    n, f, i, j = np.indices(dy.shape)
    p, q = np.divmod(argmax.astype(int), kw)
    np.add.at(dz, (n, f, i * sh + p, j * sw + q), dy)
    return conv_gradients(dz[:, :, ph : ph + oh, pw : pw + ow], x, w, stride, padding)


@mistake("add_relu_forward", "forward-differs", where="y")
def rectifies_before_it_adds(x, shortcut):
    """Rectifies the body's output alone, as if the ReLU stood within the block."""
    return np.maximum(x, 0) + shortcut


@mistake("add_relu_forward", "mutates-input", where="x")
def adds_in_place(x, shortcut):
    """Adds to the body's output where it lies."""
    x += shortcut
    return np.maximum(x, 0)


@mistake("batch_norm_relu_backward", "mask", where="dx")
def asks_x_where_relu_was_open(dy, x, gamma, beta, mean, inv_std):
    """Takes the input of the normalisation for its output: x > 0."""
    axes = batch_axes(x)
    m = x.size // x.shape[1]
    x_hat = (x - per_channel(mean, x)) * per_channel(inv_std, x)
    dy = np.where(x > 0, dy, 0)
    dgamma, dbeta = (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)
    inner = dy - per_channel(dbeta / m, x) - x_hat * per_channel(dgamma / m, x)
    return per_channel(gamma * inv_std, x) * inner, dgamma, dbeta


@mistake("batch_norm_inference_relu_forward", "forward-differs", where="y")
def rectifies_before_it_scales(x, gamma, beta, mean, inv_std):
    """Rectifies the normalised numbers, and scales and shifts afterwards."""
    x_hat = (x - per_channel(mean, x)) * per_channel(inv_std, x)
    return np.maximum(x_hat, 0) * per_channel(gamma, x) + per_channel(beta, x)
