"""Training, validation and test set; the test set is sealed."""

import numbers
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from minicnn.backend import CounterRng
from minicnn.data.dataset import ArrayDataset, as_dataset
from minicnn.data.seal import SealedDataset
from minicnn.errors import ArgumentError, DataError, DataWarning

HARDLY = 0.1
"""The training set hardly has a class that makes up more than ten times as much of the data that judges it."""


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
    stratify: bool | None = None,
    shuffle: bool = True,
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
    stratify : bool, optional
        Give each part the same share of every class; targets then have to be labels (N,), at least three of each class.
        By default where the targets are integers, booleans or strings (N,), and the data is shuffled.
    shuffle : bool
        Mix the examples first. Without, the first are the training set, then comes validation, and the last are the
        test set: right for what was measured one after the other, such as the frames of a film. A `DataWarning` says if
        the data lies class by class.
    name : str
        For messages and records.

    Raises
    ------
    ArgumentError
        If a part would be empty or larger than the data set, or data is to be stratified that is not shuffled.
    DataError
        If a class has too few examples to be in every part, or the targets are no labels and it is to be stratified.
    """
    dataset = as_dataset(dataset)
    stratify = by_class(dataset, stratify, shuffle)
    n_validation, n_test = _count("validation", validation, len(dataset)), _count("test", test, len(dataset))
    if n_validation + n_test >= len(dataset):
        raise ArgumentError(
            f"{n_validation} validation and {n_test} test examples leave none of {len(dataset)} to train on"
        )
    rest, test_part = cut(dataset, n_test, seed=seed, stratify=stratify, shuffle=shuffle)
    train_part, validation_part = cut(rest, n_validation, seed=seed, stratify=stratify, shuffle=shuffle)
    if stratify:
        everywhere = set(np.unique(dataset.y).tolist())
        for part in (train_part, validation_part, test_part):
            lacking = everywhere - set(np.unique(part.y).tolist())
            if lacking:
                raise DataError(
                    f"cannot split by class: class {min(lacking)} has too few examples to be in every part "
                    "(stratify=False does not look at the classes)"
                )
    if not shuffle:
        warn_of_order(dataset.y, train_part.y, {"validation": validation_part.y, "test": test_part.y})
    return Splits(name, train_part, validation_part, SealedDataset(test_part), class_names(dataset))


def cut(
    dataset: ArrayDataset, size: int, *, seed: int = 0, stratify: bool = True, shuffle: bool = True
) -> tuple[ArrayDataset, ArrayDataset]:
    """Cut a data set in two, at random or before the last `size` examples: the rest, and these.

    Raises `DataError` if a class is too small.
    """
    from sklearn.model_selection import train_test_split  # slow to import: not before it is needed

    indices = np.arange(len(dataset))
    options = {"random_state": CounterRng(seed).seed % 2**32} if shuffle else {}
    try:
        left, taken = train_test_split(
            indices, test_size=size, shuffle=shuffle, stratify=dataset.y if stratify else None, **options
        )
    except ValueError as error:
        if not stratify:
            raise
        raise DataError(f"cannot split by class: {error} (stratify=False does not look at the classes)") from None
    return dataset.subset(left), dataset.subset(taken)


def by_class(dataset: ArrayDataset, stratify: bool | None, shuffle: bool) -> bool:
    """Return whether a data set is to be split by class, if need be by a look at its targets.

    Raises `ArgumentError` if it is not to be shuffled, `DataError` if the targets are no labels (N,).
    """
    if stratify is None:
        return shuffle and _labels(dataset.y)
    if stratify and not shuffle:
        raise ArgumentError("stratify=True picks examples of each class, shuffle=False takes them in order: choose one")
    if stratify and not (_labels(dataset.y) or (dataset.y.ndim == 1 and np.array_equal(dataset.y, dataset.y // 1))):
        raise DataError(
            f"stratify=True needs labels of shape (N,), one class an example; the targets are {dataset.y.dtype} "
            f"of shape {dataset.y.shape}. Leave stratify out to split them without looking at classes"
        )
    return bool(stratify)


def class_names(dataset: ArrayDataset) -> tuple[str, ...]:
    """Return what the labels mean: the names that were given, else the labels themselves."""
    labels = np.unique(dataset.y) if dataset.y.ndim == 1 and dataset.y.dtype.kind in "iub" else ()
    return dataset.classes or tuple(str(label) for label in labels)


def warn_of_order(y: np.ndarray, train: np.ndarray, held_out: dict[str, np.ndarray], *, stacklevel: int = 3) -> None:
    """Warn (`DataWarning`) if data cut in order lay class by class, so that its parts hold different classes.

    y : (N,) all labels in order   train, held_out : the parts of it; other targets than labels are not looked at
    It did if all examples of each class stand side by side, or if most of a part are of classes that the training set
    hardly has.
    """
    if not _labels(y):
        return
    classes, code = np.unique(y, return_inverse=True)
    in_blocks = len(classes) > 1 and np.count_nonzero(np.diff(code)) == len(classes) - 1
    for name, part in held_out.items():
        strange = _hardly_known(part, train)
        if in_blocks or 2 * strange > len(part):
            warnings.warn(
                f"shuffle=False cut the data in order, and it lies class by class: of {len(classes)} classes, the "
                f"training set holds {len(np.unique(train))} and the {name} set {len(np.unique(part))}; {strange} of "
                f"{len(part)} {name} examples are of classes that the training set does not have, or hardly. "
                "shuffle=True mixes them",
                DataWarning,
                stacklevel=stacklevel,
            )
            return


def _hardly_known(part: np.ndarray, train: np.ndarray) -> int:
    """Count the examples of a part whose class has less than a tenth of that share in the training set."""
    labels, counts = np.unique(part, return_counts=True)
    known = np.array([np.count_nonzero(train == label) for label in labels])
    return int(counts[known / len(train) < HARDLY * counts / len(part)].sum())


def _labels(y: np.ndarray) -> bool:
    return y.ndim == 1 and y.dtype.kind in "iubUS"


def _count(name: str, part: float | int, total: int) -> int:
    if not isinstance(part, numbers.Real):
        raise ArgumentError(f"{name} must be a share below 1 or a number of examples, not {part!r}")
    count = int(part) if isinstance(part, numbers.Integral) else round(float(part) * total)
    if not 0 < count < total:
        raise ArgumentError(f"{name}={part} gives {count} of {total} examples; it needs at least one and not all")
    return count
