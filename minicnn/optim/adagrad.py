"""AdaGrad: the more a parameter has moved already, the smaller its steps."""

from typing import Any

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter
from minicnn.optim.groups import GroupsLike, Setting
from minicnn.optim.optimizer import Optimizer


class AdaGrad(Optimizer):
    """g = dw + weight_decay * w      sum = sum + g^2      w = w - lr_now * g / (sqrt(sum) + eps)

        lr_now = lr / (1 + (step - 1) * lr_decay)          step = 1, 2, ...

    The sum only grows, so steps become ever smaller: good for parameters that rarely get a gradient, and too soon the
    end of a long training. Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011, section 1.1, in PyTorch's form (torch.optim.Adagrad).

    Parameters
    ----------
    parameters : list, dict, pairs or groups
        `model.parameters()`, or groups of them with settings of their own.
    lr : float
        Learning rate; the first step of each parameter is that long.
    lr_decay : float
        Makes the learning rate fall with the number of steps, too.
    weight_decay : float
        Adds weight_decay * w to the gradient.
    initial_accumulator_value : float
        Where the sum starts; above 0, the first steps are shorter.
    eps : float
        Keeps a parameter without gradient from dividing by zero.
    """

    lr_decay, weight_decay, initial_accumulator_value, eps = Setting(), Setting(), Setting(), Setting()

    def __init__(
        self,
        parameters: GroupsLike,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(
            parameters,
            lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def check(self, **settings: Any) -> None:
        """Raise `ArgumentError` for numbers below 0."""
        for name, value in settings.items():
            if not value >= 0:
                raise ArgumentError(f"AdaGrad: {name} must be at least 0, not {value}")

    def update(
        self,
        parameter: Parameter,
        grad: Array,
        memory: dict[str, Any],
        *,
        lr: float,
        lr_decay: float,
        weight_decay: float,
        initial_accumulator_value: float,
        eps: float,
    ) -> None:
        """One step."""
        w = parameter.data
        g = grad + weight_decay * w if weight_decay else grad
        memory["sum"] = memory.get("sum", initial_accumulator_value) + g * g
        lr_now = lr / (1 + (memory["step"] - 1) * lr_decay)
        parameter.data = w - lr_now * g / (array_module(w).sqrt(memory["sum"]) + eps)
