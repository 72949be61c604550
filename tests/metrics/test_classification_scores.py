"""Measures of labels against scikit-learn's, on whatever Hypothesis thinks of: absent classes, nothing predicted."""

import warnings

import numpy as np
import pytest
import sklearn.metrics
from gpu import strict_cupy
from hypothesis import example, given
from hypothesis import strategies as st

from minicnn import metrics
from minicnn.backend import to_backend, use_backend
from minicnn.errors import ArgumentError, DataError, DTypeError, ShapeError, UndefinedMetricWarning

SCORES = ["precision_score", "recall_score", "f1_score", "jaccard_score"]
PAIRS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
BINARY = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=30)
AVERAGES = st.sampled_from(["micro", "macro", "weighted", None])
DIVISIONS = st.sampled_from([0, 1, np.nan])


@pytest.mark.parametrize("name", SCORES)
@given(pairs=PAIRS, average=AVERAGES, zero_division=DIVISIONS, labels=st.sampled_from([None, [0, 1], [3, 1, 0]]))
@example(pairs=[(0, 0)], average="weighted", zero_division=np.nan, labels=[3, 1, 0])
def test_scores_of_many_classes_are_scikit_learns(name, pairs, average, zero_division, labels):
    if name == "jaccard_score" and np.isnan(zero_division):
        zero_division = 0.0  # scikit-learn's takes 0 and 1 alone
    y_true, y_pred = np.array(pairs).T
    options = {"average": average, "zero_division": zero_division, "labels": labels}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        want = getattr(sklearn.metrics, name)(y_true, y_pred, **options)
    np.testing.assert_allclose(getattr(metrics, name)(y_true, y_pred, **options), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SCORES)
@given(pairs=BINARY, pos_label=st.integers(0, 1))
def test_scores_of_two_classes_are_scikit_learns_with_its_warnings(name, pairs, pos_label):
    y_true, y_pred = np.array(pairs).T
    results, warned = [], []
    for module in (sklearn.metrics, metrics):
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            try:
                results.append(getattr(module, name)(y_true, y_pred, pos_label=pos_label))
            except ValueError:
                results.append("refused")
        warned.append(bool(seen))
    assert results[0] == pytest.approx(results[1], abs=1e-12)
    assert warned[0] == warned[1]


@pytest.mark.parametrize("name", SCORES)
@given(data=st.data(), average=AVERAGES)
def test_several_labels_an_example_are_scikit_learns(name, data, average):
    rows = data.draw(st.lists(st.tuples(*[st.integers(0, 1)] * 6), min_size=1, max_size=12))
    y_true, y_pred = np.array(rows)[:, :3], np.array(rows)[:, 3:]
    want = getattr(sklearn.metrics, name)(y_true, y_pred, average=average, zero_division=0)
    got = getattr(metrics, name)(y_true, y_pred, average=average, zero_division=0)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@given(pairs=BINARY)
def test_specificity_is_the_recall_of_the_other_class(pairs):
    y_true, y_pred = np.array(pairs).T
    want = sklearn.metrics.recall_score(1 - y_true, 1 - y_pred, zero_division=0)
    assert metrics.specificity_score(y_true, y_pred, zero_division=0) == pytest.approx(want, abs=1e-12)


@given(
    pairs=PAIRS, normalize=st.sampled_from(["true", "pred", "all", None]), labels=st.sampled_from([None, [2, 0], [1]])
)
def test_the_confusion_matrix_is_scikit_learns(pairs, normalize, labels):
    y_true, y_pred = np.array(pairs).T
    try:
        with warnings.catch_warnings():  # scikit-learn warns of matrices with one row
            warnings.simplefilter("ignore")
            want = sklearn.metrics.confusion_matrix(y_true, y_pred, labels=labels, normalize=normalize)
    except ValueError:
        with pytest.raises(ArgumentError, match="none of the labels"):
            metrics.confusion_matrix(y_true, y_pred, labels=labels, normalize=normalize)
    else:
        got = metrics.confusion_matrix(y_true, y_pred, labels=labels, normalize=normalize)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
        assert got.dtype.kind == want.dtype.kind


def test_the_confusion_matrix_takes_names_as_labels():
    got = metrics.confusion_matrix(["cat", "dog", "cat"], ["dog", "dog", "cat"], labels=["dog", "cat"])
    assert got.tolist() == [[1, 0], [1, 1]]


def test_the_formula_of_f1_has_its_2():
    y_true, y_pred = np.array([1, 1, 1, 0, 0]), np.array([1, 1, 0, 1, 0])
    p, r = metrics.precision_score(y_true, y_pred), metrics.recall_score(y_true, y_pred)
    assert metrics.f1_score(y_true, y_pred) == pytest.approx(2 / (1 / p + 1 / r))


def test_dice_of_masks_is_f1_of_their_pixels():
    a, b = np.zeros((2, 4, 4)), np.zeros((2, 4, 4))
    a[0, :2], b[0, 1:3] = 255, 1
    assert metrics.dice_score(a, b) == pytest.approx(2 * 4 / 16)
    assert metrics.jaccard_score((a > 0).ravel().astype(int), (b > 0).ravel().astype(int)) == pytest.approx(4 / 12)


@pytest.mark.parametrize("name", ["dice_score", "confusion_matrix", *SCORES])
def test_labels_on_a_device_are_fetched(name):
    y_true, y_pred = np.array([0, 1, 1, 0, 1]), np.array([0, 1, 0, 1, 1])
    want = getattr(metrics, name)(y_true, y_pred)
    with strict_cupy.installed(), use_backend("cupy"):
        got = getattr(metrics, name)(to_backend(y_true), to_backend(y_pred))
    np.testing.assert_array_equal(got, want)


def test_nothing_predicted_warns_and_gives_0():
    with pytest.warns(UndefinedMetricWarning, match="precision: nothing was predicted"):
        assert metrics.precision_score([1, 0], [0, 0]) == 0


BAD = {
    "lengths": (([0, 1], [0]), {}, ShapeError, "shape"),
    "empty": (([], []), {}, DataError, "no predictions"),
    "scores": (([0, 1], [0.2, 0.7]), {}, DTypeError, r"argmax\(axis=1\)"),
    "three classes": (([0, 1, 2], [0, 1, 2]), {}, ArgumentError, "choose 'macro'"),
    "positive": (([0, 1], [0, 1]), {"pos_label": 7}, ArgumentError, "none of the classes"),
    "average": (([0, 1], [0, 1]), {"average": "mean"}, ArgumentError, "average must be"),
    "division": (([0, 1], [0, 1]), {"zero_division": "no"}, ArgumentError, "zero_division must be"),
    "labels": (([0, 1], [0, 1]), {"labels": [], "average": None}, ArgumentError, "at least one class"),
    "table": (([[0, 1]], [[0, 2]]), {"average": None}, DataError, "0 and 1 alone"),
}


@pytest.mark.parametrize(("args", "options", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(args, options, error, match):
    with pytest.raises(error, match=match):
        metrics.recall_score(*args, **options)


@given(pairs=PAIRS)
def test_specificity_over_all_classes_together_counts_every_example_once_a_class(pairs):
    y_true, y_pred = np.array(pairs).T
    classes = np.unique([y_true, y_pred])
    left_alone = sum(((y_true != k) & (y_pred != k)).sum() for k in classes)
    negatives = sum((y_true != k).sum() for k in classes)
    got = metrics.specificity_score(y_true, y_pred, average="micro", zero_division=0)
    assert got == pytest.approx(left_alone / negatives if negatives else 0)


def test_probabilities_are_no_masks():
    with pytest.raises(DTypeError, match=r"a mask holds 0\.02.*p >= 0\.5"):
        metrics.dice_score([0, 0, 1], [0.0, 0.02, 1.0])


def test_the_number_that_is_no_label_is_named():
    with pytest.raises(DTypeError, match=r"y_pred holds 0\.5"):
        metrics.precision_score([0.0, 1.0], [0.0, 0.5])
