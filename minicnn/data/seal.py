"""The test set is sealed, because a model that was tuned on its test set is the commonest mistake of this field.

It opens only through `Trainer.evaluate` or `.open(reason)`, and every opening is counted and written down.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.duplicates import equal_examples
from minicnn.errors import ArgumentError, DataError

_noted: ContextVar[list[str] | None] = ContextVar("minicnn_noted_openings", default=None)


@contextmanager
def noted_openings() -> Iterator[list[str]]:
    """Collect why any test set is opened within a `with` block, in this thread: copies in other processes as well."""
    openings: list[str] = []
    token = _noted.set(openings)
    try:
        yield openings
    finally:
        _noted.reset(token)


@dataclass
class Seal:
    """Why a test set was opened, each time. Copies of a test set (normalised ones, say) share one seal."""

    openings: list[str] = field(default_factory=list)

    def __copy__(self) -> "Seal":
        return self

    def __deepcopy__(self, memo: object) -> "Seal":
        return self


class SealedDataset:
    """A test set that counts how often it is looked at.

    Copies share the seal. A copy that was pickled and sent to another process cannot, so it opens only where somebody
    else counts, as a search does (`noted_openings`).

    Attributes
    ----------
    seal : Seal
        The reasons given so far, in `seal.openings`.
    """

    def __init__(self, dataset: ArrayDataset, seal: Seal | None = None) -> None:
        self._dataset = dataset
        self.seal = seal if seal is not None else Seal()
        self._is_at_home = True

    def open(self, reason: str) -> ArrayDataset:
        """Return the data, and write the reason down.

        Raises `ArgumentError` without a reason, `DataError` in another process where nobody counts.
        """
        if not str(reason).strip():
            raise ArgumentError("say why the test set is opened: test.open('final comparison of two models')")
        noted = _noted.get()
        if noted is not None:
            noted.append(str(reason))
        elif not self._is_at_home:
            raise DataError(
                "this sealed test set was sent here from another process, where its openings are counted; send "
                "splits.train and splits.validation, and evaluate on the test set there, at the end"
            )
        self.seal.openings.append(str(reason))
        return self._dataset

    def map(self, function: Callable[[ArrayDataset], ArrayDataset]) -> "SealedDataset":
        """Return this test set after a preparation that does not look at results, such as `normalise`; still sealed."""
        return self._around(function(self._dataset))

    def overlap(self, other: ArrayDataset) -> np.ndarray:
        """Return which test inputs are in another data set too, as `find_overlap` does; not counted as an opening.

        What is found, the caller has in his hands already, and no label or score comes out. Asking must cost nothing: a
        test set that shares images with the training set is worth less than one that was opened twice.
        """
        return equal_examples(self._dataset.x, other.x)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> object:
        if name in ("x", "y"):
            raise DataError("the test set is sealed; use trainer.evaluate(test), or test.open('why') which is counted")
        raise AttributeError(name)

    def __getitem__(self, index: object) -> None:
        raise DataError("the test set is sealed; use trainer.evaluate(test), or test.open('why') which is counted")

    def __copy__(self) -> "SealedDataset":
        return self._around(self._dataset)

    def __deepcopy__(self, memo: dict) -> "SealedDataset":
        return self._around(copy.deepcopy(self._dataset, memo))

    def _around(self, dataset: ArrayDataset) -> "SealedDataset":
        """Return other data under this seal."""
        sealed = SealedDataset(dataset, self.seal)
        sealed._is_at_home = self._is_at_home
        return sealed

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return _away_from_home, (self._dataset, self.seal)

    def __repr__(self) -> str:
        times = len(self.seal.openings)
        return f"SealedDataset({len(self)} examples, opened {times} time{'' if times == 1 else 's'})"


def _away_from_home(dataset: ArrayDataset, seal: Seal) -> SealedDataset:
    """Return what a pickled test set becomes."""
    sealed = SealedDataset(dataset, seal)
    sealed._is_at_home = False
    return sealed
