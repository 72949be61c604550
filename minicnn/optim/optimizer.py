"""What all optimizers share: parameters by name, and what is remembered for each of them between steps."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minicnn.backend import Array, array_module, to_host
from minicnn.errors import ArgumentError, CheckpointError, listed
from minicnn.nn import Parameter

ParametersLike: TypeAlias = Iterable[Parameter] | Iterable[tuple[str, Parameter]] | Mapping[str, Parameter]


class Optimizer:
    """The base of all optimizers: a subclass writes `update`.

    Attributes
    ----------
    parameters : dict of str to Parameter
        By dotted name, as `model.parameters()` and `model.named_parameters()` give them.
    lr : float
        The learning rate; it may be changed between steps.
    memory : dict of str to dict
        What is remembered for each parameter (its moments, its number of steps), filled at its first step.
    """

    hyperparameters: tuple[str, ...] = ("lr",)
    """Names of the attributes that the update takes and a checkpoint keeps."""
    moments: tuple[str, ...] = ()
    """Names of the arrays that are remembered for each parameter; they have its shape and start at zero."""

    def __init__(self, parameters: ParametersLike, lr: float) -> None:
        self.parameters = _by_name(parameters)
        if not self.parameters:
            raise ArgumentError(f"{type(self).__name__} was given no parameters; pass model.parameters()")
        if not lr >= 0:
            raise ArgumentError(f"{type(self).__name__}: lr must be at least 0, not {lr}")
        self.lr = lr
        self.memory: dict[str, dict[str, Any]] = {}

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen."""
        due = []
        for name, parameter in self.parameters.items():
            if parameter.grad is None or parameter.frozen:
                continue
            memory = self.memory[name] = self._placed(name, self.memory.get(name, {"step": 0}))
            memory["step"] += 1
            for moment in self.moments:
                if moment not in memory:
                    memory[moment] = array_module(parameter.data).zeros_like(parameter.data)
            due.append((parameter, memory))
        self.update_all(due)

    def update_all(self, due: list[tuple[Parameter, dict[str, Any]]]) -> None:
        """Update parameters, each with its memory: one after the other, unless a subclass knows of something faster."""
        for parameter, memory in due:
            self.update(parameter, parameter.grad, memory)

    def in_one_operation(self, operation: Any, due: list[tuple[Parameter, dict[str, Any]]], **options: Any) -> None:
        """Update parameters by operation(ws, dws, *moments, **options) -> ws, *moments, all of them lists."""
        ws, dws = [parameter.data for parameter, _ in due], [parameter.grad for parameter, _ in due]
        moments = [[memory[moment] for _, memory in due] for moment in self.moments]
        ws, *moments = operation(ws, dws, *moments, **options)
        for (parameter, memory), w, *values in zip(due, ws, *moments, strict=True):
            parameter.data = w
            memory.update(zip(self.moments, values, strict=True))

    def update(self, parameter: Parameter, grad: Array, memory: dict[str, Any]) -> None:
        """Set `parameter.data` to its new value; `memory` is this parameter's own, with its "step" counted from 1."""
        raise NotImplementedError(f"{type(self).__name__} has no update yet")

    def settings(self) -> dict[str, Any]:
        """Return the hyper-parameters as Python's own numbers; one of NumPy's would turn float32 into float64."""
        own = vars(self)
        values = {name: own[name] if name in own else getattr(self, name) for name in self.hyperparameters}
        for name, value in values.items():
            if type(value) is not float and hasattr(value, "item"):
                values[name] = value.item()
        return values

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return copies: {"hyperparameters": {name: number}, "memory": {parameter: {what: number or host array}}}."""
        return {
            "hyperparameters": self.settings(),
            "memory": {
                name: {what: value if what == "step" else np.array(to_host(value)) for what, value in kept.items()}
                for name, kept in self.memory.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises `CheckpointError` if it is of other parameters or another kind."""
        hyperparameters, memory = state.get("hyperparameters", {}), state.get("memory", {})
        if set(hyperparameters) != set(self.hyperparameters):
            raise CheckpointError(
                f"this is no state of {type(self).__name__}: it has {listed(hyperparameters)}, "
                f"expected {listed(self.hyperparameters)}"
            )
        for name, kept in memory.items():
            if name not in self.parameters:
                raise CheckpointError(f"the optimizer's state has a parameter {name!r} that this model lacks")
            shape = self.parameters[name].data.shape
            if any(what != "step" and value.shape != shape for what, value in kept.items()):
                raise CheckpointError(f"the optimizer's state of {name!r} is not of the parameter's shape {shape}")
        for name, value in hyperparameters.items():
            setattr(self, name, value)
        self.memory = {
            name: self._placed(
                name, {what: int(v) if what == "step" else np.array(to_host(v)) for what, v in kept.items()}
            )
            for name, kept in memory.items()
        }

    def _placed(self, name: str, memory: Mapping[str, Any]) -> dict[str, Any]:
        """Bring remembered arrays to the parameter's device and dtype, which may have changed since."""
        data = self.parameters[name].data
        for what, value in memory.items():
            if what != "step" and (type(value) is not type(data) or value.dtype != data.dtype):
                break
        else:
            if isinstance(memory, dict):
                return memory
        xp = array_module(data)
        return {
            what: value if what == "step" else xp.asarray(to_host(value)).astype(data.dtype)
            for what, value in memory.items()
        }


def _by_name(parameters: ParametersLike) -> dict[str, Parameter]:
    names = getattr(parameters, "names", None)
    if isinstance(parameters, Mapping):
        pairs = list(parameters.items())
    else:
        items = [parameters] if isinstance(parameters, Parameter) else list(parameters)
        pairs = [
            item if isinstance(item, tuple) else (names[i] if names else str(i), item) for i, item in enumerate(items)
        ]
    wrong = next((value for _, value in pairs if not isinstance(value, Parameter)), None)
    if wrong is not None:
        raise ArgumentError(f"an optimizer takes parameters, as from model.parameters(), not a {type(wrong).__name__}")
    if len({id(parameter) for _, parameter in pairs}) < len(pairs):
        raise ArgumentError("one parameter was given twice, so each step would move it twice")
    if len(dict(pairs)) < len(pairs):
        raise ArgumentError(
            "two parameters have the same name; for two models in one optimizer pass pairs of your own names: "
            "[('a.' + name, p) for name, p in a.named_parameters().items()] + ..."
        )
    return dict(pairs)
