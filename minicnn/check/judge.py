"""Judging one result of a candidate: whether it is right in every call, and if not, what kind of mistake it is."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.case import BATCHED, Case, forward_of, reference
from minicnn.check.consequences import follows_from_others
from minicnn.check.differences import slope
from minicnn.check.doctor import diagnose
from minicnn.check.findings import (
    beyond_the_usual,
    lost_digits,
    non_finite,
    only_in_single_precision,
    tie,
    values_differ,
    wrong_shape,
)
from minicnn.check.hypotheses.naming import quantities
from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation
from minicnn.check.patterns import ignored_arguments, only_squares
from minicnn.check.report import Finding
from minicnn.check.trial import Trial, same

DOUBLE, SINGLE = 1e-8, 1e-4  # relative errors that are still rounding
LOST_DIGITS = 1e-5  # what numbers that went through float32 may be off by


def is_right(seen: Observation, name: str) -> bool:
    """Return whether a result is what it should be."""
    if seen.examination.expected[name] is None:
        return True  # nobody needs it
    if name not in seen.results:
        return False
    expected, got = np.asarray(seen.examination.expected[name]), seen.results[name]
    if expected.dtype.kind == "b":  # 0 and 1 will do for a mask; 0 and 1 / (1 - p) would scale a second time
        return bool(np.array_equal(expected, got))
    tolerance = SINGLE if seen.single else DOUBLE
    return same(expected.astype(np.float64), got.astype(np.float64), tolerance)


def is_consequence(candidate: Candidate, seen: Observation, name: str) -> bool:
    """Return whether a result is wrong only because another one is, which gets the finding."""
    others_wrong = any(not is_right(seen, other) for other in seen.examination.expected if other != name)
    return (
        others_wrong
        and not is_right(seen, name)
        and follows_from_others(candidate.operation.name, name, seen.case.everything, seen.results)
    )


def findings_for(name: str, candidate: Candidate, usable: Sequence[Observation]) -> list[Finding]:
    """Return what is wrong with one result; `usable` are the calls that brought results."""
    doubles = [o for o in usable if not o.single]
    wrong = [o for o in doubles if not is_right(o, name)]
    serious = serious_among(wrong)
    if not wrong:
        singles = [o for o in usable if o.single and not is_right(o, name)]
        return [only_in_single_precision(name, singles)] if singles else []
    if not serious:
        beyond = [o for o in wrong if o.case.optional]
        return _beyond_the_usual(name, candidate, beyond) if beyond else [tie(name, wrong)]

    broken = [o for o in serious if not np.isfinite(o.results[name]).all()]
    finite = [o for o in serious if np.isfinite(o.results[name]).all()]
    findings = [non_finite(name, broken)] if broken else []
    if finite and 2 * len(finite) >= len(doubles) and all(_has_lost_digits(o, name) for o in finite):
        findings.append(lost_digits(name, finite))
    elif finite:
        findings += _read(name, candidate, finite)
        verdicts = [(o, o not in wrong) for o in doubles]
        if not findings:
            findings += only_squares(name, verdicts)
        findings += ignored_arguments(name, candidate, verdicts)
        findings += _as_seen(name, candidate, finite, findings)
    for finding in findings:
        shown = broken if finding.kind == Kind.NON_FINITE else finite
        finding.evidence.update(_worst_entry(name, candidate, shown))
    return _each_once(findings)


def _beyond_the_usual(name: str, candidate: Candidate, wrong: list[Observation]) -> list[Finding]:
    """Return remarks about calls beyond the usual: what is wrong there, if it can be read, or that it is."""
    finite = all(np.isfinite(o.results[name]).all() for o in wrong)
    readings = _read(name, candidate, wrong) if finite else []
    where = f"({wrong[0].case.label}; worth knowing, no mistake)"
    remarks = [replace(f, message=f"{f.message} {where}", remark=True) for f in readings]
    return remarks or [beyond_the_usual(name, wrong)]


def serious_among(wrong: Sequence[Observation]) -> list[Observation]:
    """Return the wrong calls that are mistakes: neither ties nor beyond the usual."""
    return [o for o in wrong if not (o.case.tied or o.case.optional)]


def _as_seen(name: str, candidate: Candidate, wrong: list[Observation], found: list[Finding]) -> list[Finding]:
    """Return what can be said without an explanation: another shape, other values."""
    findings = []
    shapes = [o for o in wrong if o.results[name].shape != np.shape(o.examination.expected[name])]
    if shapes:
        findings.append(wrong_shape(name, shapes))
    if forward_of(candidate.operation) is None:
        if not any(finding.kind == Kind.FORWARD_DIFFERS for finding in found):
            findings.append(values_differ(name, wrong, Kind.FORWARD_DIFFERS))
    elif not found and not findings:
        findings.append(values_differ(name, wrong, Kind.UNKNOWN))
    return findings


def _each_once(findings: list[Finding]) -> list[Finding]:
    """Keep the first finding of each kind, and of each argument that is ignored."""
    kept: dict[tuple[Kind, Any], Finding] = {}
    for finding in sorted(findings, key=lambda f: f.order):
        argument = finding.evidence.get("argument") if finding.kind == Kind.IGNORES_ARGUMENT else None
        kept.setdefault((finding.kind, argument), finding)
    return list(kept.values())


def _read(name: str, candidate: Candidate, wrong: list[Observation]) -> list[Finding]:
    """Return what the hypotheses say."""
    explained_without = _swapped(name, wrong) or _first_for_all(name, candidate, wrong)
    if explained_without:
        return [explained_without]
    trials = [_trial(name, candidate, o) for o in wrong]
    findings: list[Finding] = []
    begun = time.thread_time()
    believed = diagnose(trials, seconds=max(candidate.reading_seconds, 0.3))
    candidate.reading_seconds -= time.thread_time() - begun
    for reading, explained in believed:
        rank, message = reading.rank, reading.message
        if 3 * len(explained) < len(trials):
            continue  # one example is easily explained, and a student misled
        if len(explained) < len(trials):
            # Readings that explain a part each keep their order: the one that explains most comes first. What explains
            # less than half says less than the shape.
            kind = Kind.IGNORES_ARGUMENT if 2 * len(explained) >= len(trials) else Kind.SHAPE
            rank = kind.rank + 0.6 + 0.01 * len(findings)
            message += f" (this explains {len(explained)} of {len(trials)} wrong calls)"
        evidence = {**reading.evidence, "seen_with": [trial.label for trial in explained]}
        hint = reading.hint or reading.kind.hint
        findings.append(Finding(reading.kind, name, message, evidence, hint, rank=rank))
    return findings


def _swapped(name: str, wrong: list[Observation]) -> Finding | None:
    """Say so if it is another one of the results: they are returned in another order."""
    for other in wrong[0].examination.expected:
        if other != name and all(_is_other(o, name, other) for o in wrong):
            message = f"it is {other}: the results are returned in another order"
            hint = "In which order does the operation return them?"
            return Finding(Kind.SHAPE, name, message, {"result": other}, hint)
    return None


def _is_other(seen: Observation, name: str, other: str) -> bool:
    expected, got = np.asarray(seen.examination.expected[other]), seen.results[name]
    return expected.dtype == got.dtype and same(expected, got, DOUBLE)


def _trial(name: str, candidate: Candidate, seen: Observation) -> Trial:
    case, operation, expected = seen.case, candidate.operation, seen.examination.expected[name]
    result = name
    if operation.name.endswith("_all"):  # one parameter of several is like an update of this one alone
        case, result = _of_one_parameter(case, name)
        operation = slots()[operation.name.removesuffix("_all")]

    def changed(changes: dict[str, Any]) -> Case:
        known = case.everything
        return case.changed({key: value for key, value in changes.items() if key in known})

    def truth(**changes: Any) -> np.ndarray | None:
        try:
            return np.asarray(reference(operation, changed(changes))[result])
        except (ValueError, IndexError, TypeError):
            return None

    return Trial(
        operation=operation.name,
        result=result,
        label=case.label,
        got=seen.results[name],
        expected=np.asarray(expected),
        arguments=case.everything,
        batched=frozenset() if operation.name.endswith(("_update", "_update_all")) else BATCHED,
        quantities=quantities(case.everything, {result: expected}),
        truth=truth,
        ask=lambda **changes: None if operation is not candidate.operation else candidate.ask(changed(changes), name),
        tolerance=DOUBLE,
    )


def _of_one_parameter(case: Case, name: str) -> tuple[Case, str]:
    """Return the case of an update of several parameters as that of the one to which a result belongs."""
    plural, _, number = name.removesuffix("]").partition("[")
    singular = {"ws": "w", "dws": "dw", "velocities": "velocity", "ms": "m", "vs": "v", "steps": "step"}
    values = {singular.get(n, n): v[int(number)] if isinstance(v, list) else v for n, v in case.everything.items()}
    args = {n: v for n, v in values.items() if isinstance(v, np.ndarray)}
    options = {n: v for n, v in values.items() if n not in args}
    return Case(f"{case.label}, parameter {number}", args, options), singular[plural]


def _first_for_all(name: str, candidate: Candidate, wrong: list[Observation]) -> Finding | None:
    """Say so if the first number of a list, such as that of steps, was used for all parameters."""
    lists = [n for n, v in wrong[0].case.options.items() if isinstance(v, list)]
    for option in lists:
        alike = [o.case.changed({option: [o.case.options[option][0]] * len(o.case.options[option])}) for o in wrong]
        predicted = [np.asarray(reference(candidate.operation, case)[name]) for case in alike]
        if all(same(p, o.results[name], DOUBLE) for p, o in zip(predicted, wrong, strict=True)):
            message = f"only the first of {option} is used, for all parameters"
            return Finding(Kind.IGNORES_ARGUMENT, name, message, {"argument": option}, Kind.IGNORES_ARGUMENT.hint)
    return None


def _worst_entry(name: str, candidate: Candidate, wrong: list[Observation]) -> dict[str, Any]:
    """Return the entry that is furthest off, in the first case with a right shape, and what differences say there."""
    for seen in wrong:
        expected, got = np.asarray(seen.examination.expected[name]), seen.results[name]
        if expected.shape != got.shape or not expected.size or expected.dtype.kind != "f":
            continue
        error = np.nan_to_num(np.abs(got - expected), nan=np.inf)
        index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), expected.shape))
        found = {
            "case": seen.case.describe(),
            "index": index,
            "got": float(got[index]),
            "expected": float(expected[index]),
        }
        bad = int((error > DOUBLE * max(float(np.abs(expected).max()), 1e-30)).sum())
        found["wrong"], found["entries"] = bad, expected.size
        numeric = _by_differences(name, candidate, seen, index)
        return found if numeric is None else {**found, "differences": numeric}
    return {}


def _by_differences(name: str, candidate: Candidate, seen: Observation, index: tuple[int, ...]) -> float | None:
    """Measure one entry of a gradient by central differences of the forward pass."""
    forward, case = forward_of(candidate.operation), seen.examination.forward
    if forward is None or case is None or name.removeprefix("d") not in case.args:
        return None
    args = {key: np.array(v) if isinstance(v, np.ndarray) else v for key, v in case.args.items()}
    moved = Case(case.label, args, case.options)
    first = forward.returns[0]

    def run() -> np.ndarray:
        return np.asarray(reference(forward, moved)[first])

    y, place = run(), int(np.ravel_multi_index(index, np.shape(args[name.removeprefix("d")])))
    dy = seen.case.args.get("dy", np.ones_like(y))
    return slope(run, dy, args[name.removeprefix("d")].reshape(-1)[place : place + 1].reshape(()), y).value


def _has_lost_digits(seen: Observation, name: str) -> bool:
    expected, got = np.asarray(seen.examination.expected[name]), seen.results[name]
    return expected.dtype == np.float64 and same(expected, got.astype(np.float64), LOST_DIGITS)
