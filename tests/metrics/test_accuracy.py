"""Accuracy against scikit-learn's."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from minicnn.errors import DataError, ShapeError
from minicnn.metrics import accuracy_score

labels = st.integers(0, 4)


@given(st.lists(st.tuples(labels, labels), min_size=1, max_size=50))
def test_it_is_scikit_learns(pairs):
    y_true, y_pred = np.array(pairs).T
    assert accuracy_score(y_true, y_pred) == pytest.approx(sklearn.metrics.accuracy_score(y_true, y_pred), abs=1e-15)


@pytest.mark.parametrize(("y_pred", "expected"), [([1, 2, 3, 4], 1.0), ([1, 2, 0, 0], 0.5), ([0, 0, 0, 0], 0.0)])
def test_it_is_the_share_that_is_right(y_pred, expected):
    assert accuracy_score(np.array([1, 2, 3, 4]), np.array(y_pred)) == expected


def test_labels_may_have_more_axes():
    assert accuracy_score(np.zeros((2, 3, 3), dtype=int), np.eye(3, dtype=int)[None].repeat(2, 0)) == pytest.approx(
        2 / 3
    )


def test_shapes_that_differ_are_refused_even_where_numpy_would_stretch_them():
    with pytest.raises(ShapeError, match=r"y_true has shape \(3,\) and y_pred \(3, 1\)"):
        accuracy_score(np.zeros(3), np.zeros((3, 1)))


def test_no_predictions_have_no_accuracy():
    with pytest.raises(DataError, match="no predictions"):
        accuracy_score(np.zeros(0), np.zeros(0))
