"""A square that is missing."""

from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.ranges import Fill, check_fill, drawn_whole, fill_values, whole_pixels
from minicnn.errors import ArgumentError
from minicnn.ops import random_keys


class Cutout(Augmentation):
    """Fill a rectangle in each image, whose centre is anywhere in it; what sticks out at the border is cut off.

    DeVries and Taylor, "Improved regularization of convolutional neural networks with Cutout", 2017, section 3. There
    as here, the default of 0 is the mean of normalised data. Targets, masks included, are left unchanged.

    size : a number of pixels, or (height, width)
    fill : a number, or one a channel

    Raises `ArgumentError` if size is no whole number of at least 1, or fill is "edge", and when images are smaller.
    """

    def __init__(self, size: Any, *, fill: Fill = 0.0, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.size, self.fill = size, check_fill(fill)
        self._size = whole_pixels("size", size, least=1)
        if isinstance(fill, str):
            raise ArgumentError("fill must be a number or one a channel here: a hole in an image has no edge to go on")

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Pixels within half the size of a random one."""
        h, w = x.shape[2:]
        if self._size[0] > h or self._size[1] > w:
            raise ArgumentError(f"{self!r}: the hole is larger than images of {h} x {w} pixels")
        heights, widths = (np.full(len(x), length) for length in self._size)
        hole = rectangles((h, w), heights, widths, key)[:, None]
        fill = np.asarray(fill_values(self, self.fill, x)).reshape(-1, 1, 1)
        return np.where(hole, fill, x), y


def rectangles(size: tuple[int, int], heights: np.ndarray, widths: np.ndarray, key: Key) -> np.ndarray:
    """Return (N, H, W): whether a pixel lies in its image's rectangle, whose centre is a random pixel.

    A rectangle of height h covers rows from c - h // 2 to c - h // 2 + h - 1.
    """
    inside = []
    for own, length, extent in zip(random_keys(key, 2), size, (heights, widths), strict=True):
        first = drawn_whole(own, len(extent), 0, length - 1) - extent // 2
        offset = np.arange(length) - first[:, None]
        inside.append((offset >= 0) & (offset < extent[:, None]))
    return inside[0][:, :, None] & inside[1][:, None, :]
