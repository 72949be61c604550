"""What is measured of a batch beside the loss, unless a training says otherwise."""

from minicnn.backend import Array
from minicnn.metrics import accuracy_score
from minicnn.nn import BCEWithLogitsLoss, CrossEntropyLoss, HingeLoss, Loss
from minicnn.train.predicting import Metric


def accuracy(prediction: Array, target: Array) -> Array:
    """Return the share of largest scores that are the label's.

    prediction : (N, K, ...)
    target : labels (N, ...), or probabilities (N, K, ...), of which the largest counts as the label
    """
    if target.ndim == prediction.ndim:
        target = target.argmax(axis=1)
    return accuracy_score(target, prediction.argmax(axis=1))


def binary_accuracy(prediction: Array, target: Array) -> Array:
    """Return the share of answers that are right: yes where the logit is at least 0.   prediction, target : (N, ...)"""
    return accuracy_score(target >= 0.5, prediction >= 0)


def default_metrics(loss: Loss) -> dict[str, Metric]:
    """Return the metrics that go with a loss, by name: the accuracy, where there are classes."""
    if isinstance(loss, BCEWithLogitsLoss):
        return {"accuracy": binary_accuracy}
    return {"accuracy": accuracy} if isinstance(loss, CrossEntropyLoss | HingeLoss) else {}
