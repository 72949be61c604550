"""Does a backward pass compute the gradient of its forward pass?"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.check.differences import slope
from minicnn.check.report import Finding, Report, TensorCheck
from minicnn.check.subject import Subject, make_subject
from minicnn.errors import ArgumentError, DTypeError, ShapeError
from minicnn.nn import Layer, Loss
from minicnn.ops import random_normal, random_permutation

UNCOMPARABLE = ("non-finite", "mutates-input", "nondeterministic", "dtype")


def gradcheck(
    checked: Layer | Loss | Callable,
    x: Any,
    *,
    backward: Callable | None = None,
    target: Any = None,
    tolerance: float = 1e-6,
    entries: int = 200,
    seed: int = 0,
) -> Report:
    """Compare a backward pass with central differences of the forward pass, in float64 and with a random gradient dy.

    A copy is checked, so the layer stays as it is. Parameters that all start equal (zero biases) get random values in
    the copy, since they would hide mistakes. Entries where the function has a kink are skipped and counted.

    Parameters
    ----------
    checked : Layer, Loss or function
        A layer is checked by its input and all its parameters; a function y = f(x) needs its `backward(dy, x)`.
    x : array, or tuple of arrays for a function of several
        Where to check; random normal numbers are best. Integer inputs of a function are held fixed.
    backward : function, optional
        For a function: (dy, *x) -> gradient, or a tuple of gradients.
    target : array, optional
        For a loss: what the prediction x is compared with.
    tolerance : float
        The largest relative error |backward - differences| / max(|backward|, |differences|) that is no mistake. Numbers
        below a thousandth of the tensor's largest gradient are held to that thousandth instead, and nothing is held to
        more than the differences' own rounding allows.
    entries : int
        A tensor with more entries than that is checked at that many random ones.
    seed : int
        Of dy, of the random values and of the choice of entries.

    Returns
    -------
    Report
        `.ok`, `.findings` (also: outputs or gradients of another shape or dtype, inputs written to, results that differ
        from call to call, gradients that replace instead of adding up), and a table when printed.
    """
    if not tolerance > 0 or entries < 1:
        raise ArgumentError(f"tolerance must be above 0 and entries at least 1, not {tolerance} and {entries}")
    subject = make_subject(checked, x, backward=backward, target=target, dtype=np.float64, seed=seed)
    single = make_subject(checked, x, backward=backward, target=target, dtype=np.float32, seed=seed)
    y = np.array(subject.forward())
    dy = np.ones_like(y) if subject.fixed_dy else random_normal(Key(seed, 2, 0), shape=y.shape)

    findings = _check_output(y)
    try:
        findings += _check_single_precision(single, dy) + _check_manners(subject, dy, y)
    except (ShapeError, DTypeError) as error:  # by which a parameter refuses a gradient
        kind = "shape" if isinstance(error, ShapeError) else "dtype"
        findings.append(Finding(kind, "backward", f"{error} {' '.join(getattr(error, '__notes__', []))}".strip()))
        return Report(subject.name, findings)
    if any(finding.kind in UNCOMPARABLE for finding in findings):
        return Report(subject.name, findings)  # differences of such outputs say nothing
    subject.forward()
    gradients = {name: gradient for name, gradient in _fresh_gradients(subject, dy).items() if name in subject.tensors}
    tensors = []
    for stream, (name, values) in enumerate(subject.tensors.items(), start=3):
        gradient = gradients.get(name)
        problem = _problem_with(name, gradient, values)
        if problem:
            findings.append(problem)
            continue
        chosen = random_permutation(Key(seed, stream, 0), values.size)[:entries]
        check = _compare(subject, name, np.asarray(gradient), dy, y, np.sort(chosen), tolerance)
        tensors.append(check)
        findings += _findings_in(check)
    return Report(subject.name, findings, tensors)


def _check_output(y: np.ndarray) -> list[Finding]:
    """An output has to be finite and, for inputs of float64, of float64: differences need all digits."""
    if y.dtype != np.float64:
        return [Finding("dtype", "y", f"the output is {y.dtype} for an input of float64")]
    if not np.isfinite(y).all():
        count = int((~np.isfinite(y)).sum())
        return [Finding("non-finite", "y", f"the output holds {count} NaN or infinity at this input; choose another")]
    return []


def _compare(
    subject: Subject,
    name: str,
    gradient: np.ndarray,
    dy: np.ndarray,
    y: np.ndarray,
    chosen: np.ndarray,
    tolerance: float,
) -> TensorCheck:
    """Compare one tensor's gradient with differences at the chosen entries (flat indices)."""
    values = subject.tensors[name]
    slopes = [slope(subject.forward, dy, values.reshape(-1)[i : i + 1].reshape(()), y) for i in chosen]
    analytic = gradient.reshape(-1)[chosen]
    numeric = np.array([s.value for s in slopes])
    size = np.maximum(np.abs(analytic), np.abs(numeric))
    size = np.maximum(size, 1e-3 * size.max(initial=0.0))
    size = np.maximum(size, [s.noise / tolerance for s in slopes])  # a gradient of 0 has no relative error
    size = np.maximum(size, np.finfo(np.float64).tiny)
    smooth = np.array([not s.on_kink(tolerance * scale / 2) for s, scale in zip(slopes, size, strict=True)], dtype=bool)
    error = np.where(smooth, np.abs(analytic - numeric) / size, 0.0)
    wrong = error > tolerance

    worst = int(error.argmax()) if smooth.any() else None
    if worst is not None and not smooth[worst]:
        worst = int(np.flatnonzero(smooth)[0])
    index = None if worst is None else tuple(int(i) for i in np.unravel_index(chosen[worst], values.shape))
    check = TensorCheck(
        name=name,
        shape=values.shape,
        compared=int(smooth.sum()),
        skipped=int((~smooth).sum()),
        wrong=int(wrong.sum()),
        worst=index,
        analytic=float("nan") if worst is None else float(analytic[worst]),
        numeric=float("nan") if worst is None else float(numeric[worst]),
        relative_error=float("nan") if worst is None else float(error[worst]),
    )
    return check


def _findings_in(check: TensorCheck) -> list[Finding]:
    """Say what is wrong with a comparison, if anything is."""
    findings = []
    if check.wrong:
        message = (
            f"the gradient is wrong in {check.wrong} of {check.compared} entries; "
            f"at {check.name}{list(check.worst or ())} backward gives {check.analytic:.8g}, "
            f"differences give {check.numeric:.8g} (relative error {check.relative_error:.1e})"
        )
        evidence = {"analytic": check.analytic, "numeric": check.numeric, "index": check.worst, "wrong": check.wrong}
        findings.append(Finding("gradient", check.name, message, evidence))
    if check.skipped > check.compared:
        message = (
            f"{check.skipped} of {check.skipped + check.compared} entries lie on a kink (a ReLU at 0, equal maxima), "
            "too many to tell whether the gradient is right; check at random normal numbers"
        )
        evidence = {"skipped": check.skipped, "compared": check.compared}
        findings.append(Finding("ties", check.name, message, evidence))
    return findings


def _problem_with(name: str, gradient: np.ndarray | None, values: np.ndarray) -> Finding | None:
    """Say what makes a gradient impossible to compare."""
    if gradient is None:
        return Finding("missing", name, "backward gives it no gradient")
    if not hasattr(gradient, "shape") or gradient.shape != values.shape:
        shape = getattr(gradient, "shape", type(gradient).__name__)
        return Finding("shape", name, f"the gradient is {shape}, expected {values.shape}")
    if not np.isfinite(gradient).all():
        return Finding("non-finite", name, f"the gradient holds {int((~np.isfinite(gradient)).sum())} NaN or infinity")
    return None


def _check_single_precision(subject: Subject, dy: np.ndarray) -> list[Finding]:
    """What goes in as float32 has to come out as float32."""
    findings = []
    y = np.asarray(subject.forward())
    if y.dtype != np.float32:
        findings.append(Finding("dtype", "y", f"the output is {y.dtype} for an input of float32"))
    for name, gradient in _fresh_gradients(subject, dy.astype(np.float32)).items():
        dtype = getattr(gradient, "dtype", np.float32)
        if dtype != np.float32:
            findings.append(Finding("dtype", name, f"the gradient is {dtype} for an input of float32"))
    return findings


def _check_manners(subject: Subject, dy: np.ndarray, y: np.ndarray) -> list[Finding]:
    """Same result each time, nothing written to, gradients added up."""
    findings = []
    before = {"dy": dy.copy(), **{name: values.copy() for name, values in subject.tensors.items()}}
    again = np.array(subject.forward())
    first = _copies(_fresh_gradients(subject, dy))
    subject.forward()
    second = _copies(subject.backward(dy))

    if again.shape != y.shape or not np.array_equal(again, y, equal_nan=True):
        findings.append(Finding("nondeterministic", "y", "two forward passes from one state give different outputs"))
    for name, values in {"dy": dy, **subject.tensors}.items():
        if not np.array_equal(values, before[name], equal_nan=True):
            findings.append(
                Finding("mutates-input", name, "it was written to; work on a copy or with out-of-place operations")
            )
            values[...] = before[name]
    for name, gradient in first.items():
        expected = 2 * gradient if name in subject.accumulates else gradient
        got = second.get(name)
        if got is None or got.shape != expected.shape or np.allclose(got, expected, rtol=1e-9, atol=0, equal_nan=True):
            continue
        if name in subject.accumulates and np.allclose(got, gradient, rtol=1e-9, atol=0, equal_nan=True):
            message = (
                "a second backward pass replaces the gradient instead of adding to it; use parameter.add_grad(...)"
            )
            findings.append(Finding("not-accumulated", name, message))
        else:
            message = "two backward passes from one state give different gradients"
            findings.append(Finding("nondeterministic", name, message))
    return findings


def _fresh_gradients(subject: Subject, dy: np.ndarray) -> dict[str, np.ndarray | None]:
    """Gradients of one backward pass alone."""
    subject.forget()
    return subject.backward(dy)


def _copies(gradients: dict[str, np.ndarray | None]) -> dict[str, np.ndarray]:
    return {name: np.array(gradient) for name, gradient in gradients.items() if gradient is not None}
