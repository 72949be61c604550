"""Images and masks seen through other coordinates."""

import numpy as np

from minicnn import ops
from minicnn.data.augment.base import Batch, is_mask
from minicnn.data.augment.ranges import Fill, fill_values


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

    What a number fills in images is class 0, the background, in masks.
    """
    images = ops.warp(x, coordinates, fill=fill_values(who, fill, x))
    return images, nearest(y, coordinates, edge=fill == "edge") if y is not None and is_mask(y) else y


def nearest(y: np.ndarray, coordinates: np.ndarray, *, edge: bool) -> np.ndarray:
    """Return the values of the nearest pixels of y (N, ..., H, W); outside, those at the edge, or else 0.

    coordinates : (N, 2, H', W')
    """
    h, w = y.shape[-2:]
    place = np.floor(coordinates + 0.5)
    row, column = np.clip(place[:, 0], 0, h - 1).astype(np.intp), np.clip(place[:, 1], 0, w - 1).astype(np.intp)
    planes = y.reshape(len(y), -1, h, w)
    found = planes[np.arange(len(y))[:, None, None], :, row, column]  # (N, H', W', M)
    if not edge:
        outside = (place[:, 0] != row) | (place[:, 1] != column)
        found[outside] = 0
    return np.ascontiguousarray(found.transpose(0, 3, 1, 2)).reshape(*y.shape[:-2], *coordinates.shape[2:])
