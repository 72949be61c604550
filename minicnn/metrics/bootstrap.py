"""How sure a measure is: what it would have been on other test sets of the same kind."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import CounterRng, Key, to_host
from minicnn.errors import ArgumentError, DataError, MinicnnError, ShapeError, UndefinedMetricWarning, whole_number
from minicnn.ops import random_uniform


@dataclass(frozen=True)
class Interval:
    """A measure and where it may lie: `low <= true value <= high` in `level` of all cases, about."""

    value: float
    low: float
    high: float
    level: float

    def __str__(self) -> str:
        return f"{self.value:.4g} ({self.level:.0%} confidence: {self.low:.4g} to {self.high:.4g})"


def bootstrap_interval(
    measure: Callable[..., Any],
    y_true: Any,
    y_pred: Any,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    **options: Any,
) -> Interval:
    """Return a measure with its confidence interval, by drawing examples again and again, with replacement.

    The percentile method: Efron and Tibshirani, "An introduction to the bootstrap", 1993, section 13.3. Draws in which
    the measure is undefined, such as those without a positive example, are left out.

    Parameters
    ----------
    measure : function (y_true, y_pred, **options) -> number
        Any of this package's, or your own.
    y_true, y_pred : array-like (N, ...)
        Labels, and labels or scores.
    level : float
        Between 0 and 1.
    resamples : int
        How often to draw; at least 10.
    seed : int
        Of the draws.
    **options
        Go to the measure.

    Raises
    ------
    ArgumentError, ShapeError
        If an argument makes no sense or the lengths differ.
    DataError
        If there are no examples, or the measure was undefined in more than half of the draws.
    """
    y_true, y_pred = np.asarray(to_host(y_true)), np.asarray(to_host(y_pred))
    if not 0 < level < 1:
        raise ArgumentError(f"level must lie between 0 and 1, not {level}")
    resamples = whole_number("resamples", resamples, least=10)
    if y_true.ndim == 0 or y_pred.ndim == 0 or len(y_true) != len(y_pred):
        raise ShapeError(f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; they must have one length")
    n = len(y_true)
    if n == 0:
        raise DataError("there are no predictions to be measured")
    rng = CounterRng(seed)
    value = float(measure(y_true, y_pred, **options))

    def of_a_draw() -> float:
        i = _draw(rng.next_key(), n)
        try:
            return float(measure(y_true[i], y_pred[i], **options))
        except (UndefinedMetricWarning, MinicnnError):  # it is defined for all examples, and not for these
            return np.nan

    with warnings.catch_warnings():
        warnings.simplefilter("error", UndefinedMetricWarning)
        values = np.array([of_a_draw() for _ in range(resamples)])
    values = values[np.isfinite(values)]
    if len(values) * 2 < resamples:
        raise DataError(
            f"the measure was undefined in {resamples - len(values)} of {resamples} draws: too few examples"
        )
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high), level)


def _draw(key: Key, n: int) -> np.ndarray:
    return (random_uniform(key, shape=(n,)) * n).astype(np.int64)
