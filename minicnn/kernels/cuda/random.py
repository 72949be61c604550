"""Philox 4x32-10 and dropout: every thread makes four random numbers from a counter, and uses them where they are."""

import numpy as np

from minicnn.backend import Array, Key, plain_body
from minicnn.kernels.cuda.module import KEY, contiguous, for_each, is_real, new

MASK32 = 0xFFFFFFFF
MOST = 2**34
FLOAT = np.dtype(np.float32)
"""The compilation that a kernel without real numbers is taken from."""


def random_bits(key: Key, *, count: int, like: Array | None = None) -> Array:
    """One launch; no counters are stored."""
    if like is None or isinstance(like, np.ndarray) or not 0 < count <= MOST:
        return plain_body("random_bits")(key, count=count, like=like)
    bits = new((count,), like, np.uint32)
    for_each("random_bits", FLOAT, -(-count // 4), bits, words(key), np.int64(count))
    return bits


def dropout_forward(x: Array, *, p: float, key: Key) -> tuple[Array, Array]:
    """One launch; the random numbers never go to memory."""
    if not is_real(x) or x.size == 0 or x.size > MOST:
        return plain_body("dropout_forward")(x, p=p, key=key)
    y, mask, threshold = new(x.shape, x), new(x.shape, x, np.uint8), np.uint32(min(int(p * 2**32), MASK32))
    arguments = words(key), threshold, _scale(p), np.int64(x.size)
    for_each("dropout_forward", x.dtype, -(-x.size // 4), contiguous(x), y, mask, *arguments)
    return y, mask.view(np.bool_)


def dropout_backward(dy: Array, mask: Array, *, p: float) -> Array:
    """One launch."""
    if not is_real(dy) or mask.shape != dy.shape or mask.dtype != np.bool_:
        return plain_body("dropout_backward")(dy, mask, p=p)
    dx, kept = new(dy.shape, dy), contiguous(mask).view(np.uint8)
    for_each("dropout_backward", dy.dtype, dx.size, contiguous(dy), kept, dx, _scale(p), np.int64(dx.size))
    return dx


def words(key: Key) -> np.ndarray:
    """Return a key as the kernels want it."""
    return np.array((key.seed & MASK32, key.seed >> 32, key.stream, key.step & MASK32, key.step >> 32), dtype=KEY)


def _scale(p: float) -> float:
    return float(1 / (1 - p)) if p < 1 else 0.0
