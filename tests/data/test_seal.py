"""The test set is sealed: it opens only with a reason, and every opening is counted."""

import copy
import pickle

import numpy as np
import pytest

from minicnn.data import ArrayDataset, DataLoader, SealedDataset, normalise, split
from minicnn.data.seal import noted_openings
from minicnn.errors import ArgumentError, DataError


@pytest.fixture
def sealed():
    return SealedDataset(ArrayDataset(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 2])))


@pytest.mark.parametrize(
    "look",
    [lambda s: s.x, lambda s: s.y, lambda s: s[0], lambda s: s[:2], lambda s: list(s), lambda s: np.asarray(s)],
    ids=["x", "y", "index", "slice", "iteration", "array"],
)
def test_looking_inside_is_refused_and_says_what_to_do(sealed, look):
    with pytest.raises(DataError, match=r"sealed; use trainer\.evaluate\(test\), or test\.open\('why'\)"):
        look(sealed)
    assert sealed.seal.openings == []


def test_it_makes_no_batches(sealed):
    with pytest.raises(DataError):
        DataLoader(sealed)


def test_opening_gives_the_data_and_writes_the_reason_down(sealed):
    assert sealed.open("final comparison").y.tolist() == [0, 1, 2]
    sealed.open("a figure")
    assert sealed.seal.openings == ["final comparison", "a figure"]


@pytest.mark.parametrize("reason", ["", "   "])
def test_no_reason_opens_nothing(sealed, reason):
    with pytest.raises(ArgumentError, match="say why"):
        sealed.open(reason)
    assert sealed.seal.openings == []


def test_its_length_is_no_secret(sealed):
    assert len(sealed) == 3
    assert sealed.seal.openings == []


def test_repr_tells_how_often_it_was_opened(sealed):
    assert repr(sealed) == "SealedDataset(3 examples, opened 0 times)"
    sealed.open("once")
    assert repr(sealed) == "SealedDataset(3 examples, opened 1 time)"


def test_a_normalised_copy_shares_the_seal():
    splits = split((np.random.default_rng(0).normal(size=(40, 1, 2, 2)), np.zeros(40, dtype=int)))
    normalised = normalise(splits)
    normalised.test.open("by way of the copy")
    splits.test.open("by way of the original")
    assert splits.test.seal.openings == normalised.test.seal.openings
    assert splits.test.seal.openings == ["by way of the copy", "by way of the original"]


def test_normalising_does_not_count_as_opening():
    splits = split((np.random.default_rng(0).normal(size=(40, 1, 2, 2)), np.zeros(40, dtype=int)))
    assert normalise(splits).test.seal.openings == []


def test_an_unknown_attribute_is_an_ordinary_mistake(sealed):
    with pytest.raises(AttributeError, match="shape"):
        _ = sealed.shape


def test_openings_within_a_block_are_noted_whichever_copy_is_opened(sealed):
    sealed.open("before")
    with noted_openings() as noted:
        pickle.loads(pickle.dumps(sealed)).open("a copy, as other processes have them")
        sealed.open("itself")
        with pytest.raises(ArgumentError):
            sealed.open("")
    sealed.open("after")
    assert noted == ["a copy, as other processes have them", "itself"]
    assert sealed.seal.openings == ["before", "itself", "after"]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_share_the_seal(sealed, copied):
    copied(sealed).open("by way of the copy")
    assert copied({"splits": sealed})["splits"].seal is copied(sealed.seal) is sealed.seal
    assert sealed.seal.openings == ["by way of the copy"]


def test_a_pickled_copy_opens_only_where_somebody_counts(sealed):
    copied = pickle.loads(pickle.dumps(sealed))
    for away in (copied, copied.map(lambda part: part)):
        with pytest.raises(DataError, match=r"sent here from another process.* send splits\.train"):
            away.open("a look")
    assert len(copied) == len(sealed)
    assert copied.seal.openings == sealed.seal.openings == []


def test_asking_for_copies_in_the_training_set_opens_nothing(sealed):
    x = np.array([[9, 9.5], [4, 5]], dtype=np.float32)
    assert sealed.overlap(ArrayDataset(x, np.array([0, 1]))).tolist() == [[2, 1]]
    assert sealed.seal.openings == []


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_in_another_process_stays_one(sealed, copied):
    with pytest.raises(DataError, match="sent here from another process"):
        copied(pickle.loads(pickle.dumps(sealed))).open("a look")
