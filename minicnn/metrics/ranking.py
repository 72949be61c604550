"""Measures of scores: how well a classifier tells two classes apart, whatever threshold is chosen later.

Each threshold t says "positive" to the scores of at least t. Sweeping it from above all scores to below them draws the
ROC curve (recall against false alarms) and the precision-recall curve. Names, arguments and results are
scikit-learn's (there are no sample weights).

Fawcett, "An introduction to ROC analysis", 2006, algorithms 1 and 2; Davis and Goadrich, "The relationship between
precision-recall and ROC curves", 2006.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, UndefinedMetricWarning, listed


def roc_curve(
    y_true: Any, y_score: Any, *, pos_label: Any = None, drop_intermediate: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return fpr, tpr and thresholds, (T,) each: false-alarm rate and recall where scores >= threshold are positive.

    Parameters
    ----------
    y_true : array-like (N,)
        Labels of two classes.
    y_score : array-like (N,)
        Scores, larger for the positive class: logits or probabilities.
    pos_label : label, optional
        The positive class; by default 1, where the labels are 0 and 1 or -1 and 1.
    drop_intermediate : bool
        Leave out points on straight lines, which no figure shows.

    The first threshold is infinity: nothing is positive. Where one of the classes is absent its rate is nan, with an
    `UndefinedMetricWarning`.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If labels and scores do not fit together, are empty or not finite, or the positive class is not clear.
    """
    false, true, thresholds = _positives_by_threshold(y_true, y_score, pos_label)
    if drop_intermediate and len(thresholds) > 2:
        bend = np.diff(false, 2).astype(bool) | np.diff(true, 2).astype(bool)
        keep = np.concatenate([[True], bend, [True]])
        false, true, thresholds = false[keep], true[keep], thresholds[keep]
    false, true = np.concatenate([[0], false]), np.concatenate([[0], true])
    fpr = _rate(false, "negative", "false-alarm rate")
    tpr = _rate(true, "positive", "recall")
    return fpr, tpr, np.concatenate([[np.inf], thresholds])


def roc_auc_score(
    y_true: Any, y_score: Any, *, average: str | None = "macro", multi_class: str = "raise", labels: Any = None
) -> Any:
    """Return the area under the ROC curve: the chance that a positive example has a higher score than a negative one.

    Hanley and McNeil, "The meaning and use of the area under a receiver operating characteristic curve", 1982.

    Parameters
    ----------
    y_true : array-like (N,) or (N, K)
        Labels, or a table of 0 and 1 where an example may have several.
    y_score : array-like (N,), or (N, K) for K > 2 classes or a table
        Scores of the positive class, which is the larger label; for K classes their probabilities, rows that sum to 1.
    average : "macro", "micro", "weighted" or None
        The mean of the classes, all classes' examples together, the mean weighted by how many are positive, or each.
    multi_class : "raise" or "ovr"
        For more than two classes: an error, or each class against the rest.
    labels : sequence of K classes, optional
        Which columns the classes stand in; by default those that occur, sorted.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If labels and scores do not fit together, or an argument makes no sense.
    """
    y_true, y_score = np.asarray(to_host(y_true)), np.asarray(to_host(y_score))
    if y_true.ndim == 2:
        return _averaged(_binary_auc, y_true, y_score, average)
    several = len(np.unique(y_true)) > 2 or (y_score.ndim == 2 and y_score.shape[1] > 2)
    if not several:
        classes = np.unique(y_true)
        return float(_binary_auc(y_true == classes[-1] if len(classes) > 1 else y_true == 1, y_score))
    if multi_class != "ovr":
        raise ArgumentError(
            f"for more than two classes say multi_class='ovr', each against the rest; not {multi_class!r}"
        )
    return _averaged(_binary_auc, *_one_against_the_rest(y_true, y_score, labels), average)


def auc(x: Any, y: Any) -> float:
    """Return the area under a curve by the trapezoidal rule.   x, y : (T,), x rising or falling

    Raises `DataError` for fewer than two points or an x that does both, `ShapeError` if the lengths differ.
    """
    x, y = np.asarray(to_host(x)), np.asarray(to_host(y))
    if x.shape != y.shape or x.ndim != 1:
        raise ShapeError(f"x has shape {x.shape} and y {y.shape}; expected two lists of one length")
    if len(x) < 2:
        raise DataError(f"an area needs at least two points, not {len(x)}")
    steps = np.diff(x)
    if (steps < 0).any() and (steps > 0).any():
        raise DataError("x goes up and down; sort the points first")
    return float(abs(np.trapezoid(y, x)))


def precision_recall_curve(
    y_true: Any, y_score: Any, *, pos_label: Any = None, drop_intermediate: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision (T + 1,), recall (T + 1,) and thresholds (T,), with rising thresholds.

    Arguments and errors are `roc_curve`'s. The last point, precision 1 and recall 0, belongs to no threshold. Where
    there are no positives the recall is set to 1, with an `UndefinedMetricWarning`.
    """
    false, true, thresholds = _positives_by_threshold(y_true, y_score, pos_label)
    if drop_intermediate and len(thresholds) > 2:  # the recall does not change there: points on vertical lines
        keep = np.concatenate([[True], np.diff(true[:-1]).astype(bool) | np.diff(true[1:]).astype(bool), [True]])
        false, true, thresholds = false[keep], true[keep], thresholds[keep]
    precision = true / (true + false)
    if true[-1] == 0:
        warnings.warn("recall: there are no positive examples, so it is set to 1", UndefinedMetricWarning, stacklevel=2)
        recall = np.ones_like(precision)
    else:
        recall = true / true[-1]
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1]


def average_precision_score(y_true: Any, y_score: Any, *, average: str | None = "macro", pos_label: Any = 1) -> Any:
    """Return sum over thresholds of (R_n - R_(n-1)) P_n, the area under the precision-recall curve by steps.

    Arguments and errors are `roc_auc_score`'s; with more than two classes each is held against the rest. Straight lines
    between the points, as `auc` would draw them, are too optimistic (Davis and Goadrich, 2006, section 4).
    """
    y_true, y_score = np.asarray(to_host(y_true)), np.asarray(to_host(y_score))

    def of_one(y: np.ndarray, score: np.ndarray) -> float:
        precision, recall, _ = precision_recall_curve(y, score, pos_label=True)
        return max(0.0, float(-(np.diff(recall) * precision[:-1]).sum()))

    if y_true.ndim == 2:
        return _averaged(of_one, y_true, y_score, average)
    classes = np.unique(y_true)
    if len(classes) > 2:
        return _averaged(of_one, *_one_against_the_rest(y_true, y_score, classes, sums=False), average)
    if len(classes) == 2 and pos_label not in classes:
        raise ArgumentError(f"pos_label={pos_label!r} is none of the classes, which are {listed(classes)}")
    return of_one(y_true == pos_label, y_score)


def _positives_by_threshold(y_true: Any, y_score: Any, pos_label: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each distinct score, falling, how many negatives and positives have at least that score."""
    y_true, y_score = np.asarray(to_host(y_true)), np.asarray(to_host(y_score))
    if y_true.shape != y_score.shape or y_true.ndim != 1:
        hint = "; take the positive class' column, y_score[:, 1]" if y_score.ndim == 2 else ""
        raise ShapeError(f"y_true has shape {y_true.shape} and y_score {y_score.shape}, expected (N,) in both{hint}")
    if y_true.size == 0:
        raise DataError("there are no predictions to be measured")
    if not np.isfinite(y_score).all():
        raise DataError(f"y_score holds {y_score[~np.isfinite(y_score)][0]}; scores must be finite")
    if y_score.dtype.kind != "f":
        y_score = y_score.astype(np.float64)  # -y_score would overflow in small integers
    positive = y_true == _positive_label(y_true, pos_label)
    order = np.argsort(-y_score, kind="stable")
    score, positive = y_score[order], positive[order]
    last_of_equals = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    true = np.cumsum(positive)[last_of_equals]
    return 1 + last_of_equals - true, true, score[last_of_equals]


def _positive_label(y_true: np.ndarray, pos_label: Any) -> Any:
    classes = np.unique(y_true)
    if len(classes) > 2:
        raise ArgumentError(
            f"a curve is for two classes, and here are {listed(classes[:10])}; draw one for each: y == k"
        )
    if pos_label is not None:
        return pos_label
    if classes.dtype.kind not in "biuf" or not (set(classes.tolist()) <= {0, 1} or set(classes.tolist()) <= {-1, 1}):
        raise ArgumentError(f"which of {listed(classes)} is positive? say pos_label")
    return 1


def _rate(counts: np.ndarray, which: str, name: str) -> np.ndarray:
    """Return counts as a share of the last, or nan with a warning where that is 0."""
    if counts[-1] > 0:
        return counts / counts[-1]
    warnings.warn(f"{name}: there are no {which} examples, so it is nan", UndefinedMetricWarning, stacklevel=3)
    return np.full(len(counts), np.nan)


def _binary_auc(positive: np.ndarray, score: np.ndarray) -> float:
    if len(np.unique(positive)) < 2:
        warnings.warn("ROC AUC: only one class is there, so it is nan", UndefinedMetricWarning, stacklevel=4)
        return float("nan")
    fpr, tpr, _ = roc_curve(positive, score, pos_label=True)
    return auc(fpr, tpr)


def _one_against_the_rest(
    y_true: np.ndarray, y_score: np.ndarray, labels: Any, *, sums: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return a table of 0 and 1, (N, K), and the scores of the classes, (N, K)."""
    classes = np.unique(y_true) if labels is None else np.asarray(labels)
    if y_score.shape != (len(y_true), len(classes)):
        raise ShapeError(
            f"y_score has shape {y_score.shape}, expected ({len(y_true)}, {len(classes)}), a column for each of the "
            f"classes {listed(classes[:12])} (labels= says which they are, if some do not occur)"
        )
    if not np.isin(y_true, classes).all():
        raise ArgumentError(f"y_true holds classes that are not among the labels {listed(classes)}")
    if sums and not np.allclose(y_score.sum(axis=1), 1):
        raise DataError("for more than two classes y_score must be probabilities: each row has to sum to 1")
    return y_true[:, None] == classes, y_score


def _averaged(
    measure: Callable[[np.ndarray, np.ndarray], float], table: np.ndarray, score: np.ndarray, average: str | None
) -> Any:
    """Return a measure of each column of a table (N, K) of 0 and 1, or the mean of them."""
    if average not in ("macro", "micro", "weighted", None):
        raise ArgumentError(f"average must be 'macro', 'micro', 'weighted' or None, not {average!r}")
    if table.shape != score.shape:
        raise ShapeError(f"y_true has shape {table.shape} and y_score {score.shape}; they must be equal")
    if average == "micro":
        return measure(table.ravel() == 1, score.ravel())
    each = np.array([measure(table[:, k] == 1, score[:, k]) for k in range(table.shape[1])])
    if average is None:
        return each
    weights = (table == 1).sum(axis=0) if average == "weighted" else np.ones(len(each))
    return float(np.average(each, weights=weights)) if weights.any() else 0.0
