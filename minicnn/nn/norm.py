"""Batch normalisation as a layer: it also remembers what the data looked like, for use in testing.

In training each channel is normalised by the mean and the (biased) variance of the batch. Meanwhile

    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var  = (1 - momentum) * running_var  + momentum * var * m / (m - 1)          (m numbers a channel)

and in evaluation these take the place of the batch's; momentum and the unbiased running variance are as in PyTorch.
Ioffe and Szegedy, "Batch normalization", 2015, algorithms 1 and 2.

A layer whose weight and bias are both frozen is in evaluation at all times, as in Keras: it takes the running
statistics and leaves them as they are. (In PyTorch a frozen layer follows the batches until one calls `eval`.)
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from minicnn import ops
from minicnn.backend import Array, array_module, to_backend
from minicnn.errors import ArgumentError, ShapeError, whole_number
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.parameter import Buffer, new_vector


def checked_eps(name: str, eps: float) -> float:
    """Return what is added to a variance. Raises `ArgumentError` unless it is positive."""
    if not eps > 0:
        raise ArgumentError(f"{name}: eps must be positive, not {eps}")
    return eps


class Statistics(NamedTuple):
    """What a forward pass leaves for the backward pass."""

    x: Array
    mean: Array
    inv_std: Array
    of_the_batch: bool


class BatchNorm2d(Layer):
    """y = gamma * (x - mean) / sqrt(var + eps) + beta for each channel over batch, height and width.

    x, y : (N, num_features, H, W)   gamma = weight, beta = bias, running_mean, running_var : (num_features,)

    Parameters
    ----------
    num_features : int
        Number of channels.
    eps : float
        Keeps a channel without variance from dividing by zero.
    momentum : float or None
        Weight of the newest batch in the running statistics; None takes the mean over all batches so far.

    Raises
    ------
    ShapeError
        In training, if there is just one number a channel: it has no variance.
    """

    allowed_axes: tuple[int, ...] = (4,)

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1) -> None:
        num_features = whole_number(f"{type(self).__name__}: num_features", num_features)
        if momentum is not None and not 0 <= momentum <= 1:
            raise ArgumentError(f"{type(self).__name__}: momentum must lie between 0 and 1 or be None, not {momentum}")
        self.num_features = num_features
        self.eps = checked_eps(type(self).__name__, eps)
        self.momentum = momentum
        self.weight = new_vector(num_features, 1.0)
        self.bias = new_vector(num_features)
        self.running_mean = Buffer(to_backend(np.zeros(num_features, dtype=np.float32)))
        self.running_var = Buffer(to_backend(np.ones(num_features, dtype=np.float32)))
        self.num_batches_tracked = Buffer(np.array(0, dtype=np.int64))

    def forward(self, x: Array) -> Array:
        """Normalise by the batch's statistics in training, by the running ones in evaluation and where frozen."""
        y, self.saved = self.normalise(x, ops.batch_norm_forward, ops.batch_norm_inference_forward)
        return y

    def normalise(self, x: Array, by_batch: Callable, by_given: Callable) -> tuple[Array, "Statistics"]:
        """Run one of two operations on x, and remember the batch for evaluation; return y and what to go back with."""
        check_input(self, x, ndim=self.allowed_axes, channels=self.num_features, like=self.weight.data)
        if not self.training or (self.weight.frozen and self.bias.frozen):
            mean = self.running_mean.data
            inv_std = 1 / array_module(x).sqrt(self.running_var.data + self.eps)
            return by_given(x, self.weight.data, self.bias.data, mean, inv_std), Statistics(x, mean, inv_std, False)
        if x.size // self.num_features < 2:
            raise ShapeError(
                f"{self!r}: in training a channel needs two numbers or more to have a variance (x shape {x.shape}); "
                "take another batch size, or drop_last=True if it is the last batch; to predict, model.eval()"
            )
        y, mean, inv_std = by_batch(x, self.weight.data, self.bias.data, eps=self.eps)
        self._update_running(mean, inv_std, x.size // self.num_features)
        return y, Statistics(x, mean, inv_std, True)

    def backward(self, dy: Array) -> Array:
        """dy and dx have the shape of x."""
        x, mean, inv_std, of_the_batch = self.saved
        backward = ops.batch_norm_backward if of_the_batch else ops.batch_norm_inference_backward
        return self.add_grads(*backward(dy, x, self.weight.data, mean, inv_std))

    def add_grads(self, dx: Array, dgamma: Array, dbeta: Array) -> Array:
        """Add to the parameters' gradients and hand on dx."""
        self.weight.add_grad(dgamma)
        self.bias.add_grad(dbeta)
        return dx

    def _update_running(self, mean: Array, inv_std: Array, m: int) -> None:
        xp = array_module(mean)
        self.num_batches_tracked.data = self.num_batches_tracked.data + 1
        new = 1 / int(self.num_batches_tracked.data) if self.momentum is None else self.momentum
        var = xp.maximum(1 / (inv_std * inv_std) - self.eps, 0)  # rounding may take a constant channel below zero
        unbiased = var * (m / (m - 1))
        self.running_mean.data = (1 - new) * self.running_mean.data + new * mean
        self.running_var.data = (1 - new) * self.running_var.data + new * unbiased

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """One for every number: in evaluation, a scale and a shift."""
        return int(np.prod(y_shape[1:]))

    def __repr__(self) -> str:
        eps = "" if self.eps == 1e-5 else f", eps={self.eps}"
        momentum = "" if self.momentum == 0.1 else f", momentum={self.momentum}"
        return f"{type(self).__name__}({self.num_features}{eps}{momentum})"


class BatchNorm1d(BatchNorm2d):
    """The same for vectors: each feature over the batch (and over positions, where there are any).

    x, y : (N, num_features) or (N, num_features, L)
    """

    allowed_axes = (2, 3)
