"""Random numbers from keys: Philox 4x32-10, a block cipher turned generator.

Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 4.3 and table 2. A counter of four 32-bit
words goes through ten rounds of multiplying and mixing with a key; out come four words that look random. There is no
state, so every number can be computed on its own, on any machine, in any order.
"""

import numpy as np

from minicnn.backend import Array, Key, array_module, slot

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10
MASK32 = 0xFFFFFFFF


@slot("bits")
def random_bits(key: Key, *, count: int, like: Array | None = None) -> Array:
    """Return the first `count` 32-bit numbers of a key: uint32, (count,), where `like` lives (the host without it).

    The Philox key is the seed; the counter is (block, stream, step), and each block gives four numbers.
    Raises OverflowError for more than 2^34 numbers.
    """
    xp = np if like is None else array_module(like)
    blocks = -(-count // 4)
    if blocks > 2**32:
        raise OverflowError(f"a key has 2**34 numbers, not {count}")
    counter = [
        xp.arange(blocks, dtype=xp.uint64),
        xp.full(blocks, key.stream, dtype=xp.uint64),
        xp.full(blocks, key.step & MASK32, dtype=xp.uint64),
        xp.full(blocks, key.step >> 32, dtype=xp.uint64),
    ]
    words = philox(counter, (key.seed & MASK32, key.seed >> 32))
    return xp.stack(words, axis=1).astype(xp.uint32).reshape(-1)[:count]


def philox(counter: list[Array], key: tuple[int, int]) -> list[Array]:
    """Encrypt a counter of four 32-bit words (uint64 arrays, so that products have room) under a key of two.

    One round takes (c0, c1, c2, c3) to (hi(m1 c2) ^ c1 ^ k0, lo(m1 c2), hi(m0 c0) ^ c3 ^ k1, lo(m0 c0)).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    u64 = array_module(c0).uint64
    m0, m1, mask, half = u64(MULTIPLIERS[0]), u64(MULTIPLIERS[1]), u64(MASK32), u64(32)
    for _ in range(ROUNDS):
        p0, p1 = m0 * c0, m1 * c2
        c0, c1, c2, c3 = (p1 >> half) ^ c1 ^ u64(k0), p1 & mask, (p0 >> half) ^ c3 ^ u64(k1), p0 & mask
        k0, k1 = (k0 + KEY_STEPS[0]) & MASK32, (k1 + KEY_STEPS[1]) & MASK32
    return [c0, c1, c2, c3]


def random_keys(key: Key, count: int) -> list[Key]:
    """Return keys that are made of a key's random numbers, for parts that each draw on their own.

    Whoever hands such keys on draws nothing else from the key itself. Two parts meet with a probability of 2^-128.
    """
    words = random_bits(key, count=4 * count).reshape(count, 4)
    return [Key(int(a) | int(b) << 32, int(c), int(d)) for a, b, c, d in words]


def random_uniform(key: Key, *, shape: tuple[int, ...]) -> np.ndarray:
    """Return numbers uniform in [0, 1) with 53 random bits each, float64, on the host."""
    count = int(np.prod(shape))
    return _uniform_from_bits(random_bits(key, count=2 * count)).reshape(shape)


def random_normal(key: Key, *, shape: tuple[int, ...]) -> np.ndarray:
    """Return standard normal numbers, float64, on the host.

    They are drawn on the host for every backend, so that a network starts from the same bits everywhere: logarithms and
    cosines of different libraries differ in the last bit. Box and Muller, 1958: sqrt(-2 ln u) * cos(2 pi v).
    """
    count = int(np.prod(shape))
    u, v = _uniform_from_bits(random_bits(key, count=4 * count)).reshape(2, count)
    return (np.sqrt(-2 * np.log1p(-u)) * np.cos(2 * np.pi * v)).reshape(shape)  # 1 - u is never 0


def random_permutation(key: Key, count: int) -> np.ndarray:
    """Return 0 .. count-1 in random order (int64, on the host): the order that sorts `count` random 64-bit numbers."""
    high, low = random_bits(key, count=2 * count).astype(np.uint64).reshape(2, count)
    return np.argsort((high << np.uint64(32)) | low, kind="stable")


def _uniform_from_bits(bits: np.ndarray) -> np.ndarray:
    """Two 32-bit numbers make one of 53 bits: 27 bits of the one, 26 of the other."""
    high, low = bits.reshape(2, -1).astype(np.float64) // np.array([[2.0**5], [2.0**6]])
    return (high * 2.0**26 + low) * 2.0**-53
