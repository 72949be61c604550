"""Streams, events and pinned memory of the strict device.

Kernels run at once. A copy on a stream of its own between the device and *pinned* memory is put off until somebody
waits for it: the latest time that a GPU may choose. So who reads an array without waiting for the copy into it finds
NaN, and who writes to a pinned buffer too early sends the wrong numbers. (The reverse mistake, a copy that overwrites
what a kernel still reads, cannot be seen, for a kernel has always finished.)
"""

import ctypes
import itertools
import threading
import time
from collections.abc import Callable

import numpy as np

from gpu.strict_events import happened

_local = threading.local()
_handles = itertools.count(1)
_streams: list["Stream"] = []


class Stream:
    """Stands for cupy.cuda.Stream: a queue of copies that have not happened yet."""

    null: "Stream"

    def __init__(
        self, null: bool = False, non_blocking: bool = False, ptds: bool = False, priority: int | None = None
    ) -> None:
        self.ptr = 0 if null else next(_handles)
        self.device_id = 0
        self.is_non_blocking = non_blocking
        self.priority = priority or 0
        self._waiting: list[Callable[[], None]] = []
        self._outer: list[Stream] = []
        _streams.append(self)

    @property
    def done(self) -> bool:
        return not self._waiting

    def use(self) -> "Stream":
        _local.stream = self
        return self

    def __enter__(self) -> "Stream":
        self._outer.append(get_current_stream())
        return self.use()

    def __exit__(self, *error: object) -> None:
        self._outer.pop().use()

    def synchronize(self) -> None:
        happened("sync", "Stream.synchronize")
        self._finish()

    def record(self, event: "Event | None" = None) -> "Event":
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """What this stream does from now on comes after the event; the host does not wait."""
        event._pass()

    def _later(self, work: Callable[[], None]) -> None:
        if self.ptr == 0:
            work()
        else:
            self._waiting.append(work)

    def _finish(self, last: Callable[[], None] | None = None) -> None:
        """Do what waits, in order; as far as `last`, if that is given."""
        while self._waiting and (last is None or last in self._waiting):
            self._waiting.pop(0)()


class Event:
    """Stands for cupy.cuda.Event: a place in a stream's queue."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self._stream: Stream | None = None
        self._last: Callable[[], None] | None = None
        self._time = 0.0
        self.ptr = next(_handles)
        self._timing = not disable_timing

    @property
    def done(self) -> bool:
        return self._last is None or self._stream is None or self._last not in self._stream._waiting

    def record(self, stream: Stream | None = None) -> None:
        self._stream = stream or get_current_stream()
        self._last = self._stream._waiting[-1] if self._stream._waiting else None
        self._time = time.perf_counter()

    def synchronize(self) -> None:
        happened("sync", "Event.synchronize")
        self._pass()

    def _pass(self) -> None:
        if not self.done:
            self._stream._finish(self._last)


Stream.null = Stream(null=True)


def get_current_stream(device_id: int = -1) -> Stream:
    return getattr(_local, "stream", Stream.null)


def get_elapsed_time(start: Event, end: Event) -> float:
    if not (start._timing and end._timing):
        raise ValueError("an event made with disable_timing has no time")
    return 1000 * (end._time - start._time)


def before_work() -> None:
    """What an operation on the current stream waits for by itself: its own queue, and as the null stream all others
    that are not `non_blocking`."""
    current = get_current_stream()
    current._finish()
    if current.ptr == 0:
        for stream in _streams:
            if not stream.is_non_blocking:
                stream._finish()


def synchronize_all() -> None:
    """Wait for the device."""
    for stream in _streams:
        stream._finish()


def forget_streams() -> None:
    """Start anew: nothing waits, and the null stream is in use."""
    del _streams[1:]
    _local.stream = Stream.null


class PinnedMemoryPointer(bytearray):
    """Stands for cupy.cuda.PinnedMemoryPointer: memory of the host that the device may read by itself."""

    mem = property(lambda self: self)

    @property
    def ptr(self) -> int:
        return ctypes.addressof(ctypes.c_char.from_buffer(self))

    def size(self) -> int:
        return len(self)


def alloc_pinned_memory(size: int) -> PinnedMemoryPointer:
    return PinnedMemoryPointer(b"\xff" * size)


def is_pinned(array: np.ndarray) -> bool:
    """Whether a host array lies in pinned memory."""
    owner: object = array
    while isinstance(owner, np.ndarray | memoryview):
        owner = owner.base if isinstance(owner, np.ndarray) else owner.obj
    return isinstance(owner, PinnedMemoryPointer)


def empty_pinned(shape: int | tuple, dtype: object = float, order: str = "C") -> np.ndarray:
    """Stands for cupyx.empty_pinned."""
    shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    count = int(np.prod(shape))
    memory = alloc_pinned_memory(max(1, count * np.dtype(dtype).itemsize))
    return np.frombuffer(memory, dtype=dtype, count=count).reshape(shape, order=order)


def zeros_pinned(shape: int | tuple, dtype: object = float, order: str = "C") -> np.ndarray:
    array = empty_pinned(shape, dtype, order)
    array[...] = 0
    return array


def empty_like_pinned(a: np.ndarray, dtype: object = None) -> np.ndarray:
    return empty_pinned(a.shape, dtype or a.dtype)


def zeros_like_pinned(a: np.ndarray, dtype: object = None) -> np.ndarray:
    return zeros_pinned(a.shape, dtype or a.dtype)
