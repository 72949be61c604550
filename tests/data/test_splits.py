"""How a data set is cut in three."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minicnn.data import ArrayDataset, split
from minicnn.errors import ArgumentError, DataError, DataWarning


def numbered(count, classes=1):
    """Examples that carry their number, of classes that take turns."""
    numbers = np.arange(count)
    return ArrayDataset(numbers[:, None].astype(np.float32), numbers % classes)


def numbers_in(splits):
    test = splits.test.open("to look at it in a test")
    return [part.x[:, 0].astype(int).tolist() for part in (splits.train, splits.validation, test)]


@given(
    count=st.integers(3, 60),
    data=st.data(),
    seed=st.integers(0, 2**64 - 1),
    stratify=st.booleans(),
)
def test_the_parts_are_a_partition_of_the_sizes_asked_for(count, data, seed, stratify):
    validation = data.draw(st.integers(1, count - 2))
    test = data.draw(st.integers(1, count - validation - 1))
    parts = numbers_in(split(numbered(count), validation=validation, test=test, seed=seed, stratify=stratify))
    assert sorted(number for part in parts for number in part) == list(range(count))
    assert [len(part) for part in parts] == [count - validation - test, validation, test]


def test_targets_stay_with_their_inputs():
    splits = split(numbered(100, classes=7), seed=3)
    for part in (splits.train, splits.validation, splits.test.open("to look at it in a test")):
        np.testing.assert_array_equal(part.x[:, 0].astype(int) % 7, part.y)


def test_sizes_may_be_shares():
    splits = split(numbered(200), validation=0.25, test=0.1)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (130, 50, 20)


OTHER_TARGETS = {
    "numbers": np.linspace(0, 1, 50),
    "masks": np.zeros((50, 4, 4), dtype=int),
    "columns": np.zeros((50, 1), dtype=int),
}


@pytest.mark.parametrize("y", OTHER_TARGETS.values(), ids=OTHER_TARGETS)
@pytest.mark.parametrize("stratify", [None, False])
def test_targets_need_not_be_labels(y, stratify):
    splits = split((np.zeros((50, 2), dtype=np.float32), y), stratify=stratify)
    assert splits.classes == ()
    assert splits.train.y.shape == (34, *y.shape[1:])


@pytest.mark.parametrize("y", OTHER_TARGETS.values(), ids=OTHER_TARGETS)
def test_what_is_no_label_cannot_be_split_by_class(y):
    words = rf"stratify=True needs labels of shape \(N,\).* targets are {y.dtype} of shape .*Leave stratify out"
    with pytest.raises(DataError, match=words):
        split((np.zeros((50, 2), dtype=np.float32), y), stratify=True)


@pytest.mark.parametrize("kind", [np.int32, bool, np.str_])
def test_labels_are_split_by_class_without_asking(kind):
    y = np.repeat([0, 1], [160, 40]).astype(kind)
    splits = split((np.zeros((200, 1), dtype=np.float32), y), validation=0.2, test=0.3)
    assert np.unique(splits.validation.y, return_counts=True)[1].tolist() == [32, 8]


def test_whole_numbers_in_floating_point_are_split_by_class_if_asked():
    y = np.repeat([0.0, 1.0], [160, 40])
    splits = split((np.zeros((200, 1), dtype=np.float32), y), validation=0.2, test=0.3, stratify=True)
    assert np.count_nonzero(splits.validation.y) == 8


def test_stratified_parts_have_equal_shares_of_unequal_classes():
    labels = np.repeat([0, 1, 2], [100, 60, 40])
    splits = split((np.zeros((200, 1), dtype=np.float32), labels), validation=0.2, test=0.3)
    assert np.bincount(splits.train.y).tolist() == [50, 30, 20]
    assert np.bincount(splits.validation.y).tolist() == [20, 12, 8]
    assert np.bincount(splits.test.open("to look at it in a test").y).tolist() == [30, 18, 12]


def test_the_same_seed_gives_the_same_parts_and_another_seed_others():
    first, again, other = (numbers_in(split(numbered(100), seed=seed)) for seed in (4, 4, 5))
    assert first == again
    assert first != other


def test_a_pair_of_arrays_is_a_data_set_too():
    assert len(split((np.zeros((20, 1), dtype=np.float32), np.zeros(20, dtype=int))).train) == 14


def test_class_names_are_handed_on():
    dataset = ArrayDataset(np.zeros((20, 1), dtype=np.float32), np.arange(20) % 2, classes=["cat", "dog"])
    splits = split(dataset)
    assert splits.classes == splits.train.classes == ("cat", "dog")


def test_without_class_names_the_labels_are_their_names():
    assert split(numbered(60, classes=3)).classes == ("0", "1", "2")


@pytest.mark.parametrize("part", [0, 0.0, -1, -0.5, 1.0, 100, 0.001])
@pytest.mark.parametrize("name", ["validation", "test"])
def test_a_part_that_is_empty_or_everything_is_refused(name, part):
    with pytest.raises(ArgumentError, match=rf"{name}={part} gives .* of 100 examples"):
        split(numbered(100), **{name: part})


def test_parts_that_leave_nothing_to_train_on_are_refused():
    with pytest.raises(ArgumentError, match="60 validation and 40 test examples leave none of 100"):
        split(numbered(100), validation=60, test=40)


@pytest.mark.parametrize("few", [1, 2])
def test_a_class_too_small_to_be_in_every_part_is_refused(few):
    with pytest.raises(DataError, match=r"class.*stratify=False"):
        split(with_a_rare_class(few))


@pytest.mark.parametrize("few", [3, 6, 12])
def test_a_rare_class_is_in_every_part_or_the_split_is_refused(few):
    try:
        splits = split(with_a_rare_class(few))
    except DataError as error:
        assert "stratify=False" in str(error)  # noqa: PT017
    else:
        parts = splits.train, splits.validation, splits.test.open("to look at it in a test")
        assert all(1 in part.y for part in parts)


def with_a_rare_class(few):
    return np.zeros((300, 1), dtype=np.float32), np.array([0] * (300 - few) + [1] * few)


def test_stratify_false_takes_a_class_of_one():
    labels = np.array([0] * 99 + [1])
    assert len(split((np.zeros((100, 1), dtype=np.float32), labels), stratify=False).train) == 70


def test_repr_tells_the_sizes():
    assert repr(split(numbered(100), name="mine")) == "Splits('mine': 70 train, 15 validation, 15 test (sealed))"


class TestInOrder:
    @given(count=st.integers(3, 60), data=st.data())
    def test_the_last_are_the_test_set_and_those_before_it_are_for_validation(self, count, data):
        validation = data.draw(st.integers(1, count - 2))
        test = data.draw(st.integers(1, count - validation - 1))
        dataset = ArrayDataset(np.arange(count)[:, None].astype(np.float32), np.linspace(0, 1, count))
        parts = numbers_in(split(dataset, validation=validation, test=test, shuffle=False))
        assert [number for part in parts for number in part] == list(range(count))
        assert [len(part) for part in parts] == [count - validation - test, validation, test]

    def test_it_is_not_to_be_by_class_too(self):
        with pytest.raises(ArgumentError, match=r"stratify=True picks .* shuffle=False takes them in order"):
            split(numbered(100, classes=2), shuffle=False, stratify=True)

    @pytest.mark.parametrize(
        "labels", [np.repeat(np.arange(10), 20), np.repeat(np.arange(10)[::-1], 20), np.repeat([3, 1, 2], 60)]
    )
    def test_data_that_lies_class_by_class_is_warned_of(self, labels):
        with pytest.warns(DataWarning, match="it lies class by class: .* shuffle=True mixes them"):
            split((np.zeros((len(labels), 1), dtype=np.float32), labels), shuffle=False)

    def test_the_warning_counts(self):
        labels = np.repeat(np.arange(10), 20)
        words = (
            "of 10 classes, the training set holds 7 and the validation set 2; 30 of 30 validation examples are of "
            "classes that the training set does not have, or hardly"
        )
        with pytest.warns(DataWarning, match=words) as caught:
            split((np.zeros((200, 1), dtype=np.float32), labels), shuffle=False)
        assert caught[0].filename == __file__

    def test_two_classes_are_warned_of_though_training_has_both(self):
        with pytest.warns(DataWarning, match="training set holds 2 and the validation set 1; 0 of 15"):
            split((np.zeros((100, 1), dtype=np.float32), np.repeat([0, 1], 50)), shuffle=False)

    def test_a_few_strays_do_not_hide_the_order(self):
        labels = np.repeat(np.arange(10), 20)
        labels[[3, 40, 77]] = [9, 8, 7]
        with pytest.warns(DataWarning, match="class by class"):
            split((np.zeros((200, 1), dtype=np.float32), labels), shuffle=False)

    @pytest.mark.parametrize("seed", range(5))
    def test_mixed_labels_one_class_and_other_targets_are_not_warned_of(self, seed):
        mixed = np.random.default_rng(seed).permutation(np.repeat(np.arange(10), 20))
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            for y in (mixed, np.zeros(200, dtype=int), np.linspace(0, 1, 200), np.zeros((200, 3), dtype=int)):
                split((np.zeros((200, 1), dtype=np.float32), y), shuffle=False)
            split((np.zeros((200, 1), dtype=np.float32), np.sort(mixed)))
        assert seen == []


@pytest.mark.parametrize("seed", [-1, 1.5, None, 2**64])
def test_a_seed_has_to_be_one(seed):
    dataset = ArrayDataset(np.arange(20.0).reshape(10, 2), np.arange(10) % 2)
    with pytest.raises(ArgumentError, match="seed must be a whole number"):
        split(dataset, seed=seed, stratify=False)
