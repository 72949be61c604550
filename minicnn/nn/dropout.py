"""Dropout, and the idea that it shares with its relatives: chance in training, averaged out in testing.

A network that meets a little of everything in another way each time cannot learn its images by heart. In testing one
wants the mean over all that chance could have done, or something near it:

| what                  | chance in training                        | in its place in testing                      |
|-----------------------|-------------------------------------------|----------------------------------------------|
| `Dropout`             | which numbers are 0; the others / (1 - p) | nothing: the scale was put in in training    |
| `DropConnect`         | which weights are 0, for each example     | the mean over a normal number with the same  |
|                       |                                           | mean and variance                            |
| `FractionalMaxPool2d` | which pixels are pooled together          | regular regions, always the same             |
| `StochasticDepth`     | which blocks are run, for a whole batch   | all of them, each times its survival         |
| `BatchNorm2d`         | which examples share a batch and its mean | running means over many batches              |
| augmentation          | how an image is shifted, mirrored, ...    | the image as it is                           |

For all but batch norm `recipes.predict_averaged` takes the mean itself: it draws many times and averages what the
network says.
"""

from minicnn import ops
from minicnn.backend import Array, CounterRng, default_rng
from minicnn.errors import probability
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
        self.p = probability("Dropout: p", p)
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
