"""What a forward pass leaves for the backward pass."""

from typing import Any

from minicnn.errors import BackwardError


class Remembers:
    """Something that keeps in `self.saved` what its backward pass will need, and says so when there is nothing."""

    _saved: Any = None

    @property
    def saved(self) -> Any:
        """What the last forward pass kept. Raises `BackwardError` if there was none."""
        if self._saved is None:
            raise BackwardError(f"{self!r}: backward was called before forward, so there is nothing to go back through")
        return self._saved

    @saved.setter
    def saved(self, value: Any) -> None:
        self._saved = value
