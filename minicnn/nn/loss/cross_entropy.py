"""Cross-entropy of softmax: the loss of classification."""

from typing import Any

import numpy as np

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError, DataError
from minicnn.nn.loss.base import Loss, Weights, arguments
from minicnn.nn.loss.checks import check_class_weights, check_labels, shares_like


class CrossEntropyLoss(Loss):
    """loss = mean of -log softmax(logits)[label], for scores of K classes.

    logits : (N, K), or (N, K, ...) with one prediction a pixel
    labels : (N,) or (N, ...), integers from 0 to K - 1; or probabilities t of the logits' shape, each row's sum 1, as
        mixed images have them: loss = mean of -sum over k of t[k] * log softmax(logits)[k]

    Parameters
    ----------
    label_smoothing : float
        epsilon in [0, 1): the target is 1 - epsilon for the label plus epsilon / K for every class.
    weight : sequence of K numbers, optional
        How much each class counts; the loss is the weighted mean. With probabilities, -log softmax(logits)[k] is
        multiplied by class k's weight and the sum is divided by the number of rows, as PyTorch does it.

    Raises
    ------
    ShapeError
        If logits and labels do not fit together, or there is not one weight a class.
    DTypeError, DataError
        If labels are not integers, or (on the host, where looking costs nothing) not from 0 to K - 1; if probabilities
        are not from 0 to 1, or a row's sum is not 1; if N = 0.
    """

    def __init__(self, *, label_smoothing: float = 0.0, weight: Any = None) -> None:
        if not 0 <= label_smoothing < 1:
            raise ArgumentError(f"CrossEntropyLoss: label_smoothing must lie in [0, 1), not {label_smoothing}")
        self.label_smoothing = label_smoothing
        self.weight = None if weight is None else Weights.for_classes(weight, "CrossEntropyLoss")

    def forward(self, prediction: Array, target: Array) -> Array:
        """logits (N, K, ...), labels (N, ...) or probabilities (N, K, ...) -> loss"""
        if getattr(getattr(target, "dtype", None), "kind", None) == "f" and target.ndim == prediction.ndim > 1:
            return self._forward_of_probabilities(prediction, target)
        check_labels(self, "logits", prediction, target)
        check_class_weights(self, self.weight, prediction.shape[1])
        weights = None if self.weight is None else self.weight.like(prediction)
        loss, probabilities = ops.softmax_cross_entropy_forward(
            prediction, target, label_smoothing=self.label_smoothing, class_weights=weights
        )
        self.saved = probabilities, target, weights
        return loss

    def _forward_of_probabilities(self, logits: Array, target: Array) -> Array:
        """loss = -sum over n, k of weight[k] t[n, k] log p[n, k] / N, where t is smoothed as labels are"""
        t = probabilities_like(self, logits, target)
        k = logits.shape[1]
        check_class_weights(self, self.weight, k)
        t = t * (1 - self.label_smoothing) + self.label_smoothing / k
        if self.weight is not None:
            t = t * self.weight.like(logits).reshape(1, k, *[1] * (logits.ndim - 2))
        loss, probabilities = ops.soft_cross_entropy_forward(logits, t)
        self.saved = probabilities, t, None
        return loss

    def backward(self) -> Array:
        """Return dlogits, shaped like the logits."""
        probabilities, labels, weights = self.saved
        if labels.dtype.kind == "f":  # they are t, smoothed and weighted
            return ops.soft_cross_entropy_backward(probabilities, labels)
        return ops.softmax_cross_entropy_backward(
            probabilities, labels, label_smoothing=self.label_smoothing, class_weights=weights
        )

    def weight_of(self, target: Array) -> Any:
        """Return the sum of the labels' class weights, which the loss of a batch is divided by."""
        if self.weight is None or target.dtype.kind == "f":
            return len(target)
        return self.weight.placed[target].sum()

    def __repr__(self) -> str:
        return f"CrossEntropyLoss({arguments(label_smoothing=self.label_smoothing or None, weight=self.weight)})"


def probabilities_like(loss: Loss, logits: Array, target: Array) -> Array:
    """Return the target in the logits' dtype. Raises `DataError` (on the host) unless each row's sum is 1, and else as
    `shares_like` does.
    """
    t = shares_like(loss, logits, target)
    if isinstance(t, np.ndarray):
        sums = t.sum(axis=1, dtype=np.float64)
        wrong = np.argwhere(abs(sums - 1) > 1e-3)
        if len(wrong):
            where = tuple(int(i) for i in wrong[0])
            raise DataError(
                f"{loss!r}: the probabilities of row {where[0] if len(where) == 1 else where} have a sum of "
                f"{sums[where]:.4g}, expected 1; several classes at once are for BCEWithLogitsLoss"
            )
    return t
