"""Schedules: how the learning rate changes while a network is trained.

A schedule is a function of a count and knows nothing else: `schedule.lr_at(count, lr)` is the rate in epoch (or batch)
number `count`, counted from 0, of a training that began with `lr`. So a training that is resumed needs no memory of it,
and a schedule can be drawn before it is used. Names and arguments are PyTorch's, without the `LR`.

    trainer = mc.Trainer(model, optimizer=optim.SGD(model.parameters(), lr=0.1), schedule=optim.Cosine(T_max=30))
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minicnn.errors import ArgumentError, expect_kind, whole_number


@dataclass
class Schedule:
    """The base of all schedules: a subclass writes `lr_at`.

    Parameters
    ----------
    per : "epoch" or "batch"
        What is counted.
    """

    per: Literal["epoch", "batch"] = field(default="epoch", kw_only=True)

    def __post_init__(self) -> None:
        if self.per not in ("epoch", "batch"):
            raise ArgumentError(f"{self.kind}: per must be 'epoch' or 'batch', not {self.per!r}")

    @property
    def kind(self) -> str:
        """What the schedule is called; a checkpoint is of a training with the same."""
        return type(self).__name__

    def lr_at(self, count: int, lr: float) -> float:
        """Return the learning rate after so many epochs (or batches), for a training that began with `lr`."""
        raise NotImplementedError(f"{self.kind} has no lr_at yet")

    def settings_at(self, count: int, initial: Mapping[str, Any], group: int = 0) -> dict[str, Any]:
        """Return the settings of a group of parameters that change: the learning rate, and what a schedule adds to it.

        initial : the group's settings when the training began
        group : the group's number
        """
        return {"lr": self.lr_at(count, initial["lr"])}

    def check_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Raise `ArgumentError` if the schedule does not fit an optimizer with these groups of settings."""

    def check_measures(self, names: Sequence[str]) -> None:
        """Raise `ArgumentError` if the schedule asks for a measure that is not among these."""

    def observe(self, count: int, logs: Mapping[str, float]) -> None:
        """Look at what was measured in epoch number `count`, counted from 0. Only `ReduceOnPlateau` does."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the schedule remembers, as plain numbers: nothing, unless it observes."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""


@dataclass
class Step(Schedule):
    """lr * gamma^(count // step_size): the rate falls by a factor every `step_size` (PyTorch's StepLR)."""

    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.step_size = whole_number("Step: step_size", self.step_size)
        check_at_least_0(self.kind, gamma=self.gamma)

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate."""
        return lr * self.gamma ** (count // self.step_size)


@dataclass
class MultiStep(Schedule):
    """lr * gamma^(milestones passed): the rate falls by a factor at each milestone (PyTorch's MultiStepLR)."""

    milestones: Sequence[int]
    gamma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.milestones = sorted(whole_number("MultiStep: a milestone", m, least=0) for m in self.milestones)
        check_at_least_0(self.kind, gamma=self.gamma)

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate; at the milestone itself it has fallen already."""
        return lr * self.gamma ** bisect_right(self.milestones, count)


@dataclass
class Exponential(Schedule):
    """lr * gamma^count (PyTorch's ExponentialLR)."""

    gamma: float

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least_0(self.kind, gamma=self.gamma)

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate."""
        return lr * self.gamma**count


@dataclass
class Cosine(Schedule):
    """eta_min + (lr - eta_min) * (1 + cos(pi * count / T_max)) / 2: from lr down to eta_min along half a wave.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5, without restarts.
    After T_max the rate stays at eta_min, where PyTorch's CosineAnnealingLR would go up the wave again.
    """

    T_max: int
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.T_max = whole_number("Cosine: T_max", self.T_max)
        check_at_least_0(self.kind, eta_min=self.eta_min)

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate."""
        return half_wave(lr, self.eta_min, min(count / self.T_max, 1.0))


@dataclass
class CosineWarmRestarts(Schedule):
    """`Cosine` again and again: T_0 long at first, and each time T_mult times as long as before.

    Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5 and section 3
    (PyTorch's CosineAnnealingWarmRestarts).
    """

    T_0: int
    T_mult: int = 1
    eta_min: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.T_0 = whole_number("CosineWarmRestarts: T_0", self.T_0)
        self.T_mult = whole_number("CosineWarmRestarts: T_mult", self.T_mult)
        check_at_least_0(self.kind, eta_min=self.eta_min)

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate."""
        length = self.T_0
        while count >= length:
            count -= length
            length *= self.T_mult
        return half_wave(lr, self.eta_min, count / length)


@dataclass
class Warmup(Schedule):
    """From start_factor * lr up to lr in a straight line, and then another schedule, which starts to count only there.

    Large first steps can throw a network with random weights, or running means that have hardly begun, off for good:
    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 2.2. In PyTorch,
    SequentialLR of a LinearLR and the other one.

    Parameters
    ----------
    total_iters : int
        How many epochs (or batches) it takes.
    then : Schedule, optional
        What follows; without it the rate stays at lr.
    start_factor : float
        Where it begins, as a share of lr: above 0, at most 1.
    per : "epoch" or "batch"
        What is counted, here and in `then`, which has to agree; by default what `then` counts.
    """

    total_iters: int = 5
    then: Schedule | None = None
    start_factor: float = field(default=1 / 3, kw_only=True)
    per: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.then is not None:
            expect_kind(Schedule, self.then, "Warmup: then")
        self.per = self.per or (self.then.per if self.then is not None else "epoch")
        super().__post_init__()
        if self.then is not None and self.then.per != self.per:
            raise ArgumentError(
                f"Warmup counts per {self.per} and the {self.then.kind} after it per {self.then.per}; let them agree"
            )
        self.total_iters = whole_number("Warmup: total_iters", self.total_iters)
        if not 0 < self.start_factor <= 1:
            raise ArgumentError(f"Warmup: start_factor must be above 0 and at most 1, not {self.start_factor}")

    @property
    def kind(self) -> str:
        """What both are called."""
        return "Warmup" if self.then is None else f"Warmup, then {self.then.kind}"

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate."""
        return float(self.settings_at(count, {"lr": lr})["lr"])

    def settings_at(self, count: int, initial: Mapping[str, Any], group: int = 0) -> dict[str, Any]:
        """Return a share of what `then` begins with, or what it says."""
        after = max(count - self.total_iters, 0)
        settings = {"lr": initial["lr"]} if self.then is None else self.then.settings_at(after, initial, group)
        if count < self.total_iters:
            settings["lr"] *= self.start_factor + (1 - self.start_factor) * count / self.total_iters
        return settings

    def check_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Ask the schedule that follows."""
        if self.then is not None:
            self.then.check_groups(groups)

    def check_measures(self, names: Sequence[str]) -> None:
        """Ask the schedule that follows."""
        if self.then is not None:
            self.then.check_measures(names)

    def observe(self, count: int, logs: Mapping[str, float]) -> None:
        """Pass on what was measured after the warming up."""
        if self.then is not None and count >= self.total_iters:
            self.then.observe(count - self.total_iters, logs)

    def state_dict(self) -> dict[str, Any]:
        """Return what the schedule that follows remembers."""
        return {} if self.then is None else self.then.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Pass it on."""
        if self.then is not None:
            self.then.load_state_dict(state)


def half_wave(start: float, end: float, share: float) -> float:
    """Return start for share 0, end for share 1, and between them half a wave of the cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def check_at_least_0(kind: str, **values: float) -> None:
    """Raise `ArgumentError` for a value below 0."""
    for name, value in values.items():
        if not value >= 0:
            raise ArgumentError(f"{kind}: {name} must be at least 0, not {value}")
