"""The shortcut without parameters that joins two stages of a residual network."""

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, whole_number
from minicnn.geometry import PairLike, pair, short
from minicnn.nn.layer import Layer, check_input


class ZeroPadShortcut(Layer):
    """y[n, c, i, j] = x[n, c, i*stride, j*stride] for c < in_channels, and 0 for the channels that are new.

    x : (N, in_channels, H, W)
    y : (N, out_channels, ceil(H / stride), ceil(W / stride))

    He et al., "Deep residual learning for image recognition", 2016, section 3.3, option A. `Residual(body, shortcut)`
    takes it where the body changes channels or size and the shortcut is to stay free of parameters.
    Raises `ArgumentError` unless out_channels is at least in_channels.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: PairLike = 1) -> None:
        self.in_channels = whole_number("ZeroPadShortcut: in_channels", in_channels)
        self.out_channels = whole_number("ZeroPadShortcut: out_channels", out_channels)
        self.stride = pair(stride, "stride")
        if out_channels < in_channels:
            raise ArgumentError(
                f"ZeroPadShortcut: zeros can only add channels, not make {out_channels} of {in_channels}; "
                "take a 1x1 Conv2d"
            )

    def forward(self, x: Array) -> Array:
        """Take every stride-th pixel, and add channels of zeros."""
        check_input(self, x, ndim=4, channels=self.in_channels)
        self.saved = x.shape
        vertical, horizontal = self.stride
        chosen = x[:, :, ::vertical, ::horizontal]
        y = _zeros(chosen, (len(x), self.out_channels, *chosen.shape[2:]))
        y[:, : self.in_channels] = chosen
        return y

    def backward(self, dy: Array) -> Array:
        """Put the gradients of the kept pixels in their places; the others had no part in y."""
        dx = _zeros(dy, self.saved)
        vertical, horizontal = self.stride
        dx[:, :, ::vertical, ::horizontal] = dy[:, : self.in_channels]
        return dx

    def window(self) -> tuple[int, int, int, int]:
        """One pixel, and the stride."""
        return 1, 1, *self.stride

    def __repr__(self) -> str:
        stride = "" if self.stride == (1, 1) else f", stride={short(self.stride)}"
        return f"ZeroPadShortcut({self.in_channels}, {self.out_channels}{stride})"


def _zeros(like: Array, shape: tuple[int, ...]) -> Array:
    """Return zeros of another shape in the memory order of an array: what is added to them lies alike."""
    return array_module(like).zeros_like(like, shape=shape)
