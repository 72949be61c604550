"""DropConnect as students write it."""

import numpy as np

from minicnn.ops import random_bits
from mistakes.registry import mistake


def _drawn(key, p, *shape):
    """Which weights stay, as the key says."""
    bits = random_bits(key, count=int(np.prod(shape)))
    return ((bits >= min(int(p * 2**32), 2**32 - 1)) & (p < 1)).reshape(shape)


def _parts(x, w, b):
    """[w, b] and [x, 1]."""
    b = np.zeros_like(w[:, 0]) if b is None else b
    return np.hstack([w, b[:, None]]), np.hstack([x, np.ones_like(x[:, :1])])


def _masked_product(mask, x, w, b):
    weights, inputs = _parts(x, w, b)
    return np.einsum("nkd,kd,nd->nk", mask.astype(x.dtype), weights, inputs)


@mistake("drop_connect_forward", "scale", where="y")
def scales_up_as_dropout_does(x, w, b, *, p, key):
    """Divides by 1 - p out of habit; DropConnect leaves training as it is."""
    mask = _drawn(key, p, len(x), len(w), x.shape[1] + 1)
    return _masked_product(mask, x, w, b) / (1 - p if p < 1 else 1.0), mask


@mistake("drop_connect_forward", "scale", where="mask", also=("mask", "ignores-argument"))
def keeps_with_probability_p(x, w, b, *, p, key):
    """Uses the paper's p, the probability that a weight stays."""
    mask = _drawn(key, 1 - p, len(x), len(w), x.shape[1] + 1)
    return _masked_product(mask, x, w, b), mask


@mistake("drop_connect_forward", "mask", where="mask")
def never_drops_the_bias(x, w, b, *, p, key):
    """Lets the last column of the mask be True: a bias is no connection."""
    mask = _drawn(key, p, len(x), len(w), x.shape[1] + 1)
    mask[:, :, -1] = True
    return _masked_product(mask, x, w, b), mask


@mistake("drop_connect_forward", "mask", where="y", also=("missing-term",))
def adds_the_bias_afterwards(x, w, b, *, p, key):
    """Masks the weights and adds the whole bias, whatever the mask's last column says."""
    mask = _drawn(key, p, len(x), len(w), x.shape[1] + 1)
    y = np.einsum("nkd,kd,nd->nk", mask[:, :, :-1].astype(x.dtype), w, x)
    return y if b is None else y + b, mask


@mistake("drop_connect_forward", "wrong-cache", where="mask", also=("mask",))
def one_mask_for_the_batch(x, w, b, *, p, key):
    """Draws one mask and uses it for every example."""
    mask = np.repeat(_drawn(key, p, 1, len(w), x.shape[1] + 1), len(x), axis=0)
    return _masked_product(mask, x, w, b), mask


@mistake("drop_connect_forward", "mask", where="y")
def multiplies_by_all_weights(x, w, b, *, p, key):
    """Draws the mask, returns it, and multiplies by w itself."""
    y = x @ w.T
    return y if b is None else y + b, _drawn(key, p, len(x), len(w), x.shape[1] + 1)


@mistake("drop_connect_forward", "mask", where="y")
def what_stays_is_dropped(x, w, b, *, p, key):
    """Sets the weights to zero where the mask is True."""
    mask = _drawn(key, p, len(x), len(w), x.shape[1] + 1)
    return _masked_product(~mask, x, w, b), mask


@mistake("drop_connect_backward", "mask", where="dw")
def dw_of_all_connections(dy, x, w, mask):
    """Forgets the mask in dw: weights learn from examples for which they were off."""
    dx = np.einsum("nk,nkd,kd->nd", dy, mask[:, :, :-1], w)
    return dx, dy.T @ x, (dy * mask[:, :, -1]).sum(axis=0)


@mistake("drop_connect_backward", "mask", where="dx")
def dx_through_all_connections(dy, x, w, mask):
    """Forgets the mask in dx."""
    dw = np.einsum("nk,nkd,nd->kd", dy, mask[:, :, :-1], x)
    return dy @ w, dw, (dy * mask[:, :, -1]).sum(axis=0)


@mistake("drop_connect_backward", "mask", where="db")
def db_of_all_examples(dy, x, w, mask):
    """Forgets that biases were switched off, too."""
    kept = mask[:, :, :-1]
    return np.einsum("nk,nkd,kd->nd", dy, kept, w), np.einsum("nk,nkd,nd->kd", dy, kept, x), dy.sum(axis=0)


@mistake("drop_connect_backward", "wrong-cache", where="dw")
def the_first_examples_mask(dy, x, w, mask):
    """Uses mask[0] for the whole batch, in one matrix product."""
    kept = mask[0, :, :-1]
    dx = np.einsum("nk,nkd,kd->nd", dy, mask[:, :, :-1], w)
    return dx, (dy.T @ x) * kept, (dy * mask[:, :, -1]).sum(axis=0)


@mistake("drop_connect_backward", "not-summed", where="dw")
def dw_for_every_example(dy, x, w, mask):
    """Every example had weights of its own, and so it gets a gradient of its own: (N, K, D)."""
    each = mask[:, :, :-1] * dy[:, :, None] * x[:, None, :]
    return np.einsum("nk,nkd,kd->nd", dy, mask[:, :, :-1], w), each, (dy * mask[:, :, -1]).sum(axis=0)


@mistake("drop_connect_backward", "scale", where="dw", also=("not-summed",))
def mean_over_the_examples_masks(dy, x, w, mask):
    """Averages over the batch, as over so many networks."""
    dw = np.einsum("nk,nkd,nd->kd", dy, mask[:, :, :-1], x) / len(x)
    return np.einsum("nk,nkd,kd->nd", dy, mask[:, :, :-1], w), dw, (dy * mask[:, :, -1]).sum(axis=0)


def _moments(x, w, b, p):
    """Mean and variance over all masks."""
    b = np.zeros_like(w[:, 0]) if b is None else b
    return (1 - p) * (x @ w.T + b), p * (1 - p) * (x**2 @ (w**2).T + b**2)


def _normal(mean, std, z):
    return np.stack([mean + value * std for value in z])


@mistake("drop_connect_inference_forward", "forward-differs", where="y")
def variance_for_the_deviation(x, w, b, *, p, z):
    """Forgets the square root."""
    return _normal(*_moments(x, w, b, p), z)


@mistake("drop_connect_inference_forward", "missing-term", where="y")
def bias_never_varies(x, w, b, *, p, z):
    """Leaves b^2 out of the variance."""
    variance = p * (1 - p) * (x**2 @ (w**2).T)
    return _normal(_moments(x, w, b, p)[0], np.sqrt(variance), z)


@mistake("drop_connect_inference_forward", "forward-differs", where="y", also=("scale",))
def square_of_the_sum(x, w, b, *, p, z):
    """Squares x w^T + b, where the squares are summed."""
    mean, _ = _moments(x, w, b, p)
    total = x @ w.T if b is None else x @ w.T + b
    return _normal(mean, np.sqrt(p * (1 - p)) * np.abs(total), z)


@mistake("drop_connect_inference_forward", "scale", where="y", also=("forward-differs", "missing-term"))
def mean_of_all_weights(x, w, b, *, p, z):
    """Forgets the factor 1 - p of the mean."""
    mean, variance = _moments(x, w, b, p)
    return _normal(mean / (1 - p), np.sqrt(variance), z)


@mistake("drop_connect_inference_forward", "ignores-argument", where="y", also=("missing-term",))
def halves_the_weights_as_dropout_does(x, w, b, *, p, z):
    """Multiplies the weights by 1 - p and stops there, for every z the same."""
    return np.stack([_moments(x, w, b, p)[0]] * len(z))


@mistake("drop_connect_inference_backward", "missing-term", where="dx")
def through_the_mean_alone(dy, x, w, b, *, p, z):
    """Takes the standard deviation for a constant."""
    d_mean = (1 - p) * dy.sum(axis=0)
    return d_mean @ w, d_mean.T @ x, d_mean.sum(axis=0)


def _both_ways(dy, x, w, b, p, z, d_root):
    """Gradients, with the derivative of the root that is given."""
    d_mean = (1 - p) * dy.sum(axis=0)
    _, variance = _moments(x, w, b, p)
    g = p * (1 - p) * np.tensordot(np.array(z, dtype=dy.dtype), dy, axes=1) * d_root(np.sqrt(variance))
    b = np.zeros_like(w[:, 0]) if b is None else b
    dx = d_mean @ w + 2 * x * (g @ w**2)
    return dx, d_mean.T @ x + 2 * w * (g.T @ x**2), d_mean.sum(axis=0) + 2 * b * g.sum(axis=0)


@mistake("drop_connect_inference_backward", "scale", where="dx")
def derivative_of_a_root_without_two(dy, x, w, b, *, p, z):
    """Writes 1 / std for the derivative of the square root, 1 / (2 std)."""
    return _both_ways(dy, x, w, b, p, z, lambda std: 1 / std)


@mistake("drop_connect_inference_backward", "sign", where="dx")
def derivative_of_an_inverse_root(dy, x, w, b, *, p, z):
    """Brings a minus along, as from 1 / sqrt."""
    return _both_ways(dy, x, w, b, p, z, lambda std: -1 / (2 * std))


@mistake("drop_connect_inference_backward", "not-summed", where="dx", also=("partial-batch", "missing-term"))
def the_first_z_alone(dy, x, w, b, *, p, z):
    """Goes back from the first of the outputs."""
    return _both_ways(dy[:1], x, w, b, p, z[:1], lambda std: 1 / (2 * std))
