"""What a training has measured, step by step: a finer history than one row an epoch."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.errors import ArgumentError, listed, whole_number
from minicnn.train.callbacks import Callback
from minicnn.train.means import RunningMeans, Totals, means_between

if TYPE_CHECKING:
    from minicnn.train.trainer import Trainer


class StepHistory(Callback):
    """Keep the measures of the training batches: `steps["loss"]` has a number for each of `steps.step`.

        steps = train.StepHistory(every=10)
        history = trainer.fit(..., callbacks=[steps])
        analyse.plot_history(history, steps=steps, smoothing=0.9)

    Reading a measure waits for a GPU; with `every=10` it waits at one batch in ten, and each number is the mean over
    ten, or over fewer where an epoch begins or ends. A run that is resumed goes on with it, and so does a second `fit`.

    Parameters
    ----------
    every : int
        Every how many steps it is read.

    Attributes
    ----------
    step : list of int
        The training steps at which it was read, counted from 1.
    ends : dict of int to int
        The last step of each epoch.
    """

    def __init__(self, every: int = 1) -> None:
        self.every = whole_number("every", every)
        self._of: Trainer | None = None  # whose training it is
        self._begin()

    def _begin(self) -> None:
        self.step: list[int] = []
        self.ends: dict[int, int] = {}
        self._columns: dict[str, list[float]] = {}
        self._before: Totals = {}

    def on_train_begin(self) -> None:
        """Begin anew for another trainer; forget what an epoch that was interrupted has left."""
        if self._of is not None and self._of is not self.trainer:
            self._begin()
        self._of, done = self.trainer, self.trainer.pace.steps
        kept = sum(step <= done for step in self.step)
        self.step = self.step[:kept]
        self._columns = {name: column[:kept] for name, column in self._columns.items()}
        self.ends = {epoch: step for epoch, step in self.ends.items() if step <= done}

    def on_epoch_begin(self, epoch: int) -> None:
        """Begin new sums."""
        self._before = {}

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Read the measures, if it is time."""
        fitting = self.trainer.fitting
        assert fitting is not None
        assert isinstance(logs, RunningMeans)
        step = self.trainer.pace.steps
        if step % self.every and batch < fitting.batches:
            return
        totals = logs.totals()
        means = means_between(self._before, totals)
        for name in {**self._columns, **means}:  # a measure may come or go between two fits
            self._columns.setdefault(name, [math.nan] * len(self.step)).append(means.get(name, math.nan))
        self.step.append(step)
        self._before = totals

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Note where the epoch ends."""
        self.ends[epoch] = self.trainer.pace.steps

    @property
    def names(self) -> list[str]:
        """What was measured."""
        return list(self._columns)

    def __getitem__(self, name: str) -> list[float]:
        if name not in self._columns:
            raise ArgumentError(f"{name!r} was not measured at the steps; there are {listed(self.names)}")
        return self._columns[name]

    def __contains__(self, name: object) -> bool:
        return name in self._columns

    def __len__(self) -> int:
        return len(self.step)

    def __repr__(self) -> str:
        return f"StepHistory(every={self.every}: {len(self)} rows)"

    def state_dict(self) -> dict[str, Any]:
        """Return the rows and the ends of epochs."""
        return {
            "step": np.array(self.step, dtype=np.int64),
            "ends": np.array(list(self.ends.items()), dtype=np.int64).reshape(-1, 2),
            **{f"measure/{name}": np.array(column) for name, column in self._columns.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on after these rows."""
        self.step = state["step"].tolist()
        self.ends = dict(state["ends"].tolist())
        self._columns = {
            name.removeprefix("measure/"): value.tolist()
            for name, value in state.items()
            if name.startswith("measure/")
        }
        self._of = None
