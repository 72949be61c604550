"""A few Python threads over kernels that release the interpreter's lock.

Numba's own threading layers abort when two Python threads enter them, or cannot follow a fork. Plain threads have
neither fault. They wait at a queue and not in a `ThreadPoolExecutor`: what its futures need for every call takes as
long as many a kernel.

For a number of threads the work is always cut at the same places, and results are put together in the order of the
parts. So they do not depend on which thread was faster, and are the same to the bit from run to run.
"""

import os
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from threading import Lock, Thread

from minicnn.errors import whole_number

ENOUGH = 1 << 17
"""Operations for a part; with fewer, waking a thread for it costs more than it brings."""
PARTS = 4
"""For each thread, where it does not matter into how many the work is cut."""

_team: "_Team | None" = None
_hiring = Lock()
_count: int | None = None


def set_num_threads(count: int) -> None:
    """Choose how many threads kernels use from now on. Raises `ArgumentError` below 1."""
    global _count, _team
    _count = whole_number("the number of threads", count)
    with _hiring:
        if _team:
            _team.dismiss()
        _team = None  # the next call makes one of that size


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
    helpers = min(get_num_threads(), len(parts)) - 1
    job = _Job(work, parts, helpers)
    if helpers:
        team = _threads()
        for _ in range(helpers):
            team.jobs.put(job)
    try:
        job.take()
    finally:  # nobody may go on writing when this returns, or raises
        errors = job.close()
    if errors:
        raise errors[0]
    return job.results


class _Job:
    """Parts of a piece of work, for whoever has time."""

    def __init__(self, work: Callable[..., object], parts: Sequence[tuple], helpers: int) -> None:
        self.work = work
        self.results: list = [None] * len(parts)
        self.waiting = deque(enumerate(parts))  # shared: a deque gives each part away once
        self.asleep = deque(range(helpers))  # one for each thread that was called and has not woken up
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self.helpers = helpers

    def take(self) -> None:
        """Do part after part until all are given away."""
        while self.waiting:
            try:
                i, part = self.waiting.popleft()
            except IndexError:  # another thread took the last one
                return
            self.results[i] = self.work(*part)

    def help(self) -> None:
        """Do parts in a thread of the team, unless the job has been closed."""
        try:
            self.asleep.pop()
        except IndexError:
            return
        try:
            self.take()
        except BaseException as error:  # whoever gave the work raises it again
            self.ended.put(error)
        else:
            self.ended.put(None)

    def close(self) -> list[BaseException]:
        """Wait for those who are at work; return what they raised. Who has not even woken up is not needed."""
        self.waiting.clear()
        while self.asleep:
            try:
                self.asleep.pop()
            except IndexError:  # it has woken up just now
                break
            self.helpers -= 1
        ends = [self.ended.get() for _ in range(self.helpers)]
        return [error for error in ends if error is not None]


class _Team:
    """Threads that wait for jobs, all but the one that gives them."""

    def __init__(self, size: int) -> None:
        self.jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self.size = size
        for number in range(size):
            Thread(target=self._work, name=f"minicnn-kernel-{number}", daemon=True).start()

    def _work(self) -> None:
        for job in iter(self.jobs.get, None):
            job.help()
            del job  # or its arrays were kept until the next one

    def dismiss(self) -> None:
        """Let every thread end after its last job."""
        for _ in range(self.size):
            self.jobs.put(None)


def _threads() -> _Team:
    global _team
    with _hiring:
        team = _team = _team or _Team(get_num_threads() - 1)
    return team


def _forget_threads() -> None:
    global _team, _hiring
    _team, _hiring = None, Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)  # threads do not survive a fork
