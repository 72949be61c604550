"""Finding a learning rate: a short training in which it rises from far too small to far too large."""

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.backend import Array, CounterRng, to_host
from minicnn.data import DataLoader, SealedDataset
from minicnn.data.dataset import as_dataset
from minicnn.errors import ArgumentError, DataError, NonFiniteError, expect_kind, whole_number
from minicnn.nn import Layer, Loss
from minicnn.nn.parameter import Parameters
from minicnn.optim import Adam, Optimizer
from minicnn.train import Trainer
from minicnn.train.predicting import backend_of_model, dtype_of_inputs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIVERGED = 4.0
"""The test ends where a batch's loss is this many times the lowest of the smoothed ones."""
BELOW_THE_LOWEST = 10.0
"""How many times smaller than the rate with the lowest loss the suggestion is."""
COLOUR, MARK = "#0072B2", "#D55E00"


@dataclass(frozen=True)
class RangeTest:
    """What a range test has seen.

    Attributes
    ----------
    rates : array (steps,)
        The learning rates, each larger than the one before by the same factor; fewer than asked for if it diverged.
    losses : array (steps,)
        The loss of each batch before its step.
    smoothed : array (steps,)
        Their running mean over some neighbours on both sides.
    suggestion : float
        A tenth of the rate at which the smoothed loss is lowest: there it is about to diverge, and a training of many
        steps needs a distance from that. A rate to begin with, not the best one.
    """

    rates: np.ndarray
    losses: np.ndarray
    smoothed: np.ndarray
    suggestion: float

    def plot(self) -> "Figure":
        """Draw the loss against the rate, on a logarithmic axis, and mark the suggestion.

        Returns a matplotlib figure; `figure.savefig("range.png")` keeps it.
        """
        from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

        figure = Figure(figsize=(6.4, 4), layout="constrained", dpi=120)
        axes = figure.subplots()
        axes.plot(self.rates, self.losses, color=COLOUR, alpha=0.3, linewidth=1, label="each batch")
        axes.plot(self.rates, self.smoothed, color=COLOUR, linewidth=2, label="smoothed")
        axes.axvline(self.suggestion, color=MARK, linestyle="--", label=f"suggestion: {self.suggestion:.2g}")
        axes.set_xscale("log")
        low, high = self.smoothed.min(), self.smoothed.max()
        axes.set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        axes.set_title("The loss while the learning rate rises from step to step", fontsize=10)
        axes.set_xlabel("learning rate")
        axes.set_ylabel("loss of a batch")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)
        return figure


def learning_rate_range_test(
    model: Layer,
    loss: Loss,
    dataset: Any,
    *,
    optimizer: Callable[[Parameters], Optimizer] = Adam,
    smallest: float = 1e-6,
    largest: float = 10.0,
    steps: int = 100,
    batch_size: int = 32,
) -> RangeTest:
    """Train a copy of the model for some steps with a rising learning rate, and see where the loss falls and diverges.

    Smith, "Cyclical learning rates for training neural networks", 2017, section 3.3; there the rate rises in a straight
    line, here by the same factor in each step, so that all orders of magnitude are seen. The model stays as it was, and
    so does all randomness under `mc.seed`.

    Parameters
    ----------
    model : Layer
        What will be trained.
    loss : Loss
        What will be made small.
    dataset : ArrayDataset or (x, y)
        What will be learned from.
    optimizer : function (parameters) -> Optimizer
        How: a class, or `lambda parameters: optim.SGD(parameters, momentum=0.9)`. Each has rates of its own.
    smallest, largest : float
        Between which rates to look.
    steps : int
        How many steps it takes; at least 10.
    batch_size : int
        Examples a step.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or the loss never falls.
    DataError
        If there are no examples, or the data set is a sealed test set.
    """
    expect_kind(Layer, model, "model")
    expect_kind(Loss, loss, "loss")
    steps = whole_number("steps", steps, least=10)
    if not 0 < smallest < largest < math.inf:
        raise ArgumentError(f"smallest must be above 0 and below largest, not {smallest} and {largest}")
    if isinstance(dataset, SealedDataset):
        raise DataError("a sealed test set is for evaluate(), not for choosing a learning rate; use the training set")
    model = copy.deepcopy(model).train()
    used = expect_kind(Optimizer, optimizer(model.parameters()), "what optimizer(parameters) returns")
    trainer = Trainer(model, loss=copy.deepcopy(loss), optimizer=used, metrics={}, rng=CounterRng())
    rates = np.geomspace(smallest, largest, steps)
    losses: list[float] = []
    for rate, (x, y) in zip(rates, _batches(model, dataset, batch_size), strict=False):
        for group in used.param_groups:
            group["lr"] = float(rate)
        try:
            value, _ = trainer.train_step(x, y)
        except NonFiniteError:
            break
        losses.append(float(to_host(value)))  # a GPU waits here, so that the test can end early
        if not losses[-1] <= DIVERGED * _smooth(losses, steps).min():  # NaN as well
            break
    return _read(rates, np.array([value for value in losses if math.isfinite(value)]), steps)


def _batches(model: Layer, dataset: Any, batch_size: int) -> Iterator[tuple[Array, Array]]:
    """Yield batches in random order, epoch after epoch without end."""
    dataset = as_dataset(dataset, dtype=dtype_of_inputs(model))
    loader = DataLoader(dataset, batch_size, shuffle=True, rng=CounterRng(), ahead=0, backend=backend_of_model(model))
    while True:
        yield from loader


def _smooth(losses: Any, steps: int) -> np.ndarray:
    """Return means over windows of about a tenth of the steps, which are narrower at both ends."""
    sums, here = np.concatenate([[0.0], np.cumsum(losses)]), np.arange(len(losses))
    half = np.minimum(max(1, steps // 20), np.minimum(here, len(losses) - 1 - here))
    return (sums[here + half + 1] - sums[here - half]) / (2 * half + 1)


def _read(rates: np.ndarray, losses: np.ndarray, steps: int) -> RangeTest:
    """Find the rate at which the smoothed loss is lowest."""
    if len(losses) < 3:
        raise ArgumentError(
            f"the loss diverged within {len(losses) + 1} steps from the rate {rates[0]:.2g}; begin lower"
        )
    rates, smoothed = rates[: len(losses)], _smooth(losses, steps)
    lowest = int(smoothed.argmin())
    if smoothed[lowest] >= smoothed[0]:
        raise ArgumentError(
            f"the loss never falls between the rates {rates[0]:.2g} and {rates[-1]:.2g}; begin with a smaller one, "
            "or see to it that the model learns at all"
        )
    return RangeTest(rates, losses, smoothed, suggestion=float(rates[lowest] / BELOW_THE_LOWEST))
