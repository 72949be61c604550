"""Elastic distortion: what a hand's tremor does to handwriting."""

from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.ranges import Fill, at_least, check_fill, many_uniform
from minicnn.data.augment.warping import warped


class Elastic(Augmentation):
    """Each pixel shows a place near it: alpha times random displacements that a Gaussian has smoothed.

    Simard, Steinkraus and Platt, "Best practices for convolutional neural networks applied to visual document
    analysis", 2003, section 2. The displacements are uniform in [-1, 1] before smoothing, so they come to about
    0.16 alpha / sigma pixels after it, away from the border; there the Gaussian is what lies inside, rescaled. The
    paper took alpha = 34 and sigma = 4 for digits of 28 x 28; images of 8 x 8 want about alpha = 3 and sigma = 1.

    Parameters
    ----------
    alpha : float
        How far.
    sigma : float
        How smoothly: the Gaussian's standard deviation in pixels.
    fill : "edge", a number, or one number a channel
        What comes in from outside.

    Raises
    ------
    ArgumentError
        If alpha is below 0, or sigma not above it.
    """

    def __init__(self, alpha: float, sigma: float, *, fill: Fill = "edge", probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.alpha = at_least("alpha", alpha)
        self.sigma = at_least("sigma", sigma, above=True)
        self.fill = check_fill(fill)

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Displace the coordinates, then warp."""
        size = x.shape[2:]
        coordinates = np.indices(size) + self.displacements(len(x), size, key)
        return warped(self, x, y, coordinates, self.fill)

    def displacements(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """Return (N, 2, H, W): how many pixels down and to the right of itself each pixel looks."""
        noise = 2 * many_uniform(key, (count, 2, *size), np.dtype(np.float64)) - 1
        return self.alpha * smoothed(noise, *(gaussian(length, self.sigma) for length in size))


def gaussian(length: int, sigma: Any) -> np.ndarray:
    """Return B with B @ column smoothed: B[i, j] = exp(-(i - j)^2 / 2 sigma^2), rows scaled to a sum of 1.

    sigma : a number, for B (length, length), or (N,), for one B each; 0 gives the identity
    """
    distance = np.arange(length)[:, None] - np.arange(length)
    width = np.maximum(np.asarray(sigma, dtype=np.float64)[..., None, None], 1e-3)  # neighbours' share rounds to 0
    b = np.exp(-(distance**2) / (2 * width**2))
    return b / b.sum(axis=-1, keepdims=True)


def smoothed(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return rows @ x @ columns.T for every plane: a smoothing along each axis as a product with a matrix.

    x : (N, C, H, W)   rows : (..., H, H)   columns : (..., W, W)
    """
    return rows @ x @ np.swapaxes(columns, -1, -2)
