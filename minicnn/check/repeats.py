"""What shows only when a function is called more than once: randomness, caches, arrays that are handed out twice."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn.check.case import Case, forward_of, reference
from minicnn.check.cases import backward_case
from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation
from minicnn.check.report import Finding
from minicnn.check.results import Arrays, by_name, settled
from minicnn.check.running import copied, guarded, keywords_for

STALE = "it is the result of an earlier call: something is kept that belongs to other numbers"
WRITTEN_OVER = "the next call writes over it: every call hands out the same array"


def repeats(candidate: Candidate, first: Observation, suspects: Sequence[Observation]) -> list[Finding]:
    """Call again: with the same arguments, with others of the same shapes, with the same arrays that hold others.

    `first` is a call that brought results, `suspects` are some that brought wrong ones.
    """
    for seen in (first, *suspects):
        if _is_late(candidate):
            return []  # nothing was found; a call that is cut short for want of time is no finding
        found = _same_call_again(candidate, seen)
        if found:
            return found
    if first.outcome.written_to or _is_late(candidate):
        return []  # then nothing that comes after says more
    case = candidate.form(first.case)
    if case is None:
        return []
    other = _other_case(candidate, first, case)
    right = {name: np.asarray(v) for name, v in reference(candidate.operation, other).items() if v is not None}
    return (
        _written_over(candidate, case, other)
        or _stale_by_shape(candidate, first, other, right)
        or _stale_by_identity(candidate, first, case, other, right)
    )


def _is_late(candidate: Candidate) -> bool:
    return time.perf_counter() > candidate.deadline


def _same_call_again(candidate: Candidate, seen: Observation) -> list[Finding]:
    one, two = candidate.observe(seen.examination), candidate.observe(seen.examination)
    for again in (one, two):
        if again is not None and again.outcome.timed_out and _is_late(candidate):
            return []
        if again is not None and again.failed:
            kind = Kind.TOO_SLOW if again.outcome.timed_out else Kind.RAISES
            message = f"the same call, made again, fails: {again.outcome.error or again.problem}"
            line = f", in {again.outcome.line}" if again.outcome.line else ""
            return [Finding(kind, "call", message + line, {"line": again.outcome.line}, kind.hint)]
    if one is None or two is None:
        return []
    # An optimizer may go on from moments of its own instead of those that it is given.
    given = seen.case.args
    own = {name: v for name, v in one.results.items() if name in given and np.shape(given[name]) == v.shape}
    went_on = reference(candidate.operation, seen.case.changed(own)) if own else {}
    findings = []
    for name, value in one.results.items():
        if _equal(value, two.results.get(name)):
            continue
        message, kind = "two calls with the same arguments give different results", Kind.NONDETERMINISTIC
        if name in went_on and _close(two.results.get(name), went_on[name]):
            message, kind = f"{message}: the second goes on from what the first left behind", Kind.WRONG_CACHE
        findings.append(Finding(kind, name, message, {}, kind.hint))
    return findings


def _written_over(candidate: Candidate, case: Case, other: Case) -> list[Finding]:
    """A buffer that is used again: the result of one call changes when the next is made."""
    outcome = candidate.call(case)
    held = {} if outcome.error else by_name(candidate.operation, outcome.results, case)[0]
    before = {name: copied(value) for name, value in held.items()}
    candidate.call(other)
    hint = "Where is the array made that you return: in the function, or once for all calls?"
    changed = [name for name, value in before.items() if not _equal(value, held[name])]
    return [Finding(Kind.WRONG_CACHE, name, WRITTEN_OVER, {}, hint) for name in changed]


def _stale_by_shape(candidate: Candidate, first: Observation, other: Case, right: Arrays) -> list[Finding]:
    """A cache that is keyed by the shape of an array."""
    outcome = candidate.call(other)
    now = {} if outcome.error else settled(candidate.operation, outcome.results, other, right)[0]
    stale = [name for name, value in now.items() if _was_right(first, name) and _close(value, first.results[name])]
    return [_stale(name) for name in stale if not _close(now[name], right[name])]


def _stale_by_identity(
    candidate: Candidate, first: Observation, case: Case, other: Case, right: Arrays
) -> list[Finding]:
    """A cache that is keyed by the identity of an array, whose numbers may have changed since."""
    own = {name: copied(value) for name, value in case.args.items()}
    keywords = keywords_for(candidate.function, case.options)

    def twice() -> Any:
        candidate.function(*own.values(), **keywords)
        for name, value in own.items():
            _overwrite(value, other.args[name])
        return candidate.function(*own.values(), **keywords)

    outcome = guarded(twice, candidate.function, seconds=max(candidate.seconds / 4, 0.1))
    now = {} if outcome.error else settled(candidate.operation, outcome.results, other, right)[0]
    return [_stale(name) for name, v in now.items() if _was_right(first, name) and not _close(v, right[name])]


def _overwrite(value: Any, new: Any) -> None:
    if isinstance(value, list):
        for item, new_item in zip(value, new, strict=True):
            _overwrite(item, new_item)
    elif isinstance(value, np.ndarray):
        value[...] = new


def _stale(name: str) -> Finding:
    hint = "What do you keep from one call to the next, and how do you know that it belongs to these numbers?"
    return Finding(Kind.WRONG_CACHE, name, STALE, {}, hint)


def _was_right(seen: Observation, name: str) -> bool:
    return name in seen.results and _close(seen.results[name], seen.examination.expected.get(name))


def _other_case(candidate: Candidate, seen: Observation, case: Case) -> Case:
    """Return a call with other numbers of the same shapes; for a backward operation, such that belong together."""
    forward, before = forward_of(candidate.operation), seen.examination.forward
    if forward is None or before is None:
        return case.changed({name: _other_numbers(name, value) for name, value in case.args.items()})
    changed = before.changed({name: _other_numbers(name, value) for name, value in before.args.items()})
    return replace(backward_case(candidate.operation, forward, changed, number=50), options=case.options)


def _other_numbers(name: str, value: Any) -> Any:
    """Other numbers of the same shape, of which none is what it was; regions of images stay regions."""
    if isinstance(value, list):
        return [_other_numbers(name, item) for item in value]
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind == "f" and name != "rois":
        return np.abs(value) * 0.5 + np.abs(np.cos(1 + np.arange(value.size))).reshape(value.shape) + 0.1
    return value[::-1].copy() if value.ndim else value


def _equal(one: Any, other: Any) -> bool:
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _close(one: Any, other: Any) -> bool:
    if one is None or other is None:
        return False
    one, other = np.asarray(one), np.asarray(other)
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
