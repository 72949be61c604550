"""Watching a candidate: what it returns in every case.

A candidate may take stride=2 or stride=(2, 2) or both. It is called with pairs, as a layer calls it, and with numbers
if it cannot take pairs.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.backend.slots import Slot
from minicnn.check.case import NO_DEFAULT, Case, Examination, default_of
from minicnn.check.cases import examinations, in_single_precision
from minicnn.check.results import Arrays, settled
from minicnn.check.running import Outcome, call, keywords_for

SINGLE_PRECISION = 4  # cases that are examined in float32 too
NOT_ASKED_FOR = frozenset({"need_dx"})
"""Options that nobody misses: the engine can do without."""


@dataclass(frozen=True)
class Observation:
    """What a candidate did in one case: results by name, or what came instead of them."""

    examination: Examination
    outcome: Outcome
    results: Arrays
    problem: str = ""
    single: bool = False

    @property
    def case(self) -> Case:
        """The case."""
        return self.examination.case

    @property
    def failed(self) -> bool:
        """Whether there are no results."""
        return bool(self.outcome.error or self.problem)


@dataclass
class Candidate:
    """A function that is to fill a slot, and how it wants to be called."""

    operation: Slot
    function: Callable
    seconds: float
    numbers: bool = False
    deadline: float = field(default=0.0)
    reading_seconds: float = 3.0  # of processor time, left for reading wrong results, all of them together

    def __post_init__(self) -> None:
        self.deadline = time.perf_counter() + self.seconds

    def lacks(self, case: Case) -> list[str]:
        """Return the keywords of a case that the function does not take although they matter."""
        taken = keywords_for(self.function, case.options)
        return [name for name in case.options if name not in taken and not self.is_default(case, name)]

    def is_default(self, case: Case, name: str) -> bool:
        """Return whether an option has the value that it has when nobody mentions it."""
        default, value = self.default(name), case.options[name]
        if isinstance(value, np.ndarray):
            return False
        return default is not NO_DEFAULT and (value is default or value in (default, (default, default)))

    def has_default(self, name: str) -> bool:
        """Return whether an option may be left out."""
        return self.default(name) is not NO_DEFAULT

    def default(self, name: str) -> Any:
        """Return what an option is when nobody mentions it."""
        return default_of(self.operation, name)

    def form(self, case: Case) -> Case | None:
        """Return a case as the candidate takes it; None if it takes numbers and the case has two different ones."""
        return case.with_numbers() if self.numbers else case

    def observe(self, examination: Examination, *, single: bool = False) -> Observation | None:
        """Call the function in a case; None if it cannot take that case."""
        case = self.form(examination.case)
        if case is None:
            return None
        outcome = self.call(case)
        if outcome.error:
            return Observation(examination, outcome, {}, single=single)
        results, problem = settled(self.operation, outcome.results, case, examination.expected)
        return Observation(examination, outcome, results, problem, single)

    def call(self, case: Case) -> Outcome:
        """Call the function for as long as the time for the whole examination allows."""
        return call(self.function, case.args, case.options, seconds=max(self.deadline - time.perf_counter(), 0.05))

    def ask(self, case: Case, result: str) -> np.ndarray | None:
        """Return one result, or None if there is none, or no time."""
        own = self.form(case)
        if own is None or time.perf_counter() > self.deadline:
            return None
        outcome = self.call(own)
        return None if outcome.error else settled(self.operation, outcome.results, own, {})[0].get(result)


def settle_form(candidate: Candidate, examination: Examination) -> Observation | None:
    """Find out whether the candidate wants numbers instead of pairs; return what it did if no more calls are needed."""
    first = candidate.call(examination.case)
    if first.timed_out or first.unwritten:
        return Observation(examination, first, {})
    numbers = examination.case.with_numbers()
    if first.error and numbers is not None and not candidate.call(numbers).error:
        candidate.numbers = True
    return None


def observations(candidate: Candidate) -> Iterator[Observation]:
    """Call the candidate in every case, in float64 and some of them in float32, until one call takes too long."""
    name = candidate.operation.name
    cases = [e for e in examinations(name) if not candidate.lacks(e.case)]
    usual = [e for e in cases if not (e.case.optional or e.case.tied)]
    singles = usual[:: max(1, -(-len(usual) // SINGLE_PRECISION))]
    jobs = [(e, False) for e in cases] + [(in_single_precision(name, e), True) for e in singles]
    for examination, single in jobs:
        seen = candidate.observe(examination, single=single)
        if seen is None:
            continue
        yield seen
        if seen.outcome.timed_out or seen.outcome.unwritten or time.perf_counter() > candidate.deadline:
            return


def refused(candidate: Candidate) -> list[str]:
    """Return the keywords that the candidate does not take, so that cases had to be left out."""
    missing: dict[str, None] = {}
    for examination in examinations(candidate.operation.name):
        missing.update(dict.fromkeys(candidate.lacks(examination.case)))
    return [name for name in missing if name not in NOT_ASKED_FOR]
