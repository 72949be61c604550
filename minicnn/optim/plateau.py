"""Lower the learning rate where a measure no longer improves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from minicnn.errors import ArgumentError, listed, whole_number
from minicnn.optim.monitor import smaller_is_better
from minicnn.optim.schedules import Schedule, check_at_least_0


@dataclass
class ReduceOnPlateau(Schedule):
    """lr = max(lr * factor, min_lr) whenever a measure has not improved for more than `patience` epochs.

    PyTorch's ReduceLROnPlateau. The only schedule with a memory (`state_dict`), which a checkpoint keeps.

    Parameters
    ----------
    mode : "min" or "max", optional
        Whether smaller or larger is better. By default smaller if the measure's name ends in "loss", else larger.
    factor : float
        Below 1.
    patience : int
        Epochs without improvement that are borne.
    threshold : float
        What counts as an improvement: by this share of the best value ("rel"), or by this much ("abs").
    threshold_mode : "rel" or "abs"
        See there.
    cooldown : int
        Epochs after a reduction in which nothing is counted.
    min_lr : float
        The rate falls no lower.
    eps : float
        A reduction smaller than this is left out.
    monitor : str, optional
        The measure. By default "val_loss" where there is validation data, else "loss".
    """

    mode: Literal["min", "max"] | None = None
    factor: float = 0.1
    patience: int = 10
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    cooldown: int = 0
    min_lr: float = 0.0
    eps: float = 1e-8
    monitor: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per != "epoch":
            raise ArgumentError("ReduceOnPlateau looks at what an epoch measured, so per must be 'epoch'")
        if self.mode not in ("min", "max", None):
            raise ArgumentError(f"ReduceOnPlateau: mode must be 'min' or 'max', not {self.mode!r}")
        if self.threshold_mode not in ("rel", "abs"):
            raise ArgumentError(f"ReduceOnPlateau: threshold_mode must be 'rel' or 'abs', not {self.threshold_mode!r}")
        if not 0 < self.factor < 1:
            raise ArgumentError(f"ReduceOnPlateau: factor must lie between 0 and 1, not {self.factor}")
        self.patience = whole_number("ReduceOnPlateau: patience", self.patience, least=0)
        self.cooldown = whole_number("ReduceOnPlateau: cooldown", self.cooldown, least=0)
        check_at_least_0(self.kind, threshold=self.threshold, min_lr=self.min_lr, eps=self.eps)
        self.best: float | None = None
        self.reductions = self.epochs_without = self.epochs_to_cool = 0

    def lr_at(self, count: int, lr: float) -> float:
        """Return the rate after the reductions so far; the count does not matter."""
        for _ in range(self.reductions):
            lower = max(lr * self.factor, self.min_lr)
            lr = lower if lr - lower > self.eps else lr
        return lr

    def check_measures(self, names: Sequence[str]) -> None:
        """Raise `ArgumentError` if what is to be monitored is not measured."""
        if self.monitor is not None and self.monitor not in names:
            raise ArgumentError(f"ReduceOnPlateau: there is no {self.monitor!r} to monitor; there are {listed(names)}")

    def observe(self, count: int, logs: Mapping[str, float]) -> None:
        """Count the epochs without improvement, and reduce the rate when they are too many."""
        monitor = self.monitor or ("val_loss" if "val_loss" in logs else "loss")
        self.check_measures(list(logs))
        value = float(logs[monitor])
        if self._is_better(value, monitor):
            self.best = value
            self.epochs_without = 0
        else:
            self.epochs_without += 1
        if self.epochs_to_cool > 0:
            self.epochs_to_cool -= 1
            self.epochs_without = 0
        if self.epochs_without > self.patience:
            self.reductions += 1
            self.epochs_to_cool = self.cooldown
            self.epochs_without = 0

    def _is_better(self, value: float, monitor: str) -> bool:
        if self.best is None:
            return math.isfinite(value)
        smaller = smaller_is_better(monitor, self.mode or "auto")
        sign = -1 if smaller else 1
        relative = self.threshold_mode == "rel"
        bar = self.best * (1 + sign * self.threshold) if relative else self.best + sign * self.threshold
        return sign * (value - bar) > 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best value so far, and what is counted."""
        return {name: getattr(self, name) for name in ("best", "reductions", "epochs_without", "epochs_to_cool")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, value in state.items():
            setattr(self, name, value)
