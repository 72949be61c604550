"""Stochastic depth: whole residual blocks that are left out at random."""

from minicnn import ops
from minicnn.backend import Array, CounterRng, default_rng
from minicnn.errors import probability, whole_number
from minicnn.nn.containers import Residual, back_in, run_in
from minicnn.nn.layer import Layer


class StochasticDepth(Residual):
    """In training y = shortcut(x) + b * body(x), b 1 with probability `survival`, else 0; in evaluation b = survival.

    b is drawn once for each mini-batch. Where it is 0 the body is not run at all: that pass takes less time, the
    body's batch norms see nothing of the batch, and its parameters' gradients are left as they are (None in a training
    step, so that optimizers leave the parameters alone). Nothing is scaled in training; evaluation puts the scale in.

    Huang, Sun, Liu, Sedra and Weinberger, "Deep networks with stochastic depth", ECCV 2016, equations 2 and 5. (There a
    ReLU follows the sum: `nn.Sequential(nn.StochasticDepth(body), nn.ReLU())`.) `linear_decay` gives the survivals of a
    network's blocks.

    Parameters
    ----------
    body : Layer
        What is left out at times; its output has the shape of the shortcut's.
    shortcut : Layer, optional
        What always runs; the identity unless given.
    survival : float
        Probability that the body is run. Raises `ArgumentError` outside [0, 1].
    rng : CounterRng, optional
        Names the draws: one for every forward pass in training. By default a stream of its own under `mc.seed`.
    """

    def __init__(
        self,
        body: Layer,
        shortcut: Layer | None = None,
        *,
        survival: float = 0.8,
        rng: CounterRng | None = None,
    ) -> None:
        super().__init__(body, shortcut)
        self.survival = probability("StochasticDepth: survival", survival)
        self.rng = rng if rng is not None else default_rng()

    def forward(self, x: Array) -> Array:
        """Add what the body makes of x, unless it is left out, to what the shortcut makes of it."""
        self.saved = b = self._draw() if self.training else self.survival
        if b == 0:
            return run_in(self, "shortcut", self.shortcut, x)
        y, short = self.paths(x)
        return (y if b == 1 else b * y) + short

    def backward(self, dy: Array) -> Array:
        """Go back the ways that x went."""
        b = self.saved
        dx = back_in(self, "shortcut", self.shortcut, dy)
        return dx if b == 0 else back_in(self, "body", self.body, dy if b == 1 else b * dy) + dx

    def _draw(self) -> float:
        bits = ops.random_bits(self.rng.next_key(), count=1)  # on the host, which decides what is run
        return float(int(bits[0]) < self.survival * 2**32)

    def __repr__(self) -> str:
        return f"StochasticDepth({self.body!r}, {self.shortcut!r}, survival={self.survival:.3g})"


def linear_decay(blocks: int, last: float = 0.5) -> list[float]:
    """Return the survival of each block: p_l = 1 - l / L * (1 - p_L) for l = 1 ... L, with L = blocks and p_L = last.

    Early blocks make what all later ones need, so they are left out least. Huang et al., 2016, equation 4; with last =
    0.5 a network of many blocks runs about three quarters of them in a training step.

        [nn.StochasticDepth(body(), survival=survival) for survival in nn.linear_decay(8)]

    Raises `ArgumentError` unless blocks is a whole number of at least 1 and last lies between 0 and 1.
    """
    blocks = whole_number("linear_decay: blocks", blocks)
    last = probability("linear_decay: last", last)
    return [1 - number / blocks * (1 - last) for number in range(1, blocks + 1)]
