"""ReLU in one pass over memory, whatever its order, divided among the threads."""

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.kernels.numba.memory import flat, is_float

PASS = 4
"""The cost of reading and writing a number, in multiply-adds."""


def relu_forward(x: Array) -> Array:
    """One pass in threads; y lies in memory as x does."""
    y = np.empty_like(x)
    flats = flat(x, y)
    if flats is None or not is_float(x):
        return plain_body("relu_forward")(x)
    from_x, to_y = flats
    in_threads(lambda first, last: _relu(from_x[first:last], to_y[first:last]), x.size, cost=PASS)
    return y


def relu_backward(dy: Array, y: Array) -> Array:
    """One pass in threads; dx lies in memory as y does."""
    dx = np.empty_like(y)
    flats = flat(dy, y, dx)
    if flats is None or dy.shape != y.shape or not is_float(dy, y):
        return plain_body("relu_backward")(dy, y)
    from_dy, from_y, to_dx = flats
    in_threads(lambda a, b: _relu_gradient(from_dy[a:b], from_y[a:b], to_dx[a:b]), y.size, cost=PASS)
    return dx


@njit(nogil=True, cache=True)
def _relu(x, y):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        y[i] = x[i] if x[i] > 0 or x[i] != x[i] else 0  # a NaN stays one


@njit(nogil=True, cache=True)
def _relu_gradient(dy, y, dx):  # type: ignore[no-untyped-def]
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else 0
