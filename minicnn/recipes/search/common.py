"""What the three searches share: their arguments, checked, and running, recording and judging the trials."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minicnn.backend import CounterRng, get_backend
from minicnn.data import SealedDataset, Splits
from minicnn.data.dataset import as_dataset
from minicnn.data.seal import Seal
from minicnn.errors import ArgumentError, DataError, expect_kind, whole_number
from minicnn.optim.monitor import Mode, expect_mode, smaller_is_better
from minicnn.recipes.search.folder import Plan, SearchFolder, fingerprint
from minicnn.recipes.search.result import SearchResult
from minicnn.recipes.search.running import Study, Task, check_make, run_trials
from minicnn.recipes.search.space import Distribution, Settings, checked_space, seeds_of_trial
from minicnn.recipes.search.trial import Trial, ranked
from minicnn.train import Callback, Trainer

Make = Callable[..., Trainer]
WAITING = "waiting"
"""The status of a trial that has not run."""


@dataclass(frozen=True)
class Search:
    """A search with its arguments checked."""

    study: Study
    space: dict[str, Distribution]
    seed: int
    repeats: int
    seal: Seal | None

    @classmethod
    def of(
        cls,
        make: Make,
        space: Mapping[str, Any],
        data: Any,
        monitor: str,
        mode: Mode,
        at: str,
        epochs: int,
        batch_size: int,
        repeats: int,
        seed: int,
        callbacks: Sequence[Callback],
        threads: int,
    ) -> "Search":
        """Check the arguments. Raises `ArgumentError` and `DataError` as `random_search` does."""
        checked = checked_space(space)
        check_make(make, checked)
        train, validation, seal = _parts(data)
        smaller = smaller_is_better(str(monitor), expect_mode(mode, "a search"))
        if at not in ("last", "best"):
            raise ArgumentError(f"at must be 'last' or 'best', not {at!r}")
        study = Study(
            make=make,
            train=train,
            validation=validation,
            epochs=whole_number("epochs", epochs),
            batch_size=whole_number("batch_size", batch_size),
            monitor=monitor,
            at=at,
            mode="min" if smaller else "max",
            callbacks=tuple(expect_kind(Callback, callback, "callback") for callback in callbacks),
            threads=whole_number("threads", threads),
            backend=get_backend(),
            home=os.getpid(),
        )
        return cls(study, checked, CounterRng(seed).seed, whole_number("repeats", repeats), seal)

    def planned(self, settings: Sequence[Settings]) -> list[Trial]:
        """Return the trials with these settings before they have run."""
        return [
            Trial(number, each, seeds_of_trial(self.seed, number, self.repeats), status=WAITING)
            for number, each in enumerate(settings)
        ]

    def plan(self) -> Plan:
        """Return what a folder has to know to tell this search from another."""
        study = self.study
        return {
            "space": [[name, repr(values)] for name, values in self.space.items()],
            "train": fingerprint(study.train),
            "validation": fingerprint(study.validation),
            "seed": self.seed,
            "repeats": self.repeats,
            "epochs": study.epochs,
            "batch_size": study.batch_size,
            "monitor": study.monitor,
            "mode": study.mode,
            "at": study.at,
        }

    def progress(self, total: int, verbose: bool) -> Any:
        """Return a progress bar over trainings, shown on a terminal only; to be used in a `with` block."""
        from tqdm import tqdm  # slow to import

        return tqdm(total=total, desc="search", unit=" trials", disable=None if verbose else True, dynamic_ncols=True)

    def all_at_once(self, planned: Sequence[Trial], kept: SearchFolder, jobs: int, verbose: bool) -> list[Trial]:
        """Run all trials that the folder has no record of, for as long as they are to be trained; return all."""
        every = kept.recall(planned)
        tasks = [Task(trial, self.study.epochs) for trial in every if trial.status == WAITING]
        with self.progress(len(planned), verbose) as bar:
            bar.update(len(planned) - len(tasks))
            self.run(tasks, every, kept, jobs, bar)
        self.check_that_some_succeeded(every, kept)
        return every

    def run(self, tasks: Sequence[Task], every: list[Trial], kept: SearchFolder, jobs: int, bar: Any) -> None:
        """Run tasks, put the trials that come back into their places, and keep their records."""
        if jobs != -1:
            jobs = whole_number("jobs", jobs)

        def done(trial: Trial) -> None:
            kept.keep(trial)
            every[trial.number] = trial
            bar.update()
            best = ranked([trial for trial in every if trial.status == "done"], small_is_good=self.study.small_is_good)
            if best:
                bar.set_postfix_str(f"best {self.study.monitor} {best[0].score:.4g}")

        try:
            run_trials(self.study, tasks, jobs, done)
        except KeyboardInterrupt as interrupt:
            if kept.path is not None:
                interrupt.add_note(f"The trials done are kept in {kept.path}; the same search goes on from them.")
            raise

    def check_that_some_succeeded(self, trials: Sequence[Trial], kept: SearchFolder) -> None:
        """Raise `ArgumentError` with the first trial's error if all have failed."""
        if all(trial.failed for trial in trials):
            hint = "" if kept.path is None else f" ({kept.path} keeps that: mend it, and choose another folder)"
            raise ArgumentError(f"all {len(trials)} trials failed; the first one: {trials[0].error}{hint}")

    def result(self, trials: Sequence[Trial]) -> SearchResult:
        """Return the result, and warn if the test set was opened in a trial."""
        study = self.study
        result = SearchResult(
            trials, self.space, monitor=study.monitor, small_is_good=study.small_is_good, seal=self.seal
        )
        openings = result.test_set_openings
        if openings:
            warnings.warn(
                f"a test set was opened {len(openings)} times during the search ({openings[0]}): settings that are "
                "chosen by the test set are tuned to it, and it can no longer tell how good they are",
                stacklevel=3,
            )
        return result


def _parts(data: Any) -> tuple[Any, Any, Seal | None]:
    """Return training data, validation data and the test set's seal. Raises `DataError` for other things."""
    if isinstance(data, Splits):
        return data.train, data.validation, data.test.seal
    if not isinstance(data, tuple) or len(data) != 2:
        raise DataError(f"data must be Splits or a pair (train, validation), not {type(data).__name__}")
    for name, part in zip(("training", "validation"), data, strict=True):
        if isinstance(part, SealedDataset):
            raise DataError(f"a sealed test set is for evaluate(), not for {name} data; use the other splits")
        try:
            as_dataset(part)
        except DataError as error:
            raise DataError(f"data must be Splits or a pair (train, validation); the {name} data: {error}") from None
    return *data, None
