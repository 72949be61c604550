"""One pass over all numbers of some arrays of one shape, in the order in which they lie in memory, in threads."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backend import Array, in_threads
from minicnn.kernels.numba.memory import flat, laid_as

PASS = 4
"""The cost of reading and writing a number, in multiply-adds."""
SHORT = 1 << 15
"""Numbers that are not worth a second thread."""


def one_pass(loop: Callable, arrays: tuple[Array, ...], out: Array, *scalars: Any) -> np.ndarray:
    """Call loop(*arrays, out, *scalars) on the arrays as flat ones; return `out`, a new array of their shape.

    Arrays that have gaps, or lie otherwise than `out`, are copied first.
    """
    flats = flat(*arrays, out)
    if flats is None:
        return one_pass(loop, tuple(laid_as(out, array) for array in arrays), out, *scalars)
    pass_over(loop, flats, *scalars)
    return out


def pass_over(loop: Callable, flats: list[np.ndarray], *scalars: Any) -> None:
    """Call loop(*flats, *scalars), in every thread on a stretch of the flat arrays where there is enough to do."""
    size = flats[0].size
    if size < SHORT:
        loop(*flats, *scalars)  # by far the most calls are short: what is not needed is not done
    else:
        in_threads(lambda first, last: loop(*[whole[first:last] for whole in flats], *scalars), size, cost=PASS)
