"""Pooling layers: smaller images, nothing to learn."""

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError
from minicnn.geometry import PaddingLike, PairLike, check_padding, pair, short
from minicnn.nn.layer import Layer, check_input, naming


class WindowPool(Layer):
    """What pooling layers share: a window of `kernel_size` that moves by `stride` over the padded image."""

    def __init__(self, kernel_size: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0) -> None:
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = self.kernel_size if stride is None else pair(stride, "stride")
        self.padding = check_padding(padding)
        if isinstance(self.padding, tuple) and any(
            p > k // 2 for p, k in zip(self.padding, self.kernel_size, strict=True)
        ):
            raise ArgumentError(f"{self!r}: padding may be at most half the kernel, or windows would see nothing else")

    def window(self) -> tuple[int, int, int, int]:
        """Return kernel and stride."""
        return (*self.kernel_size, *self.stride)

    def __repr__(self) -> str:
        stride = "" if self.stride == self.kernel_size else f", stride={short(self.stride)}"
        padding = "" if self.padding == (0, 0) else f", padding={short(self.padding)}"
        return f"{type(self).__name__}({short(self.kernel_size)}{stride}{padding})"


class MaxPool2d(WindowPool):
    """y[n, c, i, j] = the maximum of window (i, j) of x[n, c]; the first of equal maxima gets the gradient.

    x : (N, C, H, W)   y : (N, C, oh, ow)

    Parameters
    ----------
    kernel_size, stride : int or (int, int)
        Size of the window and distance between windows; by default they do not overlap (stride = kernel_size).
    padding : int, (int, int), "same" or "valid"
        A border that never wins the maximum; at most half the kernel.
    """

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C, oh, ow)"""
        check_input(self, x, ndim=4)
        with naming(self):
            y, argmax = ops.max_pool2d_forward(x, kernel=self.kernel_size, stride=self.stride, padding=self.padding)
        self.saved = argmax, x.shape
        return y

    def backward(self, dy: Array) -> Array:
        """dy : (N, C, oh, ow) -> dx : (N, C, H, W)"""
        argmax, shape = self.saved
        return ops.max_pool2d_backward(
            dy, argmax, shape=shape, kernel=self.kernel_size, stride=self.stride, padding=self.padding
        )


class AvgPool2d(WindowPool):
    """y[n, c, i, j] = the mean of window (i, j) of x[n, c]; padding counts as zeros.

    x : (N, C, H, W)   y : (N, C, oh, ow)

    Parameters
    ----------
    kernel_size, stride : int or (int, int)
        Size of the window and distance between windows; by default they do not overlap (stride = kernel_size).
    padding : int, (int, int), "same" or "valid"
        A border of zeros; at most half the kernel.
    """

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C, oh, ow)"""
        check_input(self, x, ndim=4)
        self.saved = x.shape
        with naming(self):
            return ops.avg_pool2d_forward(x, kernel=self.kernel_size, stride=self.stride, padding=self.padding)

    def backward(self, dy: Array) -> Array:
        """dy : (N, C, oh, ow) -> dx : (N, C, H, W)"""
        return ops.avg_pool2d_backward(
            dy, shape=self.saved, kernel=self.kernel_size, stride=self.stride, padding=self.padding
        )


class GlobalAvgPool2d(Layer):
    """y[n, c] = the mean of channel c, ready for a Linear layer.   x : (N, C, H, W)   y : (N, C)"""

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C)"""
        check_input(self, x, ndim=4)
        self.saved = x.shape
        return ops.global_avg_pool2d_forward(x)

    def backward(self, dy: Array) -> Array:
        """dy : (N, C) -> dx : (N, C, H, W)"""
        return ops.global_avg_pool2d_backward(dy, shape=self.saved)

    def window(self) -> None:
        """Every output sees all of the input."""
        return None

    def __repr__(self) -> str:
        return "GlobalAvgPool2d()"
