"""DropConnect: a linear layer whose weights are switched off at random, instead of its inputs."""

import copy
from statistics import NormalDist

from minicnn import ops
from minicnn.backend import Array, CounterRng, array_module, default_rng
from minicnn.errors import ArgumentError, ShapeError, expect_kind, probability, whole_number
from minicnn.nn.init import Initialiser, he_normal
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.parameter import new_vector, new_weight


class DropConnect(Layer):
    """y = a(u), in training with u = (M * W) x + m * b, each entry of M and m 0 with probability p.

    x : (N, in_features)   W : (out_features, in_features)   b : (out_features,)   y : (N, out_features)

    Every example has masks M and m of its own. **Nothing is scaled in training**, so u is smaller by 1 - p than without
    masks, and **in evaluation the scale is put in**: the mean of u over all masks is (1 - p) (W x + b). (`Dropout` does
    it the other way round.) Which evaluation:

    - "gaussian", the paper's: over all masks u has that mean and the variance p (1 - p) (W^2 x^2 + b^2), squares entry
      by entry, and as a sum of many small parts it is nearly normal. So y is the mean of a(u) over a normal u. The
      paper draws numbers for that; here `samples` numbers stand for equally likely slices of the normal distribution,
      which takes fewer of them, and gives an image the same output every time and in any batch.
    - "mean": y = a((1 - p) (W x + b)), as one does for dropout. Without an activation both are the same.

    The mask takes a byte for each weight and example, 64 examples of a layer of 1000 x 500 weights so 32 MB, and the
    work is that of a product for every example. Evaluation with "gaussian" holds samples * N * out_features numbers.

    Wan et al., "Regularization of neural networks using DropConnect", ICML 2013, section 3, algorithms 1 and 2. The
    paper's p is the probability that a weight is kept.

    Parameters
    ----------
    in_features, out_features : int
        Numbers in and out.
    p : float
        Probability that a weight is switched off. Raises `ArgumentError` outside [0, 1].
    activation : Layer, optional
        The function a, one that treats each number by itself: `nn.ReLU()`. It belongs to the layer because evaluation
        takes the mean behind it. Raises `ArgumentError` if it has parameters, buffers or randomness.
    inference : "gaussian" or "mean"
        How y is computed in evaluation.
    samples : int
        How many slices "gaussian" takes.
    bias : bool
        Whether there is a b; it starts at zero.
    init : initialiser
        How W starts.
    rng : CounterRng, optional
        Names the initial weights, and then the masks: one draw for every forward pass in training. By default a stream
        of its own under `mc.seed`.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        p: float = 0.5,
        *,
        activation: Layer | None = None,
        inference: str = "gaussian",
        samples: int = 32,
        bias: bool = True,
        init: Initialiser = he_normal,
        rng: CounterRng | None = None,
    ) -> None:
        self.in_features = whole_number("DropConnect: in_features", in_features)
        self.out_features = whole_number("DropConnect: out_features", out_features)
        self.p = probability("DropConnect: p", p)
        if inference not in ("gaussian", "mean"):
            raise ArgumentError(f'DropConnect: inference must be "gaussian" or "mean", not {inference!r}')
        if activation is not None:
            expect_kind(Layer, activation, "DropConnect: activation")
            if activation.parameters() or activation.named_buffers() or activation.named_rngs():
                raise ArgumentError(
                    f"DropConnect: activation must be a function of one number, such as nn.ReLU(), not {activation!r}, "
                    "which has parameters, buffers or randomness; put that behind this layer"
                )
        self.inference = inference
        self.activation = copy.deepcopy(activation)  # one that stands elsewhere too remembers one forward pass only
        self.samples = whole_number("DropConnect: samples", samples)
        self.rng = rng if rng is not None else default_rng()
        self.weight = new_weight((self.out_features, self.in_features), init, self.rng)
        self.bias = new_vector(self.out_features) if bias else None

    def children(self) -> dict[str, Layer]:
        """Return none: the activation is a part of this layer, which runs it many times over in evaluation."""
        return {}

    def forward(self, x: Array) -> Array:
        """x : (N, in_features) -> y : (N, out_features)"""
        check_input(self, x, ndim=2, channels=self.in_features, like=self.weight.data)
        w, b = self.weight.data, self.bias.data if self.bias else None
        if self.training:
            u, mask = ops.drop_connect_forward(x, w, b, p=self.p, key=self.rng.next_key())
            self.saved = x, mask, ()
            return self._activate(u)
        z = self._z()
        u = ops.drop_connect_inference_forward(x, w, b, p=self.p, z=z)
        self.saved = x, None, z
        return self._activate(u.reshape(-1, self.out_features)).reshape(u.shape).mean(axis=0)

    def backward(self, dy: Array) -> Array:
        """dy : (N, out_features) -> dx : (N, in_features)"""
        x, mask, z = self.saved
        w, b = self.weight.data, self.bias.data if self.bias else None
        if mask is not None:
            du = self.activation.backward(dy) if self.activation else dy
            dx, dw, db = ops.drop_connect_backward(du, x, w, mask)
        else:
            each = array_module(dy).broadcast_to(dy / len(z), (len(z), *dy.shape))  # y is the mean of so many
            rows = each.reshape(-1, self.out_features)
            du = (self.activation.backward(rows) if self.activation else rows).reshape(each.shape)
            dx, dw, db = ops.drop_connect_inference_backward(du, x, w, b, p=self.p, z=z)
        self.weight.add_grad(dw)
        if self.bias:
            self.bias.add_grad(db)
        return dx

    def _activate(self, u: Array) -> Array:
        if self.activation is None:
            return u
        y = self.activation(u)
        if y.shape != u.shape:
            raise ShapeError(f"{self!r}: the activation made {y.shape} of {u.shape}; it must keep the shape")
        return y

    def _z(self) -> tuple[float, ...]:
        """Return the numbers of standard deviations at which evaluation looks; the mean alone where that is enough."""
        if self.inference == "mean" or self.activation is None or self.p in (0, 1):
            return (0.0,)
        return normal_slices(self.samples)

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """One for every weight, and one for its square where evaluation needs the variance."""
        return self.in_features * self.out_features * (1 if len(self._z()) == 1 else 2)

    def window(self) -> None:
        """Every output sees all of the input."""
        return None

    def __repr__(self) -> str:
        activation = "" if self.activation is None else f", activation={self.activation!r}"
        inference = "" if self.inference == "gaussian" else f', inference="{self.inference}"'
        bias = "" if self.bias else ", bias=False"
        return f"DropConnect({self.in_features}, {self.out_features}, {self.p}{activation}{inference}{bias})"


def normal_slices(count: int) -> tuple[float, ...]:
    """Return the means of `count` equally likely slices of the standard normal distribution, in order.

    Between the quantiles q and r the mean is count * (phi(q) - phi(r)), with phi the density; all of them together have
    mean 0. For a function that is straight within each slice, their average is the exact expectation.
    """
    normal = NormalDist()
    density = [0.0, *(normal.pdf(normal.inv_cdf(i / count)) for i in range(1, count)), 0.0]
    return tuple(count * (density[i] - density[i + 1]) for i in range(count))
