"""Learning curves: the first thing to look at after a training."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minicnn.errors import DataError
from minicnn.optim.monitor import smaller_is_better
from minicnn.train import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRAIN_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"  # Okabe and Ito's blue and vermilion: apart for every eye
UNITS = {"accuracy": "share of right answers"}


def plot_history(history: History, *, units: Mapping[str, str] | None = None) -> "Figure":
    """Draw each measure against the epoch, training and validation together, and mark the best validation epoch.

    A history does not say which loss it holds: cross-entropies are in nats, squared errors in the square of the
    target's unit. `units={"loss": "nats"}` writes it on the axis. (The accuracy is a share of right answers.)

    Returns a matplotlib figure; `figure.savefig("curves.png")` keeps it. Raises `DataError` for an empty history.
    """
    from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

    if len(history) == 0:
        raise DataError("the history is empty; train for an epoch first")
    measures = [name for name in history.names if not name.startswith("val_") and name != "lr"]
    figure = Figure(figsize=(5.2 * len(measures), 4), layout="constrained", dpi=120)
    for axes, name in zip(figure.subplots(1, len(measures), squeeze=False)[0], measures, strict=True):
        _draw(axes, history, name, {**UNITS, **(units or {})}.get(name))
    return figure


def _draw(axes: "Axes", history: History, name: str, unit: str | None) -> None:
    from matplotlib.ticker import MaxNLocator

    style: dict[str, Any] = {"marker": "o", "markersize": 3, "linewidth": 1.5}
    axes.plot(history.epoch, history[name], color=TRAIN_COLOUR, label="training", **style)
    title = f"{name}: training"
    if f"val_{name}" in history:
        values = history[f"val_{name}"]
        better = min if smaller_is_better(name) else max
        at = values.index(better(values))
        axes.plot(history.epoch, values, color=VALIDATION_COLOUR, linestyle="--", label="validation", **style)
        axes.plot(history.epoch[at], values[at], "*", color="black", markersize=11, label="best validation epoch")
        title = f"{name}: best in validation {values[at]:.4g}, in epoch {history.epoch[at]}"
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("epoch")
    axes.set_ylabel(name if unit is None else f"{name} ({unit})")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9)
