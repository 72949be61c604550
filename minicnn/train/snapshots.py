"""Snapshots: the weights at the end of each cycle of a learning rate that falls and restarts."""

import copy
import math
from collections.abc import Mapping
from typing import Any

from minicnn.errors import ArgumentError, whole_number
from minicnn.nn import Layer
from minicnn.optim import CosineWarmRestarts
from minicnn.train.callbacks import Callback


class Snapshots(Callback):
    """Keep the weights after every so many epochs.

    Huang et al., "Snapshot ensembles: train 1, get M for free", 2017, section 3: at the end of each cycle the rate is
    close to 0 and the network has settled; the restart throws it out, and it settles elsewhere. The networks of the
    last few cycles together are an ensemble for the price of one training:

        cycle = 10
        snapshots = Snapshots(every=cycle)
        schedule = optim.CosineWarmRestarts(T_0=cycle * math.ceil(len(digits.train) / 64), per="batch")
        trainer = mc.Trainer(model, optimizer=optim.SGD(model.parameters(), lr=0.2), schedule=schedule)
        trainer.fit(digits.train, epochs=5 * cycle, batch_size=64, callbacks=[snapshots])
        ensemble = recipes.Ensemble(snapshots.models[-3:])

    Checkpoints keep the snapshots too, and grow with them.

    Parameters
    ----------
    every : int
        Epochs in a cycle.

    Attributes
    ----------
    epochs : list of int
        After which epochs the weights were kept.

    Raises
    ------
    ArgumentError
        If `every` makes no sense, the training's schedule is `CosineWarmRestarts` with cycles of another length, or the
        snapshots are those of another training.
    """

    def __init__(self, every: int) -> None:
        self.every = whole_number("Snapshots: every", every)
        self.epochs: list[int] = []
        self._weights: list[dict[str, Any]] = []

    @property
    def models(self) -> list[Layer]:
        """Copies of the model with the weights of each snapshot, the oldest first. Made anew each time."""
        models = []
        for weights in self._weights:
            model = copy.deepcopy(self.trainer.model)
            model.load_state_dict(weights)
            models.append(model)
        return models

    def on_train_begin(self) -> None:
        """Make sure that the cycles are those of the schedule, and that the snapshots are of this training."""
        if self.epochs and self.epochs[-1] > self.trainer.epoch:
            raise ArgumentError(
                f"the last snapshot was taken after epoch {self.epochs[-1]}, but this training has done "
                f"{self.trainer.epoch}; each training needs Snapshots of its own"
            )
        schedule = self.trainer.pace.schedule
        if not isinstance(schedule, CosineWarmRestarts):
            return
        batches = math.ceil(self.trainer.images_per_epoch / self.trainer.batch_size)
        cycle = self.every * (batches if schedule.per == "batch" else 1)
        if (schedule.T_0, schedule.T_mult) != (cycle, 1):
            raise ArgumentError(
                f"Snapshots: every={self.every} is not where the schedule restarts: it has T_0={schedule.T_0}, "
                f"T_mult={schedule.T_mult}; use CosineWarmRestarts(T_0={cycle}, per={schedule.per!r})"
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Keep the weights at the end of a cycle."""
        if epoch % self.every == 0:
            self.epochs.append(epoch)
            self._weights.append(self.trainer.model.state_dict())

    def state_dict(self) -> dict[str, Any]:
        """Return epochs and weights."""
        weights = zip(self.epochs, self._weights, strict=True)
        return {
            "epochs": list(self.epochs),
            **{f"{epoch}/{name}": value for epoch, state in weights for name, value in state.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.epochs = list(state["epochs"])
        prefixes = [f"{epoch}/" for epoch in self.epochs]
        self._weights = [
            {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
            for prefix in prefixes
        ]
