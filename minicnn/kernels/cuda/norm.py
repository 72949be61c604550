"""Batch normalisation: a block of threads for every channel, ReLU on the way out where it follows."""

import math

from minicnn.backend import Array, plain_body
from minicnn.kernels.cuda.module import by_blocks, contiguous, is_real, new


def batch_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """One launch. The variance is taken from the deviations, in a second pass."""
    return _forward("batch_norm_forward", x, gamma, beta, eps, relu=False)


def batch_norm_relu_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """One launch."""
    return _forward("batch_norm_relu_forward", x, gamma, beta, eps, relu=True)


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array) -> tuple[Array, Array, Array]:
    """One launch: both sums, then dx."""
    if not _fits(x, dy, gamma, mean, inv_std):
        return plain_body("batch_norm_backward")(dy, x, gamma, mean, inv_std)
    return _backward(dy, x, gamma, gamma, mean, inv_std, relu=False)


def batch_norm_relu_backward(
    dy: Array, x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """One launch. What ReLU let pass is computed anew."""
    if not _fits(x, dy, gamma, beta, mean, inv_std):
        return plain_body("batch_norm_relu_backward")(dy, x, gamma, beta, mean, inv_std)
    return _backward(dy, x, gamma, beta, mean, inv_std, relu=True)


def _forward(name: str, x: Array, gamma: Array, beta: Array, eps: float, *, relu: bool) -> tuple[Array, Array, Array]:
    if not _fits(x, x, gamma, beta):
        return plain_body(name)(x, gamma, beta, eps=eps)
    n, c, size = _cut(x)
    y, mean, inv_std = new(x.shape, x), new((c,), x), new((c,), x)
    arrays = contiguous(x), contiguous(gamma), contiguous(beta), y, mean, inv_std
    by_blocks("batch_norm_forward", x.dtype, c, *arrays, n, c, size, float(eps), relu)
    return y, mean, inv_std


def _backward(
    dy: Array, x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array, *, relu: bool
) -> tuple[Array, Array, Array]:
    n, c, size = _cut(x)
    dx, dgamma, dbeta = new(x.shape, x), new((c,), x), new((c,), x)
    given = [contiguous(array) for array in (dy, x, gamma, beta, mean, inv_std)]
    by_blocks("batch_norm_backward", x.dtype, c, *given, dx, dgamma, dbeta, n, c, size, relu)
    return dx, dgamma, dbeta


def _cut(x: Array) -> tuple[int, int, int]:
    """Return images, channels, and the numbers of a channel in an image."""
    return x.shape[0], x.shape[1], math.prod(x.shape[2:])


def _fits(x: Array, dy: Array, *vectors: Array) -> bool:
    shapes_fit = x.ndim >= 2 and dy.shape == x.shape and all(vector.shape == x.shape[1:2] for vector in vectors)
    return shapes_fit and x.size > 0 and is_real(x, dy, *vectors)
