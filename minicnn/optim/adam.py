"""Adam: steps of about the learning rate in every parameter, whatever the size of its gradient."""

from typing import Any

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter
from minicnn.optim.optimizer import Optimizer, ParametersLike


class Adam(Optimizer):
    """w = w - lr * m_hat / (sqrt(v_hat) + eps), with m and v the running means of the gradient and of its square.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Parameters
    ----------
    parameters : list, dict or pairs
        `model.parameters()`.
    lr : float
        Learning rate, about the size of a step.
    betas : (float, float)
        Shares of m and of v that are kept from step to step.
    eps : float
        Keeps a parameter without gradient from dividing by zero.
    weight_decay : float
        Adds weight_decay * w to the gradient (an L2 penalty, which Adam then rescales with the rest of the gradient).
    """

    hyperparameters = ("lr", "beta1", "beta2", "eps", "weight_decay")
    moments = ("m", "v")

    def __init__(
        self,
        parameters: ParametersLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr)
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1):
            raise ArgumentError(f"Adam: betas must lie in [0, 1), not {betas}")
        if eps < 0 or weight_decay < 0:
            raise ArgumentError(f"Adam: eps and weight_decay must be at least 0, not {eps} and {weight_decay}")
        self.beta1, self.beta2 = betas
        self.eps = eps
        self.weight_decay = weight_decay

    def update(self, parameter: Parameter, grad: Array, memory: dict[str, Any]) -> None:
        """One step, with moments that start at zero."""
        parameter.data, memory["m"], memory["v"] = ops.adam_update(
            parameter.data, grad, memory["m"], memory["v"], step=memory["step"], **self.settings()
        )

    def update_all(self, due: list[tuple[Parameter, dict[str, Any]]]) -> None:
        """All parameters in one operation."""
        if type(self).update is Adam.update:
            steps = [memory["step"] for _, memory in due]
            self.in_one_operation(ops.adam_update_all, due, steps=steps, **self.settings())
        else:  # a subclass has a rule of its own
            super().update_all(due)
