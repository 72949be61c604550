"""The convolutional layer."""

import math

from minicnn import ops
from minicnn.backend import Array, CounterRng
from minicnn.errors import ArgumentError, listed, whole_number
from minicnn.geometry import PaddingLike, Pair, PairLike, check_padding, conv_windows, pair, settle_padding, short
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.layer import Layer, check_input, naming
from minicnn.nn.parameter import new_vector, new_weight

ALGORITHMS = ("auto", "im2col", "direct", "winograd")


class Conv2d(Layer):
    """y[n, f, i, j] = b[f] + sum over c, p, q of W[f, c, p, q] * x[n, c, i*stride + p*dilation, j*stride + q*dilation]

    x : (N, in_channels, H, W)
    W : (out_channels, in_channels / groups, kh, kw)   b : (out_channels,)
    y : (N, out_channels, oh, ow), with oh = floor((H + 2 padding - dilation * (kh - 1) - 1) / stride) + 1

    Parameters
    ----------
    in_channels, out_channels : int
        Channels of the image, and number of kernels.
    kernel_size, stride, dilation : int or (int, int)
        One number for both directions, or (vertical, horizontal).
    padding : int, (int, int), "same" or "valid"
        Zeros around the image; "same" keeps ceil(H / stride) rows and columns alike.
    groups : int
        Cut channels and kernels into that many parts that do not see each other; `groups=in_channels` is depthwise.
    bias : bool
        Whether there is a b; it starts at zero.
    init : initialiser
        How W starts.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    algorithm : str
        How it is computed: "auto", "im2col", "direct" or "winograd", as `ops.conv2d_forward` has it.
        "auto" takes Winograd's for float32, 3 x 3 or 5 x 5 and 16 channels or more on the backend "numba"; it rounds a
        few times more, over tiles of outputs at a time, so that an infinity makes NaN of its neighbours.
    """

    _known_case: tuple[tuple, dict, Pair] = ((), {}, (0, 0))

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PairLike,
        stride: PairLike = 1,
        padding: PaddingLike = 0,
        dilation: PairLike = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Initialiser = he_normal,
        rng: CounterRng | None = None,
        algorithm: str = "auto",
    ) -> None:
        in_channels = whole_number("Conv2d: in_channels", in_channels)
        out_channels = whole_number("Conv2d: out_channels", out_channels)
        groups = whole_number("Conv2d: groups", groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"Conv2d: {in_channels} channels in and {out_channels} out do not divide into {groups} groups"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = pair(kernel_size, "kernel_size")
        self.stride = pair(stride, "stride")
        self.padding = check_padding(padding)
        self.dilation = pair(dilation, "dilation")
        self.groups = groups
        if algorithm not in ALGORITHMS:
            raise ArgumentError(f"Conv2d: algorithm must be one of {listed(ALGORITHMS)}, not {algorithm!r}")
        self.algorithm = algorithm
        self.weight = new_weight((out_channels, in_channels // groups, *self.kernel_size), init, rng)
        self.bias = new_vector(out_channels) if bias else None

    def forward(self, x: Array) -> Array:
        """x : (N, in_channels, H, W) -> y : (N, out_channels, oh, ow)"""
        check_input(self, x, ndim=4, channels=self.in_channels, like=self.weight.data)
        with naming(self):
            y = ops.conv2d_forward(x, self.weight.data, self.bias.data if self.bias else None, **self.options(x))
        self.saved = x
        return y

    def backward(self, dy: Array) -> Array:
        """dy : (N, out_channels, oh, ow) -> dx : (N, in_channels, H, W)"""
        x = self.saved
        return self.add_grads(*ops.conv2d_backward(dy, x, self.weight.data, **self.options(x), need_dx=self.need_dx))

    def add_grads(self, dx: Array, dw: Array, db: Array) -> Array:
        """Add to the parameters' gradients and hand on dx."""
        self.weight.add_grad(dw)
        if self.bias:
            self.bias.add_grad(db)
        return dx

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Every output position takes one for every weight."""
        return self.weight.data.size * math.prod(y_shape[2:])

    def window(self) -> tuple[int, int, int, int]:
        """Return the kernel, spread out by the dilation, and the stride."""
        spread = (d * (k - 1) + 1 for k, d in zip(self.kernel_size, self.dilation, strict=True))
        return (*spread, *self.stride)  # type: ignore[return-value]

    def options(self, x: Array) -> dict:
        """Return what the operation is told: stride and dilation as pairs, padding too unless it is lopsided."""
        return dict(self._case(x)[1])

    def output_size(self, x: Array) -> Pair:
        """Return (oh, ow)."""
        return self._case(x)[2]

    def _case(self, x: Array) -> tuple[tuple, dict, Pair]:
        """Return what an image size comes to: it is nearly always that of the last time, and then known already."""
        size, kernel = x.shape[2:], self.kernel_size
        key = size, kernel, self.stride, self.padding, self.dilation, self.groups, self.algorithm
        known = self._known_case
        if known[0] != key:
            geometry = {"stride": self.stride, "dilation": self.dilation}
            padding = settle_padding(self.padding, size=size, kernel=kernel, **geometry)
            _, out = conv_windows(x.shape, kernel, self.stride, self.padding, self.dilation)
            chosen = {} if self.algorithm == "auto" else {"algorithm": self.algorithm}
            known = self._known_case = key, {**geometry, "padding": padding, "groups": self.groups, **chosen}, out
        return known

    def __repr__(self) -> str:
        options = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1}
        shown = "".join(
            f", {name}={short(getattr(self, name))}"
            for name, default in options.items()
            if getattr(self, name) != default
        )
        bias = "" if self.bias else ", bias=False"
        return f"Conv2d({self.in_channels}, {self.out_channels}, {short(self.kernel_size)}{shown}{bias})"
