"""Batch norm in channels-last memory. A row of pixels is summed in the array's own type, the rows in float64."""

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float


def batch_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Three passes in threads: means, squared deviations, and one multiply-add a number."""
    if not _supported(x, gamma, beta):
        return plain_body("batch_norm_forward")(x, gamma, beta, eps=eps)
    last_x = channels_last(x)
    m, cost = x.size // x.shape[1], x[0].size
    mean = (sum(in_threads(lambda a, b: _sums(last_x[a:b]), len(x), cost=cost)) / m).astype(x.dtype)
    var = sum(in_threads(lambda a, b: _squares(last_x[a:b], mean), len(x), cost=cost)) / m
    inv_std = (1 / np.sqrt(var + eps)).astype(x.dtype)
    scale = gamma * inv_std
    y = np.empty_like(last_x)
    in_threads(lambda a, b: _normalise(last_x[a:b], mean, scale, beta, y[a:b]), len(x), cost=cost)
    return channels_first(y), mean, inv_std


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array) -> tuple[Array, Array, Array]:
    """Two passes in threads: both sums at once, then dx."""
    if not _supported(x, gamma, mean, inv_std) or dy.shape != x.shape or not is_float(dy, x):
        return plain_body("batch_norm_backward")(dy, x, gamma, mean, inv_std)
    last_dy, last_x = channels_last(dy), channels_last(x)
    m, cost = x.size // x.shape[1], x[0].size
    sums = sum(in_threads(lambda a, b: _gradient_sums(last_dy[a:b], last_x[a:b], mean, inv_std), len(x), cost=cost))
    dbeta, dgamma = sums.astype(x.dtype)
    constants = mean, inv_std, gamma * inv_std, dbeta / m, dgamma / m
    dx = np.empty_like(last_x)
    in_threads(lambda a, b: _gradient(last_dy[a:b], last_x[a:b], *constants, dx[a:b]), len(x), cost=cost)
    return channels_first(dx), dgamma, dbeta


def _supported(x: Array, *channels: Array) -> bool:
    """Return whether x is a batch of images, and the rest one number a channel; the plain body has the other cases."""
    return x.ndim == 4 and x.size > 0 and is_float(x, *channels) and all(v.shape == x.shape[1:2] for v in channels)


@njit(nogil=True, cache=True)
def _sums(x):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    total = np.zeros(channels, dtype=np.float64)
    row = np.empty(channels, dtype=x.dtype)
    for n in range(images):
        for i in range(h):
            row[:] = 0
            for j in range(w):
                pixel = x[n, i, j]
                for c in range(channels):
                    row[c] += pixel[c]
            for c in range(channels):
                total[c] += row[c]
    return total


@njit(nogil=True, cache=True)
def _squares(x, mean):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    total = np.zeros(channels, dtype=np.float64)
    row = np.empty(channels, dtype=x.dtype)
    for n in range(images):
        for i in range(h):
            row[:] = 0
            for j in range(w):
                pixel = x[n, i, j]
                for c in range(channels):
                    row[c] += (pixel[c] - mean[c]) * (pixel[c] - mean[c])
            for c in range(channels):
                total[c] += row[c]
    return total


@njit(nogil=True, cache=True)
def _normalise(x, mean, scale, beta, y):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    for n in range(images):
        for i in range(h):
            for j in range(w):
                pixel, result = x[n, i, j], y[n, i, j]
                for c in range(channels):
                    result[c] = (pixel[c] - mean[c]) * scale[c] + beta[c]


@njit(nogil=True, cache=True)
def _gradient_sums(dy, x, mean, inv_std):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    total = np.zeros((2, channels), dtype=np.float64)
    row, row_x_hat = np.empty(channels, dtype=x.dtype), np.empty(channels, dtype=x.dtype)
    for n in range(images):
        for i in range(h):
            row[:] = 0
            row_x_hat[:] = 0
            for j in range(w):
                pixel, gradient = x[n, i, j], dy[n, i, j]
                for c in range(channels):
                    row[c] += gradient[c]
                    row_x_hat[c] += gradient[c] * ((pixel[c] - mean[c]) * inv_std[c])
            for c in range(channels):
                total[0, c] += row[c]
                total[1, c] += row_x_hat[c]
    return total


@njit(nogil=True, cache=True)
def _gradient(dy, x, mean, inv_std, scale, mean_dy, mean_dy_x_hat, dx):  # type: ignore[no-untyped-def]
    images, h, w, channels = x.shape
    for n in range(images):
        for i in range(h):
            for j in range(w):
                pixel, gradient, result = x[n, i, j], dy[n, i, j], dx[n, i, j]
                for c in range(channels):
                    x_hat = (pixel[c] - mean[c]) * inv_std[c]
                    result[c] = scale[c] * (gradient[c] - mean_dy[c] - x_hat * mean_dy_x_hat[c])
