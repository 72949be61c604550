"""Assignment 6: max and average pooling. README.md, next to this file, says what to write."""

import numpy as np

ASSIGNMENT = "a06_pooling"


def max_pool2d_forward(
    x: np.ndarray,
    *,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of every window, and where in the window it stands; the first of equal maxima wins.

    x : (N, C, H, W)
    kernel, stride, padding : one number for both directions, or (vertical, horizontal)
    stride : None means the kernel's size
    y : (N, C, oh, ow)
    argmax : (N, C, oh, ow), integers: p * kw + q for a maximum in row p and column q of its window
    """
    raise NotImplementedError


def max_pool2d_backward(
    dy: np.ndarray,
    argmax: np.ndarray,
    *,
    shape: tuple[int, int, int, int],
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Return dx, the gradient of the loss with respect to the input of `max_pool2d_forward`.

    dy : (N, C, oh, ow), the gradient of the loss with respect to y
    argmax : (N, C, oh, ow), as the forward pass returned it
    shape : (N, C, H, W), the shape of x
    kernel, stride, padding : as in the forward pass
    dx : (N, C, H, W)
    """
    raise NotImplementedError


def avg_pool2d_forward(
    x: np.ndarray,
    *,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Return the mean of every window; the zeros of the padding count.

    x : (N, C, H, W)
    kernel, stride, padding : as for `max_pool2d_forward`
    y : (N, C, oh, ow)
    """
    raise NotImplementedError


def avg_pool2d_backward(
    dy: np.ndarray,
    *,
    shape: tuple[int, int, int, int],
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] | None = None,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Return dx, the gradient of the loss with respect to the input of `avg_pool2d_forward`.

    dy : (N, C, oh, ow), the gradient of the loss with respect to y
    shape : (N, C, H, W), the shape of x
    kernel, stride, padding : as in the forward pass
    dx : (N, C, H, W)
    """
    raise NotImplementedError
