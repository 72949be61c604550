"""Light, contrast, noise and focus. Targets, masks included, are left unchanged.

Nothing here asks what is black and what white, and nothing is cut off there, so all of it works on normalised data;
amounts are in the units of x.
"""

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.elastic import gaussian, smoothed
from minicnn.data.augment.ranges import (
    Range,
    around_zero,
    at_least,
    drawn,
    drawn_factors,
    factors,
    many_normal,
    up_to,
)


class Brightness(Augmentation):
    """y = x + b, with one b for each image, drawn uniformly.

    amount : a number a, for b from -a to a, or a pair (from, to)
    """

    def __init__(self, amount: Range, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.amount = amount
        self._limits = around_zero("amount", amount)

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """x + b"""
        return x + _per_image(drawn(key, len(x), self._limits), x), y


class Contrast(Augmentation):
    """y = m + f (x - m), with m the mean of the image, and one f for each, whose logarithm is uniform.

    factor : a number a, for f from 1/a to a, or a pair (from, to)
    """

    def __init__(self, factor: Range, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.factor = factor
        self._limits = factors("factor", factor)

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """m + f (x - m)"""
        m = x.mean(axis=(1, 2, 3), keepdims=True)
        return m + _per_image(drawn_factors(key, len(x), self._limits), x) * (x - m), y


class Gamma(Augmentation):
    """y = low + (high - low) ((x - low) / (high - low))^g, with one g for each image, whose logarithm is uniform.

    low and high are the image's own darkest and lightest pixel, which stay as they are; g > 1 darkens between them.

    gamma : a number a, for g from 1/a to a, or a pair (from, to)
    """

    def __init__(self, gamma: Range, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.gamma = gamma
        self._limits = factors("gamma", gamma)

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """The formula above; an image of one shade stays as it is."""
        low, high = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
        span = high - low
        share = (x - low) / np.where(span > 0, span, 1)
        return low + span * share ** _per_image(drawn_factors(key, len(x), self._limits), x), y


class Noise(Augmentation):
    """y = x + std z, with z standard normal for every pixel and channel.

    std : a number of at least 0
    """

    def __init__(self, std: float, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.std = at_least("std", std)

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """x + std z"""
        return x + x.dtype.type(self.std) * many_normal(key, x.shape, x.dtype), y


class Blur(Augmentation):
    """Smooth each image with a Gaussian of its own width, drawn uniformly. At the border what lies inside counts.

    sigma : in pixels; a number a, for widths from 0 to a, or a pair (from, to)
    """

    def __init__(self, sigma: Range, *, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.sigma = sigma
        self._limits = up_to("sigma", sigma)

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Along the columns, then along the rows."""
        sigma = drawn(key, len(x), self._limits)
        rows, columns = (gaussian(length, sigma)[:, None].astype(x.dtype) for length in x.shape[2:])
        return smoothed(x, rows, columns), y


def _per_image(values: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return one number an image in x's dtype, shaped to be broadcast to it."""
    return values.astype(x.dtype).reshape(-1, 1, 1, 1)
