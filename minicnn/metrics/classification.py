"""Measures of labels: which mistakes a classifier makes, and how many.

    tp, fp, fn, tn     true and false positives and negatives of a class
    precision          tp / (tp + fp)     of those said to be of the class, the share that is
    recall             tp / (tp + fn)     of those that are, the share that was found (sensitivity)
    specificity        tn / (tn + fp)     of those that are not, the share that was left alone

Names, arguments and results are scikit-learn's (there are no sample weights). Labels are (N,), or tables (N, K) of 0
and 1 where an example may have several labels. Sokolova and Lapalme, "A systematic analysis of performance measures for
classification tasks", 2009, tables 2 and 3.
"""

import warnings
from typing import Any

import numpy as np

from minicnn.backend import Array, to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, UndefinedMetricWarning, listed
from minicnn.metrics.counting import averaged_over, check_whole, classes_in, two_columns


def accuracy_score(y_true: Array, y_pred: Array) -> Array:
    """Return the share of predictions that equal the labels, from 0 to 1; an array on a GPU stays there.

    y_true, y_pred : labels of one shape; of tables (N, K) it is the share of entries, where scikit-learn counts rows
    Raises `ShapeError` if the shapes differ, `DataError` if they are empty.
    """
    y_true, y_pred = (np.asarray(y) if isinstance(y, list | tuple) else y for y in (y_true, y_pred))
    if y_true.shape != y_pred.shape:
        raise ShapeError(f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; they must be equal")
    if y_true.size == 0:
        raise DataError("there are no predictions, so they have no accuracy")
    return (y_true == y_pred).mean()


def confusion_matrix(y_true: Any, y_pred: Any, *, labels: Any = None, normalize: str | None = None) -> np.ndarray:
    """Return how often class i (row) was said to be class j (column): (K, K) whole numbers, or shares.

    Parameters
    ----------
    y_true, y_pred : array-like (N,)
        Labels.
    labels : sequence of K classes, optional
        Which classes, in which order; by default all that occur, sorted. Examples of others are left out.
    normalize : "true", "pred", "all" or None
        Shares of each row (then the diagonal is the recall), of each column (the precision), or of all examples.
        Rows and columns of a class that does not occur are 0.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If the labels are not two equally long lists or empty, or an argument makes no sense.
    """
    if normalize not in ("true", "pred", "all", None):
        raise ArgumentError(f"normalize must be 'true', 'pred', 'all' or None, not {normalize!r}")
    y_true, y_pred = two_columns(y_true, y_pred)
    if y_true.ndim == 2:
        raise ShapeError(f"a confusion matrix needs one label an example, (N,), not {y_true.shape}")
    classes = classes_in(y_true, y_pred, labels)
    if not np.isin(classes, y_true).any():
        raise ArgumentError(f"none of the labels {listed(classes)} is in y_true")
    k = len(classes)
    order = np.argsort(classes, kind="stable")
    place = np.full((2, len(y_true)), k)
    for row, y in zip(place, (y_true, y_pred), strict=True):
        index = np.searchsorted(classes, y, sorter=order).clip(0, k - 1)
        known = classes[order[index]] == y
        row[known] = order[index[known]]
    inside = (place < k).all(axis=0)
    matrix = np.bincount(place[0, inside] * k + place[1, inside], minlength=k * k).reshape(k, k)
    if normalize is None:
        return matrix
    whole = {"true": matrix.sum(axis=1, keepdims=True), "pred": matrix.sum(axis=0, keepdims=True), "all": matrix.sum()}
    return matrix / np.maximum(whole[normalize], 1)


def precision_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: Any = "warn",
) -> Any:
    """Return tp / (tp + fp): of those said to be of the class, the share that is.

    Parameters
    ----------
    y_true, y_pred : array-like (N,) or (N, K)
        Labels, or tables of 0 and 1.
    labels : sequence of classes, optional
        Which classes to look at; by default all that occur.
    pos_label : label
        The class meant, for average="binary".
    average : "binary", "micro", "macro", "weighted" or None
        One class of two; all classes' examples together; the mean of the classes, or that weighted by how often each is
        true; or each class, (K,).
    zero_division : "warn", 0, 1 or nan
        What 0 / 0 is, as where nothing was said to be of the class: 0 with an `UndefinedMetricWarning`, or this number.
        nan is left out of means.

    Raises
    ------
    ShapeError, DataError, DTypeError, ArgumentError
        If the labels do not fit together, are empty or no labels, or an argument makes no sense.
    """
    counts, weights = averaged_over(average, y_true, y_pred, labels, pos_label)
    return _mean(counts.both, counts.predicted, weights, average, zero_division, "precision: nothing was predicted")


def recall_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: Any = "warn",
) -> Any:
    """Return tp / (tp + fn), the sensitivity: of those of the class, the share that was found.

    Arguments and errors are `precision_score`'s.
    """
    counts, weights = averaged_over(average, y_true, y_pred, labels, pos_label)
    return _mean(counts.both, counts.true, weights, average, zero_division, "recall: there are no examples")


def specificity_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: Any = "warn",
) -> Any:
    """Return tn / (tn + fp): of those that are not of the class, the share that was not said to be.

    Arguments and errors are `precision_score`'s. scikit-learn has no such function: for two classes it is the recall of
    the other one.
    """
    counts, weights = averaged_over(average, y_true, y_pred, labels, pos_label)
    negatives = counts.total - counts.true
    return _mean(counts.neither, negatives, weights, average, zero_division, "specificity: all examples are")


def f1_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: Any = "warn",
) -> Any:
    """Return 2 / (1 / precision + 1 / recall) = 2 tp / (2 tp + fp + fn), the harmonic mean of both.

    Arguments and errors are `precision_score`'s. Some lecture notes leave out the 2 and so never come above one half.
    Van Rijsbergen, "Information retrieval", 1979, chapter 7: F = 1 - E with equal weights.
    """
    counts, weights = averaged_over(average, y_true, y_pred, labels, pos_label)
    both = counts.true + counts.predicted
    return _mean(2 * counts.both, both, weights, average, zero_division, "F1: nothing was predicted, or is,")


def jaccard_score(
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    zero_division: Any = "warn",
) -> Any:
    """Return tp / (tp + fp + fn), intersection over union; for masks of pixels, of their `.ravel()`.

    Arguments and errors are `precision_score`'s.
    """
    counts, weights = averaged_over(average, y_true, y_pred, labels, pos_label)
    union = counts.true + counts.predicted - counts.both
    return _mean(counts.both, union, weights, average, zero_division, "Jaccard: nothing was predicted, or is,")


def dice_score(y_true: Any, y_pred: Any, *, zero_division: Any = "warn") -> float:
    """Return 2 |A and B| / (|A| + |B|) for two masks of any one shape, where A and B are their pixels that are not 0.

    It is the F1 score of the pixels. Dice, "Measures of the amount of ecologic association between species", 1945.
    Raises `ShapeError` if the shapes differ, `DataError` if they are empty.
    """
    masks = [np.asarray(to_host(mask)) for mask in (y_true, y_pred)]
    for mask in masks:
        check_whole(mask, "a mask", "of probabilities take p >= 0.5")
    a, b = (mask != 0 for mask in masks)
    if a.shape != b.shape:
        raise ShapeError(f"y_true has shape {a.shape} and y_pred {b.shape}; two masks of one shape are compared")
    return f1_score(a.ravel().astype(int), b.ravel().astype(int), zero_division=zero_division)


def _mean(
    part: np.ndarray, whole: np.ndarray, weights: np.ndarray | None, average: str | None, zero_division: Any, what: str
) -> Any:
    """Return part / whole for each class, or the mean of that; what 0 / 0 is, is the caller's choice."""
    if isinstance(zero_division, str) and zero_division != "warn":
        raise ArgumentError(f"zero_division must be 'warn', 0, 1 or nan, not {zero_division!r}")
    empty = whole == 0
    instead = 0.0 if zero_division == "warn" else float(zero_division)
    ratios = np.where(empty, instead, part / np.where(empty, 1, whole))
    if zero_division == "warn" and empty.any():
        warnings.warn(f"{what} of some class, so it is set to 0", UndefinedMetricWarning, stacklevel=3)
    if average is None:
        return ratios
    defined = ~np.isnan(ratios)
    if not defined.any():
        return float("nan")
    if weights is None or not weights[defined].any():
        return float(ratios[defined].mean())
    return float(np.average(ratios[defined], weights=weights[defined]))
