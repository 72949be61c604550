"""What all optimizers share: parameters by name, and what is remembered for each of them between steps."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from minicnn.backend import Array, array_module, to_host
from minicnn.errors import ArgumentError, CheckpointError, is_number, listed
from minicnn.nn import Parameter
from minicnn.optim.groups import GroupsLike, Setting, describe, make_groups

Due: TypeAlias = list[tuple[Parameter, dict[str, Any]]]
"""Parameters that are to be updated, each with what is remembered of it."""


class Optimizer:
    """The base of all optimizers: a subclass writes `update`.

        class SignDescent(optim.Optimizer):
            def update(self, parameter, grad, memory, *, lr):
                parameter.data = parameter.data - lr * np.sign(grad)

    Parameters
    ----------
    parameters : list, dict or pairs; or a list of groups
        `model.parameters()`. A group {"params": ..., "lr": ...} has settings of its own, as a pretrained part of a
        network may need smaller steps than a new one; what it does not say is as for the others.
    lr : float
        The learning rate.
    **settings
        Further hyper-parameters; `update` gets them by name.

    Attributes
    ----------
    param_groups : list of dict
        The groups: "params", and the settings by name. They may be changed between steps.
    parameters : dict of str to Parameter
        All of them by dotted name, as `model.parameters()` and `model.named_parameters()` give them.
    lr : float
        The first group's learning rate. Setting it sets that of all groups, where it is the same for all.
    memory : dict of str to dict
        What is remembered for each parameter (its moments, its number of steps), filled at its first step.

    Raises
    ------
    ArgumentError
        If a setting makes no sense or is unknown, or there are no parameters, or one of them comes twice.
    """

    moments: tuple[str, ...] = ()
    """Names of the arrays that are remembered for each parameter; they have its shape and start at zero."""
    lr = Setting()

    def __init__(self, parameters: GroupsLike, lr: float, **settings: Any) -> None:
        kind = type(self).__name__
        self.param_groups = make_groups(kind, parameters, {"lr": lr, **settings})
        self.parameters: dict[str, Parameter] = {}
        for group in self.param_groups:
            self.parameters |= dict(zip(group["params"].names, group["params"], strict=True))
            own = self.settings(group)
            if not is_number(own["lr"]):
                raise ArgumentError(f"{kind}: lr must be a number, not {own['lr']!r}")
            if not own["lr"] >= 0:
                raise ArgumentError(f"{kind}: lr must be at least 0, not {own['lr']}")
            self.check(**own)
        self.memory: dict[str, dict[str, Any]] = {}

    def check(self, *_: Any, **settings: Any) -> None:
        """Raise `ArgumentError` if the settings of a group, which come by name, make no sense."""

    def step(self) -> None:
        """Update every parameter that has a gradient and is not frozen."""
        for group in self.param_groups:
            due = []
            for name, parameter in zip(group["params"].names, group["params"], strict=True):
                if parameter.grad is None or parameter.frozen:
                    continue
                memory = self.memory[name] = self._placed(name, self.memory.get(name, {"step": 0}))
                memory["step"] += 1
                for moment in self.moments:
                    if moment not in memory:
                        memory[moment] = array_module(parameter.data).zeros_like(parameter.data)
                due.append((parameter, memory))
            self.update_all(due, **self.settings(group))

    def update_all(self, due: Due, **settings: Any) -> None:
        """Update a group's parameters: one after the other, unless a subclass knows of something faster."""
        for parameter, memory in due:
            self.update(parameter, parameter.grad, memory, **settings)

    def in_one_operation(self, operation: Any, due: Due, **options: Any) -> None:
        """Update parameters by operation(ws, dws, *moments, **options) -> ws, *moments, all of them lists."""
        ws, dws = [parameter.data for parameter, _ in due], [parameter.grad for parameter, _ in due]
        moments = [[memory[moment] for _, memory in due] for moment in self.moments]
        ws, *moments = operation(ws, dws, *moments, **options)
        for (parameter, memory), w, *values in zip(due, ws, *moments, strict=True):
            parameter.data = w
            memory.update(zip(self.moments, values, strict=True))

    def update(self, parameter: Parameter, grad: Array, memory: dict[str, Any], *_: Any, **settings: Any) -> None:
        """Set `parameter.data` to its new value.

        `memory` is this parameter's own, with its "step" counted from 1; further arrays of the parameter's shape may be
        kept there. The settings of the parameter's group come by name.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update yet")

    def settings(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """Return a group's settings as Python's own numbers; one of NumPy's would turn float32 into float64."""
        return {name: _plain(value) for name, value in group.items() if name != "params"}

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters.values():
            parameter.zero_grad()

    def state_dict(self) -> dict[str, Any]:
        """Return copies of all that a training needs to go on.

        {"hyperparameters": [{"params": names, setting: value, ...} for each group],
         "memory": {parameter: {what: number or host array}}}
        """
        return {
            "hyperparameters": [
                {"params": list(group["params"].names), **self.settings(group)} for group in self.param_groups
            ],
            "memory": {
                name: {what: value if what == "step" else np.array(to_host(value)) for what, value in kept.items()}
                for name, kept in self.memory.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave. Raises `CheckpointError` if it is of other parameters or another kind."""
        groups, memory = state.get("hyperparameters", []), state.get("memory", {})
        self._check_settings(groups)
        for name, kept in memory.items():
            if name not in self.parameters:
                raise CheckpointError(f"the optimizer's state has a parameter {name!r} that this model lacks")
            shape = self.parameters[name].data.shape
            if any(what != "step" and value.shape != shape for what, value in kept.items()):
                raise CheckpointError(f"the optimizer's state of {name!r} is not of the parameter's shape {shape}")
        self._check_members(groups)
        for own, group in zip(self.param_groups, groups, strict=True):
            own.update({name: _plain(value) for name, value in group.items() if name != "params"})
        self.memory = {
            name: self._placed(
                name, {what: int(v) if what == "step" else np.array(to_host(v)) for what, v in kept.items()}
            )
            for name, kept in memory.items()
        }

    def __repr__(self) -> str:
        return describe(type(self).__name__, [self.settings(group) for group in self.param_groups])

    def _check_settings(self, groups: Any) -> None:
        """Raise `CheckpointError` unless this is a list of groups with the settings of this kind of optimizer."""
        known = set(self.param_groups[0])
        if not isinstance(groups, list) or not groups:
            raise CheckpointError(f"this is no state of {type(self).__name__}: it has no groups of parameters")
        for group in groups:
            if set(group) != known:
                raise CheckpointError(
                    f"this is no state of {type(self).__name__}: it has {listed(group)}, expected {listed(known)}"
                )

    def _check_members(self, groups: list[dict[str, Any]]) -> None:
        """Raise `CheckpointError` unless the same parameters are in the same groups."""
        if len(groups) != len(self.param_groups):
            raise CheckpointError(
                f"the optimizer's state has {len(groups)} group(s) of parameters, this optimizer "
                f"{len(self.param_groups)}; build it with the same groups"
            )
        for number, (own, group) in enumerate(zip(self.param_groups, groups, strict=True)):
            if own["params"].names != group["params"]:
                raise CheckpointError(
                    f"group {number} of the optimizer's state holds {listed(group['params'])}, this optimizer's "
                    f"{listed(own['params'].names)}; build it with the same groups"
                )

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


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's own, in a pair (which JSON makes a list) as well."""
    if isinstance(value, tuple | list):
        return tuple(_plain(item) for item in value)
    return value.item() if type(value) is not float and hasattr(value, "item") else value
