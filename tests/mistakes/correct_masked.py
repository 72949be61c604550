"""Correct implementations of DropConnect and of cross-entropy with shares, by other ways than the engine's."""

import numpy as np
from scipy.special import logsumexp, softmax

from minicnn.ops import random_bits
from mistakes.registry import correct


@correct("drop_connect_forward")
def a_network_for_every_example(x, w, b, *, p, key):
    """Builds each example's own weights and multiplies by them, one example at a time."""
    b = np.zeros_like(w[:, 0]) if b is None else b
    k, d = w.shape
    kept = random_bits(key, count=len(x) * k * (d + 1)) >= min(int(p * 2**32), 2**32 - 1)
    mask = (kept if p < 1 else np.zeros_like(kept)).reshape(len(x), k, d + 1)
    y = np.empty((len(x), k), dtype=x.dtype)
    for n, own in enumerate(mask):
        y[n] = np.where(own[:, :d], w, 0) @ x[n] + np.where(own[:, d], b, 0)
    return y, mask


@correct("drop_connect_backward")
def gradients_of_every_example(dy, x, w, mask):
    """One example at a time, and only where a weight was there."""
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(w[:, 0])
    for n, k in np.ndindex(dy.shape):
        there = np.flatnonzero(mask[n, k, :-1])
        dx[n, there] += dy[n, k] * w[k, there]
        dw[k, there] += dy[n, k] * x[n, there]
        db[k] += dy[n, k] * bool(mask[n, k, -1])
    return dx, dw, db


@correct("drop_connect_inference_forward")
def moments_of_single_connections(x, w, b, *, p, z):
    """Each connection is w x with probability 1 - p, else 0: adds up the mean and variance of all of them."""
    each = x[:, None, :] * w
    if b is not None:
        each = np.concatenate([each, np.broadcast_to(b[:, None], (*each.shape[:2], 1))], axis=2)
    mean = (1 - p) * each.sum(axis=2)
    variance = ((1 - p) * each**2 - ((1 - p) * each) ** 2).sum(axis=2)
    return mean + np.array(z, dtype=x.dtype)[:, None, None] * np.sqrt(np.maximum(variance, 0))


@correct("drop_connect_inference_backward")
def one_output_and_one_z_at_a_time(dy, x, w, b, *, p, z):
    """Differentiates (1 - p) a + z sqrt(p (1 - p) s); a is the sum of all products, and s that of their squares."""
    dx, dw, db = np.zeros_like(x), np.zeros_like(w), np.zeros_like(w[:, 0])
    for n, k in np.ndindex(dy.shape[1:]):
        bias = 0.0 if b is None else b[k]
        s = (x[n] * w[k]) @ (x[n] * w[k]) + bias**2
        for value, g in zip(z, dy[:, n, k], strict=True):
            slope = value * (p * (1 - p) / s) ** 0.5
            dx[n] += g * ((1 - p) * w[k] + slope * x[n] * w[k] ** 2)
            dw[k] += g * ((1 - p) * x[n] + slope * w[k] * x[n] ** 2)
            db[k] += g * (1 - p + slope * bias)
    return dx, dw, db


@correct("soft_cross_entropy_forward")
def expected_surprise(logits, targets):
    """sum of t times logsumexp, minus t times the scores."""
    total = logsumexp(logits, axis=1, keepdims=True)
    losses = (targets.sum(axis=1, keepdims=True) * total)[:, 0] - (targets * logits).sum(axis=1)
    return losses.mean(), np.exp(logits - total)


@correct("soft_cross_entropy_forward")
def loss_class_by_class(logits, targets):
    """Adds up t_k (log of the sum of e^(z_j - z_k)) over the classes k."""
    loss = 0.0
    for k in range(logits.shape[1]):
        loss = loss + (targets[:, k] * logsumexp(logits - logits[:, k : k + 1], axis=1)).mean()
    return loss, softmax(logits, axis=1)


@correct("soft_cross_entropy_backward")
def through_the_softmax_jacobian(probabilities, targets):
    """-t_k / p_k times dp_k / dz_j = p_k (1[k = j] - p_j), in which p_k cancels."""
    p, t = (np.moveaxis(v, 1, -1) for v in (probabilities, targets))
    jacobian = np.eye(p.shape[-1], dtype=p.dtype) - p[..., None, :]  # (..., k, j)
    dlogits = -np.einsum("...k,...kj->...j", t, jacobian) * p.shape[-1] / p.size
    return np.moveaxis(dlogits, -1, 1)
