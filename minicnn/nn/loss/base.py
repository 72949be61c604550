"""What every loss is, and what several need: weights, and labels as ones among zeros."""

from typing import Any

import numpy as np

from minicnn.backend import Array, array_module, to_host
from minicnn.errors import ArgumentError
from minicnn.nn.memory import Remembers


class Loss(Remembers):
    """The base of all losses."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """Return the loss: one number, an array without axes on the prediction's device."""
        raise NotImplementedError

    def backward(self) -> Array:
        """Return the gradient with respect to the prediction of the last forward."""
        raise NotImplementedError

    def weight_of(self, target: Array) -> Any:
        """Return how much a batch counts in the mean over all batches: its number of examples, for most losses."""
        return len(target)

    def __call__(self, prediction: Array, target: Array) -> Array:
        """Return `forward(prediction, target)`."""
        return self.forward(prediction, target)


class Weights:
    """Numbers of at least 0 that a loss multiplies every batch by; they go to a device once, not with each batch.

    Attributes
    ----------
    values : array of float64
        The numbers, on the host.
    placed : array
        They as the last prediction needed them.
    """

    def __init__(self, values: Any) -> None:
        self.values = np.array(to_host(values), dtype=np.float64)
        self.placed: Array = self.values

    @classmethod
    def for_classes(cls, values: Any, loss: str) -> "Weights":
        """Return one weight a class (K,). Raises `ArgumentError` for anything else."""
        weights = cls(values)
        if weights.values.ndim != 1 or not weights.are_valid():
            raise ArgumentError(f"{loss}: weight must be one number of at least 0 for every class")
        return weights

    def are_valid(self) -> bool:
        """Whether all are at least 0 and finite."""
        return bool((np.isfinite(self.values) & (self.values >= 0)).all())

    def like(self, prediction: Array) -> Array:
        """Return them on the prediction's device and in its dtype."""
        if type(self.placed) is not type(prediction) or self.placed.dtype != prediction.dtype:
            self.placed = array_module(prediction).asarray(self.values, dtype=prediction.dtype)
        return self.placed

    def __repr__(self) -> str:
        few = self.values.size <= 10  # a message is to be read
        return repr(self.values.tolist()) if few else f"<numbers of shape {self.values.shape}>"


def one_hot(labels: Array, scores: Array) -> Array:
    """Return whether class k is the label, for every score: booleans (N, K, ...) from labels (N, ...)."""
    classes = array_module(scores).arange(scores.shape[1]).reshape(1, -1, *[1] * (scores.ndim - 2))
    return labels[:, None] == classes


def arguments(**given: Any) -> str:
    """Write the arguments that are not None, for a loss to show itself: `p=2, margin=0.5`."""
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
