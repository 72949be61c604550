"""Training, validation and test set; the test set is sealed.

A model that was tuned on its test set is the commonest mistake of this field. Here the test set opens only through
`Trainer.evaluate` or `.open(reason)`, and every opening is counted and written down.
"""

import numbers
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

import numpy as np

from minicnn.data.dataset import ArrayDataset, as_dataset
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

    def __deepcopy__(self, memo: object) -> "Seal":
        return self


class SealedDataset:
    """A test set that counts how often it is looked at.

    Attributes
    ----------
    seal : Seal
        The reasons given so far, in `seal.openings`.
    """

    def __init__(self, dataset: ArrayDataset, seal: Seal | None = None) -> None:
        self._dataset = dataset
        self.seal = seal if seal is not None else Seal()

    def open(self, reason: str) -> ArrayDataset:
        """Return the data, and write the reason down. Raises `ArgumentError` without a reason."""
        if not str(reason).strip():
            raise ArgumentError("say why the test set is opened: test.open('final comparison of two models')")
        self.seal.openings.append(str(reason))
        noted = _noted.get()
        if noted is not None:
            noted.append(str(reason))
        return self._dataset

    def map(self, function: Callable[[ArrayDataset], ArrayDataset]) -> "SealedDataset":
        """Return this test set after a preparation that does not look at results, such as `normalise`; still sealed."""
        return SealedDataset(function(self._dataset), self.seal)

    def __len__(self) -> int:
        return len(self._dataset)

    def __getattr__(self, name: str) -> object:
        if name in ("x", "y"):
            raise DataError("the test set is sealed; use trainer.evaluate(test), or test.open('why') which is counted")
        raise AttributeError(name)

    def __getitem__(self, index: object) -> None:
        raise DataError("the test set is sealed; use trainer.evaluate(test), or test.open('why') which is counted")

    def __repr__(self) -> str:
        times = len(self.seal.openings)
        return f"SealedDataset({len(self)} examples, opened {times} time{'' if times == 1 else 's'})"


@dataclass(frozen=True)
class Splits:
    """A data set in three parts.

    `classes` says what the labels mean; `normaliser` is the function x -> x that `normalise` has applied, if it has.
    """

    name: str
    train: ArrayDataset
    validation: ArrayDataset
    test: SealedDataset
    classes: tuple[str, ...]
    normaliser: Callable[[np.ndarray], np.ndarray] | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test (sealed)"
        return f"Splits({self.name!r}: {sizes})"


def split(
    dataset: ArrayDataset | tuple,
    *,
    validation: float | int = 0.15,
    test: float | int = 0.15,
    seed: int = 0,
    stratify: bool = True,
    name: str = "data",
) -> Splits:
    """Split a data set at random, the same way for the same seed.

    Parameters
    ----------
    dataset : ArrayDataset or (x, y)
        The whole.
    validation, test : float or int
        A share below 1, or a number of examples.
    seed : int
        Of the shuffle.
    stratify : bool
        Give each part the same share of every class; targets then have to be labels, at least three of each class.
    name : str
        For messages and records.

    Raises
    ------
    ArgumentError
        If a part would be empty or larger than the data set.
    DataError
        If a class has too few examples to be in every part.
    """
    dataset = as_dataset(dataset)
    n_validation, n_test = _count("validation", validation, len(dataset)), _count("test", test, len(dataset))
    if n_validation + n_test >= len(dataset):
        raise ArgumentError(
            f"{n_validation} validation and {n_test} test examples leave none of {len(dataset)} to train on"
        )
    rest, test_part = cut(dataset, n_test, seed=seed, stratify=stratify)
    train_part, validation_part = cut(rest, n_validation, seed=seed, stratify=stratify)
    if stratify:
        everywhere = set(np.unique(dataset.y).tolist())
        for part in (train_part, validation_part, test_part):
            lacking = everywhere - set(np.unique(part.y).tolist())
            if lacking:
                raise DataError(
                    f"cannot split by class: class {min(lacking)} has too few examples to be in every part "
                    "(stratify=False does not look at the classes)"
                )
    labels = np.unique(dataset.y) if dataset.y.ndim == 1 and dataset.y.dtype.kind in "iub" else ()
    classes = dataset.classes or tuple(str(label) for label in labels)
    return Splits(name, train_part, validation_part, SealedDataset(test_part), classes)


def cut(dataset: ArrayDataset, size: int, *, seed: int = 0, stratify: bool = True) -> tuple[ArrayDataset, ArrayDataset]:
    """Cut a data set in two at random: the rest, and `size` examples. Raises `DataError` if a class is too small."""
    from sklearn.model_selection import train_test_split  # slow to import: not before it is needed

    indices = np.arange(len(dataset))
    try:
        left, taken = train_test_split(
            indices, test_size=size, random_state=seed % 2**32, stratify=dataset.y if stratify else None
        )
    except ValueError as error:
        raise DataError(f"cannot split by class: {error} (stratify=False does not look at the classes)") from None
    return dataset.subset(left), dataset.subset(taken)


def _count(name: str, part: float | int, total: int) -> int:
    if not isinstance(part, numbers.Real):
        raise ArgumentError(f"{name} must be a share below 1 or a number of examples, not {part!r}")
    count = int(part) if isinstance(part, numbers.Integral) else round(float(part) * total)
    if not 0 < count < total:
        raise ArgumentError(f"{name}={part} gives {count} of {total} examples; it needs at least one and not all")
    return count
