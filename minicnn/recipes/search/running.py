"""Running the trials of a search, in this process or in others.

A trial is a pure function of its settings, its seeds and the number of threads: neither the other trials nor the
process that it runs in changes its numbers.
"""

import copy
import inspect
import math
import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from minicnn.backend import get_num_threads, seeded, set_num_threads, use_backend
from minicnn.data.seal import noted_openings
from minicnn.errors import ArgumentError, MinicnnError, NonFiniteError, expect_kind, listed
from minicnn.recipes.search.space import Settings
from minicnn.recipes.search.trial import FIT_NAMES, Trial
from minicnn.train import Callback, Trainer


@dataclass(frozen=True)
class Study:
    """What all trials of a search have in common; it is sent to the processes that run them.

    `home` is the process that the search was called in.
    """

    make: Callable[..., Trainer]
    train: Any
    validation: Any
    epochs: int
    batch_size: int
    monitor: str
    at: str
    mode: str
    callbacks: tuple[Callback, ...]
    threads: int
    backend: str
    home: int

    @property
    def small_is_good(self) -> bool:
        """Whether the smallest score is the best."""
        return self.mode == "min"


@dataclass(frozen=True)
class Task:
    """What one call of a worker does: train settings up to so many epochs, and go on in `folder` if there is one."""

    trial: Trial
    epochs: int
    folder: str | None = None


class UnknownMonitorError(ArgumentError):
    """Nothing of that name is measured. It ends the search: no other trial would fare better."""


def check_make(make: Any, names: Iterable[str]) -> None:
    """Raise `ArgumentError` if `make` cannot be called with the settings of these names."""
    if not callable(make):
        raise ArgumentError(f"make must be a function of the settings that returns a Trainer, not {make!r}")
    given = [name for name in names if name not in FIT_NAMES]
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # functions written in C may have none
        return
    takes = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    needs = [p.name for p in parameters if p.name in takes and p.default is p.empty]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        strange = [name for name in given if name not in takes]
        if strange:
            raise ArgumentError(f"make does not take {listed(strange)} of the space; it takes {listed(takes)}")
    lacking = [name for name in needs if name not in given]
    if lacking:
        goes = "; 'epochs' and 'batch_size' go to fit and not to make" if set(lacking) & set(FIT_NAMES) else ""
        raise ArgumentError(f"make needs {listed(lacking)} too, which the space does not give it{goes}")


def run_trials(study: Study, tasks: Sequence[Task], jobs: int, done: Callable[[Trial], None]) -> None:
    """Run the tasks, in this process for `jobs=1` and through joblib otherwise.

    Each trial is handed to `done` when it ends, in whatever order.
    """
    with in_threads_of_a_trial(study.threads):
        if jobs == 1:
            for task in tasks:
                done(run_trial(study, task))
            return
        from joblib import Parallel, delayed  # slow to import

        parallel = Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")
        for trial in parallel(delayed(run_trial)(study, task) for task in tasks):
            done(trial)


@contextmanager
def in_threads_of_a_trial(count: int) -> Iterator[None]:
    """Let kernels and BLAS use so many threads within a `with` block, in the whole process."""
    from threadpoolctl import threadpool_limits  # slow to import

    before = get_num_threads()
    with threadpool_limits(count, user_api="blas"):
        set_num_threads(count)
        try:
            yield
        finally:
            set_num_threads(before)


def run_trial(study: Study, task: Task) -> Trial:
    """Train with one trial's settings, once for each of its seeds, and return it with what was measured.

    Whatever goes wrong in it is written into the trial, except for an unknown monitor, which is raised.
    """
    if os.getpid() != study.home:  # a process that works for the search alone
        from threadpoolctl import threadpool_limits

        set_num_threads(study.threads)
        threadpool_limits(study.threads, user_api="blas")
    trial, began = task.trial, time.perf_counter()
    found: dict[str, Any] = {}
    with use_backend(study.backend), noted_openings() as openings:
        try:
            rows = [_train(study, task, repeat) for repeat in range(len(trial.seeds))]
            scores = tuple(row[study.monitor] for row in rows)
            score = sum(scores) / len(scores)
            means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
            found = {"status": "done", "score": score, "scores": scores, "measures": means}
            if task.folder is not None:
                found["rungs"] = (*trial.rungs, score)
        except UnknownMonitorError:
            raise
        except Exception as error:
            found = {"status": "failed", "score": math.nan, "scores": (), "measures": {}, "error": _told(error)}
    return replace(
        trial,
        **found,
        seconds=trial.seconds + time.perf_counter() - began,
        test_set_openings=trial.test_set_openings + tuple(openings),
    )


def _train(study: Study, task: Task, repeat: int) -> dict[str, float]:
    """Train once; return the measures of the epoch that counts."""
    with seeded(task.trial.seeds[repeat]):
        trainer = study.make(**task.trial.make_settings)
        expect_kind(Trainer, trainer, "what make returns")
        _check_monitor(study.monitor, trainer)
        options: Settings = {"epochs": task.epochs, "batch_size": study.batch_size}
        options |= task.trial.fit_settings
        if task.folder is not None:
            options |= {"out": f"{task.folder}-{repeat}", "resume": True}
        rows = trainer.fit(
            study.train,
            validation=study.validation,
            callbacks=copy.deepcopy(study.callbacks),  # they remember things, and each training begins anew
            verbose=False,
            **options,
        ).rows
    return _row_that_counts(study, rows)


def _check_monitor(monitor: str, trainer: Trainer) -> None:
    """Raise `UnknownMonitorError` before anything is trained."""
    names = trainer.measure_names(validated=True)
    if monitor not in names:
        raise UnknownMonitorError(f"monitor {monitor!r} is not measured; there are {listed(names)}")


def _row_that_counts(study: Study, rows: list[dict[str, float]]) -> dict[str, float]:
    """Return the last epoch's measures or, for at="best", those of the first epoch with the best score."""
    sign = 1 if study.small_is_good else -1
    row = rows[-1]
    if study.at == "best":
        row = min(rows, key=lambda row: sign * row[study.monitor] if math.isfinite(row[study.monitor]) else math.inf)
    if not math.isfinite(row[study.monitor]):
        raise NonFiniteError(f"{study.monitor} is {row[study.monitor]} in epoch {int(row['epoch'])}")
    return row


def _told(error: Exception) -> str:
    """Return what went wrong and, for mistakes in somebody's program, where."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, MinicnnError):
        return text
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{text} (in {last.name}, {os.path.basename(last.filename)}, line {last.lineno})"
