"""What a model says of many examples, batch by batch, in evaluation mode."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn.backend import Array, CounterRng, backend_of, get_backend, to_backend, to_host
from minicnn.data import DataLoader, SealedDataset
from minicnn.data.dataset import ArrayDataset, as_dataset, checked_inputs
from minicnn.errors import DataError, whole_number
from minicnn.nn import Layer, Loss, evaluating
from minicnn.train.means import RunningMeans

Metric = Callable[[Array, Array], Any]


def backend_of_model(model: Layer) -> str:
    """Return where a model lives; batches have to go there."""
    parameters = model.parameters()
    return backend_of(parameters[0].data).name if parameters else get_backend()


def dtype_of_model(model: Layer) -> Any:
    """Return what a model computes in; pairs of arrays are converted to it."""
    parameters = model.parameters()
    return parameters[0].data.dtype if parameters else np.float32


def outputs(model: Layer, x: Any, batch_size: int) -> np.ndarray:
    """Return the model's output for inputs x (N, ...), on the host: (N, K) for K classes.

    Raises `DataError` for a data set, or for inputs that are empty or not finite.
    """
    if isinstance(x, ArrayDataset | SealedDataset):
        raise DataError("predict takes inputs, not a data set: predict(dataset.x)")
    x = checked_inputs(to_host(x), dtype_of_model(model))
    batch_size, backend = whole_number("batch_size", batch_size), backend_of_model(model)
    with evaluating(model):
        pieces = (x[i : i + batch_size] for i in range(0, len(x), batch_size))
        return np.concatenate([to_host(model(to_backend(piece, backend))) for piece in pieces])


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return probabilities (N, K), each row of which sums to 1, for scores (N, K)."""
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
    dataset, backend = as_dataset(dataset, dtype=dtype_of_model(model)), backend_of_model(model)
    with evaluating(model), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for x, y in DataLoader(dataset, batch_size, rng=CounterRng(), ahead=0, backend=backend):
            prediction = model(x)
            means.add(len(x), {"loss": loss.forward(prediction, y), **measured(metrics, prediction, y)})
    return dict(means)
