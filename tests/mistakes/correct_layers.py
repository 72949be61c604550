"""Layers and pairs that a gradient check has to accept."""

import numpy as np

from minicnn import nn
from mistakes.layers import normal, row_softmax, weights
from mistakes.registry import correct_layer


@correct_layer(make=lambda: (row_softmax, softmax_backward), x=normal(4, 5))
def softmax_backward(dy, x):
    """Multiply by the whole Jacobian, diag(s) - s s^T, row by row."""
    s = row_softmax(x)
    jacobians = s[:, :, None] * np.eye(x.shape[1], dtype=x.dtype) - s[:, :, None] * s[:, None, :]
    return np.einsum("nij,nj->ni", jacobians, dy)


def _absolute_input(rng):
    """Three zeros among random numbers: kinks, where no gradient is right or wrong."""
    x = rng.normal(size=(3, 5))
    x[:, 2] = 0
    return x


@correct_layer(make=lambda: (np.abs, absolute_backward), x=_absolute_input)
def absolute_backward(dy, x):
    """Take the slope from the right at the kink."""
    return np.where(x >= 0, dy, -dy)


@correct_layer(make=lambda: (lambda x, w: np.tensordot(x, w, axes=1), product_backward), x=lambda rng: _two(rng))
def product_backward(dy, x, w):
    """Both gradients of a product of (N, L, D) by (D, K)."""
    return dy @ w.T, np.tensordot(x, dy, axes=([0, 1], [0, 1]))


def _two(rng):
    return rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 2))


@correct_layer(make=lambda: RowNorm(6), x=normal(3, 6))
class RowNorm(nn.Layer):
    """Layer normalisation: y = scale * (x - mean) / std + shift for each row.   x, y : (N, D)"""

    def __init__(self, d):
        self.scale, self.shift = weights(d), weights(d, seed=9)

    def forward(self, x):
        """Normalise each row."""
        deviation = x - x.mean(axis=1, keepdims=True)
        std = np.sqrt(np.square(deviation).mean(axis=1, keepdims=True) + x.dtype.type(1e-5))
        self.saved = deviation / std, std
        return self.saved[0] * self.scale.data + self.shift.data

    def backward(self, dy):
        """Project away what mean and length take out."""
        x_hat, std = self.saved
        self.scale.add_grad((dy * x_hat).sum(axis=0))
        self.shift.add_grad(dy.sum(axis=0))
        g = dy * self.scale.data
        return (g - g.mean(axis=1, keepdims=True) - x_hat * (g * x_hat).mean(axis=1, keepdims=True)) / std


@correct_layer(make=lambda: TwiceAsLarge(), x=normal(2, 3, 3, 2))
class TwiceAsLarge(nn.Layer):
    """Nearest-neighbour upsampling by 2; each pixel's gradient is the sum of its four copies'."""

    def forward(self, x):
        """x : (N, C, H, W) -> y : (N, C, 2H, 2W)"""
        self.saved = x.shape
        return np.kron(x, np.ones((2, 2), dtype=x.dtype))

    def backward(self, dy):
        """dy : (N, C, 2H, 2W) -> dx : (N, C, H, W)"""
        n, c, h, w = self.saved
        return dy.reshape(n, c, h, 2, w, 2).sum(axis=(3, 5))
