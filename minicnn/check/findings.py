"""Findings about one wrong result that need no hypothesis: shape, NaN, digits, ties, and what nobody can read."""

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.observe import Observation
from minicnn.check.report import Finding


def values_differ(name: str, wrong: list[Observation], kind: Kind) -> Finding:
    """It is wrong in these calls, for whatever reason."""
    labels = [o.case.label for o in wrong]
    what = "the values differ from the operation's" if kind is Kind.FORWARD_DIFFERS else "it is wrong"
    message = f"{what} in these calls: {'; '.join(labels)}"
    if kind is Kind.UNKNOWN:
        message += ". None of the mistakes that are known fits"
    return Finding(kind, name, message, {"seen_with": labels}, kind.hint)


def wrong_shape(name: str, wrong: list[Observation]) -> Finding:
    """It has another shape."""
    seen = wrong[0]
    expected, got = np.shape(seen.examination.expected[name]), np.shape(seen.results[name])
    message = f"it has the shape {got}; expected {expected} ({seen.case.label})"
    if 0 in got and 0 not in expected:
        message += "; an axis is empty: a[p:-p] is, for p = 0"
    elif got and int(np.prod(got)) == int(np.prod(expected)):
        message += "; as many numbers, in another arrangement"
    evidence = {"shape": got, "expected_shape": expected, "seen_with": [o.case.label for o in wrong]}
    return Finding(Kind.SHAPE, name, message, evidence, Kind.SHAPE.hint)


def non_finite(name: str, wrong: list[Observation]) -> Finding:
    """It holds NaN or infinity."""
    count = int((~np.isfinite(np.asarray(wrong[0].results[name], dtype=float))).sum())
    labels = [o.case.label for o in wrong]
    message = f"it holds {count} NaN or infinity where finite numbers belong ({'; '.join(labels)})"
    return Finding(Kind.NON_FINITE, name, message, {"seen_with": labels}, Kind.NON_FINITE.hint)


def tie(name: str, wrong: list[Observation]) -> Finding:
    """It differs at ties alone, which is a remark."""
    message = (
        f"it differs only where maxima are equal or a number lies on a kink ({wrong[0].case.label}): "
        "no mistake in the gradient, but the engine takes the first of equal maxima"
    )
    return Finding(Kind.TIES, name, message, {"seen_with": [o.case.label for o in wrong]}, Kind.TIES.hint, remark=True)


def beyond_the_usual(name: str, wrong: list[Observation]) -> Finding:
    """It is wrong beyond the usual alone, which is a remark."""
    finite = np.isfinite(wrong[0].results[name]).all()
    kind = Kind.FORWARD_DIFFERS if finite else Kind.NON_FINITE
    what = "another result than the operation's" if finite else "NaN or infinity"
    message = f"right otherwise, but it gives {what} for {wrong[0].case.label} (worth knowing, no mistake)"
    return Finding(kind, name, message, {"seen_with": [o.case.label for o in wrong]}, kind.hint, remark=True)


def only_in_single_precision(name: str, wrong: list[Observation]) -> Finding:
    """It is wrong in float32 alone."""
    got = np.asarray(wrong[0].results.get(name))
    labels = [o.case.label for o in wrong]
    if got.dtype.kind == "f" and not np.isfinite(got).all():
        return non_finite(name, wrong)
    message = f"it is right in float64, but not in float32 ({'; '.join(labels)})"
    return Finding(Kind.DTYPE, name, message, {"seen_with": labels}, Kind.DTYPE.hint)


def lost_digits(name: str, wrong: list[Observation]) -> Finding:
    """It has the digits of float32."""
    message = "it is right to some seven digits only: float64 numbers went through float32 on their way"
    return Finding(Kind.DTYPE, name, message, {"seen_with": [o.case.label for o in wrong]}, Kind.DTYPE.hint)
