"""Pooling layers: smaller images, nothing to learn."""

from fractions import Fraction

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import PaddingLike, PairLike, check_padding, pair, short
from minicnn.nn.layer import Layer, Window, check_input, naming
from minicnn.ops.adaptive_pool import adaptive_regions


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

    def window(self) -> Window | None:
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


class AdaptiveAvgPool2d(Layer):
    """y[n, c, i, j] = the mean of region (i, j) of x[n, c], which is cut into oh x ow regions, whatever its size.

    x : (N, C, H, W)   y : (N, C, oh, ow)

    Region i has rows floor(i * H / oh) to ceil((i + 1) * H / oh) - 1, as in PyTorch: regions share a row where they do
    not come out even, and there may be more of them than rows. `GlobalAvgPool2d` is the case of one region, flattened.

    Parameters
    ----------
    output_size : int or (int, int)
        (oh, ow); one number for both.
    """

    def __init__(self, output_size: PairLike) -> None:
        self.output_size = pair(output_size, "AdaptiveAvgPool2d: output_size")

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C, oh, ow)"""
        check_input(self, x, ndim=4)
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self!r}: an image of {x.shape[2]} x {x.shape[3]} pixels has no mean")
        self.saved = x.shape
        return ops.adaptive_avg_pool2d_forward(x, output_size=self.output_size)

    def backward(self, dy: Array) -> Array:
        """dy : (N, C, oh, ow) -> dx : (N, C, H, W)"""
        return ops.adaptive_avg_pool2d_backward(dy, shape=self.saved)

    def window(self) -> Window | None:
        """Return the largest region and the distance between them, on the image of the last forward pass."""
        if self.output_size == (1, 1):
            return None
        (h, w), (oh, ow) = self.saved[2:], self.output_size
        kh, kw = (max(end - start for start, end in adaptive_regions(*axis)) for axis in ((h, oh), (w, ow)))
        return kh, kw, Fraction(h, oh), Fraction(w, ow)

    def __repr__(self) -> str:
        return f"AdaptiveAvgPool2d({short(self.output_size)})"
