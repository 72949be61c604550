"""Philox 4x32-10 in registers, many blocks at once: the same bits as `minicnn.ops.random` gives."""

import numpy as np
from numba import njit

from minicnn.backend import Array, Key, in_threads, plain_body

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
MASK32 = 0xFFFFFFFF
MOST_BLOCKS = 2**32
BLOCK = 16
"""The cost of a block of four numbers, in multiply-adds."""


def random_bits(key: Key, *, count: int, like: Array | None = None) -> np.ndarray:
    """No counters are stored. Blocks are divided among the threads."""
    blocks = -(-count // 4)
    if not 0 < blocks <= MOST_BLOCKS:
        return plain_body("random_bits")(key, count=count, like=like)
    bits, words = np.empty(4 * blocks, dtype=np.uint32), key_words(key)
    in_threads(lambda a, b: _bits(words, a, bits[4 * a : 4 * b]), blocks, cost=BLOCK)
    return bits[:count]


def key_words(key: Key) -> tuple[int, ...]:
    """Return what the cipher gets of a key: the seed in two words of 32 bits, the stream, and the step in two words."""
    seed, stream, step = key
    return seed & MASK32, seed >> 32, stream, step & MASK32, step >> 32


@njit(nogil=True, cache=True)
def _bits(words, first, bits):  # type: ignore[no-untyped-def]
    for block in range(bits.size // 4):
        i = 4 * block
        bits[i], bits[i + 1], bits[i + 2], bits[i + 3] = philox(words, first + block)


@njit(forceinline=True)
def philox(words, block):  # type: ignore[no-untyped-def]
    """Return the four numbers of a block, as uint64."""
    k0, k1 = np.uint64(words[0]), np.uint64(words[1])
    c0, c1, c2, c3 = np.uint64(block), np.uint64(words[2]), np.uint64(words[3]), np.uint64(words[4])
    m0, m1 = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
    step0, step1 = np.uint64(KEY_STEPS[0]), np.uint64(KEY_STEPS[1])
    half, mask = np.uint64(32), np.uint64(MASK32)
    for _ in range(ROUNDS):
        p0, p1 = m0 * c0, m1 * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ k0, p1 & mask, (p0 >> half) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + step0) & mask, (k1 + step1) & mask
    return c0, c1, c2, c3
