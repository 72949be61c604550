"""Flips, shifts, rotations, scales and shears: a matrix for each image, and one interpolation for all of them.

What comes in from outside the border is a choice. The default, fill="edge", goes on with the nearest pixel: background
where the picture has a background, whether black is 0 or, in normalised data, something else. A number, or one a
channel, fills with that.
"""

import functools
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.ranges import (
    Fill,
    Range,
    around_zero,
    check_fill,
    drawn,
    drawn_factors,
    drawn_whole,
    factors,
    whole_pixels,
)
from minicnn.data.augment.warping import affine_coordinates, warped
from minicnn.errors import ArgumentError
from minicnn.ops import random_keys


class Geometric(Augmentation):
    """The base of those that a matrix describes; `Compose` multiplies the matrices of neighbours.

    fill : "edge", a number, one number a channel; None where nothing comes in from outside
    """

    fill: Fill | None = None

    def __init__(self, *, fill: Fill | None = None, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.fill = None if fill is None else check_fill(fill)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """Return (N, 2, 3), a matrix an image: with rows r and columns s counted from the centre, the pixel of the
        result at (r, s) shows what stood at matrix @ (r, s, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method matrices(self, count, size, key)")

    def on_batch(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Images that are not chosen get the identity matrix, and keeps its bits."""
        return warp_by([self], [key], x, y)

    def chosen_matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """Return the matrices with the identity for whom `probability` leaves out."""
        choice, own = random_keys(key, 2)
        matrices = self.matrices(count, size, own)
        matrices[~self.chosen(count, choice)] = np.eye(2, 3)
        return matrices


def warp_by(members: list[Geometric], keys: list[Key], x: np.ndarray, y: np.ndarray | None) -> Batch:
    """Apply one after the other, with a single interpolation.

    An image y = A x and z = B y shows at q what y has at B q, so what x has at A (B q): matrices multiply in order.
    """
    size = x.shape[2:]
    each = [member.chosen_matrices(len(x), size, key) for member, key in zip(members, keys, strict=True)]
    fill = next((member.fill for member in members if member.fill is not None), "edge")
    return warped(members[0], x, y, affine_coordinates(functools.reduce(product, each), size), fill)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a @ b of matrices (N, 2, 3) that each stand for a (3, 3) with a last row of 0, 0, 1."""
    ab = a[:, :, :2] @ b
    ab[:, :, 2] += a[:, :, 2]
    return ab


def _matrices(a: Any, b: Any, c: Any, d: Any, count: int) -> np.ndarray:
    """Return [[a, b, 0], [c, d, 0]] for each image; each entry is a number or one an image."""
    m = np.zeros((count, 2, 3))
    m[:, 0, 0], m[:, 0, 1], m[:, 1, 0], m[:, 1, 1] = a, b, c, d
    return m


class HorizontalFlip(Geometric):
    """Left becomes right, for about every second image. Digits and letters are not what they were after it."""

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__(probability=probability)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """[[1, 0], [0, -1]]"""
        return _matrices(1, 0, 0, -1, count)


class VerticalFlip(Geometric):
    """Top becomes bottom, for about every second image."""

    def __init__(self, *, probability: float = 0.5) -> None:
        super().__init__(probability=probability)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """[[-1, 0], [0, 1]]"""
        return _matrices(-1, 0, 0, 1, count)


class Shift(Geometric):
    """Move each image by whole pixels, up to `pixels` in each direction, so that nothing is blurred.

    pixels : a number, or (vertical, horizontal)
    fill : "edge", a number, or one a channel: what comes in from outside

    Raises `ArgumentError` if they are no whole numbers of at least 0, and when images are not larger than the shift.
    """

    def __init__(self, pixels: Any, *, fill: Fill = "edge", probability: float = 1.0) -> None:
        super().__init__(fill=fill, probability=probability)
        self.pixels = pixels
        self._most = whole_pixels("pixels", pixels)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """[[1, 0, -down], [0, 1, -right]]"""
        for most, length in zip(self._most, size, strict=True):
            if most >= length:
                raise ArgumentError(f"{self!r}: images of {size[0]} x {size[1]} pixels could be shifted out of sight")
        m = _matrices(1, 0, 0, 1, count)
        for axis, (part, most) in enumerate(zip(random_keys(key, 2), self._most, strict=True)):
            m[:, axis, 2] = drawn_whole(part, count, -most, most)
        return m


class Rotate(Geometric):
    """Turn each image about its centre, by an angle drawn uniformly.

    degrees : a number a, for angles from -a to a, or a pair (from, to); above 0 is anticlockwise
    fill : "edge", a number, or one a channel: what comes in from outside

    Multiples of 90 degrees turn square images exactly. Raises `ArgumentError` for anything else.
    """

    def __init__(self, degrees: Range, *, fill: Fill = "edge", probability: float = 1.0) -> None:
        super().__init__(fill=fill, probability=probability)
        self.degrees = degrees
        self._limits = around_zero("degrees", degrees)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """[[cos, sin], [-sin, cos]], rows counted downwards"""
        angle = drawn(key, count, self._limits)
        cos, sin = _sine(angle + 90), _sine(angle)
        return _matrices(cos, sin, -sin, cos, count)


def _sine(degrees: np.ndarray) -> np.ndarray:
    """Return the sine, exact at multiples of 90 degrees."""
    quarters = np.remainder(degrees / 90, 4)
    exact = np.array([0.0, 1.0, 0.0, -1.0])[np.floor(quarters).astype(int) % 4]
    return np.where(quarters == np.floor(quarters), exact, np.sin(np.deg2rad(degrees)))


class Scale(Geometric):
    """Make each image larger or smaller about its centre, by a factor whose logarithm is uniform.

    factor : a number a, for factors from 1/a to a, or a pair (from, to); above 1 is larger
    fill : "edge", a number, or one a channel: what comes in from outside

    Raises `ArgumentError` for a number below 1, or factors that are not above 0.
    """

    def __init__(self, factor: Range, *, fill: Fill = "edge", probability: float = 1.0) -> None:
        super().__init__(fill=fill, probability=probability)
        self.factor = factor
        self._limits = factors("factor", factor)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """[[1/f, 0], [0, 1/f]]"""
        inverse = 1 / drawn_factors(key, count, self._limits)
        return _matrices(inverse, 0, 0, inverse, count)


class Shear(Geometric):
    """Make each image lean, as italics do: the top goes to the right, the bottom to the left, the centre stays.

    degrees : a number a, for angles from -a to a, or a pair (from, to); above 0 leans to the right
    fill : "edge", a number, or one a channel: what comes in from outside

    Raises `ArgumentError` for angles that are not between -90 and 90.
    """

    def __init__(self, degrees: Range, *, fill: Fill = "edge", probability: float = 1.0) -> None:
        super().__init__(fill=fill, probability=probability)
        self.degrees = degrees
        self._limits = around_zero("degrees", degrees)
        if not -90 < self._limits[0] <= self._limits[1] < 90:
            raise ArgumentError(f"degrees must lie between -90 and 90, not {degrees!r}")

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """[[1, 0], [tan, 1]], rows counted downwards"""
        return _matrices(1, 0, np.tan(np.deg2rad(drawn(key, count, self._limits))), 1, count)


class Affine(Geometric):
    """Scale, shear, rotate and shift, in this order, with one interpolation.

    Parameters
    ----------
    degrees, scale, shear, shift : numbers or pairs
        As `Rotate`, `Scale`, `Shear` and `Shift` take them; by default nothing.
    fill : "edge", a number, or one a channel
        What comes in from outside.

    Raises
    ------
    ArgumentError
        As those do.
    """

    def __init__(
        self,
        degrees: Range = 0.0,
        *,
        scale: Range = 1.0,
        shear: Range = 0.0,
        shift: Any = 0,
        fill: Fill = "edge",
        probability: float = 1.0,
    ) -> None:
        super().__init__(fill=fill, probability=probability)
        self.degrees, self.scale, self.shear, self.shift = degrees, scale, shear, shift
        factors("scale", scale)  # the parts would say "factor", which nobody wrote here
        whole_pixels("shift", shift)
        if max(map(abs, around_zero("shear", shear))) >= 90:
            raise ArgumentError(f"shear must lie between -90 and 90, not {shear!r}")
        self._parts = Scale(scale), Shear(shear), Rotate(degrees), Shift(shift)

    def matrices(self, count: int, size: tuple[int, int], key: Key) -> np.ndarray:
        """The product of the four."""
        keys = random_keys(key, len(self._parts))
        each = [part.matrices(count, size, own) for part, own in zip(self._parts, keys, strict=True)]
        return functools.reduce(product, each)
