"""Which inputs of two data sets are equal."""

from collections.abc import Iterator
from typing import Any

import numpy as np

BLOCK = 512
"""So many inputs are copied at a time."""


def equal_examples(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return rows (i, j) with x[i] equal to train[j], j the first; none for an x[i] that is one number throughout.

    x : (M, ...)   train : (N, ...)
    A hash of 64 bits finds the candidates, and these are compared: what is found is equal. That a collision of hashes
    hides a copy is possible; with 100,000 images the odds are below one to a thousand million.
    """
    if x.shape[1:] != train.shape[1:] or 0 in x.shape:
        return np.zeros((0, 2), dtype=np.int64)
    dtype = min(x.dtype, train.dtype, key=lambda dtype: dtype.itemsize)  # a float64 image may be a float32's copy
    first: dict[int, int] = {}
    for j, row in enumerate(_rows(train, dtype)):
        first.setdefault(hash(row.tobytes()), j)
    pairs = []
    for i, row in enumerate(_rows(x, dtype)):
        j = first.get(hash(row.tobytes()), -1)
        if j >= 0 and np.array_equal(row, train[j].astype(dtype).ravel()) and (row != row[0]).any():
            pairs.append((i, j))
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _rows(x: np.ndarray, dtype: Any) -> Iterator[np.ndarray]:
    """Yield each input as one row of numbers; adding 0 turns -0.0, which is equal to 0.0, into it."""
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        yield from block.astype(dtype, copy=False).reshape(len(block), -1) + 0
