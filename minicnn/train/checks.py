"""What a training refuses before it begins."""

import warnings
from collections.abc import Mapping
from typing import Any

from minicnn.backend import Array
from minicnn.data import ArrayDataset, SealedDataset
from minicnn.data.dataset import as_dataset
from minicnn.errors import ArgumentError, DataError, DataWarning, expect_kind, listed
from minicnn.nn import CrossEntropyLoss, Layer, Loss
from minicnn.optim import Optimizer
from minicnn.train.predicting import Metric, dtype_of_inputs


def check_optimizer(model: Layer, optimizer: Optimizer) -> None:
    """Raise `ArgumentError` if an optimizer holds parameters of another model, or none that may be changed."""
    own = {id(parameter) for parameter in model.parameters()}
    given = {id(parameter) for parameter in optimizer.parameters.values()}
    if own and not given <= own:
        raise ArgumentError(
            "the optimizer holds parameters that are not the model's; build it anew after the model: "
            f"{type(optimizer).__name__}(model.parameters(), ...)"
        )
    if own and all(parameter.frozen for parameter in optimizer.parameters.values()):
        raise ArgumentError("all parameters of the optimizer are frozen, so nothing would be trained; unfreeze some")


def checked_metrics(metrics: Any) -> dict[str, Metric]:
    """Return metrics by name. Raises `ArgumentError` for names under which the history keeps something else."""
    metrics = dict(expect_kind(Mapping, metrics, "metrics"))
    taken = [name for name in metrics if name in ("epoch", "loss", "penalty", "lr") or str(name).startswith("val_")]
    if taken:
        raise ArgumentError(f"a metric cannot be called {listed(taken)}: the history has that name for something else")
    return metrics


def unsealed(model: Layer, dataset: Any) -> Any:
    """Return what a model may be trained or validated on, as a data set. Raises `DataError` for a sealed test set."""
    if isinstance(dataset, SealedDataset):
        raise DataError("a sealed test set is for evaluate(), not for training or validation; use the other splits")
    return None if dataset is None else as_dataset(dataset, dtype=dtype_of_inputs(model))


def warn_of_a_first_batch(loss: Loss, prediction: Array, train: ArrayDataset, *, stacklevel: int) -> None:
    """Warn (`DataWarning`) of what a beginner forgets and what trains all the same, badly."""
    _warn_of_raw_pixels(train, stacklevel=stacklevel + 1)
    _warn_of_spare_scores(loss, prediction, train, stacklevel=stacklevel + 1)


def _warn_of_raw_pixels(train: ArrayDataset, *, stacklevel: int) -> None:
    """Warn if images go up to 255, as in files; weights start as for inputs of about 1."""
    some = train.x[:32]
    if some.ndim == 4 and some.dtype.kind == "f" and some.min() >= 0 and 200 <= some.max() <= 255:
        text = "x holds pixels from 0 to 255, and large inputs learn badly; x / 255, or data.normalise(splits)"
        warnings.warn(text, DataWarning, stacklevel=stacklevel + 1)


def _warn_of_spare_scores(loss: Loss, prediction: Array, train: ArrayDataset, *, stacklevel: int) -> None:
    """Warn if a model gives far more scores than there are classes: its last layer may be missing."""
    if not isinstance(loss, CrossEntropyLoss) or prediction.ndim != 2 or train.y.ndim != 1:
        return
    scores, classes = prediction.shape[1], int(train.y.max()) + 1 if train.classes is None else len(train.classes)
    if scores > classes and (train.classes is not None or scores > max(32, 4 * classes)):
        text = (
            f"the model gives {scores} scores an example, and there are {classes} classes: is its last layer missing, "
            f"nn.Linear({scores}, {classes})?"
        )
        warnings.warn(text, DataWarning, stacklevel=stacklevel + 1)
