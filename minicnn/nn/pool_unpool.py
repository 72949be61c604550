"""Pooling that remembers where its maxima stood, and unpooling that puts numbers back there."""

from fractions import Fraction

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ShapeError, expect_kind
from minicnn.geometry import PairLike, short
from minicnn.nn.containers import back_in, run_in
from minicnn.nn.layer import Layer, Window
from minicnn.nn.pool import MaxPool2d, WindowPool


class PoolUnpool(Layer):
    """y = unpool(body(pool(x))), where unpooling puts each number where the maximum of its window stood, among zeros.

    x : (N, C, H, W) -> pooled (N, C, oh, ow) -> body, the same shape -> y : (N, C, H, W)

    It is one stage of SegNet, with the deeper stages inside the body:

        stage = nn.PoolUnpool(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()))

    Only the places are handed across, no values, so that edges stay where they are at a byte a window. Badrinarayanan,
    Kendall and Cipolla, "SegNet: a deep convolutional encoder-decoder architecture for image segmentation", TPAMI 2017,
    section 3.

    Parameters
    ----------
    body : Layer
        What comes between; its output has the shape of its input. Raises `ShapeError` in `forward` if not.
    kernel_size, stride : int or (int, int)
        Those of the pooling; by default windows do not overlap (stride = kernel_size). Where windows overlap and share
        a maximum, the numbers that come back for it are added (PyTorch's MaxUnpool2d keeps one of them).
    """

    def __init__(self, body: Layer, kernel_size: PairLike = 2, stride: PairLike | None = None) -> None:
        self.pool = MaxPool2d(kernel_size, stride)
        self.body = expect_kind(Layer, body, "PoolUnpool: body")
        self.unpool = Unpool(kernel_size, stride)

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C, H, W)"""
        pooled = run_in(self, "pool", self.pool, x)
        argmax, shape = self.pool.saved
        y = run_in(self, "body", self.body, pooled)
        if y.shape != pooled.shape:
            raise ShapeError(
                f"{self!r}: the body made {y.shape} of {pooled.shape}; it has to keep the shape, "
                "for each number goes back to the place of a maximum"
            )
        return run_in(self, "unpool", self.unpool, y, argmax, shape)

    def backward(self, dy: Array) -> Array:
        """Back through unpooling, body and pooling."""
        dy = back_in(self, "unpool", self.unpool, dy)
        dy = back_in(self, "body", self.body, dy)
        return back_in(self, "pool", self.pool, dy)

    def __repr__(self) -> str:
        return f"PoolUnpool({self.body!r}, {repr(self.pool).removeprefix('MaxPool2d(')}"


class Unpool(WindowPool):
    """y = the numbers of x where the maxima of the windows stood, and zeros elsewhere."""

    def forward(self, x: Array, argmax: Array, shape: tuple[int, int, int, int]) -> Array:  # type: ignore[override]
        """x, argmax : (N, C, oh, ow) -> y : (N, C, H, W) = shape"""
        self.saved = argmax
        return ops.max_unpool2d_forward(x, argmax, shape=shape, kernel=self.kernel_size, stride=self.stride)

    def backward(self, dy: Array) -> Array:
        """dy : (N, C, H, W) -> dx : (N, C, oh, ow)"""
        return ops.max_unpool2d_backward(dy, self.saved, kernel=self.kernel_size, stride=self.stride)

    def window(self) -> Window:
        """Each number is seen alone, by `stride` as many pixels."""
        return 1, 1, Fraction(1, self.stride[0]), Fraction(1, self.stride[1])

    def __repr__(self) -> str:
        stride = "" if self.stride == self.kernel_size else f", stride={short(self.stride)}"
        return f"Unpool({short(self.kernel_size)}{stride})"
