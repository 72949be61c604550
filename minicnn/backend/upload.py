"""Batches on their way to a GPU while it is busy with others.

A copy runs beside computation if it starts from pinned memory, which the operating system may not move, and in a
stream of its own. Then two things have to be waited for, by the GPU and not by the program: a batch may not be used
before it has arrived, and memory that Python has given back, and that the new batch is to lie in, may not be written
to before the kernels that were to read it are done. NVIDIA, "CUDA C++ best practices guide", section on asynchronous
transfers.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.backend.arrays import Array


class Upload:
    """Copies host arrays to the GPU that is current when this is made. One thread sends, this one takes.

    What is taken is to be used in the stream that is current then (and not in per-thread default streams, which mean
    something else in every thread). An object lasts as long as its loader: what one epoch has left under way, the next
    one must wait for.
    """

    def __init__(self) -> None:
        import cupy
        import cupyx

        self.cupy, self.empty_pinned = cupy, cupyx.empty_pinned
        self.device = cupy.cuda.Device()  # current in this thread, which says nothing of the other one
        self.stream, self.consumer = cupy.cuda.Stream(non_blocking=True), cupy.cuda.get_current_stream()
        self.under_way: deque = deque()  # pinned memory may not be used again before it has been read

    def send(self, arrays: tuple[np.ndarray, ...]) -> tuple[list[Array], Any]:
        """Return the arrays on the GPU, and the event after which they are there."""
        while self.under_way and self.under_way[0][0].done:
            self.under_way.popleft()
        with self.device, self.stream:
            pinned = [self.empty_pinned(array.shape, array.dtype) for array in arrays]
            for place, array in zip(pinned, arrays, strict=True):
                place[...] = array
            sent = [self.cupy.empty(array.shape, dtype=array.dtype) for array in arrays]
            # Whatever was in this memory has been given back, so all that reads it has been asked for by now.
            self.stream.wait_event(self.consumer.record())
            for target, place in zip(sent, pinned, strict=True):
                target.set(place)
            arrived = self.stream.record()
        self.under_way.append((arrived, pinned))
        return sent, arrived

    def taken(self, sent: Iterator[tuple[list[Array], Any]]) -> Iterator[tuple[Array, ...]]:
        """Yield what was sent, for use in the current stream."""
        for arrays, arrived in sent:
            self.consumer = self.cupy.cuda.get_current_stream()
            self.consumer.wait_event(arrived)
            yield tuple(arrays)
