"""Watching a candidate: what it returns in every case, and how it behaves.

A candidate may take stride=2 or stride=(2, 2) or both. It is called with pairs, as a layer calls it, and with numbers
if it cannot take pairs.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minicnn.backend.slots import Slot
from minicnn.check.case import NO_DEFAULT, Case, Examination, default_of, forward_of, reference
from minicnn.check.cases import backward_case, examinations, in_single_precision
from minicnn.check.running import Outcome, call, keywords_for

SINGLE_PRECISION = 3  # cases that are examined in float32 too


@dataclass(frozen=True)
class Observation:
    """What a candidate did in one case."""

    examination: Examination
    outcome: Outcome
    results: dict[str, Any]
    problem: str = ""
    single: bool = False

    @property
    def case(self) -> Case:
        """The case."""
        return self.examination.case


@dataclass
class Candidate:
    """A function that is to fill a slot, and how it wants to be called."""

    operation: Slot
    function: Callable
    seconds: float
    numbers: bool = False
    deadline: float = field(default=0.0)

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

    def observe(self, examination: Examination, *, single: bool = False) -> Observation | None:
        """Call the function in a case; None if it takes numbers only and the case has two different ones."""
        case = examination.case.with_numbers() if self.numbers else examination.case
        if case is None:
            return None
        outcome = self.call(case)
        if outcome.error:
            return Observation(examination, outcome, {}, single=single)
        results, problem = _named(self.operation, outcome.results, case)
        # Copies: a candidate may hand out the same array again, and write another result into it.
        return Observation(examination, outcome, {name: _kept(v) for name, v in results.items()}, problem, single)

    def call(self, case: Case) -> Outcome:
        """Call the function for as long as the time for the whole examination allows."""
        return call(self.function, case.args, case.options, seconds=max(self.deadline - time.perf_counter(), 0.05))

    def ask(self, case: Case, result: str) -> np.ndarray | None:
        """Return one result, or None if there is none."""
        if time.perf_counter() > self.deadline:
            return None
        case = (case.with_numbers() if self.numbers else case) or case
        outcome = self.call(case)
        if outcome.error:
            return None
        value = _named(self.operation, outcome.results, case)[0].get(result)
        return None if value is None else np.asarray(value)


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
    singles = [e for e in cases if not (e.case.optional or e.case.tied)][:: max(1, len(cases) // SINGLE_PRECISION)]
    jobs = [(e, False) for e in cases] + [(in_single_precision(name, e), True) for e in singles]
    for examination, single in jobs:
        seen = candidate.observe(examination, single=single)
        if seen is None:
            continue
        yield seen
        if seen.outcome.timed_out or seen.outcome.unwritten:
            return


def refused(candidate: Candidate) -> list[str]:
    """Return the keywords that the candidate does not take, so that cases had to be left out."""
    missing: dict[str, None] = {}
    for examination in examinations(candidate.operation.name):
        missing.update(dict.fromkeys(candidate.lacks(examination.case)))
    return list(missing)


def differs_from_call_to_call(candidate: Candidate, seen: Observation) -> dict[str, bool]:
    """Return the results that are others when the same call is made again.

    With each, whether the candidate went on from its own last results instead of the arguments it was given.
    """
    case = seen.examination.case
    first, second = candidate.observe(seen.examination), candidate.observe(seen.examination)
    if first is None or second is None or first.outcome.error or second.outcome.error:
        return {}
    own = {name: np.asarray(v) for name, v in first.results.items() if np.shape(v) == np.shape(case.args.get(name, 0))}
    went_on = reference(candidate.operation, case.changed(own)) if set(own) & set(case.args) else {}
    return {
        name: name in went_on and _close(second.results.get(name), went_on[name])
        for name, value in first.results.items()
        if not _equal(value, second.results.get(name))
    }


def remembers(candidate: Candidate, seen: Observation) -> list[str]:
    """Return the results that are those of an earlier call with arrays of the same shapes, or with the same arrays.

    A cache that is keyed by the shape, or by the identity of an array, gives such stale results.
    """
    case = seen.case.with_numbers() if candidate.numbers else seen.case
    if case is None:
        return []
    other = _other_case(candidate, seen, case)
    right = reference(candidate.operation, other)
    stale: dict[str, None] = {}
    own = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in case.args.items()}
    keywords = keywords_for(candidate.function, case.options)

    def twice() -> tuple[Any, Any]:
        candidate.function(*own.values(), **keywords)
        for name, value in own.items():
            if isinstance(value, np.ndarray):
                value[...] = other.args[name]
        return candidate.function(*own.values(), **keywords), None

    for outcome, in_place in ((candidate.call(other), False), (call(lambda: twice()[0], {}, {}, seconds=5.0), True)):
        if outcome.error:
            continue
        found, problem = _named(candidate.operation, outcome.results, case)
        for name, value in found.items():
            before, now = np.asarray(seen.results.get(name)), np.asarray(value)
            changed = not _close(right[name], seen.examination.expected[name])
            was_right = before.shape == now.shape and _close(before, seen.examination.expected[name])
            if (
                not problem
                and changed
                and was_right
                and not _close(now, right[name])
                and (in_place or _close(now, before))
            ):
                stale[name] = None
    return list(stale)


def _named(operation: Slot, results: Any, case: Case) -> tuple[dict[str, Any], str]:
    """Return results by name, and what is wrong with their number."""
    if results is None:
        return {}, "it returned None; is a return missing?"
    names = operation.returns
    count = len(results) if isinstance(results, tuple | list) else 1
    if len(names) == 1 and isinstance(results, tuple | list) and not isinstance(results, np.ndarray):
        if count == 1:
            return {
                names[0]: results[0]
            }, f"it returned a {type(results).__name__} of one; {names[0]} alone belongs there"
        return {}, f"it returned {count} values; expected one: {names[0]}"
    if count != len(names):
        return {}, f"it returned {count} value{'s' * (count != 1)}; expected {len(names)}: {', '.join(names)}"
    found: dict[str, Any] = {}
    for name, value in zip(names, [results] if len(names) == 1 else results, strict=True):
        if isinstance(value, list) and any(isinstance(v, list) for v in case.args.values()):
            count = len(case.args[name])
            if len(value) != count:
                return {}, f"{name} has {len(value)} entries; expected {count}, one for each parameter"
            found.update({f"{name}[{i}]": item for i, item in enumerate(value)})
        else:
            found[name] = value
    return found, ""


def overwrites(candidate: Candidate, seen: Observation) -> list[str]:
    """Return the results of a call that the next call, with other numbers, writes over."""
    case = seen.case.with_numbers() if candidate.numbers else seen.case
    if case is None:
        return []
    held = _named(candidate.operation, candidate.call(case).results, case)[0]
    before = {name: _kept(value) for name, value in held.items()}
    candidate.call(_other_case(candidate, seen, case))
    return [name for name, value in before.items() if not _equal(value, held[name])]


def _kept(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _other_case(candidate: Candidate, seen: Observation, case: Case) -> Case:
    """Return a call with other numbers of the same shapes; for a backward operation, such that belong together."""
    forward, before = forward_of(candidate.operation), seen.examination.forward
    if forward is None or before is None:
        return case.changed({name: _other_numbers(value) for name, value in case.args.items()})
    changed = before.changed({name: _other_numbers(value) for name, value in before.args.items()})
    return replace(backward_case(candidate.operation, forward, changed, number=50), options=case.options)


def _other_numbers(value: Any) -> Any:
    """Other numbers of the same shape, of which none is what it was."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "f":
        return np.abs(value) * 0.5 + np.abs(np.cos(1 + np.arange(value.size))).reshape(value.shape) + 0.1
    return value[::-1] if value.ndim else value


def _equal(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _close(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
