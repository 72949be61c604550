"""Images and masks seen through other coordinates."""

import numpy as np

from minicnn import ops
from minicnn.data.augment.base import Batch, is_mask
from minicnn.data.augment.ranges import Fill, fill_values
from minicnn.errors import ShapeError


def affine_coordinates(matrices: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return where each pixel of an image of that size looks: (N, 2, H, W), rows and columns.

    matrices : (N, 2, 3); with rows r and columns s counted from the image's centre, the pixel at (r, s) shows what
        stands at matrix @ (r, s, 1)

    In float64 half pixels are exact, so a matrix of whole numbers hits pixels exactly.
    """
    centre = (np.array(size) - 1) / 2
    r, s = (np.arange(length) - middle for length, middle in zip(size, centre, strict=True))
    by_row, by_column, offset = (matrices[:, :, k, None, None] for k in range(3))
    return by_row * r[:, None] + by_column * s + (offset + centre[:, None, None])


def warped(who: object, x: np.ndarray, y: np.ndarray | None, coordinates: np.ndarray, fill: Fill) -> Batch:
    """Return images (bilinear) and masks (nearest pixel) at the coordinates; other targets stay as they are.

    What a number fills in images is class 0, the background, in masks. Targets that are images themselves, floating
    point and shaped like x (as an autoencoder's are), are treated as x is.
    """
    values = fill_values(who, fill, x)
    images = ops.warp(x, coordinates, fill=values)
    if y is not None and y.dtype.kind == "f" and is_mask(y):
        if y.shape != x.shape:
            raise ShapeError(f"{who!r}: y is {y.dtype} {y.shape}, expected integers as masks, or images like x")
        return images, ops.warp(y, coordinates, fill=None if values is None else values.astype(y.dtype))
    return images, nearest_mask(y, coordinates, values)


def nearest_mask(y: np.ndarray | None, coordinates: np.ndarray, fill: np.ndarray | None) -> np.ndarray | None:
    """Return masks at the coordinates, their edge or class 0 outside as it is for images; other y as they are."""
    if y is None or not is_mask(y):
        return y
    planes = y.reshape(len(y), -1, *y.shape[-2:])
    found = nearest(planes, coordinates, None if fill is None else np.zeros(planes.shape[1], dtype=y.dtype))
    return found.reshape(*y.shape[:-2], *coordinates.shape[2:])


def nearest(x: np.ndarray, coordinates: np.ndarray, fill: np.ndarray | None) -> np.ndarray:
    """Return the values of the nearest pixels of x (N, C, H, W) at coordinates (N, 2, H', W').

    fill : (C,), what is outside; without it, the nearest pixel is
    """
    h, w = x.shape[2:]
    place = np.floor(coordinates + 0.5)
    row, column = np.clip(place[:, 0], 0, h - 1).astype(np.intp), np.clip(place[:, 1], 0, w - 1).astype(np.intp)
    found = x[np.arange(len(x))[:, None, None], :, row, column]  # (N, H', W', C)
    if fill is not None:
        found[(place[:, 0] != row) | (place[:, 1] != column)] = fill
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2))
