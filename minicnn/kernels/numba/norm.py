"""Batch norm in channels-last memory, alone or with the ReLU behind it: images are a list of pixels of C numbers each.

A pixel of three channels would be a loop of three steps. So pixels are taken side by side, as rows of about ROW
numbers; what is known of every channel is written out for all pixels of a row, and a row's sums are folded together.
Sums run over a few rows in the array's own type, and over these in float64.
"""

from collections.abc import Callable

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.kernels.numba.elementwise import PASS
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float

ROW = 256
"""Numbers that the innermost loops run over: long enough for whole vectors, and little enough for the nearest cache."""
ROWS = 32
"""Rows whose sums are in the array's own type."""


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
    return in_threads(work, len(pixels), cost=PASS * pixels.shape[1])


@njit(nogil=True, cache=True)
def _statistics(x):  # type: ignore[no-untyped-def]
    """Return the number of pixels, their means, and the sums of squares about these."""
    pixels, channels = x.shape
    width, flat = _row_width(channels), x.reshape(-1)
    mean, squares = np.zeros(channels, dtype=np.float64), np.zeros(channels, dtype=np.float64)
    sums, about = np.empty(width, dtype=x.dtype), np.empty(width, dtype=x.dtype)
    for first in range(0, flat.size, ROWS * width):  # twice through a few rows, while they are at hand
        last = min(first + ROWS * width, flat.size)
        sums[:] = 0
        for start in range(first, last, width):
            row = flat[start : start + width]
            for i in range(row.size):
                sums[i] += row[i]
        done, count = first // channels, (last - first) // channels
        _repeat(_fold(sums, channels) / x.dtype.type(count), about)
        sums[:] = 0
        for start in range(first, last, width):
            row = flat[start : start + width]
            for i in range(row.size):
                sums[i] += (row[i] - about[i]) * (row[i] - about[i])
        few_squares, share = _fold(sums, channels), count / (done + count)
        for c in range(channels):
            shift = about[c] - mean[c]
            mean[c] += shift * share
            squares[c] += few_squares[c] + shift * shift * (share * done)
    return pixels, mean, squares


@njit(nogil=True, cache=True)
def _normalise(x, mean, scale, beta, relu, y):  # type: ignore[no-untyped-def]
    width, flat, results = _row_width(x.shape[1]), x.reshape(-1), y.reshape(-1)
    means, scales, betas = _repeated(mean, width), _repeated(scale, width), _repeated(beta, width)
    for start in range(0, flat.size, width):
        row, result = flat[start : start + width], results[start : start + width]
        if relu:
            for i in range(row.size):
                z = (row[i] - means[i]) * scales[i] + betas[i]
                result[i] = 0 if z <= 0 else z  # a NaN stays one
        else:
            for i in range(row.size):
                result[i] = (row[i] - means[i]) * scales[i] + betas[i]


@njit(nogil=True, cache=True)
def _gradient_sums(dy, x, mean, inv_std, scale, beta, relu):  # type: ignore[no-untyped-def]
    """Return the sums of dy, and of dy times the normalised x, in float64: (2, channels)."""
    channels, zero = x.shape[1], x.dtype.type(0)  # beside a plain 0, an integer, Numba would work in float64
    width, flat, gradients = _row_width(channels), x.reshape(-1), dy.reshape(-1)
    means, inv_stds = _repeated(mean, width), _repeated(inv_std, width)
    scales, betas = _repeated(scale, width), _repeated(beta, width)
    total = np.zeros((2, channels), dtype=np.float64)
    sums, sums_x_hat = np.empty(width, dtype=x.dtype), np.empty(width, dtype=x.dtype)
    for first in range(0, flat.size, ROWS * width):
        last = min(first + ROWS * width, flat.size)
        sums[:] = 0
        sums_x_hat[:] = 0
        for start in range(first, last, width):
            row, gradient = flat[start : start + width], gradients[start : start + width]
            if relu:
                for i in range(row.size):
                    g, deviation = gradient[i], row[i] - means[i]
                    g = g if deviation * scales[i] + betas[i] > 0 else zero  # as `_normalise` has it
                    sums[i] += g
                    sums_x_hat[i] += g * (deviation * inv_stds[i])
            else:
                for i in range(row.size):
                    sums[i] += gradient[i]
                    sums_x_hat[i] += gradient[i] * ((row[i] - means[i]) * inv_stds[i])
        total[0] += _fold(sums, channels)
        total[1] += _fold(sums_x_hat, channels)
    return total


@njit(nogil=True, cache=True)
def _gradient(dy, x, mean, inv_std, scale, beta, mean_dy, mean_dy_x_hat, relu, dx):  # type: ignore[no-untyped-def]
    width, zero = _row_width(x.shape[1]), x.dtype.type(0)
    flat, gradients, results = x.reshape(-1), dy.reshape(-1), dx.reshape(-1)
    means, inv_stds = _repeated(mean, width), _repeated(inv_std, width)
    scales, betas = _repeated(scale, width), _repeated(beta, width)
    means_dy, means_dy_x_hat = _repeated(mean_dy, width), _repeated(mean_dy_x_hat, width)
    for start in range(0, flat.size, width):
        end = start + width
        row, gradient, result = flat[start:end], gradients[start:end], results[start:end]
        if relu:
            for i in range(row.size):
                g, deviation = gradient[i], row[i] - means[i]
                g = g if deviation * scales[i] + betas[i] > 0 else zero
                result[i] = scales[i] * (g - means_dy[i] - deviation * inv_stds[i] * means_dy_x_hat[i])
        else:
            for i in range(row.size):
                x_hat = (row[i] - means[i]) * inv_stds[i]
                result[i] = scales[i] * (gradient[i] - means_dy[i] - x_hat * means_dy_x_hat[i])


@njit(nogil=True)
def _row_width(channels):  # type: ignore[no-untyped-def]
    return channels * max(1, ROW // channels)


@njit(nogil=True)
def _repeated(values, width):  # type: ignore[no-untyped-def]
    """Return values (channels,) over and over: (width,)."""
    row = np.empty(width, dtype=values.dtype)
    _repeat(values, row)
    return row


@njit(nogil=True)
def _repeat(values, row):  # type: ignore[no-untyped-def]
    channels = len(values)
    for start in range(0, len(row), channels):
        row[start : start + channels] = values


@njit(nogil=True)
def _fold(row, channels):  # type: ignore[no-untyped-def]
    """Return the sum of a row's pixels: (channels,), in the memory of the first. Pairs of halves lose the least."""
    left = len(row)
    while left > channels:
        half = left // channels // 2 * channels
        row[:half] += row[left - half : left]
        left -= half
    return row[:channels]
