"""Layers of one's own: a recurrent one, a normalising one, and one that works on Fourier transforms."""

import numpy as np
from scipy.special import expit

from minicnn import nn
from mistakes.layers import normal, weights
from mistakes.registry import mistake_layer


class Cells(nn.Layer):
    """Long short-term memory over x (N, T, D), from empty cells: y (N, T, H). Right; those below change a part."""

    def __init__(self, d, h):
        self.weight = weights(4 * h, d + h)
        self.bias = weights(4 * h, seed=6)
        self.size = h

    def start(self, x):
        """State and cells before the first step."""
        return np.zeros((2, len(x), self.size), dtype=x.dtype)

    def forward(self, x):
        """x : (N, T, D) -> y : (N, T, H)"""
        h, c = self.start(x)
        kept, states = [], []
        for t in range(x.shape[1]):
            both = np.hstack([x[:, t], h])
            i, f, g, o = np.split(both @ self.weight.data.T + self.bias.data, 4, axis=1)
            i, f, g, o, before = expit(i), expit(f), np.tanh(g), expit(o), c
            c = f * before + i * g
            h = o * np.tanh(c)
            kept.append((both, i, f, g, o, before, np.tanh(c)))
            states.append(h)
        self.saved = kept
        return np.stack(states, axis=1)

    def step_back(self, dh, dc, i, f, g, o, before, shown):
        """One step back: da_i, da_f, da_g, da_o, and what goes to the cell before."""
        dc = dc + dh * o * (1 - shown**2)
        return dc * g * i * (1 - i), dc * before * f * (1 - f), dc * i * (1 - g**2), dh * shown * o * (1 - o), dc * f

    def backward(self, dy):
        """dy : (N, T, H) -> dx : (N, T, D)"""
        d = self.weight.data.shape[1] - self.size
        dh, dc = np.zeros((2, len(dy), self.size), dtype=dy.dtype)
        dx = []
        for t in reversed(range(dy.shape[1])):
            both, *values = self.saved[t]
            *parts, dc = self.step_back(dh + dy[:, t], dc, *values)
            da = np.hstack(parts)
            self.weight.add_grad(da.T @ both)
            self.bias.add_grad(da.sum(axis=0))
            d_both = da @ self.weight.data
            dx.insert(0, d_both[:, :d])
            dh = d_both[:, d:]
        return np.stack(dx, axis=1)


@mistake_layer("nondeterministic", where="y", make=lambda: CellsGoOn(2, 3), x=normal(2, 3, 2), also=("wrong-cache",))
class CellsGoOn(Cells):
    """Keeps state and cells as attributes, and starts the next batch where the last one ended."""

    def start(self, x):
        """Where the last batch ended."""
        if not hasattr(self, "last"):
            self.last = super().start(x)
        return self.last

    def forward(self, x):
        """x : (N, T, D) -> y : (N, T, H)"""
        y = super().forward(x)
        both, i, f, g, o, before, shown = self.saved[-1]
        self.last = y[:, -1], f * before + i * g
        return y


@mistake_layer("dtype", where="y", make=lambda: CellsInDoublePrecision(2, 3), x=normal(2, 3, 2))
class CellsInDoublePrecision(Cells):
    """Starts from np.zeros without a dtype: float32 becomes float64 in the first step."""

    def start(self, x):
        """Zeros."""
        return np.zeros((2, len(x), self.size))


@mistake_layer("missing-term", where="x", make=lambda: CellsOneByOne(2, 2), x=normal(2, 3, 2))
class CellsOneByOne(Cells):
    """Goes back through each step alone: neither state nor cells hand anything back."""

    def backward(self, dy):
        """dy : (N, T, H) -> dx : (N, T, D)"""
        d, dx = self.weight.data.shape[1] - self.size, []
        for t in range(dy.shape[1]):
            both, *values = self.saved[t]
            da = np.hstack(self.step_back(dy[:, t], np.zeros_like(dy[:, t]), *values)[:4])
            self.weight.add_grad(da.T @ both)
            self.bias.add_grad(da.sum(axis=0))
            dx.append((da @ self.weight.data)[:, :d])
        return np.stack(dx, axis=1)


@mistake_layer("shape", where="backward", make=lambda: CellsBiasOfEachStep(2, 3), x=normal(2, 3, 2))
class CellsBiasOfEachStep(Cells):
    """Hands the bias a gradient for each sample: (N, 4H)."""

    def backward(self, dy):
        """dy : (N, T, H) -> dx : (N, T, D)"""
        both, *values = self.saved[-1]
        da = np.hstack(self.step_back(dy[:, -1], np.zeros_like(dy[:, -1]), *values)[:4])
        self.bias.add_grad(da)
        return super().backward(dy)


class RowsOfFeatures(nn.Layer):
    """Layer norm over the last axis of (N, T, D). Right; those below change a part."""

    def __init__(self, d):
        self.scale, self.shift = weights(d), weights(d, seed=9)

    def forward(self, x):
        """x, y : (N, T, D)"""
        deviation = x - x.mean(axis=-1, keepdims=True)
        std = np.sqrt(np.square(deviation).mean(axis=-1, keepdims=True) + x.dtype.type(1e-5))
        self.saved = x, deviation / std, std
        return self.saved[1] * self.scale.data + self.shift.data

    def to_scale(self, dy, x, x_hat):
        """The gradient of the scale."""
        return (dy * x_hat).sum(axis=(0, 1))

    def to_x(self, dy, x_hat, std):
        """The gradient of x."""
        g = dy * self.scale.data
        return (g - g.mean(axis=-1, keepdims=True) - x_hat * (g * x_hat).mean(axis=-1, keepdims=True)) / std

    def backward(self, dy):
        """dy, dx : (N, T, D)"""
        x, x_hat, std = self.saved
        self.scale.add_grad(self.to_scale(dy, x, x_hat))
        self.shift.add_grad(dy.sum(axis=(0, 1)))
        return self.to_x(dy, x_hat, std)


@mistake_layer("scale", where="x", make=lambda: ScalesAtTheEnd(5), x=normal(2, 3, 5))
class ScalesAtTheEnd(RowsOfFeatures):
    """Multiplies by the scale at the end of the backward pass, as batch norm may."""

    def to_x(self, dy, x_hat, std):
        """The gradient of x."""
        inner = dy - dy.mean(axis=-1, keepdims=True) - x_hat * (dy * x_hat).mean(axis=-1, keepdims=True)
        return self.scale.data * inner / std


@mistake_layer("missing-term", where="x", make=lambda: RowsWithAConstantMean(5), x=normal(2, 3, 5))
class RowsWithAConstantMean(RowsOfFeatures):
    """Forgets that the mean of a row depends on x."""

    def to_x(self, dy, x_hat, std):
        """The gradient of x."""
        g = dy * self.scale.data
        return (g - x_hat * (g * x_hat).mean(axis=-1, keepdims=True)) / std


@mistake_layer("missing-term", where="x", make=lambda: RowsWithConstants(5), x=normal(2, 3, 5))
class RowsWithConstants(RowsOfFeatures):
    """Forgets both ways through the statistics."""

    def to_x(self, dy, x_hat, std):
        """The gradient of x."""
        return dy * self.scale.data / std


@mistake_layer("wrong-cache", where="scale", make=lambda: ScaleLearnsFromX(5), x=normal(2, 3, 5))
class ScaleLearnsFromX(RowsOfFeatures):
    """Multiplies dy by x, where the scale was multiplied by x_hat."""

    def to_scale(self, dy, x, x_hat):
        """The gradient of the scale."""
        return (dy * x).sum(axis=(0, 1))


@mistake_layer("shape", where="backward", make=lambda: ScaleOfEachStep(5), x=normal(2, 3, 5), also=("not-summed",))
class ScaleOfEachStep(RowsOfFeatures):
    """Sums over the batch alone and keeps a row for each step."""

    def to_scale(self, dy, x, x_hat):
        """The gradient of the scale."""
        return (dy * x_hat).sum(axis=0)


@mistake_layer("not-summed", where="scale", make=lambda: ScaleOfTheFirstStep(5), x=normal(2, 3, 5))
class ScaleOfTheFirstStep(RowsOfFeatures):
    """Was written for (N, D): takes the first step of each sequence."""

    def to_scale(self, dy, x, x_hat):
        """The gradient of the scale."""
        return (dy * x_hat)[:, 0].sum(axis=0)


class Spectrum(nn.Layer):
    """y = |m F(x)| with a weight m for each frequency of x (N, C, H, W). Right; those below change a part."""

    def __init__(self, height, width):
        self.mask = weights(height, width)
        self.mask.data = np.abs(self.mask.data) + 0.1

    def forward(self, x):
        """x, y : (N, C, H, W)"""
        spectrum = np.fft.fft2(x, norm="ortho")
        z = self.mask.data * spectrum
        self.saved = spectrum, z, np.abs(z)
        return self.saved[2]

    def to_mask(self, g, spectrum):
        """The gradient of m for that of z."""
        return (spectrum.conj() * g).real.sum(axis=(0, 1))

    def to_x(self, g):
        """The gradient of x for that of z."""
        return np.fft.ifft2(self.mask.data * g, norm="ortho").real

    def backward(self, dy):
        """dy, dx : (N, C, H, W)"""
        spectrum, z, y = self.saved
        g = dy * z / y
        self.mask.add_grad(self.to_mask(g, spectrum))
        return self.to_x(g)


@mistake_layer("flipped", where="x", make=lambda: TransformsTwice(3, 4), x=normal(2, 2, 3, 4))
class TransformsTwice(Spectrum):
    """Goes back with the transform itself, where its inverse (the conjugate transpose) belongs."""

    def to_x(self, g):
        """The gradient of x for that of z."""
        return np.fft.fft2(self.mask.data * g, norm="ortho").real


@mistake_layer("missing-term", where="x", make=lambda: TakesTheRealPartEarly(3, 4), x=normal(2, 2, 3, 4))
class TakesTheRealPartEarly(Spectrum):
    """Drops the imaginary part before the inverse transform, to which it still contributes."""

    def to_x(self, g):
        """The gradient of x for that of z."""
        return np.fft.ifft2((self.mask.data * g).real, norm="ortho").real


@mistake_layer("scale", where="x", make=lambda: AnotherNorm(3, 4), x=normal(2, 2, 3, 4))
class AnotherNorm(Spectrum):
    """Forgets norm="ortho" on the way back."""

    def to_x(self, g):
        """The gradient of x for that of z."""
        return np.fft.ifft2(self.mask.data * g).real


@mistake_layer("partial-batch", where="mask", make=lambda: MaskOfOneImage(3, 4), x=normal(3, 2, 3, 4))
class MaskOfOneImage(Spectrum):
    """Sums over the channels of the first image."""

    def to_mask(self, g, spectrum):
        """The gradient of m for that of z."""
        return (spectrum.conj() * g).real[0].sum(axis=0)


@mistake_layer("scale", where="x", make=lambda: MaskForgotten(3, 4), x=normal(2, 2, 3, 4), also=("missing-term",))
class MaskForgotten(Spectrum):
    """Goes back through the transform and forgets the weights."""

    def to_x(self, g):
        """The gradient of x for that of z."""
        return np.fft.ifft2(g, norm="ortho").real
