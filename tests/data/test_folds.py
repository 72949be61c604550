"""k-fold cross-validation: scikit-learn's parts, every example once, one seal."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import KFold, StratifiedKFold

from minicnn.data import ArrayDataset, Fold, Normaliser, Splits, k_fold, normalise, split
from minicnn.errors import ArgumentError, DataError, DataWarning


def numbered(count, classes=1):
    """Examples that carry their number, of classes that take turns."""
    numbers = np.arange(count)
    return ArrayDataset(numbers[:, None].astype(np.float32), numbers % classes)


def numbers_in(part):
    return part.x[:, 0].astype(int).tolist()


@given(folds=st.integers(2, 8), seed=st.integers(0, 2**64 - 1), data=st.data())
def test_every_example_is_validated_once_and_trained_on_else(folds, seed, data):
    dataset = numbered(data.draw(st.integers(folds, 50)))
    parts = [(numbers_in(f.train), numbers_in(f.validation)) for f in k_fold(dataset, folds, seed=seed)]
    assert len(parts) == folds
    assert sorted(number for _, validation in parts for number in validation) == list(range(len(dataset)))
    assert all(sorted(train + validation) == list(range(len(dataset))) for train, validation in parts)
    assert {len(validation) - len(dataset) // folds for _, validation in parts} <= {0, 1}


@pytest.mark.parametrize(("stratify", "cutter"), [(True, StratifiedKFold), (None, StratifiedKFold), (False, KFold)])
def test_the_parts_are_scikit_learns(stratify, cutter):
    dataset = numbered(53, classes=3)
    theirs = cutter(4, shuffle=True, random_state=9).split(dataset.x, dataset.y)
    for fold, (train, validation) in zip(k_fold(dataset, 4, stratify=stratify, seed=9), theirs, strict=True):
        assert (numbers_in(fold.train), numbers_in(fold.validation)) == (train.tolist(), validation.tolist())
        np.testing.assert_array_equal(fold.train.y, train % 3)


def test_the_seed_decides():
    first, again, other = ([numbers_in(f.validation) for f in k_fold(numbered(30), seed=seed)] for seed in (1, 1, 2))
    assert first == again != other


class TestOfSplits:
    @pytest.fixture
    def splits(self):
        return split(numbered(60, classes=3), name="mine")

    def test_folds_are_made_of_training_and_validation_set(self, splits):
        known = sorted(numbers_in(splits.train) + numbers_in(splits.validation))
        for fold in k_fold(splits, 3):
            assert isinstance(fold, Splits)
            assert sorted(numbers_in(fold.train) + numbers_in(fold.validation)) == known
            assert fold.classes == splits.classes

    def test_the_test_set_stays_sealed_under_one_seal(self, splits):
        folds = list(k_fold(splits, 3))
        assert splits.test.seal.openings == []
        folds[0].test.open("once")
        normalise_constant = [fold.test.map(lambda part: part) for fold in folds]
        normalise_constant[1].open("twice")
        assert splits.test.seal.openings == folds[2].test.seal.openings == ["once", "twice"]

    def test_names_say_which_fold_it_is(self, splits):
        assert [fold.name for fold in k_fold(splits, 2)] == ["mine, fold 1 of 2", "mine, fold 2 of 2"]

    def test_normalised_splits_are_refused(self, splits):
        """Their statistics would be those of images that are validation data in most folds."""
        with pytest.raises(DataError, match=r"'mine' is normalised .* call k_fold first, then normalise\(fold\)"):
            k_fold(normalise(splits))

    def test_each_fold_is_normalised_by_its_own_training_part(self, splits):
        for fold in k_fold(splits, 3):
            got, want = normalise(fold), Normaliser.fit(fold.train.x)
            np.testing.assert_array_equal(got.normaliser.mean, want.mean)
            np.testing.assert_array_equal(got.validation.x, want(fold.validation.x))
            assert got.test.seal is splits.test.seal


def test_a_fold_of_a_data_set_has_no_test_set_and_can_be_normalised():
    fold = normalise(next(k_fold(numbered(20), 4)))
    assert isinstance(fold, Fold)
    assert not hasattr(fold, "test")
    assert abs(fold.train.x.mean()) < 1e-6
    assert repr(fold) == "Fold('fold 1 of 4': 15 train, 5 validation)"


def test_dtype_and_class_names_are_handed_on():
    dataset = ArrayDataset(np.eye(8), np.arange(8) % 2, classes=["cat", "dog"], dtype=np.float64)
    fold = next(k_fold(dataset, 2))
    assert (fold.train.x.dtype, fold.validation.classes, fold.classes) == (np.float64, ("cat", "dog"), ("cat", "dog"))


@pytest.mark.parametrize("y", [np.linspace(0, 1, 20), np.zeros((20, 2, 2), dtype=int)], ids=["numbers", "masks"])
def test_targets_need_not_be_labels_unless_it_is_by_class(y):
    pair = np.zeros((20, 1), dtype=np.float32), y
    assert len(list(k_fold(pair, 4))) == 4
    with pytest.raises(DataError, match=r"stratify=True needs labels of shape \(N,\)"):
        k_fold(pair, 4, stratify=True)


class TestInOrder:
    def test_each_part_is_a_run_of_examples(self):
        got = [numbers_in(fold.validation) for fold in k_fold(numbered(10, classes=2), 3, shuffle=False)]
        assert got == [[0, 1, 2, 3], [4, 5, 6], [7, 8, 9]]

    def test_data_that_lies_class_by_class_is_warned_of(self):
        pair = np.zeros((40, 1), dtype=np.float32), np.repeat([0, 1, 2, 3], 10)
        with pytest.warns(
            DataWarning, match="of 4 classes, the training set holds 3 and the validation set 1"
        ) as caught:
            k_fold(pair, 4, shuffle=False)
        assert caught[0].filename == __file__
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            k_fold(pair, 4)

    def test_it_is_not_to_be_by_class_too(self):
        with pytest.raises(ArgumentError, match="choose one"):
            k_fold(numbered(20, classes=2), shuffle=False, stratify=True)


class TestRefused:
    @pytest.mark.parametrize("folds", [1, 0, 2.5, "five"])
    def test_fewer_than_two_folds(self, folds):
        with pytest.raises(ArgumentError, match=f"folds must be a whole number of at least 2, not {folds!r}"):
            k_fold(numbered(20), folds)

    def test_more_folds_than_examples(self):
        with pytest.raises(DataError, match="4 examples are too few for 5 folds"):
            k_fold(numbered(4), stratify=False)

    def test_a_class_too_small(self):
        pair = np.zeros((20, 1), dtype=np.float32), np.array([0] * 16 + [7] * 4)
        with pytest.raises(DataError, match=r"class 7 has 4 examples, too few .* 5 folds \(stratify=False"):
            k_fold(pair)
        assert len(list(k_fold(pair, stratify=False))) == 5

    def test_what_is_no_data_set(self):
        with pytest.raises(DataError, match="expected an ArrayDataset or a pair"):
            k_fold("digits")
