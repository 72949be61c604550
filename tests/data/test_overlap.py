"""Images that are in two data sets are found, all of them and no others."""

import time
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn import data
from minicnn.data import ArrayDataset, SealedDataset, find_overlap, normalise, split, warn_of_overlap
from minicnn.errors import DataWarning, ShapeError


def dataset(x, dtype=np.float32):
    x = np.asarray(x, dtype=dtype)
    return ArrayDataset(x, np.zeros(len(x), dtype=int), dtype=dtype)


@given(
    train=st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 0.5, 1.0])] * 3), min_size=1, max_size=12),
    held_out=st.lists(st.tuples(*[st.sampled_from([0.0, -0.0, 0.5, 1.0])] * 3), min_size=1, max_size=12),
)
def test_pairs_are_those_that_loops_find(train, held_out):
    """Python compares tuples of numbers, for which -0.0 == 0.0."""
    want = [[i, train.index(row)] for i, row in enumerate(held_out) if row in train and len(set(row)) > 1]
    assert find_overlap(dataset(train), dataset(held_out)).tolist() == want


def test_a_collision_of_hashes_is_no_copy(monkeypatch):
    monkeypatch.setattr("minicnn.data.duplicates.hash", lambda content: 0, raising=False)
    assert find_overlap(dataset([[1, 2], [3, 4]]), dataset([[3, 4], [1, 2]])).tolist() == [[1, 0]]


def test_more_images_than_are_hashed_at_once():
    x = np.random.default_rng(0).random((1300, 3))
    assert find_overlap(dataset(x), dataset(x[[1250, 600, 3]])).tolist() == [[0, 1250], [1, 600], [2, 3]]


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float64, np.float32), (np.float64, np.float64)])
def test_types_may_differ(dtypes):
    x = np.random.default_rng(0).random((4, 1, 2, 2))
    assert find_overlap(dataset(x, dtypes[0]), dataset(x[2:], dtypes[1])).tolist() == [[0, 2], [1, 3]]


def test_images_of_another_shape_are_others():
    assert warn_of_overlap(dataset(np.eye(4)), dataset(np.eye(3))).shape == (0, 2)


def test_memory_order_plays_no_part():
    x = np.random.default_rng(0).random((4, 3, 2, 2)).astype(np.float32)
    other = ArrayDataset(np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2), np.zeros(4))
    assert len(find_overlap(dataset(x), other)) == 4


def test_it_is_found_after_normalising_too_and_in_the_sealed_test_set():
    x = np.random.default_rng(0).random((60, 1, 3, 3))
    splits = normalise(split((np.concatenate([x, x]), np.zeros(120, dtype=int))))
    test = splits.test.open("to look at it in a test")
    want = [[i, j] for i, row in enumerate(test.x) for j, own in enumerate(splits.train.x) if (row == own).all()]
    assert find_overlap(splits.train, splits.test).tolist() == want != []
    assert len(splits.test.seal.openings) == 1


def test_the_warning_counts_names_the_first_and_returns_all():
    train, held_out = dataset(np.eye(8)), dataset([[0] * 8, [1, 2, 3, 4, 5, 6, 7, 8], *np.eye(8)[[5, 2]]])
    words = r"2 of 4 validation images are in the training set too \(first: validation 2 = training 5\)"
    with pytest.warns(DataWarning, match=words) as caught:
        pairs = warn_of_overlap(train, held_out)
    assert pairs.tolist() == [[2, 5], [3, 2]]
    assert caught[0].filename == __file__


def test_one_copy_is_said_in_the_singular_and_by_its_name():
    with pytest.warns(DataWarning, match=r"1 of 2 test images is in the training set too \(test 1 = training 0\)"):
        warn_of_overlap(dataset([[1, 2]]), SealedDataset(dataset([[3, 4], [1, 2]])), what="test")


@pytest.mark.parametrize("held_out", [[[3, 4], [5, 6]], [[0, 0]]], ids=["others", "an empty tile"])
def test_no_copies_no_warning(held_out):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(warn_of_overlap(dataset([[1, 2], [0, 0]]), dataset(held_out))) == 0


def test_the_digits_hold_no_image_twice():
    digits = data.load("digits")
    assert len(find_overlap(digits.train, digits.validation)) == len(find_overlap(digits.train, digits.test)) == 0


def test_ten_thousand_images_take_no_time_to_speak_of():
    x = np.random.default_rng(0).random((10_000, 1, 28, 28), dtype=np.float32)
    train, held_out = dataset(x[:9000]), dataset(x[9000:])
    begin = time.process_time()
    assert len(find_overlap(train, held_out)) == 0
    assert time.process_time() - begin < 1.0


def test_pairs_are_taken_and_other_shapes_refused():
    x = np.random.default_rng(0).random((5, 1, 8, 8))
    assert len(find_overlap((x, np.arange(5)), (x[:2], np.arange(2)))) == 2
    with pytest.raises(ShapeError, match="cannot be compared"):
        find_overlap((x, np.arange(5)), (x.reshape(5, 64), np.arange(5)))
