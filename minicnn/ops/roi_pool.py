"""Max pooling of regions of interest: whatever a region's size, it becomes oh x ow numbers a channel.

Girshick, "Fast R-CNN", ICCV 2015, section 2.1; coordinates as in its Caffe layer. A region (x1, y1, x2, y2) is given in
pixels of the image; times `spatial_scale`, rounded, it is one of the feature map x, **both ends included**:

    top = round(y1 * scale)      height = round(y2 * scale) - top + 1        (and alike across)
    bin i has the rows from top + floor(i * height / oh) to top + ceil((i + 1) * height / oh) - 1

Bins of a region with fewer pixels than bins overlap. What lies outside the map is cut off, and a bin of which nothing
is left gives 0. Bins are found in whole numbers, where the original's floats could round one of them up by a pixel.
"""

import numpy as np

from minicnn.backend import Array, array_module, slot
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import Pair, PairLike, pair

FAR = 2**31
"""Pixels; beyond them, whole numbers would overflow."""


@slot("y, argmax")
def roi_max_pool2d_forward(
    x: Array, rois: Array, *, output_size: PairLike, spatial_scale: float = 1.0
) -> tuple[Array, Array]:
    """y[r, c, i, j] = the maximum over bin (i, j) of region r, on channel c of its image.

    x : (N, C, H, W)
    rois : (R, 5), rows of (image, x1, y1, x2, y2): number of the image, and first and last column and row, inclusive
    y : (R, C, oh, ow)
    argmax : (R, C, oh, ow), int32; row * W + column of the maximum, -1 for an empty bin

    The first of equal maxima wins, row by row, and a NaN counts as the largest value.

    Raises
    ------
    ShapeError
        If rois is not (R, 5), or names an image that the batch has not. Values are looked at on the host alone.
    ArgumentError
        If a region has its ends exchanged or is not finite, or if output_size or spatial_scale make no sense.
    """
    (oh, ow), scale = check_roi_pool(x, rois, output_size, spatial_scale)
    xp, (h, w) = array_module(x), x.shape[2:]
    top, height, left, width = _rounded(rois, scale)
    images = xp.take(x, rois[:, 0].astype(xp.int64), axis=0)  # (R, C, H, W)
    across, column = [], []
    for j in range(ow):  # the maximum of a rectangle is the maximum of its rows' maxima
        inside = _bin(left, width, j, ow, w)[:, None, None, :]
        masked = xp.where(inside, images, -float("inf"))
        across.append(masked.max(axis=3))
        column.append(xp.maximum(masked.argmax(axis=3), inside.argmax(axis=3)))  # for all are minus infinity
    across, column = xp.stack(across, axis=3), xp.stack(column, axis=3)  # (R, C, H, ow)
    y, argmax = [], []
    for i in range(oh):
        inside = _bin(top, height, i, oh, h)[:, None, :, None]
        masked = xp.where(inside, across, -float("inf"))
        row = xp.maximum(masked.argmax(axis=2), inside.argmax(axis=2))[:, :, None]
        y.append(masked.max(axis=2))
        argmax.append((row * w + xp.take_along_axis(column, row, axis=2))[:, :, 0])
    down = xp.stack([_bin(top, height, i, oh, h).any(axis=1) for i in range(oh)], axis=1)
    over = xp.stack([_bin(left, width, j, ow, w).any(axis=1) for j in range(ow)], axis=1)
    filled = (down[:, :, None] & over[:, None, :])[:, None]  # (R, 1, oh, ow)
    y, argmax = xp.stack(y, axis=2), xp.stack(argmax, axis=2).astype(xp.int32)
    return xp.where(filled, y, 0), xp.where(filled, argmax, -1)


@slot("dx")
def roi_max_pool2d_backward(dy: Array, argmax: Array, rois: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """Send each gradient to the pixel that was its bin's maximum; where bins or regions share one, add (equation 4).

    dy, argmax : (R, C, oh, ow)   rois : (R, 5), as in the forward pass   dx : (N, C, H, W) = shape
    """
    xp, (n, c, h, w) = array_module(dy), shape
    dx = xp.zeros(n * c * h * w, dtype=dy.dtype)
    channel = rois[:, 0].astype(xp.int64)[:, None] * c + xp.arange(c)  # (R, C): which plane of dx
    place = channel[:, :, None, None] * (h * w) + argmax
    xp.add.at(dx, xp.where(argmax < 0, 0, place).reshape(-1), xp.where(argmax < 0, 0, dy).reshape(-1))
    return dx.reshape(shape)


def check_roi_pool(x: Array, rois: Array, output_size: PairLike, spatial_scale: float) -> tuple[Pair, float]:
    """Return output size and scale. Raises `ShapeError` or `ArgumentError`, as the forward pass says."""
    if x.ndim != 4 or rois.ndim != 2 or rois.shape[1] != 5:
        raise ShapeError(
            f"x must be (N, C, H, W) and rois (R, 5), rows of (image, x1, y1, x2, y2); "
            f"x is {x.shape}, rois are {rois.shape}"
        )
    if not 0 < spatial_scale < float("inf"):
        raise ArgumentError(f"spatial_scale must be a positive number, not {spatial_scale!r}")
    if isinstance(rois, np.ndarray):
        _check_values(rois, len(x), spatial_scale)
    return pair(output_size, "output_size"), float(spatial_scale)


def _check_values(rois: np.ndarray, images: int, scale: float) -> None:
    """Raise an error that names the first region that cannot be."""
    image, x1, y1, x2, y2 = rois.T
    missing = (image < 0) | (image >= images) | (image != np.floor(image))
    near = (abs(rois) * max(1.0, scale) < FAR).all(axis=1)  # which a NaN is not
    for wrong, error, problem in (
        (~near, ArgumentError, f"is not finite, or further than {FAR} pixels away"),
        (missing, ShapeError, f"is of an image that is not there; the batch has {images}, counted from 0"),
        ((x2 < x1) | (y2 < y1), ArgumentError, "ends before it begins; a region is (image, x1, y1, x2, y2)"),
    ):
        if wrong.any():
            first = int(np.argmax(wrong))
            raise error(f"rois[{first}] = {rois[first].tolist()} {problem}")


def _rounded(rois: Array, scale: float) -> tuple[Array, Array, Array, Array]:
    """Return top, height, left and width (R,) on the map, in whole numbers; halves go away from zero, as in C."""
    xp = array_module(rois)
    scaled = rois[:, 1:].astype(xp.float64) * scale
    x1, y1, x2, y2 = xp.trunc(scaled + xp.copysign(0.5, scaled)).astype(xp.int64).T
    return y1, y2 - y1 + 1, x1, x2 - x1 + 1


def _bin(start: Array, length: Array, number: int, count: int, size: int) -> Array:
    """Return (R, size): whether a pixel of the map lies in that bin of each region."""
    pixel = array_module(start).arange(size)
    first, end = start + number * length // count, start - (-(number + 1) * length // count)
    return (pixel >= first[:, None]) & (pixel < end[:, None])
