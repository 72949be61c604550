"""Mistakes in the arrays that the computation was fed with: flipped, misread, of another sample, or unused.

Each reading puts a wrong value in the place of one argument, computes the right result for that, and compares.
"""

import functools
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.backend.slots import slots
from minicnn.check.case import forward_of
from minicnn.check.hypotheses.naming import axis_names
from minicnn.check.hypotheses.whole import SAMPLE_ORDERS
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

Change = Callable[[Any], Any]
SIZES = ("size", "output_size")
"""Options that say how large the result is to be."""


def flipped_argument(trial: Trial) -> Iterator[Reading]:
    """An image or a set of kernels was turned around."""
    for name, value in trial.arrays():
        if value.ndim == 4:
            for axes, words in (((2, 3), "by 180 degrees"), ((2,), "upside down"), ((3,), "left to right")):
                yield reading_of(
                    Kind.FLIPPED,
                    f"it is what comes out if {name} is turned {words}",
                    name,
                    lambda v, axes: np.flip(v, axes) if v.ndim == 4 else None,
                    values=(axes,),
                )


def transposed_argument(trial: Trial) -> Iterator[Reading]:
    """An argument's axes were exchanged, or it was reshaped where it had to be transposed."""
    for name, value in trial.arrays():
        axes = tuple(range(value.ndim))
        if not 2 <= value.ndim <= 4:
            continue
        for order in itertools.permutations(axes):
            if order == axes:
                continue
            moved = [n for n, a, b in zip(axis_names(name, value.ndim), order, axes, strict=True) if a != b]
            words = f"{', '.join(moved[:-1])} and {moved[-1]}"
            yield reading_of(
                Kind.TRANSPOSED,
                f"it is what comes out if {name} has its axes {words} exchanged",
                name,
                lambda v, order: v.transpose(order) if v.ndim == len(order) else None,
                values=(order,),
            )
            message = (
                f"it is what comes out if {name} is read in another order of axes, by a reshape without a transpose"
            )
            yield reading_of(
                Kind.TRANSPOSED,
                message,
                name,
                lambda v, order: v.transpose(order).reshape(v.shape) if v.ndim == len(order) else None,
                values=(order,),
                tag=f"{order}",
            )
            yield reading_of(
                Kind.TRANSPOSED,
                f"it is what comes out if {name} is read in the order {words} first, by a reshape without a transpose",
                name,
                lambda v, order: _misread(v, order) if v.ndim == len(order) else None,
                values=(order,),
                tag=f"{order}",
            )
        if name == "cols":
            yield from _misread_columns()
    argmax = trial.arguments.get("argmax")
    if argmax is not None and "kernel" in trial.arguments:
        yield Reading(
            Kind.TRANSPOSED,
            "positions in the window are counted down the columns; they go row by row, p * kw + q",
            lambda t: t.matches(t.truth(argmax=_down_the_columns(t.arguments["argmax"], t.arguments["kernel"]))),
        )


def another_sample(trial: Trial) -> Iterator[Reading]:
    """The numbers of another sample of the batch were used."""
    for name, value in trial.arguments.items():
        if name not in trial.batched or not isinstance(value, np.ndarray) or value.ndim < 1 or len(value) < 2:
            continue
        for words, order in SAMPLE_ORDERS:
            yield reading_of(
                Kind.WRONG_CACHE,
                f"it is what comes out if {name} is that of {words}",
                name,
                lambda v, order: v[order(len(v))],
                values=(order,),
            )


def another_array(trial: Trial) -> Iterator[Reading]:
    """One argument was used in place of another, or one that has been through the activation already."""
    names = [name for name, _ in trial.arrays()]
    for name, other in itertools.permutations(names, 2):
        if trial.arguments[name].shape == trial.arguments[other].shape:
            yield Reading(
                Kind.WRONG_CACHE,
                f"it is what comes out if {other} is used in the place of {name}",
                lambda t, a, b: t.matches(t.truth(**{a: t.arguments[b]})),
                values=(name, other),
                evidence={"argument": name, "instead": other},
                fallback=True,
            )
    operation = slots().get(trial.operation)
    forward = forward_of(operation) if operation else None
    if forward is not None and list(operation.signature.parameters)[:2] == ["dy", "y"]:  # type: ignore[union-attr]
        yield reading_of(
            Kind.WRONG_CACHE,
            "the derivative is written for the input x, but the argument is the output y",
            "y",
            lambda y: np.asarray(forward.body(y)),
        )


def absent_argument(trial: Trial) -> Iterator[Reading]:
    """An array was left out: it counts as 0 in a sum, or as 1 in a product."""
    for name, value in trial.arrays():
        updated = name == "w" and "dw" in trial.arguments
        if name in (*trial.batched, "rois") or updated or not value.any():
            continue
        yield reading_of(
            Kind.MISSING_TERM,
            f"{name} is missing: it is what comes out if {name} is 0",
            name,
            lambda v: np.zeros_like(v),
        )
        yield reading_of(
            Kind.SCALE,
            f"the factor {name} is missing: it is what comes out if {name} is 1",
            name,
            lambda v: np.ones_like(v),
            factor=f"1/{name}",
        )
        yield reading_of(
            Kind.SIGN, f"it is what comes out if {name} has the other sign", name, lambda v: -v, fallback=True
        )


def unused_argument(trial: Trial) -> Iterator[Reading]:
    """The result stays as it is when an argument changes, although it should not."""
    for number, (name, value) in enumerate(trial.arguments.items()):
        for part, change in _changes(value, number) if name not in SIZES else _other_sizes():
            yield Reading(
                Kind.IGNORES_ARGUMENT,
                f"it does not depend on {name}{part}, but should",
                _is_unused,
                values=(name, change),
                evidence={"argument": name},
                hint=f"In which line of your function should {name}{part} appear?",
                fallback=True,
            )


def _is_unused(trial: Trial, name: str, change: Change) -> bool:
    value = trial.arguments.get(name)
    if value is None or (trial.got.shape != trial.expected.shape and not isinstance(value, tuple)):
        return False
    changed = change(value)
    right = trial.truth(**{name: changed})
    if right is None or trial.is_right(right):
        return False
    asked = trial.ask(**{name: changed})
    return (
        asked is not None and asked.shape == trial.got.shape and bool(np.all((asked == trial.got) | (asked != asked)))
    )


def _changes(value: Any, number: int) -> Iterator[tuple[str, Change]]:
    """Walk over ways to change an argument."""
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.any():
        yield "", lambda v: v * (1.25 + 0.5 * np.cos(1.7 * np.arange(v.size) + number)).reshape(v.shape)
    elif isinstance(value, float) and value > 0:
        yield "", lambda v: 0.75 * v
    elif isinstance(value, Key):
        for part in Key._fields:
            yield f".{part}", functools.partial(_counted_on, part=part)


def _other_sizes() -> Iterator[tuple[str, Change]]:
    yield "", lambda v: (v[0] + 1, v[1] + 2)


def _counted_on(key: Key, part: str) -> Key:
    return key._replace(**{part: getattr(key, part) + 1})


def _misread(v: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Take the numbers as they lie in memory for an array whose axes stand in another order."""
    return v.reshape([v.shape[axis] for axis in order]).transpose(np.argsort(order))


def _misread_columns() -> Iterator[Reading]:
    """Rows of the columns are (channel, kernel row, kernel column); take them in other orders."""
    for order in itertools.permutations(range(3)):
        if order != (0, 1, 2):
            names = [("channel", "kernel row", "kernel column")[axis] for axis in order]
            yield Reading(
                Kind.TRANSPOSED,
                f"the rows of cols are read as {', '.join(names)}; they lie channel, kernel row, kernel column",
                _is_from_misread_columns,
                (order,),
            )


def _is_from_misread_columns(trial: Trial, order: tuple[int, ...]) -> bool:
    kernel = trial.arguments["kernel"]
    n, rows, windows = trial.arguments["cols"].shape
    split = trial.arguments["cols"].reshape(n, rows // (kernel[0] * kernel[1]), *kernel, windows)
    moved = _misread(split, (0, *(axis + 1 for axis in order), 4))
    return trial.matches(trial.truth(cols=moved.reshape(n, rows, windows)))


def _down_the_columns(argmax: np.ndarray, kernel: tuple[int, int]) -> np.ndarray:
    k = argmax.astype(np.int64)
    return (k % kernel[0]) * kernel[1] + k // kernel[0]


def reading_of(
    kind: Kind,
    message: str,
    name: str,
    change: Callable[..., Any],
    *,
    values: tuple[Any, ...] = (),
    tag: str = "",
    fallback: bool = False,
    factor: str = "",
    priority: float | None = None,
) -> Reading:
    """Read the result as the right one for an argument that was changed: `change(value, *values)`."""
    evidence = {"argument": name, **({"axes": tag} if tag else {}), **({"name": factor} if factor else {})}
    return Reading(
        kind,
        message,
        _comes_from_a_change,
        (name, change, *values),
        fallback=fallback,
        evidence=evidence,
        priority=priority,
    )


def _comes_from_a_change(trial: Trial, name: str, change: Callable[..., Any], *values: Any) -> bool:
    value = trial.arguments.get(name)
    changed = None if value is None else change(value, *values)
    if changed is None or np.shape(changed) != np.shape(value):  # type: ignore[arg-type]
        return False
    return trial.matches(trial.truth(**{name: changed}))
