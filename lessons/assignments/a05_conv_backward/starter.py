"""Assignment 5: the backward pass of a convolution. README.md, next to this file, says what to write."""

import numpy as np

ASSIGNMENT = "a05_conv_backward"


def conv2d_backward(
    dy: np.ndarray,
    x: np.ndarray,
    w: np.ndarray,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return dx, dw, db, the gradients of the loss with respect to the inputs of `conv2d_forward`.

    dy : (N, F, oh, ow), the gradient of the loss with respect to y
    x : (N, C, H, W), as in the forward pass
    w : (F, C, kh, kw), as in the forward pass
    stride, padding : one number for both directions, or (vertical, horizontal)
    dx : (N, C, H, W)
    dw : (F, C, kh, kw)
    db : (F,)
    """
    raise NotImplementedError
