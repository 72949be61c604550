"""Trials without a reference: what is right is measured, by central differences of the forward pass.

The slopes of all outputs with respect to each entry of a tensor make a Jacobian. With it the right gradient is known
not only for the `dy` of the check but for every other one, so that hypotheses about sums can be tried; for changed
inputs it is measured anew, as long as there is time.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.check.differences import STEP, slope
from minicnn.check.hypotheses.naming import quantities
from minicnn.check.subject import Subject
from minicnn.check.trial import Trial, largest

LARGEST = 1500  # entries of a tensor that is measured whole
LARGEST_JACOBIAN = 4_000_000  # numbers: 32 MB
NOISE = 1e-5  # relative error of differences that is no mistake


def numeric_trial(
    subject: Subject, name: str, gradient: np.ndarray, dy: np.ndarray, y: np.ndarray, *, seconds: float
) -> Trial | None:
    """Return a trial of one tensor's gradient, or None if measuring it whole would take too long.

    `gradient` is what backward gave for dy; y the output. Entries on a kink are NaN in what is expected.
    """
    deadline = time.perf_counter() + seconds
    tensors = subject.tensors
    if tensors[name].size > LARGEST or tensors[name].size * y.size > LARGEST_JACOBIAN:
        return None
    measured = jacobian(subject, name, deadline)
    if measured is None:
        return None
    kinks = _kinks(subject, name, gradient, measured, dy, y)

    def truth(**changes: Any) -> np.ndarray | None:
        changed_dy = changes.pop("dy", dy)
        if any(key not in tensors for key in changes) or np.shape(changed_dy) != dy.shape:
            return None
        if not changes:
            return _contract(measured, changed_dy, gradient.shape)
        with _replaced(tensors, changes) as possible:
            slopes = _attempt(lambda: jacobian(subject, name, deadline)) if possible else None
        return None if slopes is None else _contract(slopes, changed_dy, gradient.shape)

    def ask(**changes: Any) -> np.ndarray | None:
        changed_dy = changes.pop("dy", dy)
        if any(key not in tensors for key in changes):
            return None
        with _replaced(tensors, changes) as possible:
            if not possible:
                return None
            found = _attempt(lambda: _gradient(subject, name, np.array(changed_dy)))
        return None if found is None else np.array(found)

    expected = _contract(measured, dy, gradient.shape)
    arguments: dict[str, Any] = {"dy": dy, **{key: value.copy() for key, value in tensors.items()}}
    weights = [key for key in tensors if key.endswith("weight") and tensors[key].ndim in (2, 4)]
    sizes = {**arguments, **({"w": tensors[weights[0]]} if len(weights) == 1 else {})}
    return Trial(
        operation="",
        result=f"d{name}",
        label="this input",
        got=np.array(gradient, dtype=np.float64),
        expected=np.where(kinks, np.nan, expected),
        arguments=arguments,
        batched=frozenset(
            key for key in ("x", "dy") if key in arguments and len(np.atleast_1d(arguments[key])) == len(dy)
        )
        if dy.ndim
        else frozenset(),
        quantities=quantities(sizes, {}),
        truth=truth,
        ask=ask,
        tolerance=NOISE,
    )


def _attempt(run: Callable[[], Any]) -> Any:
    """Return what comes out, or None: a layer may refuse numbers that a hypothesis has made up."""
    try:
        return run()
    except Exception:
        return None


def _gradient(subject: Subject, name: str, dy: np.ndarray) -> np.ndarray | None:
    subject.forward()
    subject.forget()
    return subject.backward(dy).get(name)


def jacobian(subject: Subject, name: str, deadline: float) -> np.ndarray | None:
    """Return dy / da for every entry a of a tensor, (entries, outputs), by central differences; None if time is up."""
    flat = subject.tensors[name].reshape(-1)
    rows = []
    for place in range(flat.size):
        if time.perf_counter() > deadline:
            return None
        point = float(flat[place])
        h = STEP * max(1.0, abs(point))
        try:
            flat[place] = point + h
            right, above = float(flat[place]), np.array(subject.forward())
            flat[place] = point - h
            left, below = float(flat[place]), np.array(subject.forward())
        finally:
            flat[place] = point
        rows.append(((above - below) / (right - left)).reshape(-1))
    return np.array(rows)


def _kinks(
    subject: Subject, name: str, gradient: np.ndarray, measured: np.ndarray, dy: np.ndarray, y: np.ndarray
) -> np.ndarray:
    """Return where the function has no slope, looking only where the gradient differs from what was measured."""
    expected = _contract(measured, dy, gradient.shape)
    size = max(largest(expected), 1e-30)
    differs = np.abs(gradient - expected) > NOISE * size
    flat = subject.tensors[name].reshape(-1)
    kinks = np.zeros(gradient.size, dtype=bool)
    for place in np.flatnonzero(differs):
        entry = flat[place : place + 1].reshape(())
        kinks[place] = slope(subject.forward, dy, entry, y).on_kink(NOISE * size)
    return kinks.reshape(gradient.shape)


def _contract(slopes: np.ndarray, dy: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return (slopes @ np.asarray(dy).reshape(-1)).reshape(shape)


@contextmanager
def _replaced(tensors: Mapping[str, np.ndarray], changes: Mapping[str, Any]) -> Any:
    """Put other numbers into tensors for a block; yields False if their shapes do not fit."""
    possible = all(np.shape(value) == tensors[key].shape for key, value in changes.items())
    before = {key: tensors[key].copy() for key in changes} if possible else {}
    try:
        for key in before:
            tensors[key][...] = changes[key]
        yield possible
    finally:
        for key, value in before.items():
            tensors[key][...] = value


def agrees_elsewhere(subject: Subject, dy: np.ndarray, run: Callable[[], Mapping[str, Any]]) -> dict[str, bool]:
    """Return for each tensor whether its gradient is right at other numbers too: the same ones in another order."""
    other = {name: np.roll(value.reshape(-1), 1).reshape(value.shape) for name, value in subject.tensors.items()}
    agrees = {}
    with _replaced(subject.tensors, other):
        first = _attempt(subject.forward)
        if first is None:
            return {}
        y, gradients = np.array(first), run()
        for name, values in subject.tensors.items():
            gradient = gradients.get(name)
            if gradient is None or np.shape(gradient) != values.shape:
                continue
            flat, places = values.reshape(-1), np.linspace(0, values.size - 1, min(values.size, 8)).astype(int)
            slopes = [slope(subject.forward, dy, flat[p : p + 1].reshape(()), y) for p in places]
            numeric = np.array([s.value for s in slopes])
            size = max(largest(numeric), largest(np.asarray(gradient)), 1e-30)
            noise = np.array([NOISE * size + 4 * s.noise for s in slopes])
            smooth = np.array([not s.on_kink(n) for s, n in zip(slopes, noise, strict=True)])
            analytic = np.asarray(gradient).reshape(-1)[places]
            agrees[name] = bool((np.abs(analytic - numeric) <= 10 * noise)[smooth].all())
    return agrees
