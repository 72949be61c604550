"""Squeeze and excitation: what a whole image shows decides how much each channel counts."""

from minicnn.backend import Array, CounterRng, default_rng
from minicnn.errors import whole_number
from minicnn.nn.activation import ReLU, Sigmoid
from minicnn.nn.containers import Sequential, back_in, run_in
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.linear import Linear
from minicnn.nn.pool import GlobalAvgPool2d


class SqueezeExcitation(Layer):
    """y[n, c] = s[n, c] * x[n, c]   with   s = sigmoid(W_2 relu(W_1 z + b_1) + b_2)   and   z[n, c] = mean of x[n, c]

    x, y : (N, channels, H, W)   z, s : (N, channels)
    W_1 = gate.fc1.weight : (hidden, channels)   W_2 = gate.fc2.weight : (channels, hidden)
    with hidden = channels / reduction, rounded down, but at least 1

    Hu, Shen and Sun, "Squeeze-and-excitation networks", 2018, equations 2 to 4. (There the biases are left out; with
    them a gate can also be open or shut whatever the image.)

    Parameters
    ----------
    channels : int
        Channels of the image.
    reduction : int
        How many times fewer numbers there are between the two linear layers.
    init : initialiser
        How W_1 and W_2 start.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    """

    def __init__(
        self, channels: int, reduction: int = 16, *, init: Initialiser = he_normal, rng: CounterRng | None = None
    ) -> None:
        self.channels = whole_number("SqueezeExcitation: channels", channels)
        self.reduction = whole_number("SqueezeExcitation: reduction", reduction)
        hidden = max(1, self.channels // self.reduction)
        rng = rng if rng is not None else default_rng()
        self.gate = Sequential(
            {
                "squeeze": GlobalAvgPool2d(),
                "fc1": Linear(self.channels, hidden, init=init, rng=rng),
                "relu": ReLU(),
                "fc2": Linear(hidden, self.channels, init=init, rng=rng),
                "sigmoid": Sigmoid(),
            }
        )

    def forward(self, x: Array) -> Array:
        """x : (N, channels, H, W) -> y, of the same shape"""
        check_input(self, x, ndim=4, channels=self.channels)
        s = run_in(self, "gate", self.gate, x)[:, :, None, None]
        self.saved = x, s
        return s * x

    def backward(self, dy: Array) -> Array:
        """The product rule: x gets s dy as a factor, and as what s was made of, what comes of ds = sum dy x."""
        x, s = self.saved
        ds = (dy * x).sum(axis=(2, 3))
        return s * dy + back_in(self, "gate", self.gate, ds)

    def __repr__(self) -> str:
        return f"SqueezeExcitation({self.channels}, reduction={self.reduction})"
