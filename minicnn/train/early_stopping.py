"""Stop a training that no longer gets better, and give the model the weights of its best epoch."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError, listed, whole_number
from minicnn.optim.monitor import Mode, expect_mode, smaller_is_better
from minicnn.train.callbacks import Callback

WEIGHTS = "weights/"


@dataclass(frozen=True)
class Look:
    """What a column of measures says: its best value and its place, and how many came since the last improvement."""

    best: float | None
    at: int | None
    wait: int


def look_back(values: Iterable[float], *, sign: int, min_delta: float, baseline: float | None) -> Look:
    """Go through the measures of all epochs; `sign` is -1 if smaller ones are better. NaN and infinity are no best."""
    best: float | None = None
    at, wait = None, 0
    bar = -math.inf if baseline is None else sign * baseline
    for place, value in enumerate(values):
        score = sign * value
        if math.isfinite(score) and (best is None or score > sign * best):
            best, at = value, place
        if math.isfinite(score) and score > bar + min_delta:
            bar, wait = score, 0
        else:
            wait += 1
    return Look(best, at, wait)


class EarlyStopping(Callback):
    """Stop when a measure has not improved for `patience` epochs; give the model the weights of the best epoch.

    The best weights (parameters and buffers) come back when training ENDS: after it was stopped, after the last epoch,
    and after an interruption or an error. Prechelt, "Early stopping - but when?", 1998, compares such criteria.

    Each `fit` begins anew. One that resumes a run goes on counting, stops in the same epoch and ends with the same bits
    as one that was never killed: the best weights are in `checkpoint.npz` too, beside those of the last epoch, which
    training goes on from. `best.npz` then holds the best weights of the whole run by this measure.

    Parameters
    ----------
    monitor : str
        The measure: one of the history's, such as "val_loss" or "val_accuracy".
    patience : int
        How many epochs in a row without improvement end the training.
    min_delta : float
        What counts as an improvement is better by more than this than the last one was. The best epoch is the one with
        the best value all the same; of equal ones, the first.
    mode : "auto", "min" or "max"
        Whether smaller or larger is better; "auto" means "min" if the name ends in "loss" or "error".
    restore_best_weights : bool
        Without, the model keeps the weights of the last epoch.
    baseline : float, optional
        A value to be surpassed: epochs that do not surpass it count as epochs without improvement.

    Attributes
    ----------
    best, best_epoch : float and int, or None
        The best value, and its epoch, counted from 1; NaN and infinity are never the best.
    wait : int
        Epochs since the last improvement.

    Raises
    ------
    ArgumentError
        If an argument makes no sense; when training begins, if there is no such measure.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: Mode = "auto",
        restore_best_weights: bool = True,
        baseline: float | None = None,
    ) -> None:
        if not isinstance(monitor, str):
            raise ArgumentError(f"EarlyStopping: monitor must be the name of a measure, not {monitor!r}")
        if not 0 <= min_delta < math.inf:
            raise ArgumentError(f"EarlyStopping: min_delta must be at least 0, not {min_delta}")
        if baseline is not None and not math.isfinite(baseline):
            raise ArgumentError(f"EarlyStopping: baseline must be a number, not {baseline}")
        self.monitor = monitor
        self.patience = whole_number("EarlyStopping: patience", patience)
        self.min_delta = min_delta
        self.mode = expect_mode(mode, "EarlyStopping")
        self.restore_best_weights = restore_best_weights
        self.baseline = baseline
        self.best: float | None = None
        self.best_epoch: int | None = None
        self.wait = 0
        self._began = 0
        self._weights: dict[str, np.ndarray] = {}
        self._resumed: Mapping[str, Any] | None = None

    def check_measures(self, names: Sequence[str]) -> None:
        """Raise `ArgumentError` if the monitor is not among these."""
        if self.monitor not in names:
            needs = self.monitor.removeprefix("val_") in names
            hint = ": it needs fit(..., validation=...)" if needs else ""
            raise ArgumentError(
                f"EarlyStopping: there is no {self.monitor!r} to monitor{hint}; there are {listed(names)}"
            )

    def on_train_begin(self) -> None:
        """Begin anew, or go on where the checkpoint says."""
        trainer = self.trainer
        self._began, self._weights = trainer.epoch, {}
        if self._resumed is not None:
            self._began = self._resumed["began"]
            self._weights = {
                name.removeprefix(WEIGHTS): value for name, value in self._resumed.items() if name.startswith(WEIGHTS)
            }
            self._resumed = None
        if trainer.checkpoint is not None:
            trainer.checkpoint.follows = self.monitor, self.mode
        self._look()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Take the weights down if this epoch was the best, and stop the training if it has waited long enough."""
        self._look()
        if self.best_epoch == epoch and self.restore_best_weights:
            self._weights = self.trainer.model.state_dict()

    def on_train_end(self) -> None:
        """Give the model its best weights."""
        if self._weights and self.restore_best_weights:
            self.trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch after which this training began, and the best weights; all else the history knows."""
        return {"began": self._began, **{f"{WEIGHTS}{name}": value for name, value in self._weights.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there when the training begins."""
        self._resumed = dict(state)

    def _look(self) -> None:
        """Look at what was measured since the training began, and stop it if that says so."""
        rows = [row for row in self.trainer.history if row["epoch"] > self._began]
        values = [row.get(self.monitor, math.nan) for row in rows]
        sign = -1 if smaller_is_better(self.monitor, self.mode) else 1
        look = look_back(values, sign=sign, min_delta=self.min_delta, baseline=self.baseline)
        self.best, self.wait = look.best, look.wait
        self.best_epoch = None if look.at is None else int(rows[look.at]["epoch"])
        if self.wait >= self.patience:
            best = "there was no finite value"
            if self.best is not None:
                best = f"the best is {self.best:.4g}, in epoch {self.best_epoch}"
            self.trainer.stop(
                f"{self.monitor} has not improved for {self.wait} epoch{'' if self.wait == 1 else 's'}; {best}"
            )
