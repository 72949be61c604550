"""Boxes: overlaps by counting pixels, and average precision by hand and by a program that knows nothing of arrays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.metrics import box_iou, mean_average_precision, non_max_suppression

CORNERS = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(1, 6), st.integers(1, 6))
BOXES = CORNERS.map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))


def cells(box):
    return {(x, y) for x in range(box[0], box[2]) for y in range(box[1], box[3])}


def naive_iou(a, b):
    return len(cells(a) & cells(b)) / len(cells(a) | cells(b))


class TestIntersectionOverUnion:
    @given(st.lists(BOXES, max_size=5), st.lists(BOXES, max_size=5))
    def test_it_counts_cells(self, a, b):
        got = box_iou(np.array(a).reshape(-1, 4), np.array(b).reshape(-1, 4))
        assert got.shape == (len(a), len(b))
        np.testing.assert_allclose(got, np.array([[naive_iou(x, y) for y in b] for x in a]).reshape(got.shape))

    def test_boxes_without_area(self):
        np.testing.assert_array_equal(box_iou([[1, 1, 1, 1]], [[1, 1, 1, 1], [0, 0, 2, 2]]), [[0, 0]])

    def test_touching_boxes_do_not_overlap(self):
        np.testing.assert_array_equal(box_iou([[0, 0, 1, 1]], [[1, 0, 2, 1], [-3, -3, -1, -1]]), [[0, 0]])


def naive_suppression(boxes, scores, threshold, labels):
    kept = []
    for i in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        if all(labels[i] != labels[j] or naive_iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept


class TestNonMaxSuppression:
    @given(
        st.lists(st.tuples(BOXES, st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 1)), max_size=8),
        st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    )
    def test_it_keeps_what_the_loop_keeps(self, found, threshold):
        boxes = [box for box, _, _ in found]
        scores, labels = ([one[i] for one in found] for i in (1, 2))
        kept = non_max_suppression(boxes, scores, iou_threshold=threshold, labels=labels)
        assert kept.tolist() == naive_suppression(boxes, scores, threshold, labels)
        kept = non_max_suppression(boxes, scores, iou_threshold=threshold)
        assert kept.tolist() == naive_suppression(boxes, scores, threshold, [0] * len(boxes))

    def test_what_was_removed_removes_nothing(self):
        chain = [[0, 0, 10, 1], [4, 0, 14, 1], [8, 0, 18, 1]]  # the middle one overlaps both, they hardly each other
        assert non_max_suppression(chain, [0.9, 0.8, 0.7], iou_threshold=0.3).tolist() == [0, 2]


def naive_average_precision(predictions, truths, label, threshold):
    """VOC's devkit in words: walk through all predictions by score, then integrate the envelope over all recalls."""
    found = [
        (score, i, box)
        for i, (boxes, scores, labels) in enumerate(predictions)
        for box, score, kind in zip(boxes, scores, labels, strict=True)
        if kind == label
    ]
    there = {
        (i, j): box
        for i, (boxes, labels) in enumerate(truths)
        for j, (box, kind) in enumerate(zip(boxes, labels, strict=True))
        if kind == label
    }
    used, curve, right = set(), [], 0
    for count, (_, i, box) in enumerate(sorted(found, key=lambda one: -one[0]), start=1):
        candidates = [(naive_iou(box, there[key]), -key[1], key) for key in there if key[0] == i]
        if candidates:
            iou, _, key = max(candidates)
            if iou >= threshold and key not in used:
                used.add(key)
                right += 1
        curve.append((right / len(there), right / count))
    area, before = 0.0, 0.0
    for recall in sorted({recall for recall, _ in curve}):
        area += (recall - before) * max(precision for r, precision in curve if r >= recall)
        before = recall
    return area


FEW = st.sampled_from([(0, 0, 4, 4), (1, 0, 5, 4), (0, 0, 4, 2), (6, 6, 9, 9), (6, 6, 9, 8)])  # so that many meet
IMAGES = st.lists(
    st.tuples(
        st.lists(st.tuples(FEW, st.sampled_from([0.2, 0.4, 0.6, 0.8]), st.integers(0, 1)), max_size=6),
        st.lists(st.tuples(FEW, st.integers(0, 1)), min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


class TestMeanAveragePrecision:
    @given(IMAGES, st.sampled_from([0.1, 0.5]))
    def test_it_is_that_of_the_plain_program(self, images, threshold):
        predictions = [tuple([one[i] for one in found] for i in range(3)) for found, _ in images]
        truths = [tuple([one[i] for one in there] for i in range(2)) for _, there in images]
        classes = {label for _, labels in truths for label in labels}
        want = {label: naive_average_precision(predictions, truths, label, threshold) for label in classes}
        got = mean_average_precision(predictions, truths, iou_threshold=threshold, average=None)
        assert got == pytest.approx(want)
        mean = mean_average_precision(predictions, truths, iou_threshold=threshold)
        assert mean == pytest.approx(np.mean(list(want.values())))

    def test_by_hand(self):
        """Three objects; right, wrong, right, and the third never found: p = 1, 2/3 at recalls 1/3, 2/3."""
        truths = [([[0, 0, 4, 4], [10, 10, 14, 14]], [7, 7]), ([[0, 0, 4, 4]], [7])]
        predictions = [
            ([[0, 0, 4, 4], [20, 20, 24, 24]], [0.9, 0.8], [7, 7]),
            ([[0, 0, 4, 3]], [0.7], [7]),
        ]
        assert mean_average_precision(predictions, truths) == pytest.approx((1 + 2 / 3) / 3)
        assert mean_average_precision(predictions, truths, iou_threshold=0.8) == pytest.approx(1 / 3)  # 3 / 4 < 0.8

    def test_all_right_and_all_wrong(self):
        truths = [([[0, 0, 4, 4]], [1]), ([], [])]
        assert mean_average_precision([([[0, 0, 4, 4]], [0.1], [1]), ([], [], [])], truths) == 1
        assert mean_average_precision([([[0, 0, 4, 4]], [0.1], [2]), ([], [], [])], truths) == 0
        assert mean_average_precision([([], [], []), ([[0, 0, 4, 4]], [0.1], [1])], truths) == 0

    def test_a_second_box_on_an_object_is_wrong(self):
        truths = [([[0, 0, 4, 4], [10, 0, 14, 4]], [0, 0])]
        twice = [([[0, 0, 4, 4], [0, 0, 4, 4], [10, 0, 14, 4]], [0.9, 0.8, 0.7], [0, 0, 0])]
        assert mean_average_precision(twice, truths) == pytest.approx((1 + 2 / 3) / 2)

    def test_a_threshold_that_is_just_met(self):
        assert mean_average_precision([([[0, 0, 2, 1]], [1.0], [0])], [([[0, 0, 1, 1]], [0])]) == 1

    def test_precision_is_interpolated_from_the_right(self):
        """Wrong, right, right: precisions 1/2 and 2/3 at recalls 1/2 and 1, and the larger holds for both."""
        boxes = [[50, 50, 51, 51], [0, 0, 4, 4], [10, 0, 14, 4]]
        predictions = [(boxes, [0.9, 0.8, 0.7], [0, 0, 0])]
        assert mean_average_precision(predictions, [(boxes[1:], [0, 0])]) == pytest.approx(2 / 3)

    def test_classes_that_are_not_there_do_not_count(self):
        predictions = [([[0, 0, 4, 4], [0, 0, 4, 4]], [0.9, 0.8], ["cat", "dog"])]
        assert mean_average_precision(predictions, [([[0, 0, 4, 4]], ["cat"])], average=None) == {"cat": 1.0}


ONE = [([[0, 0, 1, 1]], [0])]
BAD = {
    "not boxes": (lambda: box_iou([1, 2, 3, 4], [[0, 0, 1, 1]]), ShapeError, r"boxes1 have shape \(4,\)"),
    "inside out": (lambda: box_iou([[0, 0, 1, 1]], [[5, 5, 2, 9]]), DataError, "boxes2: number 0 .* width and height"),
    "nan": (lambda: box_iou([[0, 0, 1, np.nan]], [[0, 0, 1, 1]]), DataError, "boxes1: number 0 is"),
    "scores": (lambda: non_max_suppression([[0, 0, 1, 1]], [1, 2]), ShapeError, r"scores have shape \(2,\)"),
    "nan score": (lambda: non_max_suppression([[0, 0, 1, 1]], [np.nan]), DataError, "scores: number 0 is NaN"),
    "threshold": (lambda: non_max_suppression([], [], iou_threshold=2), ArgumentError, "iou_threshold"),
    "images": (lambda: mean_average_precision([], ONE), ShapeError, "for 0 images and truths for 1"),
    "pair": (
        lambda: mean_average_precision(ONE, ONE),
        ShapeError,
        r"predictions\[0\] must be \(boxes, scores, labels\)",
    ),
    "labels": (
        lambda: mean_average_precision([([[0, 0, 1, 1]], [1.0], [0, 1])], ONE),
        ShapeError,
        r"predictions\[0\]: labels have shape \(2,\), expected \(1,\)",
    ),
    "nothing": (lambda: mean_average_precision([([], [], [])], [([], [])]), DataError, "no objects in any image"),
    "no images": (lambda: mean_average_precision([], []), DataError, "no objects in any image"),
    "average": (
        lambda: mean_average_precision([([], [], [])], ONE, average="micro"),
        ArgumentError,
        "average must be 'macro' or None",
    ),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, bool])
def test_scores_of_any_kind_are_sorted_as_numbers(dtype):
    boxes, scores = [[0, 0, 10, 10], [0, 0, 10, 9]], np.array([0, 1], dtype=dtype)
    assert non_max_suppression(boxes, scores).tolist() == [1]
    found = [([[0, 0, 10, 10], [50, 50, 60, 60]], scores[::-1], [0, 0])]
    assert mean_average_precision(found, [([[0, 0, 10, 10]], [0])]) == 1.0
