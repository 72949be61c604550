"""What all measures of classifications are made of: how often each class was meant, said, and both."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, DTypeError, ShapeError, listed


@dataclass(frozen=True)
class Counts:
    """For each of K classes, how many examples are of it, were said to be, and both; (K,) each.

    `total` is the number of examples.
    """

    true: np.ndarray
    predicted: np.ndarray
    both: np.ndarray
    total: int

    @property
    def neither(self) -> np.ndarray:
        """How many examples are rightly said not to be of a class: its true negatives."""
        return self.total - self.true - self.predicted + self.both

    def chosen(self, index: Any) -> "Counts":
        """Return the counts of some classes."""
        return Counts(self.true[index], self.predicted[index], self.both[index], self.total)

    def together(self) -> "Counts":
        """Return the sums over all classes, as one class."""
        true, predicted, both = (each.sum(keepdims=True) for each in (self.true, self.predicted, self.both))
        return Counts(true, predicted, both, len(self.true) * self.total)


def two_columns(y_true: Any, y_pred: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return labels (N,), or 0/1 tables (N, K) of several labels an example, on the host.

    Raises `ShapeError` if their shapes differ or are others, `DataError` if they are empty, `DTypeError` if they hold
    scores instead of labels.
    """
    y_true, y_pred = np.asarray(to_host(y_true)), np.asarray(to_host(y_pred))
    if y_true.ndim == 2 and y_true.shape[1] == 1:
        y_true = y_true[:, 0]
    if y_pred.ndim == 2 and y_pred.shape[1] == 1:
        y_pred = y_pred[:, 0]
    if y_true.shape != y_pred.shape or y_true.ndim not in (1, 2):
        raise ShapeError(
            f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; expected labels (N,) in both, or (N, K) of 0 "
            "and 1 (masks of pixels: .ravel())"
        )
    if y_true.size == 0:
        raise DataError("there are no predictions to be measured")
    for name, y in (("y_true", y_true), ("y_pred", y_pred)):
        check_whole(y, name, "of scores take the largest, .argmax(axis=1)")
        if y.ndim == 2 and not np.isin(y, (0, 1)).all():
            raise DataError(
                f"{name} of shape {y.shape} says which labels an example has, so it must hold 0 and 1 alone"
            )
    return y_true, y_pred


def check_whole(y: np.ndarray, name: str, advice: str) -> None:
    """Raise `DTypeError` if floating-point labels are not whole numbers."""
    if y.dtype.kind == "f":
        wrong = y[~(np.isfinite(y) & (y == np.floor(y)))]
        if wrong.size:
            raise DTypeError(f"{name} holds {wrong[0]}, which is no label; {advice}")


def classes_in(y_true: np.ndarray, y_pred: np.ndarray, labels: Any = None) -> np.ndarray:
    """Return the classes to look at, (K,): those given, or all that occur, sorted. Raises `ArgumentError` for none."""
    if y_true.ndim == 2:
        return np.arange(y_true.shape[1]) if labels is None else np.asarray(labels)
    occurring = np.unique(np.concatenate([y_true, y_pred]))
    if labels is None:
        return occurring
    labels = np.asarray(labels)
    if labels.ndim != 1 or labels.size == 0:
        raise ArgumentError(f"labels must name at least one class, not {labels.tolist()}")
    return labels


def count(y_true: np.ndarray, y_pred: np.ndarray, labels: np.ndarray) -> Counts:
    """Count each of the classes."""
    if y_true.ndim == 2:
        true, predicted = y_true[:, labels] == 1, y_pred[:, labels] == 1
    else:
        true, predicted = y_true[:, None] == labels, y_pred[:, None] == labels
    return Counts(true.sum(axis=0), predicted.sum(axis=0), (true & predicted).sum(axis=0), len(y_true))


def averaged_over(
    average: str | None, y_true: Any, y_pred: Any, labels: Any, pos_label: Any
) -> tuple[Counts, np.ndarray | None]:
    """Return the counts that a measure is computed from, and the weights of their mean (None: all alike).

    average : "binary" looks at pos_label alone, "micro" at all classes together, "macro", "weighted" and None at each
    Raises `ArgumentError` for another average, or for "binary" where there are more than two classes.
    """
    if average not in ("binary", "micro", "macro", "weighted", None):
        raise ArgumentError(f"average must be 'binary', 'micro', 'macro', 'weighted' or None, not {average!r}")
    y_true, y_pred = two_columns(y_true, y_pred)
    classes = classes_in(y_true, y_pred, labels)
    if average == "binary":
        return count(y_true, y_pred, _positive(y_true, y_pred, pos_label)), None
    counts = count(y_true, y_pred, classes)
    if average == "micro":
        return counts.together(), None
    return counts, counts.true if average == "weighted" else None


def _positive(y_true: np.ndarray, y_pred: np.ndarray, pos_label: Any) -> np.ndarray:
    """Return the class that counts as positive, (1,), of two."""
    occurring = np.unique(np.concatenate([y_true.ravel(), y_pred.ravel()]))
    if y_true.ndim == 2 or len(occurring) > 2:
        raise ArgumentError(
            f"average='binary' is for two classes, and here are {listed(occurring[:10])}"
            f"{'' if y_true.ndim == 1 else ' in several columns'}; choose 'macro', 'micro', 'weighted' or None"
        )
    if len(occurring) == 2 and pos_label not in occurring:
        raise ArgumentError(f"pos_label={pos_label!r} is none of the classes, which are {listed(occurring)}")
    return np.array([pos_label])
