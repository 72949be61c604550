"""What a forward pass leaves for the backward pass."""

from collections.abc import Callable
from typing import Any

from minicnn.errors import BackwardError


class Nothing:
    """Stands for what has not been saved yet; None may be saved."""


class Deferred:
    """Stands for what can be computed from other things that were saved, if anybody should ask for it."""

    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def compute(self) -> Any:
        """Return it."""
        return self.function(*self.arguments)


class Remembers:
    """Something that keeps in `self.saved` what its backward pass will need, and says so when there is nothing."""

    _saved: Any = Nothing

    @property
    def saved(self) -> Any:
        """What the last forward pass kept. Raises `BackwardError` if it kept nothing, or there was none."""
        if self._saved is Nothing:
            raise BackwardError(f"{self!r}: backward was called before forward, or forward kept nothing in self.saved")
        if isinstance(self._saved, Deferred):
            self._saved = self._saved.compute()
        return self._saved

    @saved.setter
    def saved(self, value: Any) -> None:
        self._saved = value
