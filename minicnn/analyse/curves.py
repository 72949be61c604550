"""Learning curves: the first thing to look at after a training, or while it runs (`live`)."""

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.errors import ArgumentError, DataError
from minicnn.optim.monitor import smaller_is_better
from minicnn.train import History, StepHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion: apart for every eye
FEW = 100
"""Points of a curve; more would hide the line."""
UNITS = {"accuracy": "share of right answers"}


def plot_history(
    history: History,
    *,
    steps: StepHistory | None = None,
    units: Mapping[str, str] | None = None,
    smoothing: float = 0.0,
) -> "Figure":
    """Draw each measure against the epoch, training and validation together, and mark the best validation epoch.

    steps : what the callback `train.StepHistory` saw of this training; the measures are drawn against the training
        step then: those of the training set as finely as it saw them, those of validation where each epoch ends, as
        they are, since an epoch's mean needs no smoothing

    A history does not say which loss it holds: cross-entropies are in nats, squared errors in the square of the
    target's unit. `units={"loss": "nats"}` writes it on the axis. (The accuracy is a share of right answers.)

    smoothing : the weight w of the past, 0 <= w < 1, as under TensorBoard's slider (see `smooth`); the measured lines
        stay behind the smoothed ones, faintly, and the best epoch is that of the measured values

    Returns a matplotlib figure; `figure.savefig("curves.png")` keeps it.
    Raises `DataError` for an empty history, `ArgumentError` for a weight out of its range or for steps of another
    training, or of only some of its epochs.
    """
    from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

    figure = Figure(layout="constrained", dpi=120)
    draw_history(figure, history, steps=steps, units=units, smoothing=smoothing)
    return figure


def draw_history(
    figure: "Figure",
    history: History,
    *,
    steps: StepHistory | None = None,
    units: Mapping[str, str] | None = None,
    smoothing: float = 0.0,
) -> None:
    """Draw what `plot_history` draws into a figure, in place of what is there."""
    check_smoothing(smoothing)
    if len(history) == 0:
        raise DataError("the history is empty; train for an epoch first")
    if steps is not None and set(history.epoch) - set(steps.ends):
        unseen = min(set(history.epoch) - set(steps.ends))
        raise ArgumentError(f"{steps!r} did not see epoch {unseen} of this history; give it to every fit of a training")
    measures = measures_of(history)
    figure.clear()
    if figure.canvas.manager is None:  # a window has the size that somebody gave it
        figure.set_size_inches(*size_for(measures))
    for axes, name in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        _draw(axes, history, steps, name, {**UNITS, **(units or {})}.get(name), smoothing)


def measures_of(history: History) -> list[str]:
    """Return what is drawn: one panel each."""
    return [name for name in history.names if not name.startswith("val_") and name != "lr"]


def size_for(measures: Sequence[str]) -> tuple[float, float]:
    """Return the width and the height of a figure of these panels, in inches."""
    return 5.2 * max(len(measures), 1), 4.0


def smooth(values: Sequence[float], weight: float) -> np.ndarray:
    """Return the running means that TensorBoard draws: recent values count most, by powers of the weight w.

        s_0 = 0,  s_n = w s_(n-1) + (1 - w) v_n,  mean_n = s_n / (1 - w^n)

    The division undoes the pull towards s_0 = 0: mean_n is the average of v_1 ... v_n under the weights w^(n-1) ... 1.
    Values that are not finite stay as they are, and count for nothing (`resmoothDataset` in TensorBoard's line chart).

    Raises `ArgumentError` unless 0 <= w < 1.
    """
    w = check_smoothing(weight)
    s, n = 0.0, 0
    means = np.array(values, dtype=np.float64)
    for i, value in enumerate(means):
        if math.isfinite(value):
            s, n = w * s + (1 - w) * value, n + 1
            means[i] = s / (1 - w**n)
    return means


def check_smoothing(weight: float) -> float:
    """Return the weight. Raises `ArgumentError` unless it is a number from 0 on and below 1."""
    if not isinstance(weight, Real) or isinstance(weight, bool) or not 0 <= weight < 1:
        raise ArgumentError(f"smoothing must be a number from 0 (none) on and below 1, not {weight!r}")
    return float(weight)


def best_of(name: str, values: Sequence[float]) -> int | None:
    """Return the position of the best value: the smallest of a loss or an error, else the largest; None if all are NaN.

    The first of equals wins; epochs in which nothing was measured (NaN) take no part.
    """
    scores = np.asarray(values, dtype=np.float64) * (-1 if smaller_is_better(name) else 1)
    return None if np.isnan(scores).all() else int(np.nanargmax(scores))


def _draw(
    axes: "Axes", history: History, steps: StepHistory | None, name: str, unit: str | None, smoothing: float
) -> None:
    from matplotlib.ticker import MaxNLocator

    ends = history.epoch if steps is None else [steps.ends[epoch] for epoch in history.epoch]
    training = (ends, history[name]) if steps is None or name not in steps else (steps.step, steps[name])
    _draw_line(axes, *training, smoothing, color=TRAIN_COLOUR, label="training")
    title = f"{name}: training"
    if f"val_{name}" in history:
        values = history[f"val_{name}"]
        weight = smoothing if steps is None else 0.0
        _draw_line(axes, ends, values, weight, color=VALIDATION_COLOUR, linestyle="--", label="validation")
        if (at := best_of(name, values)) is not None:
            axes.plot(ends[at], values[at], "*", color="black", markersize=11, label="best validation epoch")
            title = f"{name}: best in validation {values[at]:.4g}, in epoch {history.epoch[at]}"
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("epoch" if steps is None else "training step")
    axes.set_ylabel(name if unit is None else f"{name} ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)


def _draw_line(axes: "Axes", at: list[int], values: list[float], smoothing: float, **style: Any) -> None:
    """Draw a curve; smoothed, if asked for, with the measured one behind it."""
    if smoothing:
        faint = {name: value for name, value in style.items() if name != "label"}
        axes.plot(at, values, linewidth=1, alpha=0.3, **faint)
        axes.plot(at, smooth(values, smoothing), linewidth=1.8, **style)
    else:
        points: dict[str, Any] = {"marker": "o", "markersize": 3} if len(at) <= FEW else {}
        axes.plot(at, values, linewidth=1.5, **points, **style)
