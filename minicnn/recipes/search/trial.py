"""One trial of a search: settings, and what a training with them came to."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from minicnn.recipes.search.space import Settings, readable

FIT_NAMES = ("epochs", "batch_size")
"""Settings of these names go to `fit`, all others to `make`."""


@dataclass(frozen=True)
class Trial:
    """Settings, and what a training with them came to.

    Attributes
    ----------
    number : int
        Its place in the search, counted from 0.
    settings : dict
        The values by name.
    seeds : tuple of int
        The seed of each training, `repeats` of them; `seed` is the first.
    status : "done" or "failed"
        Whether it has a score.
    score : float
        The mean over the trainings of what is monitored; NaN if it failed.
    scores : tuple of float
        Those of the single trainings.
    measures : dict
        All that was measured in the epoch of the score ("epoch" says which), means over the trainings.
    seconds : float
        How long building and training took.
    error : str or None
        Why it failed.
    rungs : tuple of float
        In successive halving, the scores at the rungs that it reached; empty elsewhere.
    test_set_openings : tuple of str
        Why a sealed test set was opened during it, each time. There should be none.
    """

    number: int
    settings: Settings
    seeds: tuple[int, ...]
    status: str = "done"
    score: float = math.nan
    scores: tuple[float, ...] = ()
    measures: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    error: str | None = None
    rungs: tuple[float, ...] = ()
    test_set_openings: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """The seed of its (first) training: `mc.seed(trial.seed)`, then `make(**make_settings)`, repeats it."""
        return self.seeds[0]

    @property
    def make_settings(self) -> Settings:
        """The settings that go to `make`."""
        return {name: value for name, value in self.settings.items() if name not in FIT_NAMES}

    @property
    def fit_settings(self) -> Settings:
        """The settings that go to `Trainer.fit`: "epochs" and "batch_size", if they are among them."""
        return {name: value for name, value in self.settings.items() if name in FIT_NAMES}

    @property
    def failed(self) -> bool:
        """Whether it has no score."""
        return self.status == "failed"


def to_record(trial: Trial) -> dict[str, Any]:
    """Return a trial as JSON can hold it."""
    return {
        "number": trial.number,
        "settings": {name: value if _is_plain(value) else readable(value) for name, value in trial.settings.items()},
        "seeds": list(trial.seeds),
        "status": trial.status,
        "score": None if trial.failed else trial.score,
        "scores": list(trial.scores),
        "measures": trial.measures,
        "seconds": trial.seconds,
        "error": trial.error,
        "rungs": list(trial.rungs),
        "test_set_openings": list(trial.test_set_openings),
    }


def from_record(record: Mapping[str, Any], settings: Settings) -> Trial:
    """Return the trial of a record; the settings themselves follow from the search, and JSON may not hold them.

    Raises KeyError, TypeError or ValueError if it is none.
    """
    return Trial(
        number=record["number"],
        settings=settings,
        seeds=tuple(record["seeds"]),
        status=record["status"],
        score=math.nan if record["score"] is None else float(record["score"]),
        scores=tuple(record["scores"]),
        measures=dict(record["measures"]),
        seconds=float(record["seconds"]),
        error=record["error"],
        rungs=tuple(record["rungs"]),
        test_set_openings=tuple(record["test_set_openings"]),
    )


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def ranked(trials: Iterable[Trial], *, small_is_good: bool) -> list[Trial]:
    """Return trials with the best first and failed ones last; of equal ones, the earlier first.

    In successive halving a trial that reached a higher rung comes before all that did not.
    """

    def place(trial: Trial) -> tuple:
        badness = 0.0 if trial.failed else trial.score if small_is_good else -trial.score
        return trial.failed, -len(trial.rungs), badness, trial.number

    return sorted(trials, key=place)
