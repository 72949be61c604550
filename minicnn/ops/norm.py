"""Batch normalisation: each channel is brought to mean 0 and variance 1, then scaled and shifted.

x is (N, C) or (N, C, ...): channels on axis 1, statistics over all others, m numbers a channel.
Ioffe and Szegedy, "Batch normalization", 2015, algorithm 1.
"""

from minicnn.backend import Array, array_module, slot


@slot("y, mean, inv_std")
def batch_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """y = gamma * x_hat + beta   with   x_hat = (x - mean) * inv_std   and   inv_std = 1 / sqrt(var + eps)

    x, y : (N, C, ...)
    gamma, beta, mean, inv_std : (C,); the variance is the biased one, the mean of the squared deviations
    """
    axes = _all_but_channels(x)
    mean = x.mean(axis=axes)
    deviation = x - _per_channel(mean, x)
    inv_std = 1 / array_module(x).sqrt((deviation * deviation).mean(axis=axes) + eps)
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


def _all_but_channels(x: Array) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _per_channel(v: Array, x: Array) -> Array:
    """Shape (C,) to (C, 1, ...), so that it lines up with axis 1 of x."""
    return v.reshape(-1, *[1] * (x.ndim - 2))
