"""Layer and group normalisation: by the statistics of one example alone.

Unlike batch norm, they do the same in training and in evaluation, and with a batch of any size.
"""

import math
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, ShapeError, whole_number
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.norm import checked_eps
from minicnn.nn.parameter import Parameter, new_vector


class _OfOneExample(Layer):
    """What both share: a scale gamma and a shift beta, which may not be there, and the statistics of a forward pass."""

    weight: Parameter | None
    bias: Parameter | None

    def _scale_and_shift(self, x: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Return gamma and beta; ones and zeros where there are none."""
        xp = array_module(x)
        gamma = self.weight.data if self.weight else xp.ones(shape, dtype=x.dtype)
        return gamma, self.bias.data if self.bias else xp.zeros(shape, dtype=x.dtype)

    def _add_grads(self, dx: Array, dgamma: Array, dbeta: Array) -> Array:
        """Add to the parameters' gradients and hand on dx."""
        if self.weight:
            self.weight.add_grad(dgamma)
        if self.bias:
            self.bias.add_grad(dbeta)
        return dx

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Three for every number: in the mean, in the variance, and to scale and shift."""
        return 3 * math.prod(y_shape[1:])


class LayerNorm(_OfOneExample):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, with mean and (biased) variance over the last axes.

    x, y : (N, ..., *normalized_shape)   gamma = weight, beta = bias : normalized_shape

    For sequences (N, T, D), `LayerNorm(D)` normalises each step by itself; for images, `LayerNorm((C, H, W))` each
    image. Ba, Kiros and Hinton, "Layer normalization", 2016, equations 3 and 4.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The last axes' lengths.
    eps : float
        Keeps numbers that are all equal from a division by zero.
    elementwise_affine : bool
        Whether there are gamma and beta; they start at one and zero.
    bias : bool
        Whether there is a beta (where there is a gamma).

    Raises
    ------
    ShapeError
        If the last axes of x are others.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        axes: Any = normalized_shape if isinstance(normalized_shape, tuple | list) else (normalized_shape,)
        if not axes:
            raise ArgumentError("LayerNorm: normalized_shape must name one axis or more, not ()")
        self.normalized_shape = tuple(whole_number("LayerNorm: normalized_shape", length) for length in axes)
        self.eps = checked_eps("LayerNorm", eps)
        shape = self.normalized_shape
        self.weight = Parameter(np.ones(shape, dtype=np.float32), is_weight=False) if elementwise_affine else None
        self.bias = (
            Parameter(np.zeros(shape, dtype=np.float32), is_weight=False) if elementwise_affine and bias else None
        )

    def forward(self, x: Array) -> Array:
        """x, y : (N, ..., *normalized_shape)"""
        check_input(self, x, like=self.weight.data if self.weight else None)
        if x.ndim <= len(self.normalized_shape) or x.shape[-len(self.normalized_shape) :] != self.normalized_shape:
            expected = ", ".join(["N", "...", *map(str, self.normalized_shape)])
            raise ShapeError(f"{self!r}: x has shape {x.shape}, expected ({expected})")
        gamma, beta = self._scale_and_shift(x, self.normalized_shape)
        y, mean, inv_std = ops.layer_norm_forward(x, gamma, beta, eps=self.eps)
        self.saved = x, gamma, mean, inv_std
        return y

    def backward(self, dy: Array) -> Array:
        """dy and dx have the shape of x."""
        return self._add_grads(*ops.layer_norm_backward(dy, *self.saved))

    def __repr__(self) -> str:
        shape = self.normalized_shape[0] if len(self.normalized_shape) == 1 else self.normalized_shape
        eps = "" if self.eps == 1e-5 else f", eps={self.eps}"
        bias = "" if self.bias or not self.weight else ", bias=False"
        return f"LayerNorm({shape}{eps}{'' if self.weight else ', elementwise_affine=False'}{bias})"


class GroupNorm(_OfOneExample):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta, with mean and (biased) variance of each group of channels.

    x, y : (N, num_channels, ...)   gamma = weight, beta = bias : (num_channels,)

    One group is layer norm over channels and pixels (with a scale a channel), as many groups as channels is instance
    norm. Wu and He, "Group normalization", 2018, equations 1, 2, 6 and 7.

    Parameters
    ----------
    num_groups, num_channels : int
        Into how many groups the channels are cut.
    eps : float
        Keeps numbers that are all equal from a division by zero.
    affine : bool
        Whether there are gamma and beta; they start at one and zero.

    Raises
    ------
    ArgumentError
        If the channels do not divide into the groups.
    """

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        self.num_groups = whole_number("GroupNorm: num_groups", num_groups)
        self.num_channels = whole_number("GroupNorm: num_channels", num_channels)
        if self.num_channels % self.num_groups:
            raise ArgumentError(f"GroupNorm: {num_channels} channels do not divide into {num_groups} groups")
        self.eps = checked_eps("GroupNorm", eps)
        self.weight = new_vector(self.num_channels, 1.0) if affine else None
        self.bias = new_vector(self.num_channels) if affine else None

    def forward(self, x: Array) -> Array:
        """x, y : (N, num_channels, ...)"""
        check_input(self, x, ndim=(2, 3, 4), channels=self.num_channels, like=self.weight.data if self.weight else None)
        gamma, beta = self._scale_and_shift(x, (self.num_channels,))
        y, mean, inv_std = ops.group_norm_forward(x, gamma, beta, groups=self.num_groups, eps=self.eps)
        self.saved = x, gamma, mean, inv_std
        return y

    def backward(self, dy: Array) -> Array:
        """dy and dx have the shape of x."""
        return self._add_grads(*ops.group_norm_backward(dy, *self.saved, groups=self.num_groups))

    def __repr__(self) -> str:
        eps = "" if self.eps == 1e-5 else f", eps={self.eps}"
        return f"GroupNorm({self.num_groups}, {self.num_channels}{eps}{'' if self.weight else ', affine=False'})"
