"""Callbacks: what happens beside the training, at its beginning and end and after every batch and epoch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn.errors import ArgumentError, listed
from minicnn.optim.monitor import Mode, expect_mode, smaller_is_better
from minicnn.train.checkpoint import save_checkpoint, save_weights
from minicnn.train.files import prepare_folder, replace_file

if TYPE_CHECKING:
    from minicnn.train.trainer import Trainer


class Callback:
    """The base of all callbacks; none of its methods does anything, so write only those that you need.

    `self.trainer` is the trainer. `self.trainer.stop("why")` ends the training after the epoch that is running.

    A callback that remembers something from epoch to epoch writes `state_dict` and `load_state_dict` too: checkpoints
    keep its state, and a run that is resumed goes on with it.
    """

    trainer: "Trainer"

    def check_measures(self, names: Sequence[str]) -> None:
        """Raise `ArgumentError` if this callback needs a measure that is not among these; before training begins."""

    def on_train_begin(self) -> None:
        """Before the first epoch."""

    def on_epoch_begin(self, epoch: int) -> None:
        """Before each epoch, counted from 1."""

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """After each batch, counted from 1; `logs` holds the means since the epoch began, computed when asked for."""

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """After each epoch, with what was measured; `self.trainer.history` has it already."""

    def on_train_end(self) -> None:
        """After the last epoch, also when the training was stopped or interrupted."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint has to keep: arrays, and whatever JSON can hold, by name. Nothing means stateless.

        It is asked for at the end of each epoch, and before the first; a callback with a state always returns some.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave, before `on_train_begin`. Arrays come on the host."""


class Checkpoint(Callback):
    """Keep `checkpoint.npz`, the state to go on from, `best.npz`, the best weights, and `history.csv` in a folder.

    All three are replaced in one step after every epoch. Raises `OutputError` if the folder cannot be written to.

    Parameters
    ----------
    folder : path
        Where; it is made if need be.
    monitor : str, optional
        The measure by which weights are the best. By default "val_loss" where there is validation data, else "loss";
        in a training with `EarlyStopping`, what that one monitors.
    mode : "auto", "min" or "max"
        Whether its smallest or its largest value is the best; "auto" means "min" if its name ends in "loss" or "error".

    Attributes
    ----------
    follows : (monitor, mode), optional
        What says in the running training which weights are the best, instead of `monitor` and `mode`.
    """

    def __init__(self, folder: str | Path, *, monitor: str | None = None, mode: Mode = "auto") -> None:
        self.folder = prepare_folder(folder)
        self.monitor = monitor
        self.mode = expect_mode(mode, "Checkpoint")
        self.path = self.folder / "checkpoint.npz"
        self.follows: tuple[str, Mode] | None = None

    def on_train_begin(self) -> None:
        """Keep the state before the first epoch too: a run killed during it can go on all the same."""
        self.save()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Best weights first: the checkpoint that says the epoch is done comes last."""
        default = "val_loss" if "val_loss" in logs else "loss"
        monitor, mode = self.follows or (self.monitor or default, self.mode)
        if monitor not in logs:
            raise ArgumentError(f"Checkpoint: there is no {monitor!r} to monitor; there are {listed(logs)}")
        sign = -1 if smaller_is_better(monitor, mode) else 1
        *earlier, newest = (sign * value for value in self.trainer.history[monitor])
        best = self.folder / "best.npz"
        if not math.isnan(newest) and not (best.exists() and any(value >= newest for value in earlier)):
            save_weights(self.trainer, best)  # NaN: was not measured then
        self.save()

    def on_train_end(self) -> None:
        """Follow nobody any more: the next training may have other callbacks."""
        self.follows = None

    def save(self) -> None:
        """Write the history, then the state of the training."""
        replace_file(self.folder / "history.csv", lambda file: file.write(self.trainer.history.to_csv().encode()))
        save_checkpoint(self.trainer, self.path)
