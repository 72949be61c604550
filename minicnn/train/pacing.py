"""How a training goes by its schedule: what is counted, and which settings the optimizer gets."""

from collections.abc import Mapping, Sequence
from typing import Any

from minicnn.errors import CheckpointError
from minicnn.optim import Optimizer, Schedule


class Pace:
    """Counts steps, and sets the optimizer's learning rate before each as a schedule says.

    Attributes
    ----------
    schedule : Schedule or None
        Without one, the optimizer's settings are left alone.
    steps : int
        Training steps done.
    initial : list of dict
        The settings that the optimizer's groups had when the training began; what a schedule says starts from these.
    """

    def __init__(self, schedule: Schedule | None) -> None:
        self.schedule = schedule
        self.steps = 0
        self.initial: list[dict[str, Any]] = []
        self._optimizer: Optimizer | None = None

    def begin(self, optimizer: Optimizer, measures: Sequence[str], *, epochs: int, steps: int) -> None:
        """Make sure that the schedule fits the optimizer and what is measured, and is as long as the training.

        epochs, steps : how many there will be in all, when the training ends
        Raises `ArgumentError` if not: now, rather than in the middle of the night.
        """
        if self.schedule is None:
            return
        self._remember(optimizer)
        self.schedule.check_measures(measures)
        last = (epochs if self.schedule.per == "epoch" else steps) - 1
        if last >= 0:
            for number, initial in enumerate(self.initial):
                self.schedule.settings_at(last, initial, number)

    def before_step(self, optimizer: Optimizer, epoch: int) -> None:
        """Give the optimizer the settings for its next step, which is one of epoch number `epoch`, counted from 0."""
        if self.schedule is None:
            return
        self._remember(optimizer)
        count = epoch if self.schedule.per == "epoch" else self.steps
        for number, (group, initial) in enumerate(zip(optimizer.param_groups, self.initial, strict=True)):
            group.update(self.schedule.settings_at(count, initial, number))

    def _remember(self, optimizer: Optimizer) -> None:
        """Take down what an optimizer begins with, unless it is known already."""
        if optimizer is not self._optimizer and self.schedule is not None:
            self.schedule.check_groups(optimizer.param_groups)
            self.initial = [optimizer.settings(group) for group in optimizer.param_groups]
            self._optimizer = optimizer

    def observe(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the schedule what was measured in epoch number `epoch`, counted from 0."""
        if self.schedule is not None:
            self.schedule.observe(epoch, logs)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep, as plain numbers."""
        if self.schedule is None:
            return {"steps": self.steps, "schedule": None}
        return {
            "steps": self.steps,
            "schedule": self.schedule.kind,
            "initial": self.initial,
            "remembers": self.schedule.state_dict(),
        }

    def check(self, state: Mapping[str, Any]) -> None:
        """Raise `CheckpointError` if a state is of another schedule."""
        own = None if self.schedule is None else self.schedule.kind
        if state["schedule"] != own:
            raise CheckpointError(f"written with the schedule {state['schedule']}, this training has {own}")

    def load_state_dict(self, state: Mapping[str, Any], optimizer: Optimizer) -> None:
        """Go on from what `state_dict` gave, and `check` let pass, with an optimizer that has loaded its own."""
        self.steps = state["steps"]
        if self.schedule is not None:
            self.schedule.load_state_dict(state["remembers"])
            self.initial = [
                {name: tuple(value) if isinstance(value, list) else value for name, value in group.items()}
                for group in state["initial"]
            ]
            self._optimizer = optimizer if self.initial else None
