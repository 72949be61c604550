"""Judges for finite differences: gradients of functions that are known, and relative errors."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.check import Finding, Kind
from minicnn.check.running import CandidateError
from minicnn.grade.judges import Grading, finding_of
from minicnn.grade.results import Verdict
from minicnn.ops import random_normal

Formula = Callable[[np.ndarray, np.ndarray, float], np.ndarray]

TRUE_GRADIENTS: dict[str, Formula] = {
    "sum of c x": lambda c, x, h: c,
    "sum of c x^2": lambda c, x, h: 2 * c * x,
    "sum of c x^3": lambda c, x, h: 3 * c * x * x + c * h * h,  # what central differences give exactly
    "sum of sin(c x)": lambda c, x, h: c * np.cos(c * x),
    "product of c + x": lambda c, x, h: (c + x).prod() / (c + x),
}
CASES: list[tuple[str, tuple[int, ...], float | None]] = [
    ("sum of c x^2", (5,), None),
    ("sum of c x", (3, 4), None),
    ("sum of sin(c x)", (2, 3, 4), None),
    ("product of c + x", (4,), None),
    ("sum of c x^2", (1,), None),
    ("sum of sin(c x)", (2, 2, 2, 2), None),
    ("sum of c x^3", (3, 2), 0.1),
    ("sum of c x^3", (4,), 0.3),
]
"""The function, the shape of x, and h where it is given. The cubes tell central from forward differences, and use h."""
TOLERANCE = 1e-6
CENTRAL_HINT = "Write down both formulas of the README with numbers. Which points do you use, what do you divide by?"


def judge_numeric_gradient(grading: Grading) -> Verdict:
    """Judge `numeric_gradient(f, x, *, h=1e-5)` by functions whose gradients are known."""
    function = grading.function("numeric_gradient")
    return _judge_cases([functools.partial(_gradient_case, function, i, *case) for i, case in enumerate(CASES)])


def _gradient_case(
    function: Callable, number: int, kind: str, shape: tuple[int, ...], h: float | None
) -> Finding | None:
    c = 1.5 + random_normal(Key(1, 0, number), shape=shape)
    x = random_normal(Key(1, 1, number), shape=shape)
    before, options = x.copy(), {} if h is None else {"h": h}
    where = f"{kind}, x of shape {shape}" + ("" if h is None else f", h = {h:g}")
    got = function({"function": kind, "c": c}, x, **options)
    expected = TRUE_GRADIENTS[kind](c, before, h or 0.0)
    if not isinstance(got, np.ndarray) or got.shape != shape:
        what = f"an array of shape {got.shape}" if isinstance(got, np.ndarray) else f"a {type(got).__name__}"
        return _finding(Kind.SHAPE, f"it returned {what}, expected an array of shape {shape} ({where})")
    if got.dtype != np.float64:
        return _finding(Kind.DTYPE, f"it returned {got.dtype} for x in float64 ({where})")
    if not np.array_equal(x, before):
        return _finding(Kind.MUTATES_INPUT, f"after the call x is not what it was, to the last bit ({where})")
    size = max(float(np.abs(expected).max()), 1e-3)
    if not np.abs(got - expected).max() <= TOLERANCE * size:
        return _wrong_gradient(got, expected, h, where)
    return None


def _wrong_gradient(got: np.ndarray, expected: np.ndarray, h: float | None, where: str) -> Finding:
    """Say what is wrong, as far as it can be told from the numbers."""
    factor = float((got * expected).sum() / (expected * expected).sum())
    if np.allclose(got, factor * expected, rtol=1e-3, atol=1e-9) and abs(factor - 1) > 0.01:
        kind = Kind.ZERO if factor == 0 else Kind.SIGN if abs(factor + 1) < 0.01 else Kind.SCALE
        return _finding(kind, f"the gradient is {factor:.4g} times what it should be ({where})")
    index = np.unravel_index(int(np.abs(got - expected).argmax()), got.shape)
    values = f"entry {tuple(int(i) for i in index)} is {got[index]:.8g}, expected {expected[index]:.8g}"
    if h is not None or np.allclose(got, expected, rtol=1e-3, atol=1e-4):
        return _finding(
            Kind.UNKNOWN, f"these are not central differences with the step h: {values} ({where})", CENTRAL_HINT
        )
    return _finding(Kind.UNKNOWN, f"the gradient is wrong: {values} ({where})")


ERRORS: list[tuple[str, Any, Any, float]] = [
    ("one entry differs", [1.0, 2.0, 4.0], [1.0, 2.0, 5.0], 0.2),
    ("the larger error is not the larger relative error", [100.0, 0.1], [101.0, 0.2], 0.5),
    ("b is larger than a", [1.0, 3.0], [2.0, 3.0], 0.5),
    ("negative numbers", [-2.0, 4.0], [-1.0, 4.0], 0.5),
    ("opposite signs", [1.0], [-1.0], 2.0),
    ("equal", [[1.0, -2.0], [3.0, 0.5]], [[1.0, -2.0], [3.0, 0.5]], 0.0),
    ("both are 0 in some entries", [0.0, 0.0, 2.0], [0.0, 0.0, 4.0], 0.5),
    ("all are 0", [0.0, 0.0], [0.0, 0.0], 0.0),
    ("one of two is 0", [0.0, 5.0], [1e-9, 5.0], 1.0),
    ("three axes", [[[1.0, 2.0]], [[4.0, 8.0]]], [[[1.0, 2.0]], [[4.0, 10.0]]], 0.2),
]


def judge_relative_error(grading: Grading) -> Verdict:
    """Judge `relative_error(a, b)`."""
    function = grading.function("relative_error")
    return _judge_cases([functools.partial(_error_case, function, *case) for case in ERRORS])


def _error_case(function: Callable, where: str, a: Any, b: Any, expected: float) -> Finding | None:
    a, b = np.array(a), np.array(b)
    before = a.copy(), b.copy()
    got = function(a, b)
    if not np.array_equal(a, before[0]) or not np.array_equal(b, before[1]):
        return _finding(Kind.MUTATES_INPUT, f"it writes into its arguments ({where})")
    if not isinstance(got, int | float | np.number | np.ndarray) or np.shape(got) != ():
        return _finding(Kind.SHAPE, f"it should return one number, not {_short(got)} ({where})")
    number = float(np.real(got))
    if not np.isfinite(number):
        return _finding(Kind.NON_FINITE, f"it returned {got} ({where})")
    if abs(number - expected) > 1e-12:
        numbers = f"{where}: {_short(a)}, {_short(b)}"
        return _finding(Kind.UNKNOWN, f"it is {number:.6g}, expected {expected:g} ({numbers})")
    return None


def _judge_cases(cases: Sequence[Callable[[], Finding | None]]) -> Verdict:
    """Run all cases; the share that is right counts, and the findings are the different ones."""
    findings: dict[str, Finding] = {}
    right = 0
    for case in cases:
        try:
            found = case()
        except CandidateError as error:
            found = finding_of(error, "")
        if found is None:
            right += 1
        else:
            findings.setdefault(f"{found.kind} {found.message}" if found.kind == Kind.UNKNOWN else found.kind, found)
    return Verdict(right == len(cases), right / len(cases), list(findings.values()), f"{right} of {len(cases)} cases")


def _finding(kind: Kind, message: str, hint: str | None = None) -> Finding:
    return Finding(kind, "", message, {}, kind.hint if hint is None else hint)


def _short(value: Any) -> str:
    text = str(value.tolist() if isinstance(value, np.ndarray) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."
