"""A window of each image, at a random place."""

from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.ranges import Fill, check_fill, drawn_whole, fill_values, whole_pixels
from minicnn.data.augment.warping import nearest, nearest_mask
from minicnn.errors import ArgumentError, ShapeError
from minicnn.ops import random_keys


class RandomCrop(Augmentation):
    """Put a border around each image, and cut a window of the given size out of it, anywhere.

    size : a number, or (height, width); None is the image's own size
    padding : a number of pixels, or (vertical, horizontal)
    fill : "edge", a number, or one a channel: what the border is made of; in masks a number's border is class 0

    He et al., "Deep residual learning for image recognition", 2016, section 4.2, with padding 4 for 32 x 32.
    Raises `ArgumentError` if they are no whole numbers, or size comes with a probability below 1, and `ShapeError` if
    the window is larger than the image with its border.
    """

    def __init__(self, size: Any = None, *, padding: Any = 0, fill: Fill = "edge", probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.size, self.padding, self.fill = size, padding, check_fill(fill)
        self._border = whole_pixels("padding", padding)
        self._window = None if size is None else whole_pixels("size", size, least=1)
        if size is not None and probability != 1:
            raise ArgumentError(f"RandomCrop: size={size!r} needs probability=1, so that all images are of one size")

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Whole coordinates: pixels are copied, never mixed."""
        size = x.shape[2:]
        window = self._window or size
        coordinates = np.empty((len(x), 2, *window))
        for axis, own in enumerate(random_keys(key, 2)):
            border, room = self._border[axis], size[axis] + 2 * self._border[axis] - window[axis]
            if room < 0:
                raise ShapeError(
                    f"{self!r}: a window of {window[0]} x {window[1]} does not fit into images of {size[0]} x {size[1]}"
                    f" with a border of {self._border[0]} and {self._border[1]}"
                )
            first = drawn_whole(own, len(x), -border, room - border)
            along = np.arange(window[axis])[:, None] if axis == 0 else np.arange(window[axis])
            coordinates[:, axis] = first[:, None, None] + along
        fill = fill_values(self, self.fill, x)
        return nearest(x, coordinates, fill), nearest_mask(y, coordinates, fill)
