"""Measures of points: of the objects that were found, how many are there, and of those that are there, how many found.

A found point and a true one may be matched if they lie at most `distance` apart; each is matched at most once, so that
two findings of one cell are one right and one false.
"""

import warnings
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import DataError, ShapeError, UndefinedMetricWarning, at_least


@dataclass(frozen=True)
class PointMatches:
    """Which found points belong to which true ones.

    Attributes
    ----------
    found, truth : array (M,)
        Indices of the M pairs.
    distances : array (M,)
        How far the two of each pair lie apart.
    missed : array
        Indices of true points that were not found (false negatives).
    false : array
        Indices of found points that are no true ones (false positives).
    """

    found: np.ndarray
    truth: np.ndarray
    distances: np.ndarray
    missed: np.ndarray
    false: np.ndarray

    @property
    def precision(self) -> float:
        """Of those found, the share that is right; 0 with an `UndefinedMetricWarning` where nothing was found."""
        return _share(len(self.found), len(self.found) + len(self.false), "precision: nothing was found")

    @property
    def recall(self) -> float:
        """Of those that are there, the share that was found; 0 with an `UndefinedMetricWarning` where none is there."""
        return _share(len(self.found), len(self.found) + len(self.missed), "recall: there are no true points")

    @property
    def f1(self) -> float:
        """2 tp / (2 tp + fp + fn), the harmonic mean of both; 0 with a warning where nothing is there or found."""
        both = 2 * len(self.found)
        return _share(both, both + len(self.false) + len(self.missed), "F1: nothing is there, or found,")


def match_points(found: Any, truth: Any, *, distance: float) -> PointMatches:
    """Pair found points with true ones, one to one: as many pairs as possible, and of such pairings the closest.

    The assignment with the least cost (`scipy.optimize.linear_sum_assignment`), where a pair costs how far its points
    lie apart and one that is too far apart costs more than all others together. It looks at places, not at scores.

    Parameters
    ----------
    found : array-like (F, D)
        Points, such as rows and columns of pixels; none at all is fine, as an empty list.
    truth : array-like (T, D)
        Where the objects are.
    distance : float
        The largest Euclidean distance of a pair, itself included.

    Raises
    ------
    ShapeError, DataError
        If the points have other shapes or unlike numbers of axes, or are not finite.
    ArgumentError
        If distance is not a number above 0.
    """
    from scipy.optimize import linear_sum_assignment

    apart = _distances(*_two_sets(found, truth, ""), at_least("distance", distance, above=True))
    F, T = apart.shape
    near = np.isfinite(apart)
    rows, columns = linear_sum_assignment(np.where(near, apart, (min(F, T) + 1) * distance))
    kept = near[rows, columns]
    rows, columns = rows[kept], columns[kept]
    missed, false = np.setdiff1d(np.arange(T), columns), np.setdiff1d(np.arange(F), rows)
    return PointMatches(rows, columns, apart[rows, columns], missed, false)


def points_precision_recall_curve(
    found: Sequence[Any], scores: Sequence[Any], truth: Sequence[Any], *, distance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return precision (S + 1,), recall (S + 1,) and thresholds (S,) of points found in several images, rising.

    At each threshold it counts what `match_points` would count among the points with at least that score, in every
    image: the largest possible number of pairs, here grown point by point along augmenting paths (Kuhn, "The Hungarian
    method for the assignment problem", 1955; Berge, 1957). So a point with a low score never takes anything from
    those above it. As in `precision_recall_curve` the last point, precision 1 and recall 0, belongs to no threshold.

    Parameters
    ----------
    found, truth : sequences of N arrays (F_i, D) and (T_i, D)
        Found and true points, image by image.
    scores : sequence of N arrays (F_i,)
        How sure each found point is.
    distance : float
        The largest distance of a pair.

    Where there are no true points the recall is set to 1, with an `UndefinedMetricWarning`.

    Raises
    ------
    ShapeError, DataError
        If the three do not fit together, nothing was found in any image, or something is not finite.
    ArgumentError
        If distance is not a number above 0.
    """
    if not len(found) == len(scores) == len(truth):
        raise ShapeError(
            f"found, scores and truth have {len(found)}, {len(scores)} and {len(truth)} images; they must be equal"
        )
    all_scores, right, total = [], [], 0
    for i, (points, own, true) in enumerate(zip(found, scores, truth, strict=True)):
        points, true = _two_sets(points, true, f" of image {i}")
        own = np.asarray(to_host(own), dtype=np.float64).reshape(-1)
        if len(own) != len(points):
            raise ShapeError(f"image {i} has {len(points)} found points and {len(own)} scores; they must be equal")
        if not np.isfinite(own).all():
            raise DataError(f"scores of image {i} hold {own[~np.isfinite(own)][0]}; they must be finite")
        order = np.argsort(-own, kind="stable")
        apart = _distances(points[order], true, at_least("distance", distance, above=True))
        all_scores.append(own[order])
        right.append(_grown(np.isfinite(apart)))
        total += len(true)
    score, hit = np.concatenate([*all_scores, []]), np.concatenate([*right, np.zeros(0, dtype=bool)])
    if len(score) == 0:
        raise DataError("no points were found in any image, so there is no curve")
    order = np.argsort(-score, kind="stable")
    score, hits = score[order], np.cumsum(hit[order])
    last_of_equals = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
    hits = hits[last_of_equals]
    precision = hits / (1 + last_of_equals)
    if total == 0:
        warnings.warn("recall: there are no true points, so it is set to 1", UndefinedMetricWarning, stacklevel=2)
        recall = np.ones_like(precision)
    else:
        recall = hits / total
    return np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), score[last_of_equals][::-1]


def _grown(near: np.ndarray) -> np.ndarray:
    """Return for each row (F, T), in order, whether the largest matching of the rows so far grows by it: bool (F,)."""
    near_of = [np.flatnonzero(columns).tolist() for columns in near]
    row_of: dict[int, int] = {}  # who has a column
    column_of: dict[int, int] = {}  # and the other way round

    def grows(row: int) -> bool:
        """Look for an augmenting path, breadth first: from row to a free column, whose rows move over by one."""
        came_from: dict[int, int] = {}
        waiting = deque([row])
        while waiting:
            r = waiting.popleft()
            for column in near_of[r]:
                if column in came_from:
                    continue
                came_from[column] = r
                if column in row_of:
                    waiting.append(row_of[column])
                    continue
                free: int | None = column
                while free is not None:
                    r = came_from[free]
                    row_of[free], column_of[r], free = r, free, column_of.get(r)
                return True
        return False

    return np.array([grows(row) for row in range(len(near))], dtype=bool)


def _distances(found: np.ndarray, truth: np.ndarray, largest: float) -> np.ndarray:
    """Return Euclidean distances (F, T), infinite where they are too large."""
    apart = np.sqrt(((found[:, None] - truth[None]) ** 2).sum(axis=-1))
    return np.where(apart <= largest, apart, np.inf)


def _two_sets(found: Any, truth: Any, where: str) -> tuple[np.ndarray, np.ndarray]:
    found, truth = (np.asarray(to_host(points), dtype=np.float64) for points in (found, truth))
    D = next((points.shape[1] for points in (found, truth) if points.ndim == 2 and points.shape[1]), 2)
    found, truth = (points.reshape(0, D) if points.size == 0 else points for points in (found, truth))
    if found.ndim != 2 or truth.ndim != 2 or found.shape[1] != truth.shape[1]:
        raise ShapeError(
            f"found{where} has shape {found.shape} and truth {truth.shape}, expected points (F, D) and (T, D)"
        )
    for name, points in (("found", found), ("truth", truth)):
        if not np.isfinite(points).all():
            raise DataError(f"{name}{where} holds {points[~np.isfinite(points)][0]}; points must be finite")
    return found, truth


def _share(part: int, whole: int, why: str) -> float:
    if whole > 0:
        return part / whole
    warnings.warn(f"{why}, so it is 0", UndefinedMetricWarning, stacklevel=3)
    return 0.0
