"""The confusion matrix as a picture: which classes are taken for which."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.analyse.style import new_figure
from minicnn.backend import to_host
from minicnn.errors import ShapeError, listed
from minicnn.metrics import confusion_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_confusion_matrix(
    y_true: Any,
    y_pred: Any,
    *,
    classes: Sequence[str] | None = None,
    normalize: bool = False,
    axes: "Axes | None" = None,
) -> "Figure":
    """Draw how often each class (row) was taken for each other (column); the title names the commonest mistake.

    Parameters
    ----------
    y_true, y_pred : array-like (N,)
        Labels.
    classes : sequence of K str, optional
        What the labels 0 to K - 1 are called; by default the labels that occur, as they are.
    normalize : bool
        Write percentages of each row instead of counts. Colours are always shares of the row, so that rare classes are
        seen as well as common ones.
    axes : matplotlib Axes, optional
        Draw there, and return the figure that they belong to, instead of a new one.

    Raises
    ------
    ShapeError, DataError
        If the labels do not fit together, are empty, or there are more of them than names.
    """
    y_true, y_pred = to_host(y_true), to_host(y_pred)
    present = np.unique(np.concatenate([y_true.ravel(), y_pred.ravel()]))
    labels = present if classes is None else np.arange(len(classes))
    if classes is not None and not np.isin(present, labels).all():
        raise ShapeError(f"there are {len(classes)} names for the labels {listed(present)}; one each is needed")
    names = [str(name) for name in (present if classes is None else classes)]
    counts = confusion_matrix(y_true, y_pred, labels=labels)
    shares = confusion_matrix(y_true, y_pred, labels=labels, normalize="true")
    side = max(3.6, 1.2 + 0.5 * len(names))
    axes = new_figure(side + 0.8, side).subplots() if axes is None else axes
    picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(picture, ax=axes, label="share of the row (recall on the diagonal)", shrink=0.8)
    for i, j in np.ndindex(counts.shape):
        if counts[i, j]:
            text = f"{100 * shares[i, j]:.0f}" if normalize else f"{counts[i, j]}"
            axes.text(
                j, i, text, ha="center", va="center", color="white" if shares[i, j] > 0.5 else "black", fontsize=9
            )
    axes.set_xticks(range(len(names)), names, rotation=90 if max(map(len, names)) > 3 else 0)
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted class" + (" (% of the row)" if normalize else " (number of examples)"))
    axes.set_ylabel("true class")
    axes.set_title(_title(counts, names), fontsize=10)
    return axes.figure.figure  # the whole, if the axes lie in a part of it


def _title(counts: np.ndarray, names: Sequence[str]) -> str:
    right, total = int(np.trace(counts)), int(counts.sum())
    wrong = counts - np.diag(np.diag(counts))
    title = f"{right} of {total} right"
    if wrong.any():
        i, j = np.unravel_index(wrong.argmax(), wrong.shape)
        title += f"; most often {names[i]} is taken for {names[j]} ({wrong[i, j]} times)"
    return title
