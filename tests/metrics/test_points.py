"""Points found and missed: against brute force over all pairings, and scipy's bipartite matching."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching
from sklearn.metrics import precision_recall_curve

from minicnn import metrics
from minicnn.errors import ArgumentError, DataError, ShapeError, UndefinedMetricWarning

COORDINATES = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=5).map(
    lambda points: np.array(points, dtype=np.float64).reshape(-1, 2)
)


def best_pairing(found, truth, distance):
    """The most pairs, and the least sum of their distances, by trying all."""
    best = (0, 0.0)
    for count in range(1, min(len(found), len(truth)) + 1):
        sums = [
            sum(apart)
            for rows in itertools.combinations(range(len(found)), count)
            for columns in itertools.permutations(range(len(truth)), count)
            if max(apart := [np.hypot(*(found[r] - truth[c])) for r, c in zip(rows, columns, strict=True)]) <= distance
        ]
        best = (count, min(sums)) if sums else best
    return best


@settings(max_examples=40, deadline=None)
@given(found=COORDINATES, truth=COORDINATES, distance=st.sampled_from([1.0, 2.5, 9.0]))
def test_most_pairs_and_of_these_the_closest(found, truth, distance):
    matches = metrics.match_points(found, truth, distance=distance)
    count, total = best_pairing(found, truth, distance)
    assert len(matches.found) == len(matches.truth) == count
    assert matches.distances.sum() == pytest.approx(total)
    np.testing.assert_allclose(matches.distances, np.hypot(*(found[matches.found] - truth[matches.truth]).T))
    assert sorted([*matches.found, *matches.false]) == list(range(len(found)))
    assert sorted([*matches.truth, *matches.missed]) == list(range(len(truth)))


def test_two_findings_of_one_cell_are_one_right_and_one_false():
    matches = metrics.match_points([[10, 11], [10, 14], [40, 40]], [[10, 10], [20, 20]], distance=5)
    assert matches.found.tolist() == [0]
    assert matches.false.tolist() == [1, 2]
    assert matches.missed.tolist() == [1]
    assert (matches.precision, matches.recall) == (1 / 3, 1 / 2)
    assert matches.f1 == pytest.approx(2 / (3 + 2))


def test_the_distance_itself_is_near_enough_and_points_may_have_three_axes():
    assert len(metrics.match_points([[0, 0, 0]], [[0, 3, 4]], distance=5).found) == 1
    assert len(metrics.match_points([[0, 0, 0]], [[0, 3, 4]], distance=4.999).found) == 0


def test_a_pair_is_given_up_for_two():
    """On a line, 1 apart at most: the closest pair of all, 1 and 1, would leave 0 and 2 alone."""
    matches = metrics.match_points([[1], [2]], [[0], [1]], distance=1)
    assert dict(zip(matches.found.tolist(), matches.truth.tolist(), strict=True)) == {0: 0, 1: 1}
    # Here 0.5 may have either and is asked first, while -0.5 may have 0 alone.
    curve = metrics.points_precision_recall_curve([[[0.5], [-0.5]]], [[0.9, 0.8]], [[[0], [1]]], distance=1)
    assert [list(each) for each in curve] == [[1, 1, 1], [1, 0.5, 0], [0.8, 0.9]]


@settings(max_examples=40, deadline=None)
@given(
    images=st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=3).filter(
        lambda images: any(len(f) for f, _ in images) and any(len(t) for _, t in images)
    ),
    seed=st.integers(0, 99),
)
def test_the_curve_counts_the_largest_matching_above_each_threshold(images, seed):
    found, truth = zip(*images, strict=True)
    generator = np.random.default_rng(seed)
    scores = [generator.integers(0, 4, len(points)) / 4 for points in found]  # with many equal ones
    precision, recall, thresholds = metrics.points_precision_recall_curve(found, scores, truth, distance=2.5)
    assert thresholds.tolist() == sorted(set(np.concatenate(scores)))
    for p, r, threshold in zip(precision, recall, thresholds, strict=False):
        hits = said = 0
        for points, own, true in zip(found, scores, truth, strict=True):
            points = points[own >= threshold]
            near = np.hypot(*np.moveaxis(points[:, None] - true[None], -1, 0)) <= 2.5
            hits += (maximum_bipartite_matching(csr_array(near), perm_type="column") >= 0).sum() if near.size else 0
            said += len(points)
        assert p == pytest.approx(hits / said)
        assert r == pytest.approx(hits / sum(map(len, truth)))
    assert (precision[-1], recall[-1]) == (1, 0)


def test_far_apart_points_give_scikit_learns_curve():
    """Where no point is near two, whether a finding is right is a label, and all that is true was found."""
    truth = 100.0 * np.arange(6)[:, None] * np.ones(2)
    found = np.concatenate([truth + 1, truth + 50])
    scores = np.random.default_rng(0).permutation(12) / 12
    want = precision_recall_curve(np.arange(12) < 6, scores)
    got = metrics.points_precision_recall_curve([found], [scores], [truth], distance=3)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other)


def test_what_is_undefined_is_said():
    nothing = metrics.match_points([], [[1, 2]], distance=1)
    assert nothing.recall == 0
    with pytest.warns(UndefinedMetricWarning, match="precision: nothing was found, so it is 0"):
        assert nothing.precision == 0
    with pytest.warns(UndefinedMetricWarning, match="recall: there are no true points"):
        assert metrics.match_points([[1, 2]], [], distance=1).recall == 0
    with pytest.warns(UndefinedMetricWarning, match="F1: nothing is there, or found,"):
        assert metrics.match_points([], [], distance=1).f1 == 0
    with pytest.warns(UndefinedMetricWarning, match="set to 1"):
        _, recall, _ = metrics.points_precision_recall_curve([[[1, 2]]], [[0.5]], [[]], distance=1)
    assert recall.tolist() == [1, 0]


def test_bad_points_are_refused():
    with pytest.raises(ArgumentError, match="distance must be a number above 0, not -1"):
        metrics.match_points([[1, 2]], [[1, 2]], distance=-1)
    with pytest.raises(ArgumentError, match="distance must be a number above 0, not 'near'"):
        metrics.match_points([[1, 2]], [[1, 2]], distance="near")
    with pytest.raises(ArgumentError, match="distance must be a number above 0, not True"):
        metrics.match_points([[1, 2]], [[1, 2]], distance=True)
    with pytest.raises(ShapeError, match=r"found has shape \(1, 3\) and truth \(1, 2\)"):
        metrics.match_points([[1, 2, 3]], [[1, 2]], distance=1)
    with pytest.raises(ShapeError, match=r"found has shape \(2,\)"):
        metrics.match_points([1, 2], [[1, 2]], distance=1)
    with pytest.raises(DataError, match="truth holds nan; points must be finite"):
        metrics.match_points([[1, 2]], [[1, np.nan]], distance=1)


def test_bad_curves_are_refused():
    curve = metrics.points_precision_recall_curve
    with pytest.raises(ShapeError, match="found, scores and truth have 1, 2 and 1 images"):
        curve([[[1, 2]]], [[0.5], [0.5]], [[[1, 2]]], distance=1)
    with pytest.raises(ShapeError, match="image 0 has 1 found points and 2 scores"):
        curve([[[1, 2]]], [[0.5, 0.4]], [[[1, 2]]], distance=1)
    with pytest.raises(ShapeError, match="found of image 1 has shape"):
        curve([[[1, 2]], [[1, 2, 3]]], [[0.5], [0.4]], [[[1, 2]], [[1, 2]]], distance=1)
    with pytest.raises(DataError, match="scores of image 0 hold inf"):
        curve([[[1, 2]]], [[np.inf]], [[[1, 2]]], distance=1)
    with pytest.raises(DataError, match="no points were found in any image"):
        curve([[], []], [[], []], [[[1, 2]], []], distance=1)
    with pytest.raises(ArgumentError, match="distance must be"):
        curve([[[1, 2]]], [[0.5]], [[[1, 2]]], distance=0)


def test_a_long_chain_of_points_is_matched():
    points = np.stack([np.arange(3000.0), np.zeros(3000)], axis=1)
    found, scores = [points[:-1] + np.array([0.5, 0])], [np.linspace(1, 0, 2999)]
    _, recall, _ = metrics.points_precision_recall_curve(found, scores, [points[1:]], distance=0.6)
    assert recall[0] == 1.0
