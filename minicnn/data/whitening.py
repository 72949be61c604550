"""Whitening: inputs whose pixels are no longer correlated, each with variance 1.

Krizhevsky, "Learning multiple layers of features from tiny images", 2009, appendix A. With the covariance
C = V diag(l) V^T of the training set's pixels, (x - mean) V / sqrt(l) has the identity as its covariance, and so has
every rotation of it. PCA-whitening stays there, in the directions of V; ZCA-whitening turns back by V^T, and is, of all
that whiten, the one that changes images least.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from minicnn.data.dataset import check_floating
from minicnn.errors import ArgumentError, DataError, ShapeError

EPSILON = 1e-3


@dataclass(frozen=True, eq=False)
class Whitening:
    """x -> (x - mean) W^T, for each example as a vector of its D numbers.

    mean : (D,)   matrix : W, (K, D)   shape : of an example   variances : (D,), the covariance's eigenvalues, falling
    """

    mean: np.ndarray
    matrix: np.ndarray
    shape: tuple[int, ...]
    variances: np.ndarray
    epsilon: float
    keeps_shape: ClassVar[bool] = False

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Return x (N, ...) whitened, in its own dtype. Raises `ShapeError` for examples of another shape."""
        check_floating(x)
        if x.shape[1:] != self.shape:
            expected = ", ".join(map(str, self.shape))
            raise ShapeError(f"x has shape {x.shape}, expected (N, {expected}) as in the data it was fitted to")
        white = (x.reshape(len(x), len(self.mean)) - self.mean) @ self.matrix.T
        return (white.reshape(x.shape) if self.keeps_shape else white).astype(x.dtype)


class PCAWhitening(Whitening):
    """W = diag(1 / sqrt(l + epsilon)) V^T: vectors (N, K), the directions of the largest variance first."""

    @classmethod
    def fit(cls, x: np.ndarray, *, epsilon: float = EPSILON, components: int | None = None) -> "PCAWhitening":
        """Learn it.   x : (N, ...)

        epsilon : is added to each variance, so that directions in which nothing varies are not blown up; in the units
            of x squared. A direction of variance l comes out with l / (l + epsilon).
        components : K, how many directions are kept; by default all

        Raises `ArgumentError` for an epsilon below 0 or another number of components than from 1 to D, and `DataError`
        if a variance is 0 and epsilon too, or there are fewer than two examples.
        """
        mean, variances, v = _principal(x, epsilon, components)
        scale = np.sqrt(variances[: v.shape[1]] + epsilon)
        return cls(mean, v.T / scale[:, None], x.shape[1:], variances, epsilon)


class ZCAWhitening(Whitening):
    """W = V diag(1 / sqrt(l + epsilon)) V^T, which is symmetric: images that look like those before, edges stressed."""

    keeps_shape: ClassVar[bool] = True

    @classmethod
    def fit(cls, x: np.ndarray, *, epsilon: float = EPSILON) -> "ZCAWhitening":
        """Learn it.   x : (N, ...)   epsilon and errors : as in `PCAWhitening.fit`"""
        mean, variances, v = _principal(x, epsilon, None)
        return cls(mean, v @ (v.T / np.sqrt(variances + epsilon)[:, None]), x.shape[1:], variances, epsilon)


def _principal(x: np.ndarray, epsilon: float, components: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean (D,), the covariance's eigenvalues (D,), falling, and its first eigenvectors (D, K)."""
    rows = x.reshape(len(x), -1).astype(np.float64)
    count, size = rows.shape
    if not epsilon >= 0:
        raise ArgumentError(f"epsilon must be a number of at least 0, not {epsilon!r}")
    if components is not None and not (isinstance(components, int | np.integer) and 1 <= components <= size):
        raise ArgumentError(f"components must be a whole number from 1 to {size}, not {components!r}")
    if count < 2:
        raise DataError("whitening needs at least two examples to learn from")
    mean = rows.mean(axis=0)
    centred = rows - mean
    variances, v = np.linalg.eigh(centred.T @ centred / (count - 1))
    variances, v = np.maximum(variances[::-1], 0), v[:, ::-1]  # rounding leaves eigenvalues of -1e-17
    kept = size if components is None else int(components)
    nothing = variances <= 1e-12 * variances[0]
    if epsilon == 0 and nothing[kept - 1]:
        constant = (centred.min(axis=0) == centred.max(axis=0)).sum()
        raise DataError(
            f"{nothing.sum()} of {size} directions have no variance to divide by ({constant} numbers are constant, and "
            f"there are {count} examples); take an epsilon above 0, such as {EPSILON}"
        )
    return mean, variances, v[:, :kept]
