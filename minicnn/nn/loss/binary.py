"""Cross-entropy of the sigmoid: the loss of questions that are answered by yes or no."""

from typing import Any

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, ShapeError
from minicnn.nn.loss.base import Loss, Weights, arguments
from minicnn.nn.loss.checks import shares_like


class BCEWithLogitsLoss(Loss):
    """loss = mean of w * (q * y * -log sigmoid(x) + (1 - y) * -log(1 - sigmoid(x))),   q = pos_weight, w = weight

    logits x, target y : one shape, whatever it is; y is 1 for yes and 0 for no, or a probability between
    The mean is over all elements. Bishop, "Pattern Recognition and Machine Learning", 2006, equation 4.90.

    Parameters
    ----------
    weight : number or array, optional
        w, how much each element counts. It is broadcast to the logits; the mean is not divided by it.
    pos_weight : number or array, optional
        q, how much a yes counts against a no, broadcast likewise. Logits (N, K, H, W) need (K, 1, 1), one number a
        channel. Where one answer in ten is yes, 9 makes both count alike.

    Raises
    ------
    ShapeError
        If logits and target differ in shape, or weights do not broadcast to it.
    DTypeError, DataError
        If they are no arrays of numbers; if they are empty, or (on the host) a target is not from 0 to 1.
    """

    def __init__(self, weight: Any = None, pos_weight: Any = None) -> None:
        self.weight = None if weight is None else Weights(weight)
        self.pos_weight = None if pos_weight is None else Weights(pos_weight)
        for name, weights in (("weight", self.weight), ("pos_weight", self.pos_weight)):
            if weights is not None and not weights.are_valid():
                raise ArgumentError(f"BCEWithLogitsLoss: {name} must be numbers of at least 0, not {weights!r}")

    def forward(self, prediction: Array, target: Array) -> Array:
        """logits (...), target (...) -> loss"""
        x, y = prediction, shares_like(self, prediction, target)
        w, q = self._broadcast("weight", self.weight, x), self._broadcast("pos_weight", self.pos_weight, x)
        xp = array_module(x)
        # -log sigmoid(x) = log(1 + e^-x) = max(-x, 0) + log(1 + e^-|x|): e to a power above 0 could overflow.
        tail = xp.exp(-xp.abs(x))
        rest = xp.log1p(tail)
        yes, no = q * y, 1 - y
        self.saved = x, tail, yes, no, w
        return (w * (yes * (xp.maximum(-x, 0) + rest) + no * (xp.maximum(x, 0) + rest))).mean()

    def backward(self) -> Array:
        """Return dlogits = w * ((1 - y) * sigmoid(x) - q * y * sigmoid(-x)) / size, shaped like the logits."""
        x, tail, yes, no, w = self.saved
        xp = array_module(x)
        # 1 - sigmoid(x) would be 0 for a large x; sigmoid(-x) keeps its digits.
        sigmoid = xp.where(x >= 0, 1, tail) / (1 + tail)
        sigmoid_of_minus_x = xp.where(x >= 0, tail, 1) / (1 + tail)
        return w * (no * sigmoid - yes * sigmoid_of_minus_x) / x.size

    def _broadcast(self, name: str, weights: Weights | None, x: Array) -> Any:
        """Return the weights next to x, or 1 if there are none."""
        if weights is None:
            return 1
        shape = weights.values.shape
        backwards = zip(reversed(shape), reversed(x.shape), strict=False)
        if len(shape) > x.ndim or any(own not in (1, length) for own, length in backwards):
            per_channel = (x.shape[1], *[1] * (x.ndim - 2)) if x.ndim > 2 else x.shape[-1:]
            raise ShapeError(
                f"{type(self).__name__}: {name} has shape {shape}, which does not broadcast to logits of shape "
                f"{x.shape}; one number a channel has shape {per_channel}"
            )
        return weights.like(x)

    def __repr__(self) -> str:
        return f"BCEWithLogitsLoss({arguments(weight=self.weight, pos_weight=self.pos_weight)})"
