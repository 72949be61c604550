"""Examine a candidate for an operation, and say what kind of mistake it makes."""

from collections.abc import Callable

import numpy as np

from minicnn.backend.slots import Slot, describe_function, slot_named
from minicnn.check.cases import examinations
from minicnn.check.judge import findings_for, is_consequence, is_right, serious_among
from minicnn.check.kinds import Kind
from minicnn.check.manners import manners, refusal
from minicnn.check.observe import Candidate, Observation, observations, refused, settle_form
from minicnn.check.repeats import repeats
from minicnn.check.report import Finding, Report, Tally
from minicnn.errors import ArgumentError, SlotError


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
    slot = _operation(operation)
    if not callable(function):
        raise ArgumentError(f"a candidate for {slot.name} must be a function, not {function!r}")
    if not seconds > 0:
        raise ArgumentError(f"seconds must be above 0, not {seconds}")
    name = describe_function(function)
    subject = slot.name if name == slot.name else f"{name} as {slot.name}"
    try:
        slot.check_fits(function)
    except SlotError as error:
        hint = "Which arguments does the operation have, in which order, and which of them come by name?"
        return Report(subject, [Finding(Kind.RAISES, "signature", str(error), hint=hint)], check="examine")
    candidate = Candidate(slot, function, seconds)
    hopeless = settle_form(candidate, examinations(slot.name)[0])
    seen = [hopeless] if hopeless else list(observations(candidate))
    return _report(subject, candidate, seen)


def _operation(operation: object) -> Slot:
    if isinstance(operation, Slot):
        slot = operation
    elif isinstance(operation, str):
        slot = slot_named(operation)
    else:
        raise ArgumentError(
            f"the operation comes first, then the function: examine('relu_forward', f), not {operation!r}"
        )
    examinations(slot.name)  # raises for an operation of somebody's own
    return slot


def _report(subject: str, candidate: Candidate, seen: list[Observation]) -> Report:
    findings, notes = refusal(candidate, seen)
    usable = [o for o in seen if not o.failed]
    names = list(dict.fromkeys(name for o in usable for name in o.examination.expected))
    comparisons: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if usable:
        suspects = [o for o in usable if not o.single and not all(is_right(o, name) for name in o.examination.expected)]
        findings += manners(candidate, usable) + repeats(candidate, usable[0], suspects[:3])
    for name in names:
        own = [o for o in usable if name in o.examination.expected and not is_consequence(candidate, o, name)]
        findings += findings_for(name, candidate, own)
        wrong = serious_among([o for o in own if not o.single and not is_right(o, name)])
        if wrong:
            comparisons[name] = (np.array(wrong[0].examination.expected[name]), wrong[0].results[name])
    taken = refused(candidate)
    if taken:
        them = "it" if len(taken) == 1 else "them"
        notes.append(f"not examined: {', '.join(taken)} (the function does not take {them})")
    findings.sort(key=lambda finding: finding.order)
    tallies = {name: _tally(name, seen) for name in names or candidate.operation.returns}
    return Report(subject, findings, tallies=tallies, notes=notes, comparisons=comparisons, check="examine")


def _tally(name: str, seen: list[Observation]) -> Tally:
    """Count the calls that matter, those in float64."""
    counted = [o for o in seen if not (o.case.optional or o.case.tied or o.single)]
    return Tally(sum(not o.failed and is_right(o, name) for o in counted), len(counted))
