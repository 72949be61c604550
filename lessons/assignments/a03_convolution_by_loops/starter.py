"""Assignment 3: a convolution by loops. README.md, next to this file, says what to write."""

import numpy as np

ASSIGNMENT = "a03_convolution_by_loops"


def conv2d_forward(
    x: np.ndarray,
    w: np.ndarray,
    b: np.ndarray | None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
) -> np.ndarray:
    """Slide every kernel over every image: multiply number by number, add up, add the bias.

    x : (N, C, H, W), N images of C channels
    w : (F, C, kh, kw), F kernels
    b : (F,) or None
    stride, padding : one number for both directions, or (vertical, horizontal)
    y : (N, F, oh, ow), with oh = floor((H + 2 * padding - kh) / stride) + 1, and ow alike
    """
    raise NotImplementedError
