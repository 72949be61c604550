"""How a candidate behaves: whether it raises, ends, returns what was asked for, and leaves its arguments alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.observe import Candidate, Observation, differs_from_call_to_call, overwrites, remembers
from minicnn.check.report import Finding

BASE_SECONDS = 0.01
SECONDS_A_PRODUCT = 2e-5  # some twenty times what a loop in plain Python takes


def refusal(candidate: Candidate, seen: Sequence[Observation]) -> tuple[list[Finding], list[str]]:
    """Return findings about calls that brought no results, and notes on those that a candidate may refuse."""
    findings: dict[str, Finding] = {}
    notes = []
    if candidate.numbers:
        notes.append(
            "it takes stride=2 but not stride=(2, 2), which is how a layer hands it over: plugged in, it raises"
        )
    for o in seen:
        error = o.outcome.error or o.problem
        if not error:
            continue
        kind = Kind.TOO_SLOW if o.outcome.timed_out else Kind.RAISES if o.outcome.error else Kind.SHAPE
        key = f"{kind}{error.split(':')[0]}{o.outcome.line}{o.case.optional}"
        if key in findings:
            findings[key].evidence["seen_with"].append(o.case.label)
            continue
        evidence: dict[str, Any] = {"seen_with": [o.case.label], "line": o.outcome.line}
        message, hint = f"{error} ({o.case.label})", kind.hint
        if o.outcome.unwritten:
            evidence["unwritten"] = True
            message, hint = "it is not written yet", "Begin with the smallest case: one image, one channel, stride 1."
        elif o.outcome.line:
            message = f"{error}, in {o.outcome.line} ({o.case.label})"
        optional = o.case.optional and not o.outcome.timed_out
        if optional and any(f.evidence["line"] == o.outcome.line != "" for f in findings.values()):
            continue  # the same line fails in usual calls, too
        if optional:
            message = f"{message}; the operation can do this too"
        findings[key] = Finding(kind, "call", message, evidence, hint, remark=optional)
    return list(findings.values()), notes


def manners(candidate: Candidate, usable: Sequence[Observation], suspects: Sequence[Observation]) -> list[Finding]:
    """Return findings about dtypes, arguments written to, and results that change or are remembered.

    `usable` are the calls that brought results, `suspects` those of them that brought wrong ones.
    """
    findings = []
    for name in dict.fromkeys(name for o in usable for name in o.outcome.written_to):
        if name not in _donated(candidate):
            message = f"the function writes into {name}, which belongs to the caller; work on a copy"
            findings.append(Finding(Kind.MUTATES_INPUT, name, message, {"argument": name}, Kind.MUTATES_INPUT.hint))
    findings += _dtypes(usable)
    first = usable[0]
    changing: dict[str, bool] = {}
    for o in [first, *suspects[:3]]:
        changing = changing or differs_from_call_to_call(candidate, o)
    for name, went_on in changing.items():
        kind = Kind.WRONG_CACHE if went_on else Kind.NONDETERMINISTIC
        message = "two calls with the same arguments give different results"
        if went_on:
            message += ": the second goes on from what the first left behind, not from its arguments"
        findings.append(Finding(kind, name, message, {}, kind.hint))
    overwritten = overwrites(candidate, first) if not changing else []
    for name in overwritten:
        message = "the next call writes over it: every call hands out the same array"
        findings.append(Finding(Kind.WRONG_CACHE, name, message, {}, Kind.WRONG_CACHE.hint))
    if not changing and not overwritten and not first.outcome.written_to:
        for name in remembers(candidate, first):
            message = "it is the result of an earlier call: something is kept that belongs to other numbers"
            findings.append(Finding(Kind.WRONG_CACHE, name, message, {}, Kind.WRONG_CACHE.hint))
    return findings


def slowness(usable: Sequence[Observation]) -> list[Finding]:
    """Say so if the calls take far longer than loops in plain Python over every product would.

    Medians: a candidate that is compiled at its first call is not slow.
    """
    ratios = [o.outcome.seconds / (BASE_SECONDS + SECONDS_A_PRODUCT * _products(o)) for o in usable]
    if np.median(ratios) <= 1:
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
            expected, got = np.asarray(o.examination.expected[name]).dtype, getattr(value, "dtype", None)
            wrong = (
                got != expected if expected.kind == "f" else getattr(got, "kind", "") == "f" and expected.kind in "iu"
            )
            if got is None or not wrong or getattr(got, "kind", "") not in "fiu":
                continue
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
