"""Examine a candidate for an operation, and say what kind of mistake it makes."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.backend.slots import Slot, slot_named, slots
from minicnn.check.case import BATCHED, Case, forward_of, reference
from minicnn.check.cases import examinations
from minicnn.check.consequences import follows_from_others
from minicnn.check.differences import slope
from minicnn.check.doctor import diagnose
from minicnn.check.findings import (
    at_the_edge,
    describe,
    lost_digits,
    non_finite,
    only_in_single_precision,
    tie,
    values_differ,
    wrong_shape,
)
from minicnn.check.hypotheses.naming import quantities
from minicnn.check.kinds import Kind
from minicnn.check.manners import manners, refusal, slowness
from minicnn.check.observe import Candidate, Observation, observations, refused, settle_form
from minicnn.check.patterns import ignored_arguments, only_squares
from minicnn.check.report import Finding, Report, Tally
from minicnn.check.running import name_of
from minicnn.check.trial import Trial, same
from minicnn.errors import ArgumentError, SlotError

DOUBLE, SINGLE = 1e-8, 1e-4  # relative errors that are still rounding
LOST_DIGITS = 1e-5  # what numbers that went through float32 may be off by


def examine(operation: str | Slot, function: Callable, *, seconds: float = 20.0) -> Report:
    """Examine a function that is to fill a slot: its values in float64 and float32, its manners, and its mistakes.

    It is called on some ten to twenty small cases that tell mistakes apart (a batch of one and of three, stride,
    padding, dilation, groups, rectangles, squares, one channel) and compared with the plain body; a wrong gradient is
    also measured by central differences of the forward pass. Wrong results are then read: which mistake, undone, makes
    them right in every case? Keywords that the function does not take are not examined, and the report says so.

    Parameters
    ----------
    operation : str
        The slot's name, "conv2d_backward", or the operation itself, `ops.conv2d_backward`.
    function : function
        Takes the operation's arguments, returns its results; `help(ops.conv2d_backward)` shows both. Pairs such as
        stride come as pairs, as from a layer; to a function that cannot take pairs, as numbers.
    seconds : float
        How long its calls may take together. In the main thread a call that takes longer is interrupted.

    Returns
    -------
    Report
        `.ok`, `.findings`, `.tallies`; print it, `.to_json()` or `.plot()` it.

    Raises
    ------
    ArgumentError
        If there is no such operation, or if the function is none.
    """
    slot = operation if isinstance(operation, Slot) else slot_named(operation)
    if not callable(function):
        raise ArgumentError(f"a candidate for {slot.name} must be a function, not {function!r}")
    if not seconds > 0:
        raise ArgumentError(f"seconds must be above 0, not {seconds}")
    subject = slot.name if name_of(function) == slot.name else f"{name_of(function)} as {slot.name}"
    try:
        slot.check_fits(function)
    except SlotError as error:
        return Report(subject, [Finding(Kind.RAISES, "signature", str(error), hint=Kind.RAISES.hint)], check="examine")
    candidate = Candidate(slot, function, seconds)
    hopeless = settle_form(candidate, examinations(slot.name)[0])
    seen = [hopeless] if hopeless else list(observations(candidate))
    return _report(subject, candidate, seen)


def _report(subject: str, candidate: Candidate, seen: list[Observation]) -> Report:
    findings, notes = refusal(candidate, seen)
    usable = [o for o in seen if not o.outcome.error and not o.problem]
    names = list(dict.fromkeys(name for o in usable for name in o.examination.expected))
    tallies = {name: _tally(name, seen) for name in names or candidate.operation.returns}
    comparisons: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if usable:
        suspects = [o for o in usable if not o.single and not all(is_right(o, name) for name in names)]
        findings += manners(candidate, usable, suspects) + slowness(usable)
    for name in names:
        found, worst = _findings_for(name, candidate, [o for o in usable if not _is_consequence(candidate, o, name)])
        findings += found
        if worst is not None:
            comparisons[name] = worst
    taken = refused(candidate)
    if taken:
        options = ", ".join(taken)
        notes.append(f"not examined: {options} (the function does not take {'it' if len(taken) == 1 else 'them'})")
    findings.sort(key=lambda f: (f.remark, f.evidence.pop("rank", f.kind.rank)))
    return Report(subject, findings, tallies=tallies, notes=notes, comparisons=comparisons, check="examine")


def _tally(name: str, seen: Sequence[Observation]) -> Tally:
    counted = [o for o in seen if not (o.case.optional or o.case.tied)]
    return Tally(sum(is_right(o, name) for o in counted), len(counted))


def _is_consequence(candidate: Candidate, seen: Observation, name: str) -> bool:
    """Return whether a result is wrong only because another one is, which gets the finding."""
    others_wrong = any(not is_right(seen, other) for other in seen.examination.expected if other != name)
    return (
        others_wrong
        and not is_right(seen, name)
        and follows_from_others(candidate.operation.name, name, seen.case.everything, seen.results)
    )


def is_right(seen: Observation, name: str) -> bool:
    """Return whether a result is what it should be."""
    if seen.outcome.error or seen.problem or name not in seen.results:
        return False
    expected, got = np.asarray(seen.examination.expected[name]), seen.results[name]
    if got is None or not hasattr(np.asarray(got), "dtype") or np.asarray(got).dtype.kind not in "fiub":
        return False
    got = np.asarray(got)
    if expected.dtype.kind == "b":
        return expected.shape == got.shape and bool((expected == got.astype(bool)).all())
    tolerance = SINGLE if seen.single else DOUBLE
    return same(expected.astype(np.float64), got.astype(np.float64), tolerance)


def _findings_for(
    name: str, candidate: Candidate, usable: list[Observation]
) -> tuple[list[Finding], tuple[np.ndarray, np.ndarray] | None]:
    """Return what is wrong with one result, and the arrays of one wrong case."""
    doubles = [o for o in usable if not o.single]
    wrong = [o for o in doubles if not is_right(o, name)]
    if not wrong:
        singles = [o for o in usable if o.single and not is_right(o, name)]
        return ([only_in_single_precision(name, singles)] if singles else []), None
    ties = [o for o in wrong if o.case.tied]
    edges = [o for o in wrong if o.case.edge]
    serious = [o for o in wrong if not (o.case.tied or o.case.edge)]
    if edges and not serious:
        return [at_the_edge(name, edges)], None
    if not serious:
        return [tie(name, ties)], None
    expected, got = (np.asarray(a) for a in (serious[0].examination.expected[name], serious[0].results[name]))
    if got.dtype.kind not in "fiub":
        message = f"it is {describe(serious[0].results[name])}; expected an array of shape {expected.shape}"
        return [Finding(Kind.SHAPE, name, message, {}, Kind.SHAPE.hint)], None
    findings = []
    broken = [o for o in serious if not np.isfinite(np.asarray(o.results[name], dtype=float)).all()]
    if broken:
        findings.append(non_finite(name, broken))
    rest = [o for o in serious if o not in broken]
    if rest and 2 * len(rest) >= len(doubles) and all(_has_lost_digits(o, name) for o in rest):
        findings.append(lost_digits(name, rest))
        rest = []
    shapes = [o for o in rest if np.shape(o.results[name]) != np.shape(o.examination.expected[name])]
    readings = _read(name, candidate, rest) if rest else []
    findings += readings
    if rest:
        verdicts = [(o, o not in wrong) for o in doubles]
        findings += ignored_arguments(name, candidate, verdicts)
        findings += [] if findings else only_squares(name, verdicts)
    if shapes:
        findings.append(wrong_shape(name, shapes))
    if rest and forward_of(candidate.operation) is None:
        if not any(f.kind == Kind.FORWARD_DIFFERS for f in findings):
            findings.append(values_differ(name, rest, Kind.FORWARD_DIFFERS))
    elif rest and not findings:
        findings.append(values_differ(name, rest, Kind.UNKNOWN))
    for finding in findings:
        finding.evidence.update(_worst_entry(name, candidate, serious))
    return findings, (expected, got)


def _read(name: str, candidate: Candidate, wrong: list[Observation]) -> list[Finding]:
    """Return what the hypotheses say."""
    trials = [_trial(name, candidate, o) for o in wrong]
    plain = _swapped(name, wrong) or _first_for_all(name, candidate, wrong)
    if plain:
        return [plain]
    findings: list[Finding] = []
    budget = min(2.0, max(candidate.deadline - time.perf_counter(), 0.2))
    for reading, explained in diagnose(trials, seconds=budget):
        labels = [trial.label for trial in explained]
        # Readings that explain a part each keep their order: the one that explains most comes first.
        rank = (
            reading.rank if len(explained) == len(trials) else Kind.IGNORES_ARGUMENT.rank + 0.6 + 0.01 * len(findings)
        )
        evidence = {**reading.evidence, "seen_with": labels, "rank": rank}
        partly = (
            "" if len(explained) == len(trials) else f" (this explains {len(explained)} of {len(trials)} wrong calls)"
        )
        findings.append(
            Finding(reading.kind, name, reading.message + partly, evidence, reading.hint or reading.kind.hint)
        )
    return findings


def _swapped(name: str, wrong: list[Observation]) -> Finding | None:
    """Say so if it is another one of the results: they are returned in another order."""
    for other in wrong[0].examination.expected:
        if other != name and all(_is_other(o, name, other) for o in wrong):
            message = f"it is {other}: the results are returned in another order"
            return Finding(
                Kind.SHAPE, name, message, {"result": other}, "In which order does the operation return them?"
            )
    return None


def _is_other(seen: Observation, name: str, other: str) -> bool:
    expected, got = np.asarray(seen.examination.expected[other]), np.asarray(seen.results[name])
    return expected.dtype == got.dtype and same(expected, got, DOUBLE)


def _trial(name: str, candidate: Candidate, seen: Observation) -> Trial:
    case, operation, expected = seen.case, candidate.operation, seen.examination.expected[name]
    got = np.asarray(seen.results[name])
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
        got=got,
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
        if all(same(p, np.asarray(o.results[name]), DOUBLE) for p, o in zip(predicted, wrong, strict=True)):
            message = f"only the first of {option} is used, for all parameters"
            return Finding(Kind.IGNORES_ARGUMENT, name, message, {"argument": option}, Kind.IGNORES_ARGUMENT.hint)
    return None


def _worst_entry(name: str, candidate: Candidate, wrong: list[Observation]) -> dict[str, Any]:
    """Return the entry that is furthest off, in the first case with a right shape, and what differences say there."""
    for seen in wrong:
        expected, got = np.asarray(seen.examination.expected[name]), np.asarray(seen.results[name])
        if expected.shape != got.shape or not expected.size or expected.dtype.kind != "f":
            continue
        error = np.nan_to_num(np.abs(got - expected), nan=np.inf)
        index = tuple(int(i) for i in np.unravel_index(int(error.argmax()), expected.shape))
        found = {"case": seen.case.label, "index": index, "got": float(got[index]), "expected": float(expected[index])}
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
    expected, got = np.asarray(seen.examination.expected[name]), np.asarray(seen.results[name])
    return expected.dtype == np.float64 and same(expected, got.astype(np.float64), LOST_DIGITS)
