"""What the algorithms of convolution are set up from: the geometry of a case, and kernels laid out for the tile."""

from typing import NamedTuple

import numpy as np

from minicnn.geometry import Pads, Pair
from minicnn.kernels.numba.frame import Pooling
from minicnn.kernels.numba.product import MOST_HEIGHT

NO_IMAGES = {dtype: np.empty((0, 0, 0, 0), dtype=dtype) for dtype in ("float32", "float64", "uint8")}
"""What a kernel is given where it has nothing to read, or to write."""


class Geometry(NamedTuple):
    """A convolution: of images (n, c, h, w) by f kernels, followed by ReLU and max pooling or not."""

    dtype: str
    n: int
    c: int
    h: int
    w: int
    f: int
    kernel: Pair
    stride: Pair
    dilation: Pair
    pads: Pads
    out: Pair
    groups: int
    pool: Pooling
    pooled: Pair


class Order(NamedTuple):
    """Kernels (F, C, kh, kw), seen as a matrix (k, n) at every position: rows and columns, and the steps between."""

    k: int
    n: int
    k_step: int
    n_step: int


def padded(offsets: np.ndarray) -> np.ndarray:
    """Return offsets with the last repeated, so that a tile that is not full can be taken for a full one."""
    return np.concatenate([offsets, np.repeat(offsets[-1:], MOST_HEIGHT)])


def sum_of_parts(parts: np.ndarray) -> np.ndarray:
    """Return the sum over the first axis: what the threads have summed up, each in its part."""
    return parts[0] if len(parts) == 1 else parts.sum(axis=0)


def filled_up(vector: np.ndarray | None, width: int, dtype: str) -> np.ndarray:
    """Return a bias of that width, with zeros for what there is none of."""
    if vector is not None and len(vector) == width and vector.flags.c_contiguous:
        return vector
    wide = np.zeros(width, dtype=dtype)
    if vector is not None:
        wide[: len(vector)] = vector
    return wide
