"""Losses of numbers: how far a prediction is from its target.

d = prediction - target, element by element; prediction and target have one shape, whatever it is. Means are over all
elements, not over images. A target in another dtype is taken in the prediction's.

All raise `ShapeError` if the shapes differ (nothing is broadcast), `DTypeError` if they are no arrays of numbers,
`DataError` if they are empty or (on the host) the target holds NaN or infinity.
"""

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError
from minicnn.nn.loss.base import Loss
from minicnn.nn.loss.checks import numbers_like


class MSELoss(Loss):
    """loss = mean of d^2

    It is smallest where each prediction is the mean of the targets that are possible: Bishop, "Pattern Recognition and
    Machine Learning", 2006, section 1.5.5.
    """

    def forward(self, prediction: Array, target: Array) -> Array:
        """prediction (...), target (...) -> loss"""
        d = self.saved = prediction - numbers_like(self, prediction, target)
        return (d * d).mean()

    def backward(self) -> Array:
        """Return dprediction = 2 * d / size."""
        d = self.saved
        return d * (2 / d.size)

    def __repr__(self) -> str:
        return "MSELoss()"


class L1Loss(Loss):
    """loss = mean of |d|

    It is smallest at the median of the possible targets, so that one far away pulls no harder than one close by:
    Bishop, 2006, section 1.5.5. At the kink, d = 0, the gradient is 0, as in PyTorch.
    """

    def forward(self, prediction: Array, target: Array) -> Array:
        """prediction (...), target (...) -> loss"""
        d = self.saved = prediction - numbers_like(self, prediction, target)
        return abs(d).mean()

    def backward(self) -> Array:
        """Return dprediction = sign(d) / size."""
        d = self.saved
        return array_module(d).sign(d) / d.size

    def __repr__(self) -> str:
        return "L1Loss()"


class HuberLoss(Loss):
    """loss = mean of d^2 / 2 where |d| <= delta, and of delta * (|d| - delta / 2) beyond

    Squared for small errors and absolute for large ones; both pieces meet with the same slope, so there is no kink.
    Huber, "Robust estimation of a location parameter", 1964.

    Parameters
    ----------
    delta : float
        Where an error begins to be large. Raises `ArgumentError` unless it is above 0.
    """

    def __init__(self, delta: float = 1.0) -> None:
        if not 0 < delta < float("inf"):
            raise ArgumentError(f"HuberLoss: delta must be above 0, not {delta}")
        self.delta = float(delta)

    def forward(self, prediction: Array, target: Array) -> Array:
        """prediction (...), target (...) -> loss"""
        d = self.saved = prediction - numbers_like(self, prediction, target)
        size = abs(d)
        near = array_module(d).minimum(size, self.delta)
        return (near * (size - near / 2)).mean()  # both pieces in one: near is |d| in the first, delta in the second

    def backward(self) -> Array:
        """Return dprediction = d / size, with d cut off at -delta and delta."""
        d = self.saved
        return array_module(d).clip(d, -self.delta, self.delta) / d.size

    def __repr__(self) -> str:
        return f"HuberLoss(delta={self.delta})"
