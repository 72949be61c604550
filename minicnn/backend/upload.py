"""Batches on their way to a GPU while it is busy with others.

A copy runs beside computation if it starts from pinned memory, which the operating system may not move, and in a
stream of its own. Then two things have to be waited for, by the GPU and not by the program: a batch may not be used
before it has arrived, and its memory, once Python has given it back, may not be written to before the kernels that
still read it are done. NVIDIA, "CUDA C++ best practices guide", section on asynchronous transfers.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.backend.arrays import Array


class Upload:
    """Copies host arrays to the current GPU in a stream of its own. One thread sends, another one takes."""

    def __init__(self) -> None:
        import cupy
        import cupyx

        self.cupy, self.empty_pinned = cupy, cupyx.empty_pinned
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.under_way: deque = deque()  # pinned memory may not be used again before it has been read
        self.done_with: Any = None

    def send(self, arrays: tuple[np.ndarray, ...]) -> tuple[list[Array], Any]:
        """Return the arrays on the GPU, and the event after which they are there."""
        while self.under_way and self.under_way[0][0].done:
            self.under_way.popleft()
        pinned = [self.empty_pinned(array.shape, array.dtype) for array in arrays]
        for place, array in zip(pinned, arrays, strict=True):
            place[...] = array
        with self.stream:
            sent = [self.cupy.empty(array.shape, dtype=array.dtype) for array in arrays]
            if self.done_with is not None:  # after `empty`, which may have got the memory of a batch before
                self.stream.wait_event(self.done_with)
            for target, place in zip(sent, pinned, strict=True):
                target.set(place)
            arrived = self.stream.record()
        self.under_way.append((arrived, pinned))
        return sent, arrived

    def taken(self, sent: Iterator[tuple[list[Array], Any]]) -> Iterator[tuple[Array, ...]]:
        """Yield what was sent, for use in the current stream."""
        for arrays, arrived in sent:
            stream = self.cupy.cuda.get_current_stream()
            stream.wait_event(arrived)
            yield tuple(arrays)
            self.done_with = stream.record()  # all that uses this batch has been asked for
