"""Mistakes in what gets through: a mask that was not applied, is inverted, or belongs to another array."""

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, largest


def masks(trial: Trial) -> Iterator[Reading]:
    """Compare where the result is zero with where it should be."""
    if trial.expected.dtype.kind == "b":
        yield Reading(
            Kind.MASK,
            "the mask is inverted: True stands where False belongs",
            lambda t: t.got.dtype.kind == "b" and t.got.shape == t.expected.shape and not (t.got == t.expected).any(),
        )
        return
    yield Reading(Kind.MASK, "the mask is not applied: numbers get through that were switched off", _not_applied)
    yield Reading(Kind.MASK, "the mask is inverted: what should get through is 0, and the other way round", _inverted)
    for name, value in trial.arrays():
        if value.shape == trial.expected.shape:
            yield Reading(
                Kind.MASK,
                f"the mask is that of another array: it lets through where {name} > 0",
                lambda t, name=name: _of_another(t, lambda t: t.arguments[name] > 0, name),
                evidence={"argument": name},
            )
            yield Reading(
                Kind.MASK,
                "the two branches are exchanged: what belongs to positive numbers is done to negative ones",
                lambda t, name=name: _has(t, name) and t.matches(t.truth(**{name: -t.arguments[name]})),
                evidence={"argument": name},
                fallback=name == "dy",
            )
    yield Reading(Kind.MASK, "the mask is that of another array", lambda t: _of_another(t, None, ""), fallback=True)
    yield Reading(
        Kind.MASK,
        "both branches do the same: dy goes through unchanged everywhere",
        _one_branch,
    )


def _parts(trial: Trial) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return the result, and where the right one lets through and where not; None if it has no such two parts."""
    got, expected = trial.got, trial.expected
    if got.shape != expected.shape or got.dtype.kind != "f" or not np.isfinite(got).all() or not _may_be_masked(trial):
        return None
    told = ~np.isnan(expected)
    on, off = told & (expected != 0), told & (expected == 0)
    return (got, on, off) if on.any() and off.any() else None


def _may_be_masked(trial: Trial) -> bool:
    """Return whether zeros in the result come from a mask: an elementwise operation, pooling, or a layer unknown."""
    if not trial.operation:
        return True
    shapes = [value.shape for _, value in trial.arrays()]
    elementwise = bool(shapes) and all(shape == trial.expected.shape for shape in shapes)
    return elementwise or "argmax" in trial.arguments or "relu" in trial.operation


def _factor_on(trial: Trial, on: np.ndarray) -> float | None:
    """Return c if the result is c times the right one where the mask lets through."""
    got, expected = trial.got[on], trial.expected[on]
    factor = float((got * expected).sum() / (expected**2).sum())
    close = np.abs(got - factor * expected).max() <= trial.tolerance * max(largest(got), largest(expected))
    return factor if close and factor != 0 else None


def _not_applied(trial: Trial) -> bool:
    parts = _parts(trial)
    if parts is None or _factor_on(trial, parts[1]) is None:
        return False
    got, _, off = parts
    return bool((got[off] != 0).mean() > 0.5)


def _inverted(trial: Trial) -> bool:
    parts = _parts(trial)
    if parts is None:
        return False
    got, on, off = parts
    return not got[on].any() and bool((got[off] != 0).mean() > 0.5)


def _of_another(trial: Trial, mask_of: Callable[[Trial], np.ndarray] | None, name: str) -> bool:
    """Return whether all that got through is right where it may, and the rest got through where it may not."""
    parts = _parts(trial)
    if parts is None:
        return False
    got, on, off = parts
    through = got != 0
    if mask_of is not None:
        return _has(trial, name) and bool((mask_of(trial) == through)[on | off].all()) and _right_where_both(trial, on)
    return bool(through[off].any() and (~through[on]).any()) and _right_where_both(trial, on)


def _right_where_both(trial: Trial, on: np.ndarray) -> bool:
    both = on & (trial.got != 0)
    return bool(both.any()) and _factor_on(trial, both) is not None


def _one_branch(trial: Trial) -> bool:
    """Return whether the result is dy itself, which is right in one part of the entries."""
    dy = trial.arguments.get("dy")
    if not isinstance(dy, np.ndarray) or dy.shape != trial.expected.shape or not trial.matches(dy):
        return False
    right = np.abs(dy - trial.expected) <= trial.tolerance * largest(dy)
    return 0.1 < float(right.mean()) < 1


def _has(trial: Trial, name: str) -> bool:
    value = trial.arguments.get(name)
    return isinstance(value, np.ndarray) and value.shape == trial.expected.shape
