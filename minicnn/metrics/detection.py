"""Measures of detections: boxes, how far they overlap, which to keep, and how many objects were found.

A box is (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2, in any unit; its width is x2 - x1.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, probability


def box_iou(boxes1: Any, boxes2: Any) -> np.ndarray:
    """Return intersection over union of each box with each other: 1 for equal ones, 0 for those that do not overlap.

    boxes1 (N, 4), boxes2 (M, 4) -> (N, M), float64; 0 also where both boxes have no area.

    Raises `ShapeError` for other shapes, `DataError` for boxes that are inside out or not finite.
    """
    a, b = checked_boxes("boxes1", boxes1), checked_boxes("boxes2", boxes2)
    sides = np.minimum(a[:, None, 2:], b[:, 2:]) - np.maximum(a[:, None, :2], b[:, :2])
    common = np.maximum(sides, 0).prod(axis=2)
    union = _areas(a)[:, None] + _areas(b) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def non_max_suppression(boxes: Any, scores: Any, *, iou_threshold: float = 0.5, labels: Any = None) -> np.ndarray:
    """Return which boxes to keep, (kept,), the surest first: none overlaps a surer one that is kept by too much.

    Neubeck and Van Gool, "Efficient non-maximum suppression", 2006: the greedy algorithm of the introduction. Of equal
    scores the earlier box is the surer.

    Parameters
    ----------
    boxes : array (N, 4)
        The boxes.
    scores : array (N,)
        How sure each is.
    iou_threshold : float
        Two boxes may both stay if their intersection over union is at most this.
    labels : array (N,), optional
        The boxes' classes; then boxes of different classes leave each other alone.

    Raises
    ------
    ShapeError, DataError
        If boxes, scores and labels do not fit together, a box is inside out, or a score is NaN.
    ArgumentError
        If iou_threshold lies outside [0, 1].
    """
    probability("iou_threshold", iou_threshold)
    boxes, scores = checked_boxes("boxes", boxes), _row("scores", scores, boxes)
    labels = np.zeros(len(boxes)) if labels is None else _row("labels", labels, boxes)
    kept = []
    waiting = np.argsort(-scores, kind="stable")
    while len(waiting):
        best, others = waiting[0], waiting[1:]
        kept.append(best)
        rivals = (labels[others] == labels[best]) & (box_iou(boxes[[best]], boxes[others])[0] > iou_threshold)
        waiting = others[~rivals]
    return np.array(kept, dtype=np.int64)


def mean_average_precision(
    predictions: Sequence[tuple[Any, Any, Any]],
    truths: Sequence[tuple[Any, Any]],
    *,
    iou_threshold: float = 0.5,
    average: str | None = "macro",
) -> Any:
    """Return the mean over classes of the area under the precision-recall curve of detections: 1 if all are right.

    Everingham et al., "The PASCAL visual object classes (VOC) challenge", 2010, section 4.2, with the interpolation at
    all points that the challenge uses since 2010. The predictions of a class in all images are gone through from the
    surest to the least sure. Each is held against the object of its class in its image that it overlaps most: it is
    right if their intersection over union is at least the threshold and no surer prediction had that object before. A
    second box on an object is wrong. After each prediction

        precision = right ones / all so far        recall = right ones / objects
        average precision = integral over recall of p(recall),   p(r) = largest precision at a recall of at least r

    Parameters
    ----------
    predictions : sequence of (boxes (D, 4), scores (D,), labels (D,)), one for each image
        What was found. Equal scores keep their order.
    truths : sequence of (boxes (T, 4), labels (T,)), one for each image
        What is there. Classes of which nothing is there have no recall, and are left out.
    iou_threshold : float
        From which overlap on an object counts as found.
    average : "macro" or None
        The mean over classes, or a dict of each class's own.

    Returns
    -------
    float, or dict of label to float

    Raises
    ------
    ShapeError, DataError
        If images or arrays do not fit together, a box is inside out, a score is NaN, or there are no objects at all.
    ArgumentError
        If iou_threshold lies outside [0, 1], or for another average.
    """
    probability("iou_threshold", iou_threshold)
    if average not in ("macro", None):
        raise ArgumentError(f"average must be 'macro' or None, not {average!r}")
    if len(predictions) != len(truths):
        raise ShapeError(f"there are predictions for {len(predictions)} images and truths for {len(truths)}")
    found = [_checked_image(i, "predictions", image, ("scores", "labels")) for i, image in enumerate(predictions)]
    there = [_checked_image(i, "truths", image, ("labels",)) for i, image in enumerate(truths)]
    classes = np.unique(np.concatenate([labels for _, labels in there])) if there else np.array([])
    if not len(classes):
        raise DataError("there are no objects in any image, so there is nothing to be found")
    each = {label.item(): _average_precision(found, there, label, iou_threshold) for label in classes}
    return each if average is None else float(np.mean(list(each.values())))


def _average_precision(found: list, there: list, label: Any, iou_threshold: float) -> float:
    """Return the area under one class's interpolated curve."""
    scores, right = [np.empty(0)], [np.empty(0, dtype=bool)]
    objects = 0
    for (boxes, score, labels), (true_boxes, true_labels) in zip(found, there, strict=True):
        mine, theirs = labels == label, true_labels == label
        objects += theirs.sum()
        if not mine.any():
            continue
        order = np.argsort(-score[mine], kind="stable")
        scores.append(score[mine][order])
        right.append(_are_right(box_iou(boxes[mine][order], true_boxes[theirs]), iou_threshold))
    hits = np.concatenate(right)[np.argsort(-np.concatenate(scores), kind="stable")]
    true_positives = np.cumsum(hits)
    precision = true_positives / np.arange(1, len(hits) + 1)
    p = np.maximum.accumulate(precision[::-1])[::-1]
    return float(p[hits].sum() / objects)  # recall rises by 1 / objects with each right one, and only there


def _are_right(iou: np.ndarray, iou_threshold: float) -> np.ndarray:
    """Say of one image's predictions (rows, the surest first) whether each is the first on its object (columns)."""
    right = np.zeros(len(iou), dtype=bool)
    taken: set[int] = set()
    if iou.shape[1]:
        for i, nearest in enumerate(iou.argmax(axis=1)):
            right[i] = iou[i, nearest] >= iou_threshold and nearest not in taken
            if right[i]:
                taken.add(nearest)
    return right


def _checked_image(i: int, what: str, image: Any, rows: tuple[str, ...]) -> tuple[np.ndarray, ...]:
    """Return an image's boxes and the rows that go with them."""
    if not isinstance(image, tuple | list) or len(image) != 1 + len(rows):
        raise ShapeError(f"{what}[{i}] must be (boxes, {', '.join(rows)}), not {type(image).__name__}")
    boxes = checked_boxes(f"{what}[{i}]: boxes", image[0])
    return (boxes, *(_row(f"{what}[{i}]: {name}", row, boxes) for name, row in zip(rows, image[1:], strict=True)))


def checked_boxes(name: str, boxes: Any) -> np.ndarray:
    """Return boxes (N, 4) as float64 on the host; an empty list is no box.

    Raises `ShapeError` for another shape, `DataError` for boxes that are inside out or not finite.
    """
    boxes = np.asarray(to_host(boxes), dtype=np.float64)
    boxes = boxes.reshape(0, 4) if boxes.shape == (0,) else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ShapeError(f"{name} have shape {boxes.shape}, expected (N, 4): x1, y1, x2, y2")
    wrong = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] >= boxes[:, :2]).all(axis=1)))
    if len(wrong):
        raise DataError(
            f"{name}: number {wrong[0]} is {boxes[wrong[0]].tolist()}, expected finite x1 <= x2 and y1 <= y2 "
            "(a box of x, y, width and height: x2 = x + width)"
        )
    return boxes


def _row(name: str, values: Any, boxes: np.ndarray) -> np.ndarray:
    """Return one value for each box. Scores are in float64: in small integers -scores overflows."""
    values = np.asarray(to_host(values), dtype=np.float64 if name.endswith("scores") else None)
    if values.shape != (len(boxes),):
        raise ShapeError(f"{name} have shape {values.shape}, expected ({len(boxes)},), one for each box")
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise DataError(f"{name}: number {np.flatnonzero(np.isnan(values))[0]} is NaN")
    return values


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
