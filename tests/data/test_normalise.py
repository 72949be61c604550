"""Normalisation learns from the training set alone."""

from dataclasses import replace

import numpy as np
import pytest

from minicnn.data import ArrayDataset, Normaliser, SealedDataset, load, normalise, split
from minicnn.errors import DTypeError, ShapeError


@pytest.fixture
def splits():
    rng = np.random.default_rng(0)
    x = rng.normal(loc=[[[[5.0]], [[-3.0]]]], scale=[[[[2.0]], [[0.1]]]], size=(200, 2, 3, 4)).astype(np.float32)
    return split((x, np.arange(200) % 2), seed=1)


def contents(splits):
    return [part.x for part in (splits.train, splits.validation, splits.test.open("to look at it in a test"))]


def test_every_channel_of_the_training_set_gets_mean_0_and_deviation_1(splits):
    x = normalise(splits).train.x
    np.testing.assert_allclose(x.mean(axis=(0, 2, 3), dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(x.std(axis=(0, 2, 3), dtype=np.float64), 1, atol=1e-6)


def test_all_parts_are_shifted_and_scaled_by_the_training_sets_numbers(splits):
    train = splits.train.x.astype(np.float64)
    mean, std = train.mean(axis=(0, 2, 3), keepdims=True), train.std(axis=(0, 2, 3), keepdims=True)
    for before, after in zip(contents(splits), contents(normalise(splits)), strict=True):
        np.testing.assert_allclose(after, (before - mean) / std, atol=1e-5)


def test_validation_and_test_data_have_no_say_in_it(splits):
    wild = ArrayDataset(splits.validation.x * 1000 + 7, splits.validation.y)
    other = normalise(replace(splits, validation=wild, test=SealedDataset(wild)))
    np.testing.assert_array_equal(other.train.x, normalise(splits).train.x)


def test_the_given_data_stay_as_they_were(splits):
    before = [x.copy() for x in contents(splits)]
    normalise(splits)
    for x, y in zip(before, contents(splits), strict=True):
        np.testing.assert_array_equal(x, y)


def test_targets_and_class_names_are_kept(splits):
    after = normalise(splits)
    np.testing.assert_array_equal(after.train.y, splits.train.y)
    assert (after.name, after.classes) == (splits.name, splits.classes)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(dtype):
    x = np.random.default_rng(0).normal(size=(40, 1, 2, 2)).astype(dtype)
    splits = split(ArrayDataset(x, np.zeros(40, dtype=int), dtype=dtype))
    assert [part.dtype for part in contents(normalise(splits))] == [dtype] * 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1000.0])
def test_a_constant_channel_becomes_zero_and_is_not_blown_up(dtype, value):
    normaliser = Normaliser.fit(np.full((1000, 1, 8, 8), value, dtype=dtype))
    np.testing.assert_array_equal(normaliser.std, 1)
    np.testing.assert_allclose(normaliser(np.full((1, 1, 8, 8), value + 0.5, dtype=dtype)), 0.5, rtol=1e-4)


def test_vectors_are_normalised_feature_by_feature():
    x = np.random.default_rng(0).normal(size=(50, 3)) * [1, 10, 100]
    np.testing.assert_allclose(Normaliser.fit(x)(x).std(axis=0), 1)


def test_another_number_of_channels_is_refused():
    normaliser = Normaliser.fit(np.zeros((4, 3, 2, 2)))
    with pytest.raises(ShapeError, match=r"\(4, 1, 2, 2\), expected \(N, 3, ...\)"):
        normaliser(np.zeros((4, 1, 2, 2)))


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def test_what_was_normalised_twice_is_remembered_whole(digits):
    twice = normalise(normalise(digits, "image"), "zca")
    np.testing.assert_allclose(twice.normaliser(digits.train.x), twice.train.x, atol=1e-5)


@pytest.mark.parametrize("method", ["channel", "image", "pca", "zca"])
def test_whole_numbers_are_refused_instead_of_truncated(digits, method):
    whole = (digits.train.x * 16).astype(np.uint8)
    with pytest.raises(DTypeError, match="x / 255"):
        normalise(digits, method).normaliser(whole)
