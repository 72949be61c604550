"""ROC and precision-recall curves: what a classifier of two classes can do at every threshold."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from minicnn.analyse.style import new_figure, shown_as
from minicnn.backend import to_host
from minicnn.errors import ArgumentError
from minicnn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_roc(y_true: Any, y_score: Any, *, threshold: float | None = None, axes: "Axes | None" = None) -> "Figure":
    """Draw recall against the false-alarm rate, with the area under the curve.

    Parameters
    ----------
    y_true : array-like (N,)
        Labels 0 and 1.
    y_score : array-like (N,), or mapping of names to such
        Scores of label 1; of several models, by name, to compare them.
    threshold : float, optional
        Mark where scores of at least this are called positive.
    axes : matplotlib Axes, optional
        Draw there, and return the figure that they belong to, instead of a new one.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If labels and scores do not fit together, or there are no scores.
    """
    axes = new_figure(5, 4.8).subplots() if axes is None else axes
    for number, (name, scores) in enumerate(_by_name(y_score).items()):
        fpr, tpr, _ = roc_curve(y_true, scores)
        style = shown_as(number)
        axes.plot(fpr, tpr, **style, label=f"{name}area {roc_auc_score(y_true, scores):.3f}")
        if threshold is not None:
            fpr, tpr, thresholds = roc_curve(y_true, scores, drop_intermediate=False)
            at = int(np.searchsorted(-thresholds, -threshold, side="right")) - 1  # they fall
            label = f"at {threshold:g}: recall {tpr[at]:.2f}, false alarms {fpr[at]:.2f}"
            axes.plot(fpr[at], tpr[at], "o", color=style["color"], markersize=8, label=label)
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle=":", label="tossing coins: area 0.5")
    axes.set_xlabel("false-alarm rate: negatives called positive (share)")
    axes.set_ylabel("recall: positives found (share)")
    axes.set_title("ROC: nearer to the upper left corner is better", fontsize=10)
    return _finish(axes, "lower right")


def plot_precision_recall(
    y_true: Any, y_score: Any, *, threshold: float | None = None, axes: "Axes | None" = None
) -> "Figure":
    """Draw precision against recall, with the average precision; arguments and errors are `plot_roc`'s."""
    axes = new_figure(5, 4.8).subplots() if axes is None else axes
    for number, (name, scores) in enumerate(_by_name(y_score).items()):
        precision, recall, thresholds = precision_recall_curve(y_true, scores)
        style = shown_as(number)
        label = f"{name}average precision {average_precision_score(y_true, scores):.3f}"
        axes.plot(recall, precision, **style, drawstyle="steps-post", label=label)
        if threshold is not None:
            at = int(np.searchsorted(thresholds, threshold))
            label = f"at {threshold:g}: recall {recall[at]:.2f}, precision {precision[at]:.2f}"
            axes.plot(recall[at], precision[at], "o", color=style["color"], markersize=8, label=label)
    share = float(np.mean(to_host(y_true) == 1))
    axes.axhline(share, color="grey", linewidth=1, linestyle=":", label=f"calling all positive: {share:.3f}")
    axes.set_xlabel("recall: positives found (share)")
    axes.set_ylabel("precision: of those called positive, the share that is")
    axes.set_title("Nearer to the upper right corner is better", fontsize=10)
    return _finish(axes, "lower left")


def _by_name(y_score: Any) -> dict[str, np.ndarray]:
    """Return scores under names to be written before a number."""
    if isinstance(y_score, Mapping):
        if not y_score:
            raise ArgumentError("there are no scores to be drawn: the mapping is empty")
        return {f"{name}: ": to_host(scores) for name, scores in y_score.items()}
    return {"": to_host(y_score)}


def _finish(axes: "Axes", where: Literal["lower left", "lower right"]) -> "Figure":
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc=where)
    return axes.figure.figure  # the whole, if the axes lie in a part of it
