"""Losses: the number that training makes small.

A loss compares a prediction with a target. `forward(prediction, target)` gives the number and remembers what it needs;
`backward()` gives its gradient with respect to the prediction, where the network's own backward pass begins.
"""

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.backend import Array, array_module, to_host
from minicnn.errors import ArgumentError, DataError, DTypeError, ShapeError
from minicnn.nn.memory import Remembers


class Loss(Remembers):
    """The base of all losses."""

    def forward(self, prediction: Array, target: Array) -> Array:
        """Return the loss: one number, an array without axes on the prediction's device."""
        raise NotImplementedError

    def backward(self) -> Array:
        """Return the gradient with respect to the prediction of the last forward."""
        raise NotImplementedError

    def __call__(self, prediction: Array, target: Array) -> Array:
        """Return `forward(prediction, target)`."""
        return self.forward(prediction, target)


class CrossEntropyLoss(Loss):
    """loss = mean of -log softmax(logits)[label], for scores of K classes.

    logits : (N, K), or (N, K, ...) with one prediction a pixel
    labels : (N,) or (N, ...), integers from 0 to K - 1

    Parameters
    ----------
    label_smoothing : float
        epsilon in [0, 1): the target is 1 - epsilon for the label plus epsilon / K for every class.
    weight : sequence of K numbers, optional
        How much each class counts; the loss is the weighted mean.

    Raises
    ------
    ShapeError
        If logits and labels do not fit together, or there is not one weight a class.
    DTypeError, DataError
        If labels are not integers, or (on the host, where looking costs nothing) not from 0 to K - 1; if N = 0.
    """

    def __init__(self, *, label_smoothing: float = 0.0, weight: Any = None) -> None:
        if not 0 <= label_smoothing < 1:
            raise ArgumentError(f"CrossEntropyLoss: label_smoothing must lie in [0, 1), not {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.weight = None if weight is None else np.asarray(to_host(weight), dtype=np.float64)
        if self.weight is not None and (self.weight.ndim != 1 or not (self.weight >= 0).all()):
            raise ArgumentError("CrossEntropyLoss: weight must be one number of at least 0 for every class")

    def forward(self, prediction: Array, target: Array) -> Array:
        """logits (N, K, ...), labels (N, ...) -> loss"""
        self._check(prediction, target)
        weights = None
        if self.weight is not None:
            weights = array_module(prediction).asarray(self.weight, dtype=prediction.dtype)
        loss, probabilities = ops.softmax_cross_entropy_forward(
            prediction, target, label_smoothing=self.label_smoothing, class_weights=weights
        )
        self.saved = probabilities, target, weights
        return loss

    def backward(self) -> Array:
        """Return dlogits, shaped like the logits."""
        probabilities, labels, weights = self.saved
        return ops.softmax_cross_entropy_backward(
            probabilities, labels, label_smoothing=self.label_smoothing, class_weights=weights
        )

    def _check(self, logits: Array, labels: Array) -> None:
        self._check_kind("logits", logits, "f", "an array of float32 or float64")
        classes = logits.shape[1] if logits.ndim > 1 else 1
        self._check_kind("labels", labels, "iu", f"integers from 0 to {classes - 1}")
        if logits.ndim < 2 or labels.shape != (logits.shape[0], *logits.shape[2:]):
            expected = (logits.shape[0], *logits.shape[2:]) if logits.ndim > 1 else "one label a row"
            hint = "; one-hot labels: labels.argmax(axis=1)" if labels.shape == logits.shape else ""
            hint = "; labels.reshape(-1) takes the last axis away" if labels.shape == (len(logits), 1) else hint
            both = f"labels have shape {labels.shape}, expected {expected} for logits of shape {logits.shape}"
            raise ShapeError(f"{self!r}: {both}{hint}")
        if self.weight is not None and len(self.weight) != classes:
            raise ShapeError(f"{self!r}: {len(self.weight)} class weights for {classes} classes")
        if labels.size == 0:
            raise DataError(f"{self!r}: the batch is empty, so there is no loss to take the mean of")
        on_host = isinstance(labels, np.ndarray)  # on a GPU, looking at values would make it wait
        if on_host and (labels.astype(np.uint64, copy=False) >= classes).any():  # what is below 0 becomes very large
            wrong = np.flatnonzero((labels < 0) | (labels >= classes))
            hint = "; labels that begin with 1: subtract 1" if labels.min() == 1 and labels.max() == classes else ""
            raise DataError(
                f"{self!r}: label {labels.reshape(-1)[wrong[0]]} at position {wrong[0]} is out of range; "
                f"{classes} outputs have labels from 0 to {classes - 1}{hint}"
            )

    def _check_kind(self, name: str, values: Array, kinds: str, expected: str) -> None:
        dtype = getattr(values, "dtype", None)
        if getattr(dtype, "kind", None) not in tuple(kinds) or dtype == np.float16:
            what = str(dtype) if hasattr(dtype, "kind") else f"a {type(values).__name__}"
            raise DTypeError(f"{self!r}: {name} are {what}, expected {expected}")

    def __repr__(self) -> str:
        smoothing = f"label_smoothing={self.label_smoothing}" if self.label_smoothing else ""
        weight = f"weight={self.weight.tolist()}" if self.weight is not None else ""
        return f"CrossEntropyLoss({', '.join(filter(None, (smoothing, weight)))})"
