"""How a layer, or a pair of functions, behaves: dtypes, inputs left alone, gradients added up."""

from typing import Any

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.report import Finding
from minicnn.check.running import CandidateError, own_line, said
from minicnn.check.subject import Subject

Gradients = dict[str, np.ndarray | None]


def check_output(y: np.ndarray) -> list[Finding]:
    """An output has to be finite and, for inputs of float64, of float64: differences need all digits."""
    if y.dtype != np.float64:
        return [Finding(Kind.DTYPE, "y", f"the output is {y.dtype} for an input of float64", hint=Kind.DTYPE.hint)]
    if not np.isfinite(y).all():
        count = int((~np.isfinite(y)).sum())
        message = f"the output holds {count} NaN or infinity at this input; choose another"
        return [Finding(Kind.NON_FINITE, "y", message, hint=Kind.NON_FINITE.hint)]
    return []


def check_single_precision(subject: Subject, dy: np.ndarray) -> list[Finding]:
    """What goes in as float32 has to come out as float32."""
    found = []
    y = np.asarray(subject.forward())
    if y.dtype != np.float32:
        found.append(Finding(Kind.DTYPE, "y", f"the output is {y.dtype} for an input of float32", hint=Kind.DTYPE.hint))
    for name, gradient in fresh_gradients(subject, dy.astype(np.float32)).items():
        dtype = getattr(gradient, "dtype", np.float32)
        if dtype != np.float32:
            message = f"the gradient is {dtype} for an input of float32"
            found.append(Finding(Kind.DTYPE, name, message, hint=Kind.DTYPE.hint))
    return found


def check_manners(subject: Subject, dy: np.ndarray, y: np.ndarray) -> list[Finding]:
    """Nothing written to, the same result each time, gradients added up."""
    findings = []
    before = {"dy": dy.copy(), **{name: values.copy() for name, values in subject.tensors.items()}}
    again = np.array(subject.forward())
    first = _copies(fresh_gradients(subject, dy))
    subject.forward()
    second = _copies(subject.backward(dy))

    for name, values in {"dy": dy, **subject.tensors}.items():
        if not np.array_equal(values, before[name], equal_nan=True):
            message = "it was written to; work on a copy or with out-of-place operations"
            findings.append(Finding(Kind.MUTATES_INPUT, name, message, hint=Kind.MUTATES_INPUT.hint))
            values[...] = before[name]
    if findings:
        return findings  # what comes after is a consequence
    if again.shape != y.shape or not np.array_equal(again, y, equal_nan=True):
        message = "two forward passes from one state give different outputs"
        findings.append(Finding(Kind.NONDETERMINISTIC, "y", message, hint=Kind.NONDETERMINISTIC.hint))
    for name, gradient in first.items():
        expected = 2 * gradient if name in subject.accumulates else gradient
        got = second.get(name)
        if got is None or got.shape != expected.shape or _close(got, expected):
            continue
        if name in subject.accumulates and _close(got, gradient):
            message = (
                "a second backward pass replaces the gradient instead of adding to it; use parameter.add_grad(...)"
            )
            findings.append(Finding(Kind.NOT_ACCUMULATED, name, message, hint=_SHARED))
        else:
            message = "two backward passes from one state give different gradients"
            findings.append(Finding(Kind.NONDETERMINISTIC, name, message, hint=Kind.NONDETERMINISTIC.hint))
    return findings


_SHARED = (
    "A parameter may be used twice in a network, or see two batches before a step: what must its gradient be then?"
)


def fresh_gradients(subject: Subject, dy: np.ndarray) -> Gradients:
    """Gradients of one backward pass alone."""
    subject.forget()
    return subject.backward(dy)


def raised(error: BaseException, where: str, by: Any) -> Finding:
    """Make a finding of an exception, with its author's own line."""
    line = error.line if isinstance(error, CandidateError) else own_line(error, by)
    message = str(error) if isinstance(error, CandidateError) else said(error)
    if isinstance(error, NotImplementedError):
        message = f"it is not written yet ({error})" if str(error) else "it is not written yet"
    elif line:
        message += f", in {line}"
    return Finding(Kind.RAISES, where, message, {"line": line}, Kind.RAISES.hint)


def _close(one: np.ndarray, other: np.ndarray) -> bool:
    return np.allclose(one, other, rtol=1e-9, atol=0, equal_nan=True)


def _copies(gradients: Gradients) -> dict[str, np.ndarray]:
    return {name: np.array(gradient) for name, gradient in gradients.items() if gradient is not None}
