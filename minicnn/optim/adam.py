"""Adam, and AdamW: steps of about the learning rate in every parameter, whatever the size of its gradient."""

from typing import Any

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter
from minicnn.optim.groups import GroupsLike, Setting
from minicnn.optim.optimizer import Due, Optimizer


class Adam(Optimizer):
    """w = w - lr * m_hat / (sqrt(v_hat) + eps), with m and v the running means of the gradient and of its square.

    Kingma and Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1.

    Parameters
    ----------
    parameters : list, dict, pairs or groups
        `model.parameters()`, or groups of them with settings of their own.
    lr : float
        Learning rate, about the size of a step.
    betas : (float, float)
        Shares of m and of v that are kept from step to step.
    eps : float
        Keeps a parameter without gradient from dividing by zero.
    weight_decay : float
        Adds weight_decay * w to the gradient (an L2 penalty, which Adam then rescales with the rest of the gradient).
    """

    moments = ("m", "v")
    betas, eps, weight_decay = Setting(), Setting(), Setting()

    def __init__(
        self,
        parameters: GroupsLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, *, betas: tuple[float, float], eps: float, weight_decay: float, **_: Any) -> None:
        """Raise `ArgumentError` for numbers below 0, and for betas that would keep everything."""
        kind = type(self).__name__
        if not (isinstance(betas, tuple) and len(betas) == 2 and all(0 <= beta < 1 for beta in betas)):
            raise ArgumentError(f"{kind}: betas must lie in [0, 1), two of them, not {betas}")
        if not (eps >= 0 and weight_decay >= 0):
            raise ArgumentError(f"{kind}: eps and weight_decay must be at least 0, not {eps} and {weight_decay}")

    def update(self, parameter: Parameter, grad: Array, memory: dict[str, Any], **settings: Any) -> None:
        """One step, with moments that start at zero."""
        parameter.data, memory["m"], memory["v"] = ops.adam_update(
            parameter.data, grad, memory["m"], memory["v"], step=memory["step"], **_options(**settings)
        )

    def update_all(self, due: Due, **settings: Any) -> None:
        """All parameters of a group in one operation."""
        if type(self).update is Adam.update:
            steps = [memory["step"] for _, memory in due]
            self.in_one_operation(ops.adam_update_all, due, steps=steps, **_options(**settings))
        else:  # a subclass has a rule of its own
            super().update_all(due, **settings)


class AdamW(Adam):
    """w = (1 - lr * weight_decay) * w, and then a step of Adam without weight decay.

    In Adam the pull towards zero is divided by sqrt(v) along with the gradient, so that weights with large gradients
    are hardly pulled at all; here each is pulled by the same share.
    Loshchilov and Hutter, "Decoupled weight decay regularization", 2019, algorithm 2, in PyTorch's form.

    Parameters
    ----------
    parameters, lr, betas, eps
        As for `Adam`.
    weight_decay : float
        The share of itself, times the learning rate, that each parameter loses in a step.
    """

    def __init__(
        self,
        parameters: GroupsLike,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def update(self, parameter: Parameter, grad: Array, memory: dict[str, Any], **settings: Any) -> None:
        """Decay, then one step of Adam."""
        _decay(parameter, **settings)
        super().update(parameter, grad, memory, **{**settings, "weight_decay": 0.0})

    def update_all(self, due: Due, **settings: Any) -> None:
        """All parameters of a group: a decay for each, then Adam's step in one operation."""
        if type(self).update is not AdamW.update:
            return Optimizer.update_all(self, due, **settings)
        for parameter, _ in due:
            _decay(parameter, **settings)
        steps = [memory["step"] for _, memory in due]
        options = _options(**{**settings, "weight_decay": 0.0})
        return self.in_one_operation(ops.adam_update_all, due, steps=steps, **options)


def _decay(parameter: Parameter, *, lr: float, weight_decay: float, **_: Any) -> None:
    if weight_decay:
        parameter.data = parameter.data * (1 - lr * weight_decay)


def _options(*, betas: tuple[float, float], **others: Any) -> dict[str, Any]:
    """Return the settings under the names that the operation has for them."""
    return {"beta1": betas[0], "beta2": betas[1], **others}
