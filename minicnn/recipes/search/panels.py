"""The figure of a search: the score against each setting."""

import math
from typing import TYPE_CHECKING, Any

from minicnn.recipes.search.space import Choice, Distribution, Integers, LogUniform, Uniform, readable
from minicnn.recipes.search.trial import Trial

if TYPE_CHECKING:
    from minicnn.recipes.search.result import SearchResult

COLOUR, BEST, FAILED = "#0072B2", "#E69F00", "#D55E00"
MARGIN = 0.05
"""How far the axis goes on beyond the values, as a share of their range."""
WIDE = 30.0
"""Losses that differ by more than this factor are drawn on a logarithmic axis."""


def draw_panels(figure: Any, result: "SearchResult", lines: int, columns: int) -> None:
    """Draw a panel for each setting into a figure."""
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False)
    done = [trial for trial in result.trials if not trial.failed]
    failed = [trial for trial in result.trials if trial.failed]
    scores = [trial.score for trial in done]
    for axes, (name, values) in zip(panels.flat, result.space.items(), strict=False):
        _draw_panel(axes, name, values, done, failed, result.best)
        if result.small_is_good and min(scores) > 0 and max(scores) > WIDE * min(scores):
            axes.set_yscale("log")
    for axes in panels.flat[len(result.space) :]:
        axes.remove()
    figure.supylabel(result.monitor, fontsize=10)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=9, frameon=False)


def _draw_panel(
    axes: Any, name: str, values: Distribution, done: list[Trial], failed: list[Trial], best: Trial
) -> None:
    last = max(len(trial.rungs) for trial in done)
    here = _Places(name, values)
    final = [trial for trial in done if len(trial.rungs) == last]
    dropped = [trial for trial in done if len(trial.rungs) < last]
    if dropped:
        _scatter(axes, here, dropped, label="left out at a lower rung", color=COLOUR, alpha=0.3)
    _scatter(axes, here, final, label="in the last rung" if dropped else "a trial", color=COLOUR)
    _scatter(axes, here, [best], label="the best", facecolors="none", edgecolors=BEST, s=110, linewidths=2)
    if failed:
        axes.scatter(
            [here(trial) for trial in failed],
            [0.04] * len(failed),
            transform=axes.get_xaxis_transform(),
            marker="x",
            zorder=3,
            color=FAILED,
            label="failed",
        )
    if here.labels:
        axes.set_xticks(range(len(here.labels)), here.labels)
        axes.set_xlim(-0.5, len(here.labels) - 0.5)
    elif isinstance(values, LogUniform):
        axes.set_xscale("log")
        room = (values.high / values.low) ** MARGIN
        axes.set_xlim(values.low / room, values.high * room)
    elif isinstance(values, Uniform | Integers):
        room = MARGIN * (values.high - values.low) or 0.5
        axes.set_xlim(values.low - room, values.high + room)
    axes.margins(y=0.12)  # room for the crosses
    axes.set_xlabel(name)
    axes.grid(alpha=0.3)


def _scatter(axes: Any, here: "_Places", trials: list[Trial], **style: Any) -> None:
    axes.scatter([here(trial) for trial in trials], [trial.score for trial in trials], zorder=2.5, **style)


class _Places:
    """Where on a panel's axis a trial belongs: at its number, or for a choice at the place of its value."""

    def __init__(self, name: str, values: Distribution) -> None:
        self.name = name
        self.options = list(values.options) if isinstance(values, Choice) else None
        self.labels = [_label(option) for option in self.options or []]

    def __call__(self, trial: Trial) -> float:
        value = trial.settings[self.name]
        return float(value) if self.options is None else float(self.options.index(value))


def _label(option: object) -> str:
    if isinstance(option, float) and math.isfinite(option):
        return f"{option:.3g}"
    return option if isinstance(option, str) else readable(option)
