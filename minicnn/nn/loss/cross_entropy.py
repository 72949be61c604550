"""Cross-entropy of softmax: the loss of classification."""

from typing import Any

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError
from minicnn.nn.loss.base import Loss, Weights, arguments
from minicnn.nn.loss.checks import check_class_weights, check_labels


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
        self.weight = None if weight is None else Weights.for_classes(weight, "CrossEntropyLoss")

    def forward(self, prediction: Array, target: Array) -> Array:
        """logits (N, K, ...), labels (N, ...) -> loss"""
        check_labels(self, "logits", prediction, target)
        check_class_weights(self, self.weight, prediction.shape[1])
        weights = None if self.weight is None else self.weight.like(prediction)
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

    def __repr__(self) -> str:
        return f"CrossEntropyLoss({arguments(label_smoothing=self.label_smoothing or None, weight=self.weight)})"
