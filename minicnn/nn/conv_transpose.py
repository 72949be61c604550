"""The transposed convolution, which makes images larger and has something to learn."""

import math
from fractions import Fraction

from minicnn import ops
from minicnn.backend import Array, CounterRng
from minicnn.errors import ArgumentError, whole_number
from minicnn.geometry import PairLike, pair, short
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.layer import Layer, Window, check_input, naming
from minicnn.nn.parameter import new_vector, new_weight


class ConvTranspose2d(Layer):
    """The adjoint of Conv2d: each pixel of x puts its kernels into y, times its value; what overlaps is added.

        y[n, f, i*stride + p*dilation - padding, ...] += x[n, c, i, ...] * W[c, f, p, ...]        beginning with b[f]

    x : (N, in_channels, H, W)
    W : (in_channels, out_channels / groups, kh, kw)   b : (out_channels,)
    y : (N, out_channels, oh, ow), with oh = (H - 1) * stride - 2 padding + dilation * (kh - 1) + output_padding + 1

    With `kernel_size=2, stride=2`, as in the U-Net, every pixel becomes 2 x 2 of its own. Kernels that are no multiple
    of their stride overlap unevenly, which leaves a checkerboard (Odena, Dumoulin and Olah, Distill, 2016).

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of x, and of y.
    kernel_size, stride, dilation : int or (int, int)
        Those of the convolution that this is the adjoint of.
    padding : int or (int, int)
        Pixels that are cut off on every side.
    output_padding : int or (int, int)
        Rows added at the bottom and columns at the right, less than the stride. A Conv2d with stride 2 makes 4 rows
        of 7 and of 8; this says which of them to go back to.
    groups : int
        Cut channels and kernels into that many parts that do not see each other.
    bias : bool
        Whether there is a b; it starts at zero.
    init : initialiser
        How W starts. As in PyTorch, it counts out_channels / groups * kh * kw as the fan-in.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PairLike,
        stride: PairLike = 1,
        padding: PairLike = 0,
        output_padding: PairLike = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: PairLike = 1,
        *,
        init: Initialiser = he_normal,
        rng: CounterRng | None = None,
    ) -> None:
        self.in_channels = whole_number("ConvTranspose2d: in_channels", in_channels)
        self.out_channels = whole_number("ConvTranspose2d: out_channels", out_channels)
        self.groups = whole_number("ConvTranspose2d: groups", groups)
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise ArgumentError(
                f"ConvTranspose2d: {in_channels} channels in and {out_channels} out do not divide into {groups} groups"
            )
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.padding = pair(padding, "padding", least=0)
        self.output_padding = pair(output_padding, "output_padding", least=0)
        self.dilation = pair(dilation, "dilation")
        if any(extra >= step for extra, step in zip(self.output_padding, self.stride, strict=True)):
            raise ArgumentError(
                f"ConvTranspose2d: output_padding {short(self.output_padding)} must be less than "
                f"the stride {short(self.stride)}"
            )
        self.weight = new_weight((self.in_channels, self.out_channels // self.groups, *self.kernel_size), init, rng)
        self.bias = new_vector(self.out_channels) if bias else None

    def forward(self, x: Array) -> Array:
        """x : (N, in_channels, H, W) -> y : (N, out_channels, oh, ow)"""
        check_input(self, x, ndim=4, channels=self.in_channels, like=self.weight.data)
        with naming(self):
            y = ops.conv_transpose2d_forward(
                x, self.weight.data, self.bias.data if self.bias else None, **self._options()
            )
        self.saved = x
        return y

    def backward(self, dy: Array) -> Array:
        """dy : (N, out_channels, oh, ow) -> dx : (N, in_channels, H, W)"""
        dx, dw, db = ops.conv_transpose2d_backward(
            dy, self.saved, self.weight.data, **self._options(), need_dx=self.need_dx
        )
        self.weight.add_grad(dw)
        if self.bias:
            self.bias.add_grad(db)
        return dx

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Every input position takes one for every weight."""
        return self.weight.data.size * math.prod(x_shape[2:])

    def window(self) -> Window:
        """Return how many pixels of x meet in one of y, and how far y's pixels lie apart on x."""
        spans = (d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))
        kh, kw = (-(-span // step) for span, step in zip(spans, self.stride, strict=True))
        return kh, kw, Fraction(1, self.stride[0]), Fraction(1, self.stride[1])

    def _options(self) -> dict:
        names = ("stride", "padding", "output_padding", "dilation", "groups")
        return {name: getattr(self, name) for name in names}

    def __repr__(self) -> str:
        options = {"stride": (1, 1), "padding": (0, 0), "output_padding": (0, 0), "groups": 1, "dilation": (1, 1)}
        shown = "".join(
            f", {name}={short(getattr(self, name))}"
            for name, default in options.items()
            if getattr(self, name) != default
        )
        bias = "" if self.bias else ", bias=False"
        return f"ConvTranspose2d({self.in_channels}, {self.out_channels}, {short(self.kernel_size)}{shown}{bias})"
