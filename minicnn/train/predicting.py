"""What a model says of many examples, batch by batch, in evaluation mode."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn.backend import Array, CounterRng, backend_of, get_backend, to_backend, to_host
from minicnn.data import DataLoader, SealedDataset
from minicnn.data.dataset import ArrayDataset, as_dataset, checked_inputs
from minicnn.errors import ArgumentError, DataError, whole_number
from minicnn.nn import (
    BCEWithLogitsLoss,
    DiceLoss,
    HuberLoss,
    L1Loss,
    Layer,
    Loss,
    MSELoss,
    Parameter,
    evaluating,
)
from minicnn.train.means import RunningMeans

Metric = Callable[[Array, Array], Any]


def backend_of_model(model: Layer) -> str:
    """Return where a model lives; batches have to go there."""
    first = _first_parameter(model)
    return get_backend() if first is None else backend_of(first.data).name


def dtype_of_model(model: Layer) -> Any:
    """Return what a model computes in."""
    first = _first_parameter(model)
    return np.float32 if first is None else first.data.dtype


def _first_parameter(model: Layer) -> Parameter | None:
    """Look no further than the first: a walk over a large model takes as long as a small image."""
    return next((parameter for _, parameter in model._named(Parameter)), None)


def dtype_of_inputs(model: Layer) -> Any:
    """Return what inputs are converted to: what the model computes in, or int64 if it begins with an `Embedding`."""
    return np.int64 if model.takes_integers() else dtype_of_model(model)


def outputs(model: Layer, x: Any, batch_size: int) -> np.ndarray:
    """Return the model's output for inputs x (N, ...), on the host: (N, K) for K classes.

    Raises `DataError` for a data set, or for inputs that are empty or not finite.
    """
    if isinstance(x, ArrayDataset | SealedDataset):
        raise DataError("predict takes inputs, not a data set: predict(dataset.x)")
    x = checked_inputs(to_host(x), dtype_of_inputs(model))
    batch_size, backend = whole_number("batch_size", batch_size), backend_of_model(model)
    with evaluating(model):
        pieces = (x[i : i + batch_size] for i in range(0, len(x), batch_size))
        return np.concatenate([to_host(model(to_backend(piece, backend))) for piece in pieces])


def probabilities(loss: Loss, scores: np.ndarray) -> np.ndarray:
    """Return the probabilities that scores stand for, under the loss that they were trained with; shaped like them.

    A class among K (`CrossEntropyLoss`, `HingeLoss`, losses of one's own): the softmax, which sums to 1 over axis 1.
    (The hinge trains an order of the classes and no probabilities; its softmax keeps the order.)
    Yes or no (`BCEWithLogitsLoss`, `DiceLoss` of one channel): the sigmoid of each logit, the probability of a yes.

    Raises `ArgumentError` if there are no classes: for losses of numbers, for scores without an axis of classes, and
    for `DiceLoss` of several channels, which may be classes or masks that overlap.
    """
    return sigmoid(scores) if _are_yes_or_no(loss, scores) else softmax(scores)


def classes(loss: Loss, scores: np.ndarray) -> np.ndarray:
    """Return the most probable answers: class numbers (N, ...) of scores (N, K, ...), or 0 and 1 shaped like logits.

    A logit of 0, whose probability is 1/2, is a yes. Raises `ArgumentError` as `probabilities` does.
    """
    return (scores >= 0).astype(np.int64) if _are_yes_or_no(loss, scores) else scores.argmax(axis=1)


def _are_yes_or_no(loss: Loss, scores: np.ndarray) -> bool:
    """Return whether each score is the logit of a yes. Raises `ArgumentError` if it is no score of a class either."""
    if isinstance(loss, MSELoss | L1Loss | HuberLoss):
        raise ArgumentError(f"{loss!r} trains numbers: there are no classes; predict(x) gives the numbers")
    if isinstance(loss, DiceLoss) and scores.shape[1] > 1:
        raise ArgumentError(
            f"{loss!r} may have trained {scores.shape[1]} classes or as many masks that overlap; take "
            "predict(x).argmax(axis=1) for the ones, predict(x) >= 0 for the others"
        )
    if isinstance(loss, BCEWithLogitsLoss | DiceLoss):
        return True
    if scores.ndim < 2:
        raise ArgumentError(f"{loss!r}: scores of shape {scores.shape} have no axis of classes, expected (N, K, ...)")
    return False


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + e^-x), without an overflow for large negative x."""
    tail = np.exp(-np.abs(logits))
    return np.where(logits >= 0, 1, tail) / (1 + tail)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities that sum to 1 over axis 1, for scores (N, K, ...)."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def measured(metrics: Mapping[str, Metric], prediction: Array, target: Array) -> dict[str, Array]:
    """Return what each metric says of a batch."""
    return {name: metric(prediction, target) for name, metric in metrics.items()}


def mean_measures(
    model: Layer, loss: Loss, metrics: Mapping[str, Metric], dataset: Any, batch_size: int
) -> dict[str, float]:
    """Return the means of loss and metrics over a data set."""
    means = RunningMeans()
    dataset, backend = as_dataset(dataset, dtype=dtype_of_inputs(model)), backend_of_model(model)
    with evaluating(model), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for x, y in DataLoader(dataset, batch_size, rng=CounterRng(), ahead=0, backend=backend):
            prediction = model(x)
            means.add(loss.weight_of(y), {"loss": loss.forward(prediction, y)})
            means.add(len(x), measured(metrics, prediction, y))
    return dict(means)
