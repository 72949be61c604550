"""Assignment 4: a convolution as one matrix product. README.md, next to this file, says what to write."""

import numpy as np

ASSIGNMENT = "a04_im2col"


def im2col(
    x: np.ndarray,
    *,
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Unfold the windows of an image into columns.

    x : (N, C, H, W)
    kernel, stride, padding : one number for both directions, or (vertical, horizontal)
    cols : (N, C*kh*kw, oh*ow); column i * ow + j holds window (i, j): channel by channel, in each row by row
    """
    raise NotImplementedError


def col2im(
    cols: np.ndarray,
    *,
    shape: tuple[int, int, int, int],
    kernel: int | tuple[int, int],
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Add columns back into an image: the adjoint of `im2col`, sum(im2col(x) * cols) == sum(x * col2im(cols)).

    cols : (N, C*kh*kw, oh*ow)
    shape : (N, C, H, W), the shape of the image without padding
    kernel, stride, padding : as for `im2col`
    x : (N, C, H, W); each pixel is the sum of its entries in all columns
    """
    raise NotImplementedError


def conv2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """y[n] = W cols[n] + b, where cols are the unfolded windows of x and row f of W is kernel f in one line.

    x : (N, C, H, W)
    w : (F, C, kh, kw)
    b : (F,) or None
    y : (N, F, oh, ow)
    """
    raise NotImplementedError
