"""A few Python threads over kernels that release the interpreter's lock.

Numba's own threading layers abort when two Python threads enter them, or cannot follow a fork. Plain threads have
neither fault. For a number of threads the work is always cut at the same places, and results are put together in the
order of the parts. So they do not depend on which thread was faster, and are the same to the bit from run to run.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait

from minicnn.errors import whole_number

ENOUGH = 1 << 17
"""Operations for a part; with fewer, waking a thread for it costs more than it brings."""
PARTS = 4
"""For each thread, where it does not matter into how many the work is cut."""

_pool: ThreadPoolExecutor | None = None
_count: int | None = None


def set_num_threads(count: int) -> None:
    """Choose how many threads kernels use from now on. Raises `ArgumentError` below 1."""
    global _count, _pool
    _count = whole_number("the number of threads", count)
    _pool = None  # the next call makes one of that size; the old one ends with its last piece of work


def get_num_threads() -> int:
    """Return how many threads kernels use: what was set, else MINICNN_NUM_THREADS, else what the process may use."""
    global _count
    if _count is None:
        given = os.environ.get("MINICNN_NUM_THREADS")
        number = int(given) if given and given.strip().isdigit() else given
        _count = whole_number("MINICNN_NUM_THREADS", number) if given else usable_processors()
    return _count


def usable_processors(cpu_max: str = "/sys/fs/cgroup/cpu.max") -> int:
    """Return the processors that this process may use: its affinity, and its share of the machine under a cgroup."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        with open(cpu_max) as file:
            quota, period = file.read().split()
    except (OSError, ValueError):
        return processors
    return processors if quota == "max" else max(1, min(processors, int(quota) // int(period)))


def in_threads(work: Callable[[int, int], object], count: int, *, cost: int = ENOUGH) -> list:
    """Call work(first, last) for parts of range(count), each with enough to do; return the results in order.

    There are a few parts for each thread, and who is done with one takes the next: a thread that wakes up late, or
    whose processor is slow, does fewer of them.

    cost : about how many simple operations, such as multiply-adds of numbers, one of `count` takes
    """
    if get_num_threads() == 1 or count * cost < 2 * ENOUGH:  # nearly all calls are short
        return [work(0, count)]
    return run_parts(work, pieces_of(count, cost=cost))


def pieces_of(count: int, *, cost: int = ENOUGH) -> list[tuple[int, int]]:
    """Cut range(count) into pieces (first, last), a few for every thread: what `in_threads` gives away one by one."""
    threads = get_num_threads()
    return _cut(count, max(1, min(PARTS * threads if threads > 1 else 1, count, count * cost // ENOUGH)))


def parts_of(count: int, *, cost: int = ENOUGH) -> list[tuple[int, int]]:
    """Cut range(count) into parts (first, last), one for every thread that has enough to do."""
    return _cut(count, max(1, min(get_num_threads(), count, count * cost // ENOUGH)))


def _cut(count: int, parts: int) -> list[tuple[int, int]]:
    return [(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


def run_parts(work: Callable[..., object], parts: Sequence[tuple]) -> list:
    """Call work(*part) for every part, in as many threads as there are; return the results in order."""
    if len(parts) == 1:
        return [work(*parts[0])]
    results: list = [None] * len(parts)
    waiting = deque(enumerate(parts))  # shared: a deque gives each part away once

    def take() -> None:
        while waiting:
            try:
                i, part = waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            results[i] = work(*part)

    others = [_threads().submit(take) for _ in range(min(get_num_threads(), len(parts)) - 1)]
    try:
        take()
    finally:  # nobody may go on writing when this returns, or raises
        waiting.clear()
        running = [other for other in others if not other.cancel()]  # who has not even woken up is not needed
        wait(running)
    for other in running:
        other.result()
    return results


def _threads() -> ThreadPoolExecutor:
    global _pool
    pool = _pool  # another thread may set it to None between two looks
    if pool is None:
        pool = _pool = ThreadPoolExecutor(get_num_threads(), thread_name_prefix="minicnn-kernel")
    return pool


def _forget_threads() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # threads do not survive a fork
