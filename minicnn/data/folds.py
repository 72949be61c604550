"""k-fold cross-validation: every example is validation data once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import overload

import numpy as np

from minicnn.backend import CounterRng
from minicnn.data.dataset import ArrayDataset, as_dataset
from minicnn.data.splits import Splits, by_class, class_names, warn_of_order
from minicnn.errors import DataError, whole_number


@dataclass(frozen=True)
class Fold:
    """One fold of a data set: what is trained on and what is not. Like `Splits`, but there is no test set."""

    name: str
    train: ArrayDataset
    validation: ArrayDataset
    classes: tuple[str, ...]
    normaliser: Callable[[np.ndarray], np.ndarray] | None = None

    def __repr__(self) -> str:
        return f"Fold({self.name!r}: {len(self.train)} train, {len(self.validation)} validation)"


@overload
def k_fold(  # noqa: D418 - the house wants every function documented
    data: Splits, folds: int = ..., *, stratify: bool | None = ..., shuffle: bool = ..., seed: int = ...
) -> Iterator[Splits]:
    """Cut training and validation set together; the test set stays sealed."""


@overload
def k_fold(  # noqa: D418 - the house wants every function documented
    data: ArrayDataset | tuple, folds: int = ..., *, stratify: bool | None = ..., shuffle: bool = ..., seed: int = ...
) -> Iterator[Fold]:
    """Cut a data set that has no test set."""


def k_fold(
    data: Splits | ArrayDataset | tuple,
    folds: int = 5,
    *,
    stratify: bool | None = None,
    shuffle: bool = True,
    seed: int = 0,
) -> Iterator[Splits] | Iterator[Fold]:
    """Cut data into k parts of equal size; yield k times one of them as validation data, the others to train on.

    The mean of the k scores varies less than one of them does. Their spread is no error bar of that mean: the training
    sets share most of their examples. Stone, "Cross-validatory choice and assessment of statistical predictions", 1974.

        for fold in data.k_fold(splits, 5):
            fold = data.normalise(fold)

    Parameters
    ----------
    data : Splits, ArrayDataset or (x, y)
        Of `Splits`, training and validation set together are cut, and each fold is a `Splits` with the same sealed test
        set, one seal for all. Of a data set, each is a `Fold`, which has no test set.
    folds : int
        k, at least 2.
    stratify : bool, optional
        Give each part the same share of every class. By default where the targets are integers, booleans or strings
        (N,), and the data is shuffled.
    shuffle : bool
        Mix the examples first; without, the parts are runs of examples in order. A `DataWarning` says if these lie
        class by class.
    seed : int
        Of the shuffle.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or data is to be stratified that is not shuffled.
    DataError
        If there are fewer examples than folds, or fewer of a class; if the targets are no labels and it is to be
        stratified; or if the splits are normalised already: by statistics of images that are validation data here.
    """
    folds = whole_number("folds", folds, least=2)
    if isinstance(data, Splits):
        if data.normaliser is not None:
            raise DataError(
                f"{data.name!r} is normalised by its training set, which the folds mix with the validation set: "
                "call k_fold first, then normalise(fold) for each fold"
            )
        whole = _joined(data.train, data.validation)
    else:
        whole = as_dataset(data)
    stratify = by_class(whole, stratify, shuffle)
    _check_sizes(whole, folds, stratify)
    cuts = _cuts(whole, folds, stratify, shuffle, seed)
    if not shuffle:
        train, last = cuts[-1]
        warn_of_order(whole.y, whole.y[train], {"validation": whole.y[last]})
    return _folds_of_splits(data, whole, cuts) if isinstance(data, Splits) else _folds(whole, cuts)


def _check_sizes(whole: ArrayDataset, folds: int, stratify: bool) -> None:
    if len(whole) < folds:
        raise DataError(f"{len(whole)} examples are too few for {folds} folds")
    if stratify:
        labels, counts = np.unique(whole.y, return_counts=True)
        if counts.min() < folds:
            raise DataError(
                f"class {labels[counts.argmin()]} has {counts.min()} examples, too few to be in each of {folds} folds "
                "(stratify=False does not look at the classes)"
            )


def _cuts(
    whole: ArrayDataset, folds: int, stratify: bool, shuffle: bool, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    from sklearn.model_selection import KFold, StratifiedKFold  # slow to import: not before it is needed

    cutter = StratifiedKFold if stratify else KFold
    splitter = cutter(folds, shuffle=shuffle, random_state=CounterRng(seed).seed % 2**32 if shuffle else None)
    return list(splitter.split(np.zeros(len(whole)), whole.y if stratify else None))


def _folds_of_splits(splits: Splits, whole: ArrayDataset, cuts: list) -> Iterator[Splits]:
    for fold in _folds(whole, cuts):
        yield replace(splits, name=f"{splits.name}, {fold.name}", train=fold.train, validation=fold.validation)


def _folds(whole: ArrayDataset, cuts: list) -> Iterator[Fold]:
    for number, (train, validation) in enumerate(cuts, start=1):
        name = f"fold {number} of {len(cuts)}"
        yield Fold(name, whole.subset(train), whole.subset(validation), class_names(whole))


def _joined(one: ArrayDataset, other: ArrayDataset) -> ArrayDataset:
    x, y = np.concatenate([one.x, other.x]), np.concatenate([one.y, other.y])
    return ArrayDataset(x, y, classes=one.classes, dtype=x.dtype)
