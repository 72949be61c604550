"""How a candidate behaves: whether it raises, ends, returns what was asked for, and leaves its arguments alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation
from minicnn.check.report import Finding

BASE_SECONDS = 0.01
ASLEEP = 1.0  # seconds of a call in which the processor may have had nothing to do
SECONDS_A_PRODUCT = 2e-5  # some twenty times what a loop in plain Python takes


def refusal(candidate: Candidate, seen: Sequence[Observation]) -> tuple[list[Finding], list[str]]:
    """Return findings about calls that brought no results, and notes on those that a candidate may refuse."""
    findings: dict[str, Finding] = {}
    notes = []
    printed = next((o.outcome.printed for o in seen if o.outcome.printed), "")
    if printed:
        notes.append(f"it prints; the first that it printed: {printed.strip()[:200]}")
    if candidate.numbers:
        message = "it takes stride=2 but not stride=(2, 2), which is how a layer hands it over: plugged in, it raises"
        hint = "pair = value if isinstance(value, tuple) else (value, value) turns both into a pair."
        findings["numbers"] = Finding(
            Kind.RAISES, "pairs", message, {"numbers_only": True, "line": ""}, hint, remark=True
        )
    for o in seen:
        if not o.failed:
            continue
        error = o.outcome.error or o.problem
        kind = Kind.TOO_SLOW if o.outcome.timed_out else Kind.RAISES if o.outcome.error else Kind.SHAPE
        key = f"{kind}{error.split(':')[0]}{o.outcome.line}{o.case.optional}"
        if key in findings:
            findings[key].evidence["seen_with"].append(o.case.label)
            continue
        evidence: dict[str, Any] = {"seen_with": [o.case.label], "line": o.outcome.line}
        message, hint = f"{error} ({o.case.label})", kind.hint
        if error.startswith("it returned"):
            hint = f"Which results, and in which order? help(ops.{candidate.operation.name}) shows them."
        if o.outcome.unwritten:
            evidence["unwritten"] = True
            message, hint = "it is not written yet", ""
        elif o.outcome.line:
            message = f"{error}, in {o.outcome.line} ({o.case.describe()})"
        elif o.problem:
            hint = (
                f"Compare your return line with what help(ops.{candidate.operation.name}) says: what, in which order?"
            )
        optional = o.case.optional and not o.outcome.timed_out
        if optional and any(f.evidence["line"] == o.outcome.line != "" for f in findings.values()):
            continue  # the same line fails in usual calls, too
        if optional:
            message = f"{message}; worth knowing, no mistake: the operation can do this, too"
        findings[key] = Finding(kind, "call", message, evidence, hint, remark=optional)
    return list(findings.values()), notes


def manners(candidate: Candidate, usable: Sequence[Observation]) -> list[Finding]:
    """Return findings about arguments that were written to, dtypes, and time; `usable` are calls with results."""
    findings = []
    for name in dict.fromkeys(name for o in usable for name in o.outcome.written_to):
        if name not in _donated(candidate):
            message = f"the function writes into {name}, which belongs to the caller; work on a copy"
            findings.append(Finding(Kind.MUTATES_INPUT, name, message, {"argument": name}, Kind.MUTATES_INPUT.hint))
    return findings + _dtypes(usable) + _slowness(usable)


def _slowness(usable: Sequence[Observation]) -> list[Finding]:
    """Say so if the calls take far longer than loops in plain Python over every product would.

    Medians: a candidate that is compiled at its first call is not slow. Processor time: nor is one on a busy machine.
    """
    ratios = [o.outcome.busy / (BASE_SECONDS + SECONDS_A_PRODUCT * _products(o)) for o in usable]
    if np.median(ratios) <= 1 and np.median([o.outcome.seconds for o in usable]) <= ASLEEP:
        return []
    slowest = max(usable, key=lambda o: o.outcome.seconds)
    message = (
        f"a call takes {slowest.outcome.seconds:.2g} s for about {_products(slowest)} products ({slowest.case.label}); "
        "loops in plain Python would take a small part of that"
    )
    hint = "What is computed again and again, although it does not change from one turn of the loop to the next?"
    return [Finding(Kind.TOO_SLOW, "call", message, {"seconds": slowest.outcome.seconds}, hint)]


def _products(seen: Observation) -> int:
    """Return about how many multiplications the operation needs."""
    arrays = {name: np.size(v) for name, v in seen.case.args.items() if isinstance(v, np.ndarray)}
    outputs = max([np.size(v) for v in seen.examination.expected.values()] + [arrays.get("dy", 0)])
    w = seen.case.args.get("w")
    each = w[0].size if isinstance(w, np.ndarray) and w.ndim in (2, 4) and "dw" not in arrays else 4
    return sum(arrays.values()) + outputs * each


def _dtypes(usable: Sequence[Observation]) -> list[Finding]:
    """What goes in as float32 comes out as float32, and float64 as float64."""
    findings: dict[str, Finding] = {}
    for o in usable:
        for name, value in o.results.items():
            expected, got = np.asarray(o.examination.expected[name]).dtype, value.dtype
            if (got == expected) if expected.kind == "f" else (got.kind != "f" or expected.kind == "b"):
                continue  # of whole numbers and of booleans, every type will do
            message = (
                f"it is {got} for arguments of {expected}"
                if expected.kind == "f"
                else f"it is {got}; integers belong there"
            )
            findings.setdefault(name, Finding(Kind.DTYPE, name, message, {"dtype": str(got)}, Kind.DTYPE.hint))
    return list(findings.values())


def _donated(candidate: Candidate) -> tuple[str, ...]:
    """Return the arguments that an update step may write to."""
    if not candidate.operation.name.endswith(("_update", "_update_all")):
        return ()
    return tuple(name for name in candidate.operation.signature.parameters if not name.startswith("dw"))
