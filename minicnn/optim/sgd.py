"""Stochastic gradient descent."""

from typing import Any

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter
from minicnn.optim.groups import GroupsLike, Setting
from minicnn.optim.optimizer import Due, Optimizer


class SGD(Optimizer):
    """g = dw + weight_decay * w      velocity = momentum * velocity + g      w = w - lr * velocity

    Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Nesterov's variant as in Sutskever
    et al., "On the importance of initialization and momentum in deep learning", 2013, in PyTorch's form.

    Parameters
    ----------
    parameters : list, dict, pairs or groups
        `model.parameters()`, or groups of them with settings of their own.
    lr : float
        Learning rate.
    momentum : float
        Share of the velocity that is kept from step to step; 0 gives plain gradient descent.
    nesterov : bool
        Take w = w - lr * (g + momentum * velocity) instead.
    weight_decay : float
        Pulls every parameter towards zero (an L2 penalty of weight_decay / 2 * |w|^2).
    """

    moments = ("velocity",)
    momentum, nesterov, weight_decay = Setting(), Setting(), Setting()

    def __init__(
        self,
        parameters: GroupsLike,
        lr: float = 1e-3,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def check(self, *, momentum: float, nesterov: bool, weight_decay: float, **_: Any) -> None:
        """Raise `ArgumentError` for numbers below 0, and for Nesterov's variant of no momentum."""
        if not (momentum >= 0 and weight_decay >= 0):
            raise ArgumentError(f"SGD: momentum and weight_decay must be at least 0, not {momentum} and {weight_decay}")
        if nesterov and momentum == 0:
            raise ArgumentError("SGD: Nesterov's variant needs a momentum above 0")

    def update(self, parameter: Parameter, grad: Array, memory: dict[str, Any], **settings: Any) -> None:
        """One step down the gradient."""
        parameter.data, memory["velocity"] = ops.sgd_update(parameter.data, grad, memory["velocity"], **settings)

    def update_all(self, due: Due, **settings: Any) -> None:
        """All parameters of a group in one operation."""
        if type(self).update is SGD.update:
            self.in_one_operation(ops.sgd_update_all, due, **settings)
        else:  # a subclass has a rule of its own
            super().update_all(due, **settings)
