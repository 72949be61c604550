"""Keys and the sources that give them out."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import CounterRng, Key, default_rng, seeded
from minicnn.errors import ArgumentError
from minicnn.ops import random_bits


def test_a_source_counts_its_keys():
    rng = CounterRng(seed=5, stream=2)
    assert [rng.next_key(), rng.next_key()] == [Key(5, 2, 0), Key(5, 2, 1)]


def test_a_counter_set_back_gives_the_same_keys():
    rng = CounterRng(seed=5, stream=2)
    rng.next_key()
    written_down = rng.step
    key = rng.next_key()
    rng.step = written_down
    assert rng.next_key() == key


def test_every_source_gets_a_stream_of_its_own():
    assert [default_rng().stream for _ in range(3)] == [0, 1, 2]


def test_seeding_starts_the_streams_anew():
    mc.seed(7)
    before = [default_rng(), default_rng()]
    mc.seed(7)
    assert [default_rng(), default_rng()] == before
    assert before[0].seed == 7


def test_a_source_built_before_seeding_goes_on_as_it_was():
    rng = default_rng()
    mc.seed(7)
    assert rng.seed == 0


@pytest.mark.parametrize("value", [-1, 2**64, 1.5])
def test_a_seed_out_of_range_is_refused(value):
    with pytest.raises(ArgumentError, match=r"seed must be a whole number from 0 to 2\*\*64 - 1"):
        mc.seed(value)


def test_a_refused_seed_changes_nothing():
    mc.seed(3)
    with pytest.raises(ArgumentError):
        mc.seed(-1)
    assert default_rng().seed == 3


@pytest.mark.parametrize(
    ("values", "name"),
    [({"seed": 2**64}, "seed"), ({"stream": 2**32}, "stream"), ({"stream": -1}, "stream"), ({"step": 2**64}, "step")],
)
def test_a_source_out_of_range_is_refused(values, name):
    with pytest.raises(ArgumentError, match=f"{name} must be"):
        CounterRng(**values)


def test_the_largest_values_are_allowed():
    rng = CounterRng(seed=2**64 - 1, stream=2**32 - 1, step=2**64 - 1)
    assert random_bits(rng.next_key(), count=1).shape == (1,)


@pytest.mark.parametrize("kind", [np.int64, np.uint32, np.uint64, float])
def test_a_seed_of_another_number_type_gives_the_same_bits(kind):
    seed = 3_000_000_000
    same = random_bits(CounterRng(kind(seed), kind(1), kind(2)).next_key(), count=4)
    assert same.tolist() == random_bits(Key(seed, 1, 2), count=4).tolist()


def test_a_block_has_a_seed_of_its_own_and_afterwards_all_goes_on_as_before():
    mc.seed(7)
    outside = [default_rng() for _ in range(3)]
    mc.seed(7)
    first = default_rng()
    with seeded(9):
        assert [default_rng(), default_rng()] == [CounterRng(9, 0), CounterRng(9, 1)]
        with seeded(9):
            assert default_rng() == CounterRng(9, 0)
        assert default_rng() == CounterRng(9, 2)
        mc.seed(4)
        assert default_rng() == CounterRng(4, 0), "a seed in the block holds for the block"
    assert [first, default_rng(), default_rng()] == outside


def test_a_block_s_seed_is_forgotten_after_an_error_too():
    with pytest.raises(KeyError), seeded(9):
        raise KeyError
    assert default_rng().seed == 0
    with pytest.raises(ArgumentError, match="seed must be a whole number"), seeded(-1):
        pass


def test_a_block_s_seed_is_its_thread_s_alone():
    with seeded(9), ThreadPoolExecutor(1) as pool:
        assert pool.submit(default_rng).result().seed == 0
        assert default_rng().stream == 0
