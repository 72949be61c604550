"""Batches: complete, in an order that a key names, prepared by a thread that comes and goes."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn.backend import CounterRng
from minicnn.data import ArrayDataset, DataLoader
from minicnn.errors import ArgumentError


def numbered(count):
    numbers = np.arange(count)
    return ArrayDataset(numbers[:, None].astype(np.float32), numbers)


def order_in(batches):
    return [int(number) for _, y in batches for number in y]


def loader_threads():
    return [thread for thread in threading.enumerate() if thread.name == "minicnn-loader"]


@given(count=st.integers(1, 40), batch_size=st.integers(1, 45), shuffle=st.booleans())
def test_every_example_comes_once_an_epoch_with_its_target(count, batch_size, shuffle):
    loader = DataLoader(numbered(count), batch_size, shuffle=shuffle, rng=CounterRng(), ahead=0)
    batches = list(loader)
    np.testing.assert_array_equal(np.concatenate([x[:, 0] for x, _ in batches]), order_in(batches))
    assert sorted(order_in(batches)) == list(range(count))
    assert [len(x) for x, _ in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(batches) == len(loader)


def test_without_shuffle_the_order_is_the_data_sets():
    assert order_in(DataLoader(numbered(10), 3)) == list(range(10))


def test_the_order_is_a_function_of_seed_stream_and_step():
    def of(*key):
        return order_in(DataLoader(numbered(50), 8, shuffle=True, rng=CounterRng(*key)))

    assert of(1, 2, 3) == of(1, 2, 3)
    assert len({tuple(of(*key)) for key in [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 4)]}) == 4


def test_the_next_epoch_has_another_order_and_steps_count_epochs():
    loader = DataLoader(numbered(50), 8, shuffle=True, rng=CounterRng(7))
    first, second = order_in(loader), order_in(loader)
    assert first != second
    assert loader.rng.step == 2
    assert second == order_in(DataLoader(numbered(50), 8, shuffle=True, rng=CounterRng(7, step=1)))


def test_the_order_does_not_depend_on_the_batch_size():
    orders = {tuple(order_in(DataLoader(numbered(50), size, shuffle=True, rng=CounterRng(7)))) for size in (1, 8, 50)}
    assert len(orders) == 1


def test_without_an_rng_the_seed_names_the_order():
    def after(seed):
        mc.seed(seed)
        return order_in(DataLoader(numbered(50), 8, shuffle=True))

    assert after(1) == after(1)
    assert after(1) != after(2)


def test_drop_last_leaves_out_a_batch_that_is_not_full():
    loader = DataLoader(numbered(10), 4, drop_last=True)
    assert len(loader) == 2
    assert [len(x) for x, _ in loader] == [4, 4]


def test_drop_last_keeps_a_full_last_batch():
    loader = DataLoader(numbered(8), 4, drop_last=True)
    assert len(loader) == 2
    assert order_in(loader) == list(range(8))


def test_drop_last_that_leaves_no_batch_is_refused():
    with pytest.raises(ArgumentError, match="3 examples make no full batch of 4"):
        DataLoader(numbered(3), 4, drop_last=True)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5])
def test_a_batch_size_that_is_no_count_is_refused(batch_size):
    with pytest.raises(ArgumentError, match=f"batch_size must be a whole number of at least 1, not {batch_size}"):
        DataLoader(numbered(3), batch_size)


@pytest.mark.parametrize("ahead", [1, 2, 20])
def test_the_background_thread_changes_nothing_about_the_batches(ahead):
    plain, threaded = (DataLoader(numbered(33), 4, shuffle=True, rng=CounterRng(3), ahead=n) for n in (0, ahead))
    for (x, y), (x2, y2) in zip(plain, threaded, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


class Recording(ArrayDataset):
    """Notes in which thread each batch was taken, and fails at one of them if told to."""

    def __init__(self, count, fail_at=None):
        super().__init__(np.zeros((count, 1), dtype=np.float32), np.arange(count))
        self.threads, self.fail_at = [], fail_at

    def __getitem__(self, index):
        self.threads.append(threading.current_thread())
        if len(self.threads) == self.fail_at:
            raise OSError("the disk is gone")
        return super().__getitem__(index)


def test_batches_are_prepared_in_another_thread_that_ends_with_the_epoch():
    dataset = Recording(10)
    assert order_in(DataLoader(dataset, 2)) == list(range(10))
    assert threading.current_thread() not in dataset.threads
    assert loader_threads() == []


def test_ahead_0_prepares_them_in_this_thread():
    dataset = Recording(10)
    list(DataLoader(dataset, 2, ahead=0))
    assert set(dataset.threads) == {threading.current_thread()}


def test_the_thread_is_only_so_far_ahead():
    dataset = Recording(100)
    batches = iter(DataLoader(dataset, 1, ahead=2))
    next(batches)
    threading.Event().wait(0.2)  # time to run away, if it would
    assert 1 <= len(dataset.threads) <= 4  # one taken, two waiting, one in hand
    batches.close()


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_in_the_data_set_reaches_the_loop_in_its_turn(ahead):
    batches = iter(DataLoader(Recording(10, fail_at=3), 2, ahead=ahead))
    assert [next(batches)[1].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match="the disk is gone"):
        next(batches)
    assert loader_threads() == []


def test_breaking_out_of_the_loop_stops_the_thread():
    for _ in DataLoader(numbered(1000), 1):
        assert len(loader_threads()) == 1
        break
    assert loader_threads() == []


def test_leaving_a_function_from_within_the_loop_stops_the_thread():
    def first_batch():
        for x, _ in DataLoader(numbered(1000), 1):
            return x

    assert first_batch().tolist() == [[0]]
    assert loader_threads() == []


def test_two_loaders_at_once_do_not_meet():
    one = DataLoader(numbered(20), 3, shuffle=True, rng=CounterRng(1))
    other = DataLoader(numbered(20), 3, shuffle=True, rng=CounterRng(2))
    expected = order_in(DataLoader(numbered(20), 3, shuffle=True, rng=CounterRng(1), ahead=0))
    pairs = list(zip(one, other, strict=True))
    assert order_in(a for a, _ in pairs) == expected
    assert order_in(b for _, b in pairs) != expected


def test_one_loader_may_be_looped_over_within_its_own_loop():
    loader = DataLoader(numbered(4), 2)
    assert [(a.tolist(), b.tolist()) for _, a in loader for _, b in loader] == [
        ([0, 1], [0, 1]),
        ([0, 1], [2, 3]),
        ([2, 3], [0, 1]),
        ([2, 3], [2, 3]),
    ]
