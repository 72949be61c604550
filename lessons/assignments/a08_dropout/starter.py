"""Assignment 8: dropout. README.md, next to this file, says what to write."""

import numpy as np

from minicnn import ops  # noqa: F401 (for ops.random_bits, the one operation that you may use)

ASSIGNMENT = "a08_dropout"


def dropout_forward(x: np.ndarray, *, p: float, key: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """y = x * mask / (1 - p), where each entry of the mask is True with probability 1 - p.

    x, y : any shape
    p : the probability that a number is switched off, from 0 to 1
    key : names the random numbers, ops.random_bits(key, count=x.size)
    mask : booleans of the shape of x; the n-th number of x, row by row, is kept where the n-th of them >= p * 2^32
    """
    raise NotImplementedError


def dropout_backward(dy: np.ndarray, mask: np.ndarray, *, p: float) -> np.ndarray:
    """Return dx, the gradient of the loss with respect to the input of `dropout_forward`.

    dy, dx : any shape
    mask : booleans of that shape, as the forward pass returned them
    p : as in the forward pass
    """
    raise NotImplementedError
