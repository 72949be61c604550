"""A data set in memory refuses what no network could learn from."""

import numpy as np
import pytest

from minicnn.data import ArrayDataset
from minicnn.data.dataset import as_dataset
from minicnn.errors import DataError, DTypeError

X = np.arange(12, dtype=np.float64).reshape(3, 1, 2, 2)
Y = np.array([0, 1, 2])


def test_inputs_become_float32_and_targets_stay():
    dataset = ArrayDataset(X, Y)
    assert (dataset.x.dtype, dataset.y.dtype) == (np.float32, Y.dtype)
    np.testing.assert_array_equal(dataset.x, X)


def test_inputs_may_stay_float64():
    assert ArrayDataset(X, Y, dtype=np.float64).x.dtype == np.float64


def test_indexing_gives_inputs_with_their_targets():
    x, y = ArrayDataset(X, Y)[[2, 0]]
    np.testing.assert_array_equal(x, X[[2, 0]])
    assert y.tolist() == [2, 0]


def test_a_subset_keeps_class_names_and_dtype():
    subset = ArrayDataset(X, Y, classes="abc", dtype=np.float64).subset([1])
    assert (len(subset), subset.classes, subset.x.dtype) == (1, ("a", "b", "c"), np.float64)


def test_lists_serve_as_arrays():
    assert len(ArrayDataset([[0.5], [0.25]], [0, 1])) == 2


def test_an_empty_data_set_is_refused():
    with pytest.raises(DataError, match="empty"):
        ArrayDataset(X[:0], Y[:0])


def test_an_empty_subset_is_refused():
    with pytest.raises(DataError, match="empty"):
        ArrayDataset(X, Y).subset(np.array([], dtype=int))


@pytest.mark.parametrize("y", [Y[:2], np.float64(3)])
def test_inputs_and_targets_of_other_lengths_are_refused(y):
    with pytest.raises(DataError, match=r"same length; x is \(3, 1, 2, 2\) and y"):
        ArrayDataset(X, y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_not_finite_is_refused_with_its_place(value):
    x = X.copy()
    x[2, 0, 1, 0] = value
    with pytest.raises(DataError, match=rf"{value} in example 2 \(at \(2, 0, 1, 0\)\)"):
        ArrayDataset(x, Y)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_target_that_is_not_finite_is_refused_with_its_place(value):
    y = np.zeros((3, 2))
    y[1, 0] = value
    with pytest.raises(DataError, match=rf"y holds {value} in example 1 \(at \(1, 0\)\); mend or remove it"):
        ArrayDataset(X, y)
    with pytest.raises(DataError, match=rf"y holds {value} in example 0"):
        ArrayDataset(X, np.array([value, 0, 0], dtype=np.float32))


@pytest.mark.parametrize("y", [np.array([True, False, True]), np.array(["a", "b", "c"]), Y.astype(np.uint8)])
def test_targets_need_not_be_numbers(y):
    assert ArrayDataset(X, y).y.dtype == y.dtype


def test_a_number_too_large_for_float32_is_refused_too():
    x = X.copy()
    x[1, 0, 0, 0] = 1e39
    with pytest.raises(DataError, match="example 1"):
        ArrayDataset(x, Y)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, bool])
def test_inputs_that_are_not_floating_point_are_refused_with_a_hint(dtype):
    with pytest.raises(DTypeError, match=rf"x is {np.dtype(dtype)}, expected floating point; .* x / 255"):
        ArrayDataset(X.astype(dtype), Y)


def test_a_data_set_stays_itself_and_a_pair_becomes_one():
    dataset = ArrayDataset(X, Y)
    assert as_dataset(dataset) is dataset
    assert len(as_dataset((X, Y))) == 3


@pytest.mark.parametrize("wrong", [X, (X,), None, "digits"])
def test_anything_else_is_no_data_set(wrong):
    with pytest.raises(DataError, match="expected an ArrayDataset or a pair"):
        as_dataset(wrong)


def test_repr_tells_sizes_and_types():
    assert repr(ArrayDataset(X, Y)) == "ArrayDataset(3 examples, x (1, 2, 2) float32, y () int64)"
