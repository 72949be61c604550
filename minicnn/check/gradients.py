"""Does a backward pass compute the gradient of its forward pass? And if not, what kind of mistake is it?"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.check.differences import slope
from minicnn.check.doctor import diagnose
from minicnn.check.habits import (
    check_manners,
    check_output,
    check_single_precision,
    fresh_gradients,
    raised,
)
from minicnn.check.inside import inputs_of_layers, run_twice, wrong_layer, wrong_way_back
from minicnn.check.kinds import Kind
from minicnn.check.numeric import agrees_elsewhere, numeric_trial
from minicnn.check.report import Finding, Report, TensorCheck
from minicnn.check.subject import Subject, make_subject
from minicnn.check.trial import Trial
from minicnn.errors import ArgumentError, DTypeError, MinicnnError, ShapeError
from minicnn.nn import Layer, Loss
from minicnn.ops import random_normal, random_permutation

UNCOMPARABLE = (Kind.NON_FINITE, Kind.MUTATES_INPUT, Kind.NONDETERMINISTIC, Kind.DTYPE)
SECONDS = 3.0  # for measuring one wrong tensor whole, and for reading it
ALL_SECONDS = 12.0  # for all of them together


def gradcheck(
    checked: Layer | Loss | Callable,
    x: Any,
    *,
    backward: Callable | None = None,
    target: Any = None,
    context: tuple = (),
    tolerance: float = 1e-6,
    entries: int = 200,
    seed: int = 0,
) -> Report:
    """Compare a backward pass with central differences of the forward pass, in float64 and with a random gradient dy.

    A copy is checked, so the layer stays as it is. Parameters that all start equal (zero biases) get random values in
    the copy, since they would hide mistakes. Entries where the function has a kink are skipped and counted. A wrong
    gradient is measured whole, unless it is large, and read: which mistake, undone, makes it right?

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
    context : tuple
        For a layer: what its forward takes beside x and no gradient is asked for, such as the lengths of sequences.
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
        `.ok`, `.findings` (wrong gradients by the kind of mistake; also outputs or gradients of another shape or dtype,
        inputs written to, results that differ from call to call, gradients that replace instead of adding up, an
        exception in the backward pass), and a table when printed.
    """
    if not tolerance > 0 or entries < 1:
        raise ArgumentError(f"tolerance must be above 0 and entries at least 1, not {tolerance} and {entries}")

    def subject_at(x: Any, target: Any, dtype: Any = np.float64) -> Subject:
        return make_subject(checked, x, backward=backward, target=target, dtype=dtype, seed=seed, context=context)

    subject = subject_at(x, target)
    y = np.array(subject.forward())
    dy = np.ones_like(y) if subject.fixed_dy else random_normal(Key(seed, 2, 0), shape=y.shape)

    findings = check_output(y)
    try:
        findings += check_single_precision(subject_at(x, target, np.float32), dy) + check_manners(subject, dy, y)
    except (ShapeError, DTypeError) as error:  # by which a parameter refuses a gradient
        kind = Kind.SHAPE if isinstance(error, ShapeError) else Kind.DTYPE
        message = f"{error} {' '.join(getattr(error, '__notes__', []))}".strip()
        return Report(subject.name, [*findings, Finding(kind, "backward", message, hint=kind.hint)])
    except MinicnnError:
        raise
    except (Exception, SystemExit) as error:
        return Report(subject.name, [*findings, raised(error, "backward", backward or checked)])
    if any(finding.kind in UNCOMPARABLE for finding in findings):
        return Report(subject.name, findings)  # differences of such outputs say nothing

    subject.forward()
    gradients = {name: gradient for name, gradient in fresh_gradients(subject, dy).items() if name in subject.tensors}
    tensors: list[TensorCheck] = []
    for stream, (name, values) in enumerate(subject.tensors.items(), start=3):
        chosen = np.sort(random_permutation(Key(seed, stream, 0), values.size)[:entries])
        if gradients.get(name) is None and name in subject.accumulates and _is_unused(subject, values, dy, y, chosen):
            gradients[name] = np.zeros_like(values)  # a block that was left out leaves no gradient behind
        problem = _problem_with(name, gradients.get(name), values)
        findings += [problem] if problem else []
        if not problem:
            tensors.append(_compare(subject, name, np.asarray(gradients[name]), dy, y, chosen, tolerance))
            findings += _too_many_kinks(tensors[-1])

    comparisons: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    wrong = [check for check in tensors if check.wrong]
    if wrong:
        inputs = inputs_of_layers(checked, x, context)
        inside = wrong_layer(checked, inputs, lambda layer, x: gradcheck(layer, x, tolerance=tolerance, seed=seed))
        smaller = None if inside else _smaller_batch(subject_at, x, target, y)
        if inside:
            findings += inside
        else:
            twice = run_twice(inputs)
            findings += [] if twice else wrong_way_back(checked, x, dy, context)
            findings += _read(subject, wrong, gradients, dy, y, smaller, twice, comparisons)
    elif not findings and not subject.fixed_dy:
        findings += _remembered(subject, dy)
    return Report(subject.name, sorted(findings, key=lambda f: f.order), tensors, comparisons=comparisons)


def _read(
    subject: Subject,
    wrong: list[TensorCheck],
    gradients: dict[str, Any],
    dy: np.ndarray,
    y: np.ndarray,
    smaller: tuple[Subject, np.ndarray] | None,
    twice: list[str],
    comparisons: dict[str, tuple[np.ndarray, np.ndarray]],
) -> list[Finding]:
    """Measure wrong gradients whole, as long as there is time, and say what kind of mistake explains them."""
    findings = []
    deadline = time.perf_counter() + ALL_SECONDS
    for check in wrong:
        seconds = min(SECONDS, deadline - time.perf_counter())
        trial = numeric_trial(subject, check.name, np.array(gradients[check.name]), dy, y, seconds=seconds)
        fewer = _trial_of_fewer(smaller, check.name, dy) if trial is not None else None
        findings += _wrong_gradient(check, trial, fewer, twice)
        if trial is not None:
            comparisons[check.name] = (trial.expected, trial.got)
    return findings


def _is_unused(subject: Subject, values: np.ndarray, dy: np.ndarray, y: np.ndarray, chosen: np.ndarray) -> bool:
    """Return whether none of these entries has any influence on the output."""
    entries = (values.reshape(-1)[i : i + 1].reshape(()) for i in chosen)
    return all(slope(subject.forward, dy, entry, y).value == 0 for entry in entries)


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
    return TensorCheck(
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


def _smaller_batch(
    subject_at: Callable[..., Subject], x: Any, target: Any, y: np.ndarray
) -> tuple[Subject, np.ndarray] | None:
    """Return the same with one sample less, which tells N from 2 or 3, with its output; None if that cannot be."""
    if isinstance(x, tuple) or not y.ndim or len(y) != len(x) or len(x) < 3:
        return None
    try:
        subject = subject_at(x[:-1], None if target is None else target[:-1])
        return subject, np.array(subject.forward())
    except Exception:  # whatever a layer has against another batch is no finding of this check
        return None


def _trial_of_fewer(smaller: tuple[Subject, np.ndarray] | None, name: str, dy: np.ndarray) -> Trial | None:
    if smaller is None:
        return None
    subject, y = smaller
    dy = dy[: len(y)]
    if dy.shape != y.shape:
        return None
    try:
        subject.forward()
        gradient = fresh_gradients(subject, dy).get(name)
    except Exception:  # a backward pass that knows one size of batch alone is no finding of this check
        return None
    if gradient is None or np.shape(gradient) != subject.tensors[name].shape:
        return None
    return numeric_trial(subject, name, np.array(gradient), dy, y, seconds=SECONDS / 2)


def _wrong_gradient(check: TensorCheck, trial: Trial | None, fewer: Trial | None, twice: list[str]) -> list[Finding]:
    """Say in which entries a gradient is wrong, and what kind of mistake explains it."""
    numbers = (
        f"wrong in {check.wrong} of {check.compared} entries; "
        f"at {check.name}{list(check.worst or ())} backward gives {check.analytic:.8g}, "
        f"differences give {check.numeric:.8g} (relative error {check.relative_error:.1e})"
    )
    evidence = {"analytic": check.analytic, "numeric": check.numeric, "index": check.worst, "wrong": check.wrong}
    findings = []
    if twice:
        message = (
            f"{', '.join(twice)} runs more than once in a forward pass, but remembers its last run only: {numbers}"
        )
        findings.append(Finding(Kind.WRONG_CACHE, check.name, message, dict(evidence), Kind.WRONG_CACHE.hint))
    trials = [t for t in (trial, fewer) if t is not None and not t.is_right(t.got)]
    for reading, _ in diagnose(trials, seconds=SECONDS) if trials else []:
        message = f"{reading.message}: {numbers}" if not findings else reading.message
        own = {**reading.evidence, **evidence}
        hint = reading.hint or reading.kind.hint
        findings.append(Finding(reading.kind, check.name, message, own, hint, rank=reading.rank))
    if not findings:
        message = f"the gradient is {numbers}"
        if trial is None:
            message += ". It is too large, or there was too little time, to be measured whole: try a smaller example"
        findings.append(Finding(Kind.UNKNOWN, check.name, message, evidence, Kind.UNKNOWN.hint))
    return findings


def _too_many_kinks(check: TensorCheck) -> list[Finding]:
    if check.skipped <= check.compared:
        return []
    message = (
        f"{check.skipped} of {check.skipped + check.compared} entries lie on a kink (a ReLU at 0, equal maxima), "
        "too many to tell whether the gradient is right; check at random normal numbers"
    )
    evidence = {"skipped": check.skipped, "compared": check.compared}
    return [Finding(Kind.TIES, check.name, message, evidence, Kind.TIES.hint, remark=check.compared > 0)]


def _remembered(subject: Subject, dy: np.ndarray) -> list[Finding]:
    """Find gradients that were right for the first numbers and are wrong for others."""
    agrees = agrees_elsewhere(subject, dy, lambda: fresh_gradients(subject, dy))
    message = "the gradient is right for the first numbers that came, and wrong for others: something is kept from then"
    return [
        Finding(Kind.WRONG_CACHE, name, message, {}, Kind.WRONG_CACHE.hint) for name, fine in agrees.items() if not fine
    ]


def _problem_with(name: str, gradient: np.ndarray | None, values: np.ndarray) -> Finding | None:
    """Say what makes a gradient impossible to compare."""
    if gradient is None:
        hint = "Which line of the backward pass hands this parameter its gradient?"
        if name == "x":
            hint = "What does backward return?"
        return Finding(Kind.ZERO, name, "backward gives it no gradient", hint=hint)
    if getattr(gradient, "dtype", values.dtype) != values.dtype:
        message = f"the gradient is {gradient.dtype} for an input of {values.dtype}"
        return Finding(Kind.DTYPE, name, message, hint=Kind.DTYPE.hint)
    if not hasattr(gradient, "shape") or gradient.shape != values.shape:
        shape = getattr(gradient, "shape", type(gradient).__name__)
        return Finding(
            Kind.SHAPE, name, f"the gradient is {shape}, expected {values.shape}", {"shape": shape}, Kind.SHAPE.hint
        )
    if not np.isfinite(gradient).all():
        message = f"the gradient holds {int((~np.isfinite(gradient)).sum())} NaN or infinity"
        return Finding(Kind.NON_FINITE, name, message, hint=Kind.NON_FINITE.hint)
    return None
