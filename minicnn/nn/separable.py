"""Separable convolution: first along the image, channel by channel, then across the channels, pixel by pixel."""

from minicnn.backend import CounterRng, default_rng
from minicnn.geometry import PaddingLike, PairLike
from minicnn.nn.containers import Sequential
from minicnn.nn.conv import Conv2d
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.layer import Layer


class SeparableConv2d(Sequential):
    """y = pointwise(depthwise(x)): a kernel for each channel, then a 1 x 1 convolution that mixes the channels.

    x : (N, in_channels, H, W)   depthwise.weight : (in_channels, 1, kh, kw)
    pointwise.weight : (out_channels, in_channels, 1, 1)   pointwise.bias : (out_channels,)
    y : (N, out_channels, oh, ow), as of `Conv2d`

    It has kh kw + out_channels products for each channel in and pixel out, where `Conv2d` has kh kw out_channels: for
    3 x 3 kernels and many channels out an eighth or a ninth. Chollet, "Xception: deep learning with depthwise separable
    convolutions", 2017; Howard et al., "MobileNets", 2017, section 3.1, equations 3 to 5. (MobileNets have batch norm
    and ReLU between the two; that is a Sequential of a `Conv2d(groups=in_channels)` and the others.)

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride, padding, dilation
        As of `Conv2d`; all but out_channels concern the depthwise convolution.
    bias : bool
        Whether the pointwise convolution has a bias, which starts at zero; the depthwise one needs none.
    init : initialiser
        How both weights start.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PairLike,
        stride: PairLike = 1,
        padding: PaddingLike = 0,
        dilation: PairLike = 1,
        bias: bool = True,
        *,
        init: Initialiser = he_normal,
        rng: CounterRng | None = None,
    ) -> None:
        rng = rng if rng is not None else default_rng()
        along = Conv2d(
            in_channels, in_channels, kernel_size, stride, padding, dilation, in_channels, False, init=init, rng=rng
        )
        across = Conv2d(in_channels, out_channels, 1, bias=bias, init=init, rng=rng)
        super().__init__({"depthwise": along, "pointwise": across})

    @property
    def depthwise(self) -> Layer:
        """The convolution along the image, of each channel by itself."""
        return self["depthwise"]

    @property
    def pointwise(self) -> Layer:
        """The 1 x 1 convolution across the channels."""
        return self["pointwise"]

    def __repr__(self) -> str:
        return f"SeparableConv2d({self.depthwise!r}, {self.pointwise!r})"
