"""Batch norm in channels-last memory, alone or with the ReLU behind it: images are a list of pixels of C numbers each.

Sums run over a few pixels in the array's own type, and over these in float64.
"""

import math
from collections.abc import Callable

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.kernels.numba.elementwise import PASS
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float

CHUNK = 32
"""Pixels that are gone through twice, once for their mean and once for the squares about it, while they are at hand."""


def batch_norm_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """Two passes over memory in threads: one for means and variances, one multiply-add a number."""
    return _forward("batch_norm_forward", x, gamma, beta, eps, relu=False)


def batch_norm_relu_forward(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    """The second pass takes ReLU along."""
    return _forward("batch_norm_relu_forward", x, gamma, beta, eps, relu=True)


def batch_norm_backward(dy: Array, x: Array, gamma: Array, mean: Array, inv_std: Array) -> tuple[Array, Array, Array]:
    """Two passes in threads: both sums at once, then dx."""
    if not _supported(x, gamma, mean, inv_std) or not _alike(x, dy):
        return plain_body("batch_norm_backward")(dy, x, gamma, mean, inv_std)
    return _backward(dy, x, gamma, gamma, mean, inv_std, relu=False)


def batch_norm_relu_backward(
    dy: Array, x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array
) -> tuple[Array, Array, Array]:
    """Both passes work out again what ReLU let pass, which costs less than reading it."""
    if not _supported(x, gamma, beta, mean, inv_std) or not _alike(x, dy):
        return plain_body("batch_norm_relu_backward")(dy, x, gamma, beta, mean, inv_std)
    return _backward(dy, x, gamma, beta, mean, inv_std, relu=True)


def batch_norm_inference_forward(x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array) -> Array:
    """One pass in threads."""
    if not _supported(x, gamma, beta, mean, inv_std):
        return plain_body("batch_norm_inference_forward")(x, gamma, beta, mean, inv_std)
    return _normalised(x, gamma, beta, mean, inv_std, relu=False)


def batch_norm_inference_relu_forward(x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array) -> Array:
    """One pass in threads, which takes ReLU along."""
    if not _supported(x, gamma, beta, mean, inv_std):
        return plain_body("batch_norm_inference_relu_forward")(x, gamma, beta, mean, inv_std)
    return _normalised(x, gamma, beta, mean, inv_std, relu=True)


def _supported(x: Array, *channels: Array) -> bool:
    """Return whether x is a batch of images, and the rest one number a channel; the plain body has the other cases."""
    return x.ndim == 4 and x.size > 0 and is_float(x, *channels) and all(v.shape == x.shape[1:2] for v in channels)


def _alike(x: Array, *others: Array) -> bool:
    return is_float(x, *others) and all(other.shape == x.shape for other in others)


def _pixels(x: Array) -> np.ndarray:
    """Return images (N, C, H, W) as pixels (N * H * W, C)."""
    return channels_last(x).reshape(-1, x.shape[1])


def _images(pixels: np.ndarray, shape: tuple[int, ...]) -> Array:
    n, c, h, w = shape
    return channels_first(pixels.reshape(n, h, w, c))


def _forward(name: str, x: Array, gamma: Array, beta: Array, eps: float, *, relu: bool) -> tuple[Array, Array, Array]:
    if not _supported(x, gamma, beta):
        return plain_body(name)(x, gamma, beta, eps=eps)
    mean, var = _mean_and_variance(_pixels(x))
    mean, inv_std = mean.astype(x.dtype), (1 / np.sqrt(var + eps)).astype(x.dtype)
    return _normalised(x, gamma, beta, mean, inv_std, relu=relu), mean, inv_std


def _mean_and_variance(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and biased variance of each column, in float64, from those of the threads' parts.

    Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979, (2.1).
    """
    parts = _in_threads(lambda a, b: _statistics(x[a:b]), x)
    count, mean, squares = parts[0]
    for other, other_mean, other_squares in parts[1:]:
        shift, total = other_mean - mean, count + other
        mean = mean + shift * (other / total)
        squares = squares + other_squares + shift * shift * (count * other / total)
        count = total
    return mean, squares / count


def _normalised(x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array, *, relu: bool) -> Array:
    pixels = _pixels(x)
    y, scale = np.empty_like(pixels), gamma * inv_std
    _in_threads(lambda a, b: _normalise(pixels[a:b], mean, scale, beta, relu, y[a:b]), pixels)
    return _images(y, x.shape)


def _backward(
    dy: Array, x: Array, gamma: Array, beta: Array, mean: Array, inv_std: Array, *, relu: bool
) -> tuple[Array, Array, Array]:
    dys, xs, scale = _pixels(dy), _pixels(x), gamma * inv_std
    line = mean, inv_std, scale, beta
    sums = sum(_in_threads(lambda a, b: _gradient_sums(dys[a:b], xs[a:b], *line, relu), xs))
    dbeta, dgamma = sums.astype(x.dtype)
    means = dbeta / len(xs), dgamma / len(xs)
    dx = np.empty_like(xs)
    _in_threads(lambda a, b: _gradient(dys[a:b], xs[a:b], *line, *means, relu, dx[a:b]), xs)
    return _images(dx, x.shape), dgamma, dbeta


def _in_threads(work: Callable[[int, int], object], pixels: np.ndarray) -> list:
    """Divide pixels among the threads at multiples of CHUNK."""
    count = len(pixels)
    chunks = math.ceil(count / CHUNK)
    return in_threads(lambda a, b: work(a * CHUNK, min(b * CHUNK, count)), chunks, cost=PASS * CHUNK * pixels.shape[1])


@njit(nogil=True, cache=True)
def _statistics(x):  # type: ignore[no-untyped-def]
    """Return the number of pixels, their means, and the sums of squares about these."""
    pixels, channels = x.shape
    mean, squares = np.zeros(channels, dtype=np.float64), np.zeros(channels, dtype=np.float64)
    few, few_squares = np.empty(channels, dtype=x.dtype), np.empty(channels, dtype=x.dtype)
    for first in range(0, pixels, CHUNK):
        last = min(first + CHUNK, pixels)
        few[:] = 0
        for p in range(first, last):
            pixel = x[p]
            for c in range(channels):
                few[c] += pixel[c]
        part = x.dtype.type(1 / (last - first))
        for c in range(channels):
            few[c] *= part
        few_squares[:] = 0
        for p in range(first, last):
            pixel = x[p]
            for c in range(channels):
                few_squares[c] += (pixel[c] - few[c]) * (pixel[c] - few[c])
        share = (last - first) / last
        for c in range(channels):
            shift = few[c] - mean[c]
            mean[c] += shift * share
            squares[c] += few_squares[c] + shift * shift * (share * first)
    return pixels, mean, squares


@njit(nogil=True, cache=True)
def _normalise(x, mean, scale, beta, relu, y):  # type: ignore[no-untyped-def]
    pixels, channels = x.shape
    for p in range(pixels):
        pixel, result = x[p], y[p]
        for c in range(channels):
            result[c] = (pixel[c] - mean[c]) * scale[c] + beta[c]
        if relu:
            for c in range(channels):
                result[c] = 0 if result[c] <= 0 else result[c]  # a NaN stays one


@njit(nogil=True, cache=True)
def _gradient_sums(dy, x, mean, inv_std, scale, beta, relu):  # type: ignore[no-untyped-def]
    pixels, channels = x.shape
    total = np.zeros((2, channels), dtype=np.float64)
    few, few_x_hat = np.empty(channels, dtype=x.dtype), np.empty(channels, dtype=x.dtype)
    for first in range(0, pixels, CHUNK):
        few[:] = 0
        few_x_hat[:] = 0
        for p in range(first, min(first + CHUNK, pixels)):
            pixel, gradient = x[p], dy[p]
            if relu:
                for c in range(channels):
                    deviation = pixel[c] - mean[c]
                    g = gradient[c] if deviation * scale[c] + beta[c] > 0 else 0  # as `_normalise` has it
                    few[c] += g
                    few_x_hat[c] += g * (deviation * inv_std[c])
            else:
                for c in range(channels):
                    few[c] += gradient[c]
                    few_x_hat[c] += gradient[c] * ((pixel[c] - mean[c]) * inv_std[c])
        for c in range(channels):
            total[0, c] += few[c]
            total[1, c] += few_x_hat[c]
    return total


@njit(nogil=True, cache=True)
def _gradient(dy, x, mean, inv_std, scale, beta, mean_dy, mean_dy_x_hat, relu, dx):  # type: ignore[no-untyped-def]
    pixels, channels = x.shape
    for p in range(pixels):
        pixel, gradient, result = x[p], dy[p], dx[p]
        if relu:
            for c in range(channels):
                deviation = pixel[c] - mean[c]
                g = gradient[c] if deviation * scale[c] + beta[c] > 0 else 0
                result[c] = scale[c] * (g - mean_dy[c] - deviation * inv_std[c] * mean_dy_x_hat[c])
        else:
            for c in range(channels):
                x_hat = (pixel[c] - mean[c]) * inv_std[c]
                result[c] = scale[c] * (gradient[c] - mean_dy[c] - x_hat * mean_dy_x_hat[c])
