"""Threads: parts in order, numbers from where they should come, and nothing lost in a fork."""

import itertools
import os
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest

import minicnn as mc
from minicnn.backend import threads
from minicnn.errors import ArgumentError


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(threads, "ENOUGH", threads.ENOUGH)
    before = mc.get_num_threads()
    yield
    mc.set_num_threads(before)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("work", [0, 1, 2, 7, 100])
def test_parts_cover_the_range_in_order(count, work):
    mc.set_num_threads(count)
    parts = threads.in_threads(lambda first, last: list(range(first, last)), work)
    assert list(itertools.chain(*parts)) == list(range(work))
    assert len(parts) == (1 if count == 1 or work < 2 else min(threads.PARTS * count, work))
    parts = threads.parts_of(work)
    assert [i for first, last in parts for i in range(first, last)] == list(range(work))
    assert len(parts) == max(1, min(count, work))


@pytest.mark.parametrize(("cost", "parts"), [(0, 1), (threads.ENOUGH // 50 + 1, 2), (threads.ENOUGH, 4)])
def test_every_part_has_enough_to_do(cost, parts):
    mc.set_num_threads(4)
    assert threads.parts_of(100, cost=cost) == [(i * 100 // parts, (i + 1) * 100 // parts) for i in range(parts)]
    finer = parts if parts < 4 else 4 * threads.PARTS
    assert len(threads.in_threads(lambda first, last: None, 100, cost=cost)) == finer


def test_a_thread_that_is_held_up_leaves_its_parts_to_the_others():
    mc.set_num_threads(2)
    held, done = threading.Event(), []

    def work(first, last):
        if threading.current_thread() is not threading.main_thread():
            held.wait(timeout=10)
        elif first:
            done.append(first)
            if len(done) == 6:  # of eight parts, one is the main thread's first, and the other thread holds another
                held.set()
        return first

    threads.run_parts(lambda first, last: None, [(0, 1), (1, 2)])  # the other thread is awake
    parts = [(i, i + 1) for i in range(8)]
    assert threads.run_parts(work, parts) == list(range(8))
    assert len(done) >= 6


def test_an_error_in_a_thread_reaches_the_caller():
    mc.set_num_threads(2)
    together = threading.Barrier(2, timeout=10)

    def fail(part):
        together.wait()
        if threading.current_thread() is not threading.main_thread():
            raise KeyError(part)

    with pytest.raises(KeyError):
        threads.run_parts(fail, [(0,), (1,)])


def test_an_error_in_the_caller_waits_for_the_threads_and_stops_them():
    mc.set_num_threads(2)
    started, done = threading.Event(), []

    def work(first, last):
        if threading.current_thread() is threading.main_thread():
            started.wait(timeout=10)
            raise KeyError(first)
        started.set()
        time.sleep(0.05)
        done.append(first)

    with pytest.raises(KeyError):
        threads.run_parts(work, [(i, i + 1) for i in range(50)])
    finished = len(done)
    time.sleep(0.2)
    assert finished == len(done) < 5


def test_work_within_work_is_done_also_when_every_thread_has_some():
    mc.set_num_threads(2)

    def work(first, last):
        return threads.run_parts(lambda i: (first, i), [(i,) for i in range(4)])

    assert threads.run_parts(work, [(i, i + 1) for i in range(8)]) == [[(i, j) for j in range(4)] for i in range(8)]


def test_threads_that_were_sent_home_are_not_waited_for():
    mc.set_num_threads(2)
    threads._threads().dismiss()
    assert threads.run_parts(lambda first, last: first, [(i, i + 1) for i in range(8)]) == list(range(8))


def test_threads_of_another_number_take_over_and_the_old_ones_end():
    mc.set_num_threads(3)
    together = threading.Barrier(3, timeout=10)
    before = threads.run_parts(lambda i: (together.wait(), threading.current_thread())[1], [(i,) for i in range(3)])
    assert len(set(before)) == 3
    mc.set_num_threads(2)
    for thread in set(before) - {threading.current_thread()}:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_a_thread_keeps_nothing_of_the_work_it_has_done():
    mc.set_num_threads(2)
    together, array = threading.Barrier(2, timeout=10), np.zeros(3)
    gone = threading.Event()
    weakref.finalize(array, gone.set)
    threads.run_parts(lambda i, array=array: (together.wait(), array.sum()), [(0,), (1,)])
    del array
    assert gone.wait(timeout=10)


@pytest.mark.parametrize("count", [0, -1, 1.5, "many"])
def test_a_number_of_threads_that_is_none_is_refused(count):
    with pytest.raises(ArgumentError, match="the number of threads"):
        mc.set_num_threads(count)


@pytest.mark.parametrize(("text", "processors"), [("max 100000", None), ("100000 100000", 1), ("50000 100000", 1)])
def test_a_share_of_the_machine_is_respected(tmp_path, text, processors):
    (tmp_path / "cpu.max").write_text(text)
    all_of_them = threads.usable_processors(str(tmp_path / "missing"))
    assert threads.usable_processors(str(tmp_path / "cpu.max")) == (processors or all_of_them)


def python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


HOW_MANY = "import minicnn as mc; print(mc.get_num_threads())"


def test_the_environment_says_how_many():
    assert python(HOW_MANY, MINICNN_NUM_THREADS="3") == "3\n"


def test_an_environment_that_says_nonsense_is_told_so():
    with pytest.raises(AssertionError, match="MINICNN_NUM_THREADS must be a whole number"):
        python(HOW_MANY, MINICNN_NUM_THREADS="two")


TRAIN = """
import numpy as np, minicnn as mc
from minicnn.backend import CounterRng, threads

def train(seed=0):
    threads.ENOUGH = 1  # threads also for little work; said here, so that workers hear it too
    if mc.get_num_threads() != 2:  # setting it makes new threads, and would hide those that a fork has lost
        mc.set_num_threads(2)
    rng = CounterRng(1, 0)
    nn = mc.nn
    convolution = nn.Conv2d(1, 17, 3, rng=rng)
    model = nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(153, 10, rng=rng))
    x = np.random.default_rng(0).normal(size=(64, 1, 8, 8)).astype(np.float32)
    trainer = mc.Trainer(model, rng=CounterRng(2, 0))
    trainer.fit((x, np.arange(64) % 10), epochs=3, verbose=False)
    return [p.data.tobytes() for p in model.parameters()]
"""


def test_a_training_after_a_fork_is_the_same():
    code = TRAIN + (
        "import multiprocessing as mp\n"
        "here = train()\n"
        "with mp.get_context('fork').Pool(2) as pool:\n"
        "    print(all(there == here for there in pool.map(train, range(2))))\n"
    )
    assert python(code) == "True\n"


def test_a_fork_has_threads_of_its_own():
    code = (
        "import multiprocessing as mp, threading, minicnn as mc\n"
        "from minicnn.backend import threads\n"
        "def together(_=None):\n"
        "    both = threading.Barrier(2, timeout=10)\n"
        "    return threads.run_parts(lambda i: both.wait() < 2, [(0,), (1,)])\n"
        "mc.set_num_threads(2)\n"
        "together()\n"
        "with mp.get_context('fork').Pool(1) as pool:\n"
        "    print(pool.map(together, range(1)))\n"
    )
    assert python(code) == "[[True, True]]\n"


def test_two_trainings_at_once_are_each_the_same():
    space: dict = {}
    exec(TRAIN, space)
    alone, results = space["train"](), []
    both = [threading.Thread(target=lambda: results.append(space["train"]())) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert results == [alone, alone]


def test_a_training_in_joblib_workers_is_the_same():
    code = TRAIN + (
        "from joblib import Parallel, delayed\n"
        "here = train()\n"
        "print(all(there == here for there in Parallel(2)(delayed(train)(i) for i in range(2))))\n"
    )
    assert python(code) == "True\n"


def test_another_number_of_threads_changes_rounding_alone(monkeypatch):
    monkeypatch.setattr(threads, "ENOUGH", 1)
    x = np.random.default_rng(0).normal(size=(9, 3, 13, 13)).astype(np.float32)
    w = np.random.default_rng(1).normal(size=(5, 3, 3, 3)).astype(np.float32)
    results = []
    for count in (1, 2, 3):
        mc.set_num_threads(count)
        y = mc.ops.conv2d_forward(x, w, None)
        results.append((y, mc.ops.conv2d_backward(y, x, w)[1]))
    for y, dw in results[1:]:
        np.testing.assert_array_equal(y, results[0][0])
        np.testing.assert_allclose(dw, results[0][1], rtol=1e-4, atol=1e-3)
