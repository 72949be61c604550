"""Bring inputs to mean 0 and standard deviation 1, by what the training set alone says."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.folds import Fold
from minicnn.data.splits import Splits
from minicnn.errors import ShapeError

Parts = TypeVar("Parts", Splits, Fold)


@dataclass(frozen=True)
class Normaliser:
    """x -> (x - mean) / std for each channel.   mean, std : (C,)"""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> "Normaliser":
        """Learn mean and standard deviation of each channel.   x : (N, C, ...)   A constant channel gets std 1."""
        axes = (0, *range(2, x.ndim))
        std = x.std(axis=axes, dtype=np.float64)
        constant = x.min(axis=axes) == x.max(axis=axes)  # exact, where rounding may leave a std of 1e-17
        return cls(x.mean(axis=axes, dtype=np.float64), np.where(constant, 1.0, std))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return x (N, C, ...) normalised, in its own dtype. Raises `ShapeError` for another number of channels."""
        if x.ndim < 2 or x.shape[1] != len(self.mean):
            raise ShapeError(
                f"x has shape {x.shape}, expected (N, {len(self.mean)}, ...) as in the data it was fitted to"
            )
        shape = (-1, *[1] * (x.ndim - 2))
        return ((x - self.mean.reshape(shape)) / self.std.reshape(shape)).astype(x.dtype)


def normalise(splits: Parts) -> Parts:
    """Normalise all three parts by the mean and standard deviation of each channel of the training set.

    Validation and test data have no say in it. A fold of `k_fold` is normalised in the same way. The normaliser is kept
    in `splits.normaliser`, for other inputs.
    LeCun et al., "Efficient backprop", 1998, section 4.3.
    """
    normaliser = Normaliser.fit(splits.train.x)

    def apply(part: ArrayDataset) -> ArrayDataset:
        return ArrayDataset(normaliser(part.x), part.y, classes=part.classes, dtype=part.x.dtype)

    test: Any = {"test": splits.test.map(apply)} if isinstance(splits, Splits) else {}
    return replace(
        splits, train=apply(splits.train), validation=apply(splits.validation), normaliser=normaliser, **test
    )
