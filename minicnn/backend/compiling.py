"""Hearing of it when Numba compiles, so that whoever waits can be told why.

Compiled kernels are kept on disk, so that happens once on a machine: in the first training of its kind.
"""

import time
from collections.abc import Callable

from minicnn.backend.backends import current_backend


class Compilation:
    """Tells when compiling begins, and counts the seconds that it takes, between `start` and `stop`.

    Attributes
    ----------
    seconds : float
        Spent compiling, in all threads together.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell = tell
        self.seconds = 0.0
        self._depth = 0
        self._listener: object = None

    def start(self) -> None:
        """Begin to listen; with a backend that does not compile there is nothing to hear."""
        if current_backend().name != "numba" or self._listener is not None:
            return
        from numba.core import event

        outer = self

        class Listener(event.Listener):
            def on_start(self, event: object) -> None:
                outer._begin()

            def on_end(self, event: object) -> None:
                outer._end()

        self._listener = Listener()
        event.register("numba:compile", self._listener)

    def stop(self) -> None:
        """Listen no more."""
        if self._listener is not None:
            from numba.core import event

            event.unregister("numba:compile", self._listener)
            self._listener = None

    def _begin(self) -> None:
        if self._depth == 0:  # a function that another one calls is compiled within it
            self._began = time.perf_counter()
            self.tell()
        self._depth += 1

    def _end(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._began
