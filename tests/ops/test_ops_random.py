"""Philox against its published vectors and plain integers, and what is made of its bits."""

import itertools
import math
from collections import Counter

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ops
from minicnn.backend import Key
from minicnn.ops.random import philox

pytestmark = pytest.mark.usefixtures("backend")

KEY = Key(seed=11, stream=3, step=0)
keys = st.builds(Key, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))

# Random123, file kat_vectors, lines "philox4x32 10"
KNOWN_ANSWERS = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [int(word, 16) for word in text.split()]


def philox_by_integers(counter, key):
    """Philox 4x32-10 on Python's integers."""
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * counter[0], 2**32)
        high1, low1 = divmod(0xCD9E8D57 * counter[2], 2**32)
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_philox_gives_the_published_answers(counter, key, answer):
    blocks = [np.array([word], dtype=np.uint64) for word in words(counter)]
    assert [int(word[0]) for word in philox(blocks, tuple(words(key)))] == words(answer)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_the_integer_philox_gives_the_published_answers(counter, key, answer):
    assert philox_by_integers(words(counter), words(key)) == words(answer)


@given(keys, st.integers(0, 21))
def test_bits_are_philox_of_block_stream_and_step_under_the_seed(key, count):
    seed = [key.seed % 2**32, key.seed // 2**32]
    blocks = [philox_by_integers([block, key.stream, key.step % 2**32, key.step // 2**32], seed) for block in range(6)]
    bits = ops.random_bits(key, count=count)
    assert bits.dtype == np.uint32
    assert bits.tolist() == list(itertools.chain(*blocks))[:count]


def test_more_numbers_than_a_key_has_are_refused():
    with pytest.raises(OverflowError, match=r"2\*\*34 numbers"):
        ops.random_bits(KEY, count=2**34 + 1)


def test_uniform_numbers_take_27_bits_of_one_word_and_26_of_another():
    first, second = (words[0] for words in ops.random_bits(KEY, count=2).reshape(2, 1).tolist())
    assert ops.random_uniform(KEY, shape=(1,))[0] == ((first >> 5) * 2**26 + (second >> 6)) / 2**53


def test_uniform_numbers_are_uniform():
    u = ops.random_uniform(KEY, shape=(100, 200))
    assert u.shape == (100, 200)
    assert u.min() >= 0
    assert u.max() < 1
    assert scipy.stats.kstest(u.ravel(), "uniform").pvalue > 0.001


def test_normal_numbers_are_normal():
    z = ops.random_normal(KEY, shape=(100, 200))
    assert z.shape == (100, 200)
    assert scipy.stats.kstest(z.ravel(), "norm").pvalue > 0.001


@pytest.mark.parametrize("draw", [ops.random_uniform, ops.random_normal])
@pytest.mark.parametrize("other", [Key(12, 3, 0), Key(11, 4, 0), Key(11, 3, 1), Key(11 + 2**32, 3, 0)])
def test_another_seed_stream_or_step_gives_unrelated_numbers(draw, other):
    a, b = draw(KEY, shape=(10000,)), draw(other, shape=(10000,))
    assert abs(np.corrcoef(a, b)[0, 1]) < 4 / math.sqrt(10000)


@pytest.mark.parametrize("draw", [ops.random_uniform, ops.random_normal])
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3, 4)])
def test_any_shape_can_be_drawn(draw, shape):
    numbers = draw(KEY, shape=shape)
    assert numbers.shape == shape
    assert numbers.dtype == np.float64


@given(keys, st.integers(0, 50))
def test_a_permutation_holds_every_number_once(key, count):
    assert sorted(ops.random_permutation(key, count).tolist()) == list(range(count))


def test_every_order_is_equally_likely():
    orders = Counter(tuple(ops.random_permutation(Key(0, 0, step), 4).tolist()) for step in range(2400))
    assert len(orders) == math.factorial(4)
    assert scipy.stats.chisquare(list(orders.values())).pvalue > 0.001


def test_the_same_key_gives_the_same_order():
    assert ops.random_permutation(KEY, 100).tolist() == ops.random_permutation(KEY, 100).tolist()
