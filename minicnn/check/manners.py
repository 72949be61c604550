"""How a candidate behaves: whether it raises, ends, returns what was asked for, and leaves its arguments alone."""

from collections.abc import Sequence

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation, differs_from_call_to_call, remembers
from minicnn.check.report import Finding


def refusal(candidate: Candidate, seen: Sequence[Observation]) -> tuple[list[Finding], list[str]]:
    """Return findings about calls that brought no results, and notes on those that a candidate may refuse."""
    findings: dict[str, Finding] = {}
    notes = []
    if candidate.numbers:
        notes.append("it takes stride=2 but not stride=(2, 2), which is how a layer hands it over: plugged in, it raises")
    for o in seen:
        error = o.outcome.error or o.problem
        if not error:
            continue
        if o.case.optional and not o.outcome.timed_out:
            notes.append(f"not examined: {o.case.label} ({error})")
            continue
        kind = Kind.TOO_SLOW if o.outcome.timed_out else Kind.RAISES if o.outcome.error else Kind.SHAPE
        key = f"{kind}{error.split(':')[0]}{o.outcome.line}"
        if key in findings:
            findings[key].evidence["seen_with"].append(o.case.label)
            continue
        evidence = {"seen_with": [o.case.label], "line": o.outcome.line}
        message, hint = f"{error} ({o.case.label})", kind.hint
        if o.outcome.unwritten:
            message, hint = "it is not written yet", "Begin with the smallest case: one image, one channel, stride 1."
        elif o.outcome.line:
            message = f"{error}, in {o.outcome.line} ({o.case.label})"
        findings[key] = Finding(kind, "call", message, evidence, hint)
    return list(findings.values()), notes


def manners(candidate: Candidate, usable: Sequence[Observation]) -> list[Finding]:
    """Return findings about dtypes, arguments written to, and results that change or are remembered."""
    findings = []
    for name in dict.fromkeys(name for o in usable for name in o.outcome.written_to):
        if name not in _donated(candidate):
            message = f"the function writes into {name}, which belongs to the caller; work on a copy"
            findings.append(Finding(Kind.MUTATES_INPUT, name, message, {"argument": name}, Kind.MUTATES_INPUT.hint))
    findings += _dtypes(usable)
    first = usable[0]
    changing = differs_from_call_to_call(candidate, first)
    for name in changing:
        message = "two calls with the same arguments give different results"
        findings.append(Finding(Kind.NONDETERMINISTIC, name, message, {}, Kind.NONDETERMINISTIC.hint))
    if not changing and not first.outcome.written_to:
        for name in remembers(candidate, first):
            message = "it is the result of an earlier call: something is kept that belongs to other numbers"
            findings.append(Finding(Kind.WRONG_CACHE, name, message, {}, Kind.WRONG_CACHE.hint))
    return findings


def _dtypes(usable: Sequence[Observation]) -> list[Finding]:
    """What goes in as float32 comes out as float32, and float64 as float64."""
    findings: dict[str, Finding] = {}
    for o in usable:
        for name, value in o.results.items():
            expected, got = np.asarray(o.examination.expected[name]).dtype, getattr(value, "dtype", None)
            if expected.kind != "f" or got is None or got == expected or getattr(got, "kind", "") not in "fiu":
                continue
            message = f"it is {got} for arguments of {expected}"
            findings.setdefault(name, Finding(Kind.DTYPE, name, message, {"dtype": str(got)}, Kind.DTYPE.hint))
    return list(findings.values())


def _donated(candidate: Candidate) -> tuple[str, ...]:
    """Return the arguments that an update step may write to."""
    if not candidate.operation.name.endswith(("_update", "_update_all")):
        return ()
    return tuple(name for name in candidate.operation.signature.parameters if not name.startswith("dw"))
