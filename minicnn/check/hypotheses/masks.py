"""Mistakes in what gets through: a mask that was not applied, is inverted, or belongs to another array.

For an elementwise operation the argument that goes through is `dy`, or `x` on the way forwards: what got through is a
multiple of it. Other operations with ReLU inside are computed with another `y`, which is where they read their mask.
"""

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, largest

NOT_APPLIED = "the mask is not applied: numbers get through that were switched off"
INVERTED = "the mask is inverted: what should get through is 0, and the other way round"
_OTHER_Y: dict[str, Callable[[Trial], np.ndarray]] = {
    NOT_APPLIED: lambda t: np.ones_like(t.arguments["y"]),
    INVERTED: lambda t: (t.arguments["y"] <= 0).astype(t.arguments["y"].dtype),
    "the mask is that of another array: it lets through where dy > 0": lambda t: t.arguments["dy"],
}


def masks(trial: Trial) -> Iterator[Reading]:
    """Compare where numbers get through with where they should."""
    if trial.expected.dtype.kind == "b":
        yield Reading(Kind.MASK, "the mask is inverted: True stands where False belongs", _is_complement)
        yield Reading(
            Kind.SCALE,
            "True and False belong there; the factor in it would be applied again in the backward pass",
            lambda t: t.got.shape == t.expected.shape and np.array_equal(t.got.astype(bool), t.expected),
        )
        return
    yield Reading(Kind.MASK, NOT_APPLIED, _not_applied)
    yield Reading(Kind.MASK, INVERTED, _inverted)
    yield Reading(Kind.MASK, "both branches do the same: dy goes through unchanged everywhere", _one_branch)
    yield Reading(Kind.MASK, "the mask is that of another array", _of_an_unknown, fallback=True)
    for name, value in trial.arrays():
        if value.shape == trial.expected.shape:
            yield Reading(
                Kind.MASK,
                f"the mask is that of another array: it lets through where {name} > 0",
                lambda t, name: _has(t, name) and _of_another(t, t.arguments[name] > 0),
                values=(name,),
                evidence={"argument": name},
            )
            if name != "dy":
                yield Reading(
                    Kind.MASK,
                    "the two branches are exchanged: what belongs to positive numbers is done to negative ones",
                    lambda t, name: _branched(t) and t.matches(t.truth(**{name: -t.arguments[name]})),
                    values=(name,),
                    evidence={"argument": name},
                )
                yield Reading(
                    Kind.MASK,
                    f"the branches are chosen by the sign of dy; {name} decides",
                    lambda t, name: _branched_by(t, name, "dy"),
                    values=(name,),
                    evidence={"argument": "dy"},
                )
    for name, value in trial.arguments.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "b":
            for message, change in ((NOT_APPLIED, np.ones_like), (INVERTED, np.logical_not)):
                yield Reading(
                    Kind.MASK,
                    message,
                    lambda t, name, change: t.matches(t.truth(**{name: change(t.arguments[name])})),
                    (name, change),
                    evidence={"argument": name},
                )
    if "relu" in trial.operation and "y" in trial.arguments:
        for message, other in _OTHER_Y.items():
            yield Reading(Kind.MASK, message, _comes_from_another_y, (other,), evidence={"argument": "y"})
    elif "_relu_backward" in trial.operation:
        yield Reading(Kind.MASK, NOT_APPLIED, _comes_from_another_mask, ("",))
        for name, value in trial.arrays():
            if value.shape == trial.arguments["dy"].shape:
                message = f"the mask is that of another array: it lets through where {name} > 0"
                yield Reading(Kind.MASK, message, _comes_from_another_mask, (name,))


def _comes_from_another_mask(trial: Trial, name: str) -> bool:
    """Return whether it is the backward pass without ReLU, for a dy that another array masked (none: "")."""
    operation = slots()[trial.operation.replace("_relu", "")]
    given = {n: v for n, v in trial.arguments.items() if n in operation.signature.parameters}
    mask = trial.arguments[name] > 0 if name else 1
    results = operation.body(**{**given, "dy": trial.arguments["dy"] * mask})
    return trial.matches(results[operation.returns.index(trial.result)])


def _comes_from_another_y(trial: Trial, other: Callable[[Trial], np.ndarray]) -> bool:
    return trial.matches(trial.truth(y=other(trial)))


def _is_complement(trial: Trial) -> bool:
    got, expected = trial.got, trial.expected
    return got.shape == expected.shape and bool((got.astype(bool) != expected).all())


def _through(trial: Trial) -> np.ndarray | None:
    """Return the argument that goes through an elementwise operation."""
    for name in ("dy", "x"):
        value = trial.arguments.get(name)
        if isinstance(value, np.ndarray):
            return value if value.shape == trial.expected.shape == trial.got.shape else None
    return None


def _masked(trial: Trial) -> tuple[np.ndarray, np.ndarray, np.ndarray, float] | None:
    """Return what goes through, where it should and where not, and its factor; None for anything but a mask."""
    value, expected = _through(trial), trial.expected
    if value is None or trial.got.dtype.kind != "f" or not np.isfinite(trial.got).all():
        return None
    told = ~np.isnan(expected)
    on, off = told & (expected != 0), told & (expected == 0) & (value != 0)
    if not on.any():
        return None
    factor = _ratio(expected[on], value[on])
    return None if factor is None else (value, on, off, factor)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> float | None:
    """Return numerator / denominator where that is the same number everywhere."""
    square = float((denominator**2).sum())
    if square == 0:
        return None
    factor = float((numerator * denominator).sum()) / square
    size = max(largest(numerator), abs(factor) * largest(denominator))
    close = np.abs(numerator - factor * denominator).max() <= 1e-6 * size
    return factor if close and factor != 0 else None


def _not_applied(trial: Trial) -> bool:
    parts = _masked(trial)
    if parts is None or not parts[2].any():
        return _spreads(trial)
    value, on, off, _ = parts
    through, leaked = (_ratio(trial.got[place], value[place]) for place in (on, off))
    return through is not None and leaked is not None and through * leaked > 0


def _whole_windows(trial: Trial) -> np.ndarray | None:
    """Return what comes out if every pixel of a window, or region, is treated as its maximum."""
    a, operation = trial.arguments, trial.operation
    windows = {name: a[name] for name in ("shape", "kernel", "stride", "padding") if name in a}
    if operation in ("max_pool2d_backward", "max_unpool2d_forward"):
        through = a["dy" if "dy" in a else "x"]
        return slots()["avg_pool2d_backward"].body(through, **windows) * np.prod(a["kernel"])
    if operation == "max_unpool2d_backward":
        return slots()["avg_pool2d_forward"].body(a["dy"], **windows) * np.prod(a["kernel"])
    if operation == "fractional_max_pool2d_backward":
        row, column = (
            np.array([(np.arange(length) >= first) & (np.arange(length) < end) for first, end in a[name]])
            for name, length in zip(("rows", "columns"), a["shape"][2:], strict=True)
        )
        return np.einsum("ncij,ih,jw->nchw", a["dy"], row, column)
    return None


def _spreads(trial: Trial) -> bool:
    whole = _whole_windows(trial)
    return whole is not None and (
        trial.matches(whole) or trial.matches(whole / np.prod(trial.arguments.get("kernel", 1)))
    )


def _inverted(trial: Trial) -> bool:
    whole = _whole_windows(trial)
    if whole is not None:
        return trial.matches(whole - trial.expected)
    parts = _masked(trial)
    if parts is None:
        return False
    value, on, off, _ = parts
    if trial.got[on].any():
        return False
    return not off.any() or _ratio(trial.got[off], value[off]) is not None


def _of_another(trial: Trial, through: np.ndarray) -> bool:
    """Return whether the result is what goes through, where `through` says so, and 0 elsewhere."""
    parts = _masked(trial)
    if parts is None or not parts[2].any():
        return False
    value, on, off, _ = parts
    told = on | off
    if trial.got[told & ~through].any() or not (told & through).any() or (through == on)[told].all():
        return False
    return _ratio(trial.got[told & through], value[told & through]) is not None


def _of_an_unknown(trial: Trial) -> bool:
    return _of_another(trial, trial.got != 0)


def _one_branch(trial: Trial) -> bool:
    dy = trial.arguments.get("dy")
    return _branched(trial) and isinstance(dy, np.ndarray) and trial.matches(dy)


def _branched(trial: Trial) -> bool:
    """Return whether the right result is a multiple of what goes through where some argument is positive (negative).

    That is so for ReLU, leaky ReLU, ELU and SELU: two branches, of which one is a straight line.
    """
    value = _through(trial)
    if value is None or value.size < 4:
        return False
    with np.errstate(all="ignore"):
        ratio = np.round(trial.expected / value, 9 if trial.operation else 5)
    ratios, counts = np.unique(ratio[np.isfinite(ratio)], return_counts=True)
    if not counts.size or not 1 < counts.max() < value.size:
        return False
    linear = np.isclose(ratio, ratios[counts.argmax()])
    signs = [array > 0 for _, array in trial.arrays() if array.shape == value.shape]
    return any((linear == sign).all() or (linear == ~sign).all() for sign in signs)


def _branched_by(trial: Trial, name: str, other: str) -> bool:
    """Return whether it is wrong just where the sign of `other` is not that of the argument `name`."""
    if not (_has(trial, name) and _has(trial, other) and trial.got.shape == trial.expected.shape and _branched(trial)):
        return False
    wrong = np.abs(trial.got - trial.expected) > trial.tolerance * largest(trial.expected)
    unlike = (trial.arguments[name] > 0) != (trial.arguments[other] > 0)
    return bool(wrong.any() and not wrong[~unlike].any() and wrong[unlike].mean() > 0.8)


def _has(trial: Trial, name: str) -> bool:
    value = trial.arguments.get(name)
    return isinstance(value, np.ndarray) and value.shape == trial.expected.shape
