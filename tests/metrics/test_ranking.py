"""Curves and areas against scikit-learn's: ties, one class absent, several classes."""

import warnings

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from minicnn import metrics
from minicnn.errors import ArgumentError, DataError, ShapeError, UndefinedMetricWarning

EXAMPLES = st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=1, max_size=30)
"""Few different scores, so that there are ties."""


def both(name, *args, **options):
    results = []
    for module in (sklearn.metrics, metrics):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            results.append((getattr(module, name)(*args, **options), bool(seen)))
    return results


@pytest.mark.parametrize("name", ["roc_curve", "precision_recall_curve"])
@given(examples=EXAMPLES, drop_intermediate=st.booleans())
def test_curves_are_scikit_learns(name, examples, drop_intermediate):
    y_true, y_score = np.array(examples).T
    (want, warns), (got, warned) = both(name, y_true, y_score / 3, pos_label=1, drop_intermediate=drop_intermediate)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert warns == warned


@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
@given(examples=EXAMPLES)
def test_areas_are_scikit_learns(name, examples):
    y_true, y_score = np.array(examples).T
    (want, _), (got, _) = both(name, y_true, y_score / 3)
    assert got == pytest.approx(want, abs=1e-12, nan_ok=True)


@given(data=st.data(), average=st.sampled_from(["macro", "weighted", "micro", None]))
def test_one_against_the_rest_is_scikit_learns(data, average):
    y_true = np.array([0, 1, 2, *data.draw(st.lists(st.integers(0, 2), max_size=20))])
    weights = data.draw(st.lists(st.tuples(*[st.integers(1, 4)] * 3), min_size=len(y_true), max_size=len(y_true)))
    y_score = np.array(weights) / np.sum(weights, axis=1, keepdims=True)
    options = {"average": average, "multi_class": "ovr"}
    want = sklearn.metrics.roc_auc_score(y_true, y_score, **options)
    np.testing.assert_allclose(metrics.roc_auc_score(y_true, y_score, **options), want, rtol=0, atol=1e-12)
    want = sklearn.metrics.average_precision_score(y_true, y_score, average=average)
    got = metrics.average_precision_score(y_true, y_score, average=average)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["roc_auc_score", "average_precision_score"])
@pytest.mark.parametrize("average", ["macro", "weighted", "micro", None])
def test_several_labels_an_example_are_scikit_learns(name, average):
    generator = np.random.default_rng(0)
    y_true, y_score = generator.integers(0, 2, (40, 3)), generator.integers(0, 5, (40, 3))
    want = getattr(sklearn.metrics, name)(y_true, y_score, average=average)
    np.testing.assert_allclose(getattr(metrics, name)(y_true, y_score, average=average), want, rtol=0, atol=1e-12)


def test_the_area_is_the_chance_to_order_a_pair_rightly():
    generator = np.random.default_rng(1)
    y, score = generator.integers(0, 2, 50), generator.integers(0, 9, 50)
    pairs = score[y == 1][:, None] - score[y == 0]
    assert metrics.roc_auc_score(y, score) == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_one_class_alone_warns():
    with pytest.warns(UndefinedMetricWarning, match="only one class"):
        assert np.isnan(metrics.roc_auc_score([1, 1], [0.2, 0.3]))
    with pytest.warns(UndefinedMetricWarning, match="no negative examples"):
        metrics.roc_curve([1, 1], [0.2, 0.3])


BAD = {
    "shapes": (lambda: metrics.roc_curve([0, 1], [[0.1, 0.9], [0.8, 0.2]]), ShapeError, r"y_score\[:, 1\]"),
    "empty": (lambda: metrics.roc_curve([], []), DataError, "no predictions"),
    "nan": (lambda: metrics.roc_curve([0, 1], [0.1, np.nan]), DataError, "finite"),
    "three classes": (lambda: metrics.roc_curve([0, 1, 2], [0.1, 0.2, 0.3]), ArgumentError, "one for each"),
    "which is positive": (lambda: metrics.roc_curve([3, 5], [0.1, 0.2]), ArgumentError, "say pos_label"),
    "no ovr": (lambda: metrics.roc_auc_score([0, 1, 2], np.eye(3)), ArgumentError, "multi_class='ovr'"),
    "no probabilities": (
        lambda: metrics.roc_auc_score([0, 1, 2], 2 * np.eye(3), multi_class="ovr"),
        DataError,
        "sum to 1",
    ),
    "columns": (lambda: metrics.roc_auc_score([0, 1, 1], np.eye(3), multi_class="ovr"), ShapeError, "labels="),
    "zigzag": (lambda: metrics.auc([0, 2, 1], [0, 1, 2]), DataError, "up and down"),
    "one point": (lambda: metrics.auc([0], [0]), DataError, "two points"),
    "average": (lambda: metrics.roc_auc_score([[0, 1]], [[0, 1]], average="x"), ArgumentError, "average"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize(
    "scores", [np.array([0, 10, 200, 255], dtype=np.uint8), np.array([-128, -5, 3, 9], dtype=np.int8)]
)
def test_small_integers_do_not_overflow(scores):
    assert metrics.roc_auc_score([0, 0, 1, 1], scores) == 1
    assert metrics.average_precision_score([0, 0, 1, 1], scores) == 1


def test_answers_alone_are_scores_too():
    y, said = np.array([0, 0, 1, 1]), np.array([False, True, True, True])
    assert metrics.roc_auc_score(y, said) == pytest.approx(sklearn.metrics.roc_auc_score(y, said))
