"""What a training refuses before it begins."""

from collections.abc import Mapping
from typing import Any

from minicnn.data import SealedDataset
from minicnn.data.dataset import as_dataset
from minicnn.errors import ArgumentError, DataError, expect_kind, listed
from minicnn.nn import Layer
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
