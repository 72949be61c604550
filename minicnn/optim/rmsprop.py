"""RMSprop: the gradient over its own usual size."""

from typing import Any

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter
from minicnn.optim.groups import GroupsLike, Setting
from minicnn.optim.optimizer import Optimizer


class RMSprop(Optimizer):
    """g = dw + weight_decay * w      square_avg = alpha * square_avg + (1 - alpha) * g^2

        w = w - lr * g / (sqrt(square_avg) + eps)

    With `momentum`, a buffer of these quotients is kept: buffer = momentum * buffer + g / (...), w = w - lr * buffer.
    With `centered`, a running mean of g is kept as well, and its square is taken from square_avg, which leaves the
    gradient's variance (Graves, "Generating sequences with recurrent neural networks", 2013, equations 38 to 45).
    Tieleman and Hinton, "Neural networks for machine learning", lecture 6.5, 2012, in PyTorch's form: nothing undoes
    the bias of a mean that starts at zero, so the very first step is lr / sqrt(1 - alpha) long, ten times lr.

    Parameters
    ----------
    parameters : list, dict, pairs or groups
        `model.parameters()`, or groups of them with settings of their own.
    lr : float
        Learning rate, about the size of a step.
    alpha : float
        Share of the running means that is kept from step to step.
    eps : float
        Keeps a parameter without gradient from dividing by zero.
    weight_decay : float
        Adds weight_decay * w to the gradient.
    momentum : float
        Share of the buffer that is kept from step to step; 0 keeps none.
    centered : bool
        Divide by the square root of the variance instead of the mean square.
    """

    alpha, eps, weight_decay, momentum, centered = Setting(), Setting(), Setting(), Setting(), Setting()

    def __init__(
        self,
        parameters: GroupsLike,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        super().__init__(
            parameters, lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum, centered=centered
        )

    def check(self, *, alpha: float, eps: float, weight_decay: float, momentum: float, **_: Any) -> None:
        """Raise `ArgumentError` for numbers below 0, and for an alpha that would keep everything."""
        if not 0 <= alpha < 1:
            raise ArgumentError(f"RMSprop: alpha must lie in [0, 1), not {alpha}")
        for name, value in (("eps", eps), ("weight_decay", weight_decay), ("momentum", momentum)):
            if not value >= 0:
                raise ArgumentError(f"RMSprop: {name} must be at least 0, not {value}")

    def update(
        self,
        parameter: Parameter,
        grad: Array,
        memory: dict[str, Any],
        *,
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
        centered: bool,
    ) -> None:
        """One step."""
        w, xp = parameter.data, array_module(parameter.data)
        g = grad + weight_decay * w if weight_decay else grad
        mean_square = memory["square_avg"] = alpha * memory.get("square_avg", 0.0) + (1 - alpha) * (g * g)
        if centered:
            mean = memory["grad_avg"] = alpha * memory.get("grad_avg", 0.0) + (1 - alpha) * g
            # A variance is not negative, but the rounded difference may be, where a gradient hardly changes.
            mean_square = xp.maximum(mean_square - mean * mean, 0)
        step = g / (xp.sqrt(mean_square) + eps)
        if momentum:
            step = memory["buffer"] = momentum * memory.get("buffer", 0.0) + step
        parameter.data = w - lr * step
