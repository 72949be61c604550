"""Assignment 11: a convolution that is fast. README.md, next to this file, says what to write."""

import numba
import numpy as np

ASSIGNMENT = "a11_numba"


def conv2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """The convolution of assignment 3: make pairs of stride and padding, make room for y, call `forward_loops`.

    x : (N, C, H, W)
    w : (F, C, kh, kw)
    b : (F,) or None
    stride, padding : one number for both directions, or (vertical, horizontal)
    y : (N, F, oh, ow)
    """
    raise NotImplementedError


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dw, db as in assignment 5: make room for them, call `backward_loops`.

    dy : (N, F, oh, ow)
    x, w : as in the forward pass
    dx : (N, C, H, W)
    dw : (F, C, kh, kw)
    db : (F,)
    """
    raise NotImplementedError


@numba.njit
def forward_loops(x, w, y, stride, padding):
    """Fill y, in compiled loops. Name and arguments are a proposal: change them, and write more such functions.

    x : (N, C, H, W)   w : (F, C, kh, kw)   y : (N, F, oh, ow)   stride, padding : (vertical, horizontal)
    """
    raise NotImplementedError


@numba.njit
def backward_loops(dy, x, w, dx, dw, stride, padding):
    """Fill dx and dw, in compiled loops. This too is a proposal.

    dy : (N, F, oh, ow)   x, dx : (N, C, H, W)   w, dw : (F, C, kh, kw)   stride, padding : (vertical, horizontal)
    """
    raise NotImplementedError
