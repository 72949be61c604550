"""Dropout whose random numbers never reach memory: they become a mask of one byte each in the registers."""

import numpy as np
from numba import njit

from minicnn.backend import Array, Key, in_threads, plain_body
from minicnn.kernels.numba.elementwise import one_pass
from minicnn.kernels.numba.memory import is_float, laid_as
from minicnn.kernels.numba.random import BLOCK, MOST_BLOCKS, key_words, philox


def dropout_forward(x: Array, *, p: float, key: Key) -> tuple[Array, Array]:
    """The mask is drawn in row-major order, then x is scaled in one pass; y and the mask lie in memory as x does."""
    blocks = -(-x.size // 4)
    if not is_float(x) or not 0 < blocks <= MOST_BLOCKS:
        return plain_body("dropout_forward")(x, p=p, key=key)
    words, least = key_words(key), min(int(p * 2**32), 2**32 - 1)
    mask = np.empty(4 * blocks, dtype=np.bool_)
    in_threads(lambda a, b: _mask(words, a, least, mask[4 * a : 4 * b]), blocks, cost=BLOCK)
    y = np.empty_like(x)
    mask = laid_as(y, mask[: x.size].reshape(x.shape))
    return one_pass(_scale, (x, mask), y, *_factors(x, p)), mask


def dropout_backward(dy: Array, mask: Array, *, p: float) -> Array:
    """One pass; dx lies in memory as dy does."""
    if dy.shape != mask.shape or mask.dtype != np.bool_ or not is_float(dy):
        return plain_body("dropout_backward")(dy, mask, p=p)
    return one_pass(_scale, (dy, mask), np.empty_like(dy), *_factors(dy, p))


def _factors(x: Array, p: float) -> tuple[np.floating, np.floating]:
    """Return what numbers that stay and numbers that go are multiplied by, as numbers of x's type."""
    return x.dtype.type(1 / (1 - p) if p < 1 else 0), x.dtype.type(0)


@njit(nogil=True, cache=True)
def _mask(words, first, least, mask):  # type: ignore[no-untyped-def]
    limit = np.uint64(least)
    for block in range(mask.size // 4):
        i = 4 * block
        w0, w1, w2, w3 = philox(words, first + block)
        mask[i], mask[i + 1], mask[i + 2], mask[i + 3] = w0 >= limit, w1 >= limit, w2 >= limit, w3 >= limit


@njit(nogil=True, cache=True)
def _scale(x, mask, y, on, off):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        y[i] = x[i] * (on if mask[i] else off)  # a NaN that goes stays one, as in the body
