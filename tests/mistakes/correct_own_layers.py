"""Layers and containers of one's own that a gradient check has to accept."""

import numpy as np

from minicnn import nn
from mistakes.layers import PlainDense, normal
from mistakes.own_layers import Cells, RowsOfFeatures, Spectrum
from mistakes.registry import correct_layer


@correct_layer(make=lambda: CellsToTheEnd(2, 3), x=normal(3, 4, 2))
class CellsToTheEnd(Cells):
    """Long short-term memory of which the last state alone is shown."""

    def forward(self, x):
        """x : (N, T, D) -> y : (N, H)"""
        return super().forward(x)[:, -1]

    def backward(self, dy):
        """dy : (N, H) -> dx : (N, T, D)"""
        every = np.zeros((len(dy), len(self.saved), self.size), dtype=dy.dtype)
        every[:, -1] = dy
        return super().backward(every)


@correct_layer(make=lambda: NormThenCells(4, 2), x=normal(2, 3, 4))
class NormThenCells(nn.Layer):
    """A normalisation and cells behind it, both of one's own."""

    def __init__(self, d, h):
        self.norm, self.cells = RowsOfFeatures(d), Cells(d, h)

    def forward(self, x):
        """x : (N, T, D) -> y : (N, T, H)"""
        return self.cells(self.norm(x))

    def backward(self, dy):
        """dy : (N, T, H) -> dx : (N, T, D)"""
        return self.norm.backward(self.cells.backward(dy))


@correct_layer(make=lambda: SpectrumOfRealNumbers(3, 4), x=normal(2, 2, 3, 4))
class SpectrumOfRealNumbers(Spectrum):
    """Goes back by a matrix of waves and not by a transform."""

    def to_x(self, g):
        """The gradient of x for that of z."""
        h, w = self.mask.data.shape
        down, across = (np.exp(2j * np.pi * np.outer(range(k), range(k)) / k) / k**0.5 for k in (h, w))
        return np.einsum("ph,nchw,wq->ncpq", down, self.mask.data * g, across).real.astype(g.real.dtype)


@correct_layer(make=lambda: SumOfBranches(4), x=normal(5, 4))
class SumOfBranches(nn.Layer):
    """y = x + left(x) + tanh(right(x)): three ways, which run back in the order in which they ran."""

    def __init__(self, d):
        self.left, self.right, self.after = PlainDense(d, d), PlainDense(d, d), nn.Tanh()

    def forward(self, x):
        """x, y : (N, D)"""
        return x + self.left(x) + self.after(self.right(x))

    def backward(self, dy):
        """dy, dx : (N, D)"""
        return dy + self.left.backward(dy) + self.right.backward(self.after.backward(dy))
