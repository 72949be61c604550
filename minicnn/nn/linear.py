"""The fully connected layer, and the flattening that leads to it."""

import math

from minicnn import ops
from minicnn.backend import Array, CounterRng
from minicnn.errors import whole_number
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.parameter import new_vector, new_weight


class Linear(Layer):
    """y = x W^T + b

    x : (N, in_features)   W : (out_features, in_features)   b : (out_features,)   y : (N, out_features)

    Parameters
    ----------
    in_features, out_features : int
        Numbers in and out.
    bias : bool
        Whether there is a b; it starts at zero.
    init : initialiser
        How W starts.
    rng : CounterRng, optional
        Where the random numbers come from; by default a stream of its own under `mc.seed`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initialiser = he_normal,
        rng: CounterRng | None = None,
    ) -> None:
        self.in_features = whole_number("Linear: in_features", in_features)
        self.out_features = whole_number("Linear: out_features", out_features)
        self.weight = new_weight((self.out_features, self.in_features), init, rng)
        self.bias = new_vector(self.out_features) if bias else None

    def forward(self, x: Array) -> Array:
        """x : (N, in_features) -> y : (N, out_features)"""
        check_input(self, x, ndim=2, channels=self.in_features, like=self.weight.data)
        self.saved = x
        return ops.linear_forward(x, self.weight.data, self.bias.data if self.bias else None)

    def backward(self, dy: Array) -> Array:
        """dy : (N, out_features) -> dx : (N, in_features)"""
        dx, dw, db = ops.linear_backward(dy, self.saved, self.weight.data)
        self.weight.add_grad(dw)
        if self.bias:
            self.bias.add_grad(db)
        return dx

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """One for every weight."""
        return self.in_features * self.out_features

    def window(self) -> None:
        """Every output sees all of the input."""
        return None

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features}{'' if self.bias else ', bias=False'})"


class Flatten(Layer):
    """y[n] = all numbers of x[n] in one row.   x : (N, ...)   y : (N, the product of the rest)"""

    def forward(self, x: Array) -> Array:
        """x : (N, ...) -> y : (N, D)"""
        check_input(self, x)
        self.saved = x.shape
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def backward(self, dy: Array) -> Array:
        """Give dy the shape of x again."""
        return dy.reshape(self.saved)

    def __repr__(self) -> str:
        return "Flatten()"
