"""One cycle: up to a high learning rate, and down to almost nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

from minicnn.errors import ArgumentError, whole_number
from minicnn.optim.schedules import Schedule, check_at_least_0, half_wave


@dataclass
class OneCycle(Schedule):
    """Up from max_lr / div_factor to max_lr, and down to max_lr / div_factor / final_div_factor.

    The momentum (Adam's first beta) goes the other way: where steps are long, older gradients count for less.
    Smith and Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2018, in
    PyTorch's form (OneCycleLR). The learning rate that the optimizer was given does not matter.

    Parameters
    ----------
    max_lr : float or list of float
        The highest rate; a list has one for each group of parameters.
    total_steps : int, optional
        The length of the cycle; or else `epochs` and `steps_per_epoch`, whose product it is.
    pct_start : float
        The share of the cycle in which the rate rises.
    anneal_strategy : "cos" or "linear"
        Along half a wave, or along straight lines.
    cycle_momentum : bool
        Whether to move the momentum too, between max_momentum and base_momentum.
    div_factor, final_div_factor : float
        See above.
    three_phase : bool
        Go down as long as up, to max_lr / div_factor, and only then lower.
    per : "batch" or "epoch"
        What is counted; by default batches.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or a training goes on after the cycle's end.
    """

    max_lr: float | Sequence[float]
    total_steps: int | None = None
    epochs: int | None = None
    steps_per_epoch: int | None = None
    pct_start: float = 0.3
    anneal_strategy: Literal["cos", "linear"] = "cos"
    cycle_momentum: bool = True
    base_momentum: float = 0.85
    max_momentum: float = 0.95
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    three_phase: bool = False
    _: KW_ONLY
    per: Literal["epoch", "batch"] = "batch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.total_steps is None:
            if self.epochs is None or self.steps_per_epoch is None:
                raise ArgumentError("OneCycle needs its length: total_steps, or epochs and steps_per_epoch")
            epochs = whole_number("OneCycle: epochs", self.epochs)
            self.total_steps = epochs * whole_number("OneCycle: steps_per_epoch", self.steps_per_epoch)
        self.length = whole_number("OneCycle: total_steps", self.total_steps)
        check_at_least_0("OneCycle", base_momentum=self.base_momentum, max_momentum=self.max_momentum)
        for value in self.max_lr if isinstance(self.max_lr, Sequence) else [self.max_lr]:
            check_at_least_0("OneCycle", max_lr=value)
        if not 0 <= self.pct_start <= 1:
            raise ArgumentError(f"OneCycle: pct_start must lie in [0, 1], not {self.pct_start}")
        if self.anneal_strategy not in ("cos", "linear"):
            raise ArgumentError(f"OneCycle: anneal_strategy must be 'cos' or 'linear', not {self.anneal_strategy!r}")
        if not (self.div_factor > 0 and self.final_div_factor > 0):
            raise ArgumentError(
                "OneCycle: div_factor and final_div_factor must be above 0, "
                f"not {self.div_factor} and {self.final_div_factor}"
            )

    def lr_at(self, count: int, lr: float = 0.0) -> float:
        """Return the rate, the first group's; `lr` does not matter."""
        return self._at(count, 0)[0]

    def settings_at(self, count: int, initial: Mapping[str, Any], group: int = 0) -> dict[str, Any]:
        """Return the learning rate, and the momentum under the name that the optimizer has for it."""
        lr, momentum = self._at(count, group)
        if not self.cycle_momentum:
            return {"lr": lr}
        if "betas" in initial:
            return {"lr": lr, "betas": (momentum, initial["betas"][1])}
        return {"lr": lr, "momentum": momentum}

    def check_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Raise `ArgumentError` if max_lr has another number of groups, or there is no momentum to be moved."""
        if isinstance(self.max_lr, Sequence) and len(self.max_lr) != len(groups):
            raise ArgumentError(
                f"OneCycle: max_lr has {len(self.max_lr)} entries for {len(groups)} group(s) of parameters"
            )
        if self.cycle_momentum and not all("betas" in group or "momentum" in group for group in groups):
            raise ArgumentError("OneCycle: this optimizer has no momentum to be moved; set cycle_momentum=False")

    def _at(self, count: int, group: int) -> tuple[float, float]:
        """Return learning rate and momentum."""
        if not 0 <= count < self.length:
            raise ArgumentError(
                f"OneCycle has an end: it is {self.length} {self.per}(s) long (total_steps), and {self.per} "
                f"{count + 1} is asked for; make it as long as the training"
            )
        phases = self._phases(self.max_lr[group] if isinstance(self.max_lr, Sequence) else self.max_lr)
        number = next(i for i, (end, _, _) in enumerate(phases) if count <= end)
        begin = phases[number - 1][0] if number else 0.0
        end, rates, momenta = phases[number]
        share = (count - begin) / (end - begin) if end > begin else 1.0
        return self._between(*rates, share), self._between(*momenta, share)

    def _phases(self, highest: float) -> list[tuple[float, tuple[float, float], tuple[float, float]]]:
        """Return for each phase its last count, and the rates and momenta from its beginning to its end."""
        first = highest / self.div_factor
        last = first / self.final_div_factor
        low, high = self.base_momentum, self.max_momentum
        rise = self.pct_start * self.length
        end = self.length - 1
        if self.three_phase:
            return [
                (rise - 1, (first, highest), (high, low)),
                (2 * rise - 2, (highest, first), (low, high)),
                (end, (first, last), (high, high)),
            ]
        return [(rise - 1, (first, highest), (high, low)), (end, (highest, last), (low, high))]

    def _between(self, start: float, end: float, share: float) -> float:
        return half_wave(start, end, share) if self.anneal_strategy == "cos" else start + (end - start) * share
