"""Callbacks: what happens beside the training, at its beginning and end and after every batch and epoch."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from minicnn.errors import ArgumentError, listed
from minicnn.train.checkpoint import save_checkpoint, save_weights
from minicnn.train.files import prepare_folder, replace_file

if TYPE_CHECKING:
    from minicnn.train.trainer import Trainer


class Callback:
    """The base of all callbacks; none of its methods does anything, so write only those that you need.

    `self.trainer` is the trainer. `self.trainer.stop("why")` ends the training after the epoch that is running.
    """

    trainer: "Trainer"

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


class StatefulCallback(Callback):
    """A callback that a resumed training needs as it was: what `state_dict` returns is kept in the checkpoint.

    Its `on_train_begin` calls `self.resume("a name of its own")` and begins with what that returns, if anything.
    """

    def state_dict(self) -> dict[str, Any]:
        """Return numbers, strings and arrays by name."""
        raise NotImplementedError

    def resume(self, name: str) -> dict[str, Any] | None:
        """Have the state kept under a name from now on; return the one to go on from, if this training is resumed."""
        checkpoint = self.trainer.checkpoint
        if checkpoint is None:
            return None
        checkpoint.kept[name] = self
        return checkpoint.found.get(name)


Mode = Literal["auto", "min", "max"]


def expect_mode(mode: Mode, owner: str) -> Mode:
    """Return the mode. Raises `ArgumentError` if there is no such mode."""
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f"{owner}: mode must be 'auto', 'min' or 'max', not {mode!r}")
    return mode


def sign_of(monitor: str, mode: Mode) -> int:
    """Return -1 where smaller is better, else 1: in mode "auto", where the name ends in "loss" or "error"."""
    if mode == "auto":
        return -1 if monitor.endswith(("loss", "error")) else 1
    return -1 if mode == "min" else 1


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
    kept : dict of str to callback
        The callbacks of the running training whose state goes into `checkpoint.npz`.
    follows : (monitor, mode), optional
        What says in the running training which weights are the best, instead of `monitor` and `mode`.
    found : dict of str to dict
        The states of callbacks in the checkpoint that is gone on from; a callback takes its own when training begins.
    """

    def __init__(self, folder: str | Path, *, monitor: str | None = None, mode: Mode = "auto") -> None:
        self.folder = prepare_folder(folder)
        self.monitor = monitor
        self.mode = expect_mode(mode, "Checkpoint")
        self.path = self.folder / "checkpoint.npz"
        self.kept: dict[str, StatefulCallback] = {}
        self.follows: tuple[str, Mode] | None = None
        self.found: dict[str, dict[str, Any]] = {}

    def on_train_begin(self) -> None:
        """Keep the state before the first epoch too: a run killed during it can go on all the same."""
        self.save()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Best weights first: the checkpoint that says the epoch is done comes last."""
        default = "val_loss" if "val_loss" in logs else "loss"
        monitor, mode = self.follows or (self.monitor or default, self.mode)
        if monitor not in logs:
            raise ArgumentError(f"Checkpoint: there is no {monitor!r} to monitor; there are {listed(logs)}")
        sign = sign_of(monitor, mode)
        *earlier, newest = (sign * value for value in self.trainer.history[monitor])
        if not math.isnan(newest) and not any(value >= newest for value in earlier):  # NaN: was not measured then
            save_weights(self.trainer, self.folder / "best.npz")
        self.save()

    def on_train_end(self) -> None:
        """Forget the callbacks: the next training may have others."""
        self.kept, self.follows, self.found = {}, None, {}

    def save(self) -> None:
        """Write the history, then the state of the training."""
        replace_file(self.folder / "history.csv", lambda file: file.write(self.trainer.history.to_csv().encode()))
        save_checkpoint(self.trainer, self.path, {name: callback.state_dict() for name, callback in self.kept.items()})
