"""Whether probabilities mean what they say: of all predictions made with 80 %, eight in ten should be right."""

from typing import Any, NamedTuple

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, whole_number


class Calibration(NamedTuple):
    """Points of the curve, for the bins that are not empty: `prob_true, prob_pred = calibration_curve(...)`."""

    prob_true: np.ndarray
    prob_pred: np.ndarray


def calibration_curve(y_true: Any, y_prob: Any, *, n_bins: int = 5, strategy: str = "uniform") -> Calibration:
    """Return for each bin of probabilities the share of positives in it and the mean probability.

    Names and results are scikit-learn's. Niculescu-Mizil and Caruana, "Predicting good probabilities with supervised
    learning", 2005, section 4.

    Parameters
    ----------
    y_true : array-like (N,)
        Labels 0 and 1 (or False and True).
    y_prob : array-like (N,)
        Probabilities of label 1.
    n_bins : int
        How many.
    strategy : "uniform" or "quantile"
        Bins of equal width, or of equally many examples.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If labels and probabilities do not fit together, are empty or outside [0, 1], or an argument makes no sense.
    """
    y_true, y_prob = np.asarray(to_host(y_true)), np.asarray(to_host(y_prob))
    if y_true.shape != y_prob.shape or y_true.ndim != 1:
        raise ShapeError(f"y_true has shape {y_true.shape} and y_prob {y_prob.shape}, expected (N,) in both")
    _check_probabilities(y_prob, "y_prob")
    if not np.isin(y_true, (0, 1)).all():
        raise DataError("y_true must hold 0 and 1: for more classes take one at a time, y_true == k and y_prob[:, k]")
    n_bins = whole_number("n_bins", n_bins)
    if strategy not in ("uniform", "quantile"):
        raise ArgumentError(f"strategy must be 'uniform' or 'quantile', not {strategy!r}")
    shares = np.linspace(0, 1, n_bins + 1)
    edges = shares if strategy == "uniform" else np.percentile(y_prob, shares * 100)
    bins = np.searchsorted(edges[1:-1], y_prob)
    examples = np.bincount(bins, minlength=n_bins)
    filled = examples > 0
    positives = np.bincount(bins, weights=y_true, minlength=n_bins)[filled]
    sums = np.bincount(bins, weights=y_prob, minlength=n_bins)[filled]
    return Calibration(positives / examples[filled], sums / examples[filled])


def expected_calibration_error(y_true: Any, y_prob: Any, *, n_bins: int = 15) -> float:
    """Return ECE: the mean over all predictions of |share right in the bin - mean confidence in the bin|.

    The confidence is the largest probability; a prediction is right if that is the label's. Guo, Pleiss, Sun and
    Weinberger, "On calibration of modern neural networks", 2017, equation 3. There a bin has its upper edge and not
    its lower one.

    y_true : (N,) labels from 0 to K - 1   y_prob : (N, K) probabilities
    Raises `ShapeError` or `DataError` if they do not fit together, are empty or no probabilities.
    """
    y_true, y_prob = np.asarray(to_host(y_true)), np.asarray(to_host(y_prob))
    if y_prob.ndim != 2 or y_true.shape != (len(y_prob),) or y_prob.shape[1] < 2:
        raise ShapeError(
            f"y_true has shape {y_true.shape} and y_prob {y_prob.shape}, expected (N,) and (N, K) for K classes; of "
            "one column p take np.stack([1 - p, p], axis=1)"
        )
    if not np.isin(y_true, np.arange(y_prob.shape[1])).all():
        raise DataError(f"y_true must hold labels from 0 to {y_prob.shape[1] - 1}")
    _check_probabilities(y_prob, "y_prob")
    n_bins = whole_number("n_bins", n_bins)
    confidence, right = y_prob.max(axis=1), y_prob.argmax(axis=1) == y_true
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    gaps = np.bincount(bins, weights=right.astype(np.float64) - confidence, minlength=n_bins)
    return float(np.abs(gaps).sum() / len(y_true))


def _check_probabilities(values: np.ndarray, name: str) -> None:
    if values.size == 0:
        raise DataError(f"{name} is empty")
    if not ((values >= 0) & (values <= 1)).all():
        raise DataError(f"{name} holds numbers outside [0, 1]; scores become probabilities by softmax or sigmoid")
