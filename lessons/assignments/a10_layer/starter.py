"""Assignment 10: a layer of your own. README.md, next to this file, says what to write."""

import numpy as np

from minicnn import nn

ASSIGNMENT = "a10_layer"


class Conv2d(nn.Layer):
    """A convolution that owns its kernels and its bias.

    weight : nn.Parameter, (out_channels, in_channels, kh, kw), float32
    bias : nn.Parameter, (out_channels,), float32
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        """Make the parameters and remember stride and padding; kernel_size is (kh, kw), or one number for both.

        weight : random, small, of mean 0, (out_channels, in_channels, kh, kw)
        bias : zeros, (out_channels,)
        """
        raise NotImplementedError

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Keep in self.saved what the backward pass needs, and return the convolution of x.

        x : (N, in_channels, H, W)
        y : (N, out_channels, oh, ow)
        """
        raise NotImplementedError

    def backward(self, dy: np.ndarray) -> np.ndarray:
        """Add to the gradients of weight and bias, and return dx.

        dy : (N, out_channels, oh, ow), the gradient of the loss with respect to the output of the last forward pass
        dx : (N, in_channels, H, W)
        """
        raise NotImplementedError
