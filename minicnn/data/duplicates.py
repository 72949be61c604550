"""Which inputs of two data sets are equal."""

import itertools

import numpy as np


def equal_examples(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return rows (i, j) with x[i] equal to train[j], j the first; none for an x[i] that is constant.

    x : (M, ...)   train : (N, ...)
    Hashes find the candidates, and each is then compared: a collision of hashes is not taken for a copy.
    """
    if x.shape[1:] != train.shape[1:] or 0 in x.shape:
        return np.zeros((0, 2), dtype=np.int64)
    dtype = min(x.dtype, train.dtype, key=lambda dtype: dtype.itemsize)  # a float64 image may be a float32's copy
    at: dict[int, list[int]] = {}
    for j, row in enumerate(train):
        at.setdefault(_hash(row, dtype), []).append(j)
    pairs = []
    for i, row in enumerate(x):
        copies = (j for j in at.get(_hash(row, dtype), ()) if np.array_equal(row.astype(dtype), train[j].astype(dtype)))
        if (row != row.flat[0]).any():
            pairs += [(i, j) for j in itertools.islice(copies, 1)]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _hash(row: np.ndarray, dtype: np.dtype) -> int:
    """Hash a row's numbers; adding 0 turns -0.0, which is equal to 0.0, into it."""
    return hash((row.astype(dtype, copy=False) + 0).tobytes())
