"""Bring inputs to mean 0 and standard deviation 1, by what the training set alone says."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from minicnn.data.dataset import ArrayDataset, check_floating
from minicnn.data.folds import Fold
from minicnn.data.splits import Splits
from minicnn.data.whitening import PCAWhitening, ZCAWhitening
from minicnn.errors import ArgumentError, ShapeError, listed

Parts = TypeVar("Parts", Splits, Fold)


@dataclass(frozen=True, eq=False)
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
        check_floating(x)
        if x.ndim < 2 or x.shape[1] != len(self.mean):
            raise ShapeError(
                f"x has shape {x.shape}, expected (N, {len(self.mean)}, ...) as in the data it was fitted to"
            )
        shape = (-1, *[1] * (x.ndim - 2))
        return ((x - self.mean.reshape(shape)) / self.std.reshape(shape)).astype(x.dtype)


@dataclass(frozen=True)
class ImageNormaliser:
    """x -> (x - mean) / std with the mean and the standard deviation of each image itself, all its channels together.

    It takes away how bright an image is and how strong its contrast. There is nothing to learn from a training set.
    """

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return x (N, ...) normalised, in its own dtype; an image of one shade becomes 0."""
        check_floating(x)
        axes = tuple(range(1, x.ndim))
        mean, std = (f(axis=axes, keepdims=True, dtype=np.float64) for f in (x.mean, x.std))
        constant = x.min(axis=axes, keepdims=True) == x.max(axis=axes, keepdims=True)
        return np.where(constant, 0, (x - mean) / np.where(constant, 1, std)).astype(x.dtype)


@dataclass(frozen=True, eq=False)
class Normalisers:
    """x -> last(... second(first(x))), for data that was normalised more than once."""

    steps: tuple[Callable[[np.ndarray], np.ndarray], ...]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return x normalised by all in order."""
        for step in self.steps:
            x = step(x)
        return x


METHODS: dict[str, Callable[..., Callable[[np.ndarray], np.ndarray]]] = {
    "channel": Normaliser.fit,
    "image": lambda x: ImageNormaliser(),
    "pca": PCAWhitening.fit,
    "zca": ZCAWhitening.fit,
}


def normalise(splits: Parts, method: str = "channel", **options: Any) -> Parts:
    """Normalise all three parts; what there is to learn is learned from the training set.

    Validation and test data have no say in it. The normaliser is kept in `splits.normaliser`, for other inputs; after
    several, it does what all of them did.

    Parameters
    ----------
    splits : Splits or Fold
        The data.
    method : str
        "channel": by the mean and the standard deviation of each channel. LeCun et al., "Efficient backprop", 1998,
        section 4.3. "image": by those of each image itself. "zca": pixels without correlation, as images. "pca": the
        same as vectors (N, K), most variance first. Krizhevsky, "Learning multiple layers of features from tiny
        images", 2009, appendix A.
    options
        For "zca" and "pca" `epsilon`, for "pca" `components`, as `PCAWhitening.fit` explains them.

    Raises
    ------
    ArgumentError
        If there is no such method, or it has no such option.
    """
    if method not in METHODS:
        raise ArgumentError(f"method must be one of {listed(METHODS)}, not {method!r}")
    known = {"pca": ("epsilon", "components"), "zca": ("epsilon",)}.get(method, ())
    if unknown := sorted(set(options) - set(known)):
        takes = f"takes {listed(known)}" if known else "takes no options"
        raise ArgumentError(f"normalise(..., {method!r}) {takes}, not {listed(unknown)}")
    normaliser = METHODS[method](splits.train.x, **options)

    def apply(part: ArrayDataset) -> ArrayDataset:
        return ArrayDataset(normaliser(part.x), part.y, classes=part.classes, dtype=part.x.dtype)

    test: Any = {"test": splits.test.map(apply)} if isinstance(splits, Splits) else {}
    whole = normaliser if splits.normaliser is None else Normalisers((splits.normaliser, normaliser))
    return replace(splits, train=apply(splits.train), validation=apply(splits.validation), normaliser=whole, **test)
