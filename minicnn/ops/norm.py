"""Normalisation: numbers that belong together are brought to mean 0 and variance 1, then scaled and shifted.

    x_hat = (x - mean) / sqrt(var + eps)        y = gamma * x_hat + beta

Which belong together, m of them, makes the difference:

- batch norm: one channel of all examples, the axes (0, 2, ...) of x (N, C, ...).
  Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1.
- layer norm: everything of one example, or of one step of a sequence: the last axes.
  Ba, Kiros and Hinton, "Layer normalization", 2016, equations 3 and 4.
- group norm: a group of channels of one example. Wu and He, "Group normalization", 2018, equations 1, 2, 6 and 7.
"""

import math

from minicnn.backend import Array, array_module, slot


@slot("y, mean, inv_std")
def batch_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """y = gamma * x_hat + beta   with   x_hat = (x - mean) * inv_std   and   inv_std = 1 / sqrt(var + eps)

    x, y : (N, C, ...)
    gamma, beta, mean, inv_std : (C,); the variance is the biased one, the mean of the squared deviations
    """
    deviation, mean, inv_std = _centred(x, _all_but_channels(x), eps)
    mean, inv_std = mean.reshape(-1), inv_std.reshape(-1)
    y = deviation * _per_channel(gamma * inv_std, x) + _per_channel(beta, x)
    return y, mean, inv_std


@slot("dx, dgamma, dbeta")
def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array) -> tuple[Array, Array, Array]:
    """Gradients of `batch_norm_forward`; the mean and the variance depend on x too, hence the two subtractions:

        dbeta = sum dy      dgamma = sum dy * x_hat      dx = gamma * inv_std * (dy - dbeta / m - x_hat * dgamma / m)

    dy, x, dx : (N, C, ...)   gamma, mean, inv_std, dgamma, dbeta : (C,)
    """
    axes = _all_but_channels(x)
    m = x.size // x.shape[1]
    x_hat = (x - _per_channel(mean, x)) * _per_channel(inv_std, x)
    dbeta = dy.sum(axis=axes)
    dgamma = (dy * x_hat).sum(axis=axes)
    dx = _per_channel(gamma * inv_std, x) * (dy - _per_channel(dbeta / m, x) - x_hat * _per_channel(dgamma / m, x))
    return dx, dgamma, dbeta


@slot("y")
def batch_norm_inference_forward(x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array) -> Array:
    """y = gamma * (x - mean) * inv_std + beta, with statistics that are given and not taken from the batch.

    x, y : (N, C, ...)   gamma, beta, mean, inv_std : (C,)
    """
    scale = gamma * inv_std
    return (x - _per_channel(mean, x)) * _per_channel(scale, x) + _per_channel(beta, x)


@slot("dx, dgamma, dbeta")
def batch_norm_inference_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """dx = gamma * inv_std * dy      dgamma = sum dy * x_hat      dbeta = sum dy: the statistics are constants here."""
    axes = _all_but_channels(x)
    x_hat = (x - _per_channel(mean, x)) * _per_channel(inv_std, x)
    return dy * _per_channel(gamma * inv_std, x), (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)


@slot("y, mean, inv_std")
def layer_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """y = gamma * x_hat + beta, with the mean and the (biased) variance of the last axes, as many as gamma has.

    x, y : (..., *S)   gamma, beta : S   mean, inv_std : (...), with inv_std = 1 / sqrt(var + eps)
    """
    axes = _last(gamma.ndim)
    deviation, mean, inv_std = _centred(x, axes, eps)
    return gamma * (deviation * inv_std) + beta, mean.squeeze(axes), inv_std.squeeze(axes)


@slot("dx, dgamma, dbeta")
def layer_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array) -> tuple[Array, Array, Array]:
    """Gradients of `layer_norm_forward`. With d = gamma * dy, what comes to x_hat, and means over the last axes,

        dx = inv_std * (d - mean(d) - x_hat * mean(d * x_hat))

    while dgamma and dbeta are sums over all others, of dy * x_hat and of dy.

    dy, x, dx : (..., *S)   gamma, dgamma, dbeta : S   mean, inv_std : (...)
    """
    axes = _last(gamma.ndim)
    others = tuple(range(x.ndim - gamma.ndim))
    mean, inv_std = (v.reshape(*v.shape, *[1] * gamma.ndim) for v in (mean, inv_std))
    x_hat = (x - mean) * inv_std
    dx = _through_statistics(gamma * dy, x_hat, inv_std, axes)
    return dx, (dy * x_hat).sum(axis=others), dy.sum(axis=others)


@slot("y, mean, inv_std")
def group_norm_forward(
    x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """y = gamma * x_hat + beta, with mean and (biased) variance of each example's groups of C / groups channels.

    x, y : (N, C, ...)   gamma, beta : (C,)   mean, inv_std : (N, groups), with inv_std = 1 / sqrt(var + eps)
    """
    deviation, mean, inv_std = _centred(_in_groups(x, groups), (2,), eps)
    x_hat = (deviation * inv_std).reshape(x.shape)
    return _per_channel(gamma, x) * x_hat + _per_channel(beta, x), mean[:, :, 0], inv_std[:, :, 0]


@slot("dx, dgamma, dbeta")
def group_norm_backward(
    dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array, *, groups: int
) -> tuple[Array, Array, Array]:
    """Gradients of `group_norm_forward`. With d = gamma * dy, what comes to x_hat, and means over each group,

        dx = inv_std * (d - mean(d) - x_hat * mean(d * x_hat))

    while dgamma and dbeta are sums over everything but channels, of dy * x_hat and of dy.

    dy, x, dx : (N, C, ...)   gamma, dgamma, dbeta : (C,)   mean, inv_std : (N, groups)
    """
    axes = _all_but_channels(x)
    x_hat = (_in_groups(x, groups) - mean[:, :, None]) * inv_std[:, :, None]
    d = _in_groups(_per_channel(gamma, x) * dy, groups)
    dx = _through_statistics(d, x_hat, inv_std[:, :, None], (2,)).reshape(x.shape)
    return dx, (dy * x_hat.reshape(x.shape)).sum(axis=axes), dy.sum(axis=axes)


def _centred(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array, Array]:
    """Return x - mean, the mean, and 1 / sqrt(var + eps) over these axes, which stay with length 1."""
    mean = x.mean(axis=axes, keepdims=True)
    deviation = x - mean
    var = (deviation * deviation).mean(axis=axes, keepdims=True)
    return deviation, mean, 1 / array_module(x).sqrt(var + eps)


def _through_statistics(d: Array, x_hat: Array, inv_std: Array, axes: tuple[int, ...]) -> Array:
    """Return the gradient of x for that of x_hat, d. Mean and variance depend on x too, hence the two subtractions."""
    return inv_std * (d - d.mean(axis=axes, keepdims=True) - x_hat * (d * x_hat).mean(axis=axes, keepdims=True))


def _last(count: int) -> tuple[int, ...]:
    return tuple(range(-count, 0))


def _in_groups(x: Array, groups: int) -> Array:
    """(N, C, ...) -> (N, groups, numbers of a group)"""
    return x.reshape(x.shape[0], groups, math.prod(x.shape[1:]) // groups)


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _per_channel(v: Array, x: Array) -> Array:
    """Shape (C,) to (C, 1, ...), so that it lines up with axis 1 of x."""
    return v.reshape(-1, *[1] * (x.ndim - 2))
