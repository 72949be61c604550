"""Dropout as a layer: random in training, nothing in evaluation."""

from minicnn import ops
from minicnn.backend import Array, CounterRng, default_rng
from minicnn.errors import ArgumentError
from minicnn.nn.layer import Layer, check_input


class Dropout(Layer):
    """In training y = x * mask / (1 - p), each entry of the mask 0 with probability p; in evaluation y = x.

    x, y : any shape. Srivastava et al., "Dropout", JMLR 2014.

    Parameters
    ----------
    p : float
        Probability that a number is switched off. Raises `ArgumentError` outside [0, 1].
    rng : CounterRng, optional
        Names the masks: one for every forward pass in training. By default a stream of its own under `mc.seed`.
    """

    def __init__(self, p: float = 0.5, *, rng: CounterRng | None = None) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout: p is a probability and must lie between 0 and 1, not {p}")
        self.p = float(p)
        self.rng = rng if rng is not None else default_rng()

    def forward(self, x: Array) -> Array:
        """Drop in training, pass on in evaluation."""
        check_input(self, x)
        if not self.training or self.p == 0:
            self.saved = None  # nothing was dropped
            return x
        y, self.saved = ops.dropout_forward(x, p=self.p, key=self.rng.next_key())
        return y

    def backward(self, dy: Array) -> Array:
        """Give gradient to what was kept."""
        mask = self.saved
        return dy if mask is None else ops.dropout_backward(dy, mask, p=self.p)

    def __repr__(self) -> str:
        return f"Dropout({self.p})"
