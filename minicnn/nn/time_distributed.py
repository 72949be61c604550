"""One layer for every step of a sequence, such as every frame of a film."""

from minicnn.backend import Array
from minicnn.errors import ShapeError, expect_kind
from minicnn.nn.containers import back_in, run_in
from minicnn.nn.layer import Layer


class TimeDistributed(Layer):
    """y[n, t] = layer(x[n])[t] if each step were an example of its own: time is folded into the batch.

    x : (N, T, ...) -> (N T, ...), through the layer, -> y : (N, T, ...)

    All steps share the layer's parameters, so their gradients add up over the steps as over a batch. Batch norm takes
    its statistics over all steps of all sequences. The name is Keras's.

    Raises
    ------
    ShapeError
        If x has no axis of steps, or the layer returns something else than one output a step.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = expect_kind(Layer, layer, "TimeDistributed: layer")

    def forward(self, x: Array) -> Array:
        """x : (N, T, ...) -> y : (N, T, ...)"""
        if getattr(x, "ndim", 0) < 2:
            raise ShapeError(f"{self!r}: x has shape {getattr(x, 'shape', ())}, expected (N, T, ...): sequences, steps")
        n, steps, *one = x.shape
        y = run_in(self, "layer", self.layer, x.reshape(n * steps, *one))
        if y.ndim < 1 or len(y) != n * steps:
            raise ShapeError(
                f"{self!r}: the layer made {y.shape} of {n * steps} steps; it must give one output for each"
            )
        self.saved = x.shape, y.shape
        return y.reshape(n, steps, *y.shape[1:])

    def backward(self, dy: Array) -> Array | None:
        """dy : (N, T, ...) -> dx : (N, T, ...), None where nobody needs it"""
        x_shape, y_shape = self.saved
        dx = back_in(self, "layer", self.layer, dy.reshape(y_shape))
        return None if dx is None else dx.reshape(x_shape)

    def first_layers(self) -> list[Layer]:
        """Return this layer and the first ones of the layer inside."""
        return [self, *self.layer.first_layers()]

    def takes_integers(self) -> bool:
        """Return whether the layer inside does."""
        return self.layer.takes_integers()

    def __repr__(self) -> str:
        return f"TimeDistributed({self.layer!r})"
