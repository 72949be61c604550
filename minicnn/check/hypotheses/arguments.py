"""Mistakes in what the computation was fed with: an argument flipped, read in the wrong order, of another sample, unused.

Each reading puts a wrong value in the place of one argument, computes the right result for that, and compares.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.case import NO_DEFAULT, default_of, forward_of
from minicnn.check.hypotheses.naming import axis_names
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

Change = Callable[[Any], Any]


def flipped_argument(trial: Trial) -> Iterator[Reading]:
    """An image or a set of kernels was turned around."""
    for name, value in trial.arrays():
        if value.ndim == 4:
            for axes, words in (((2, 3), "by 180 degrees"), ((2,), "upside down"), ((3,), "left to right")):
                yield _reading(
                    Kind.FLIPPED,
                    f"it is what comes out if {name} is turned {words}",
                    name,
                    lambda v, axes=axes: np.flip(v, axes) if v.ndim == 4 else None,
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
            yield _reading(
                Kind.TRANSPOSED,
                f"it is what comes out if {name} has its axes {words} exchanged",
                name,
                lambda v, order=order: v.transpose(order) if v.ndim == len(order) else None,
            )
            message = f"it is what comes out if {name} is read in another order of axes, by a reshape without a transpose"
            yield _reading(
                Kind.TRANSPOSED,
                message,
                name,
                lambda v, order=order: v.transpose(order).reshape(v.shape) if v.ndim == len(order) else None,
                tag=f"{order}",
            )


def another_sample(trial: Trial) -> Iterator[Reading]:
    """The numbers of another sample of the batch were used."""
    for name, value in trial.arguments.items():
        if name not in trial.batched or not isinstance(value, np.ndarray) or value.ndim < 1 or len(value) < 2:
            continue
        for words, order in (
            ("the sample before", lambda n: np.roll(np.arange(n), 1)),
            ("the sample after", lambda n: np.roll(np.arange(n), -1)),
            ("the batch in reverse order", lambda n: np.arange(n)[::-1]),
            ("the first sample for all", lambda n: np.zeros(n, int)),
            ("the last sample for all", lambda n: np.full(n, n - 1)),
        ):
            yield _reading(
                Kind.WRONG_CACHE,
                f"it is what comes out if {name} is that of {words}",
                name,
                lambda v, order=order: v[order(len(v))],
            )


def another_array(trial: Trial) -> Iterator[Reading]:
    """One argument was used in place of another, or one that has been through the activation already."""
    names = [name for name, _ in trial.arrays()]
    for name, other in itertools.permutations(names, 2):
        if trial.arguments[name].shape == trial.arguments[other].shape:
            yield Reading(
                Kind.WRONG_CACHE,
                f"it is what comes out if {other} is used in the place of {name}",
                lambda t, a=name, b=other: t.matches(t.truth(**{a: t.arguments[b]})),
                evidence={"argument": name, "instead": other},
                fallback=True,
            )
    operation = slots().get(trial.operation)
    forward = forward_of(operation) if operation else None
    if forward is not None and list(operation.signature.parameters)[:2] == ["dy", "y"]:  # type: ignore[union-attr]
        yield _reading(
            Kind.WRONG_CACHE,
            "the derivative is written for the input x, but the argument is the output y",
            "y",
            lambda y: np.asarray(forward.body(y)),  # type: ignore[union-attr]
        )


def absent_argument(trial: Trial) -> Iterator[Reading]:
    """An array was left out: it counts as 0 in a sum, or as 1 in a product."""
    for name, value in trial.arrays():
        if name in trial.batched and trial.operation:
            continue
        if not value.any():
            continue
        yield _reading(
            Kind.MISSING_TERM, f"{name} is missing: it is what comes out if {name} is 0", name, lambda v: np.zeros_like(v)
        )
        yield _reading(
            Kind.SCALE,
            f"the factor {name} is missing: it is what comes out if {name} is 1",
            name,
            lambda v: np.ones_like(v),
            factor=f"1/{name}",
        )
        yield _reading(
            Kind.SIGN, f"it is what comes out if {name} has the other sign", name, lambda v: -v, fallback=True
        )


def changed_option(trial: Trial) -> Iterator[Reading]:
    """A keyword was left out, or is off by one."""
    operation = slots().get(trial.operation)
    if operation is None:
        return
    for name, value in trial.arguments.items():
        if isinstance(value, bool) or not isinstance(value, int | float | tuple | np.ndarray) or name == "shape":
            continue
        default = default_of(operation, name)
        given = not isinstance(value, np.ndarray) and value not in (default, (default, default))
        if given and default not in (None, NO_DEFAULT):
            yield _reading(
                Kind.IGNORES_ARGUMENT,
                f"{name} is ignored: it is what comes out for the default, {name}={default}",
                name,
                lambda v, default=default: (default, default) if isinstance(v, tuple) else default,
                priority=Kind.MISSING_TERM.rank - 0.5,
            )
        if name == "class_weights":
            yield _reading(Kind.IGNORES_ARGUMENT, f"{name} is ignored", name, lambda v: None if v is None else 1 + 0 * v)
        if isinstance(value, tuple):
            yield _reading(
                Kind.IGNORES_ARGUMENT,
                f"only the first number of {name} is used, for both directions",
                name,
                lambda v: (v[0], v[0]),
            )
            yield _reading(
                Kind.IGNORES_ARGUMENT,
                f"only the second number of {name} is used, for both directions",
                name,
                lambda v: (v[1], v[1]),
            )
            yield _reading(
                Kind.TRANSPOSED, f"the two directions of {name} are exchanged", name, lambda v: (v[1], v[0])
            )
        if name == "step":
            for by, words in ((1, "one too high"), (-1, "one too low")):
                yield _reading(Kind.SHIFTED, f"{name} is {words}", name, lambda v, by=by: max(v + by, 0))
        if isinstance(value, float) and 0 < value < 1 and name != "eps":
            yield _reading(
                Kind.SCALE, f"1 - {name} stands where {name} belongs", name, lambda v: 1 - v, factor=f"(1 - {name})"
            )
    numbers = [name for name, value in trial.arguments.items() if isinstance(value, float)]
    for one, other in itertools.combinations(numbers, 2):
        yield Reading(
            Kind.WRONG_CACHE,
            f"{one} and {other} are exchanged",
            lambda t, a=one, b=other: t.matches(t.truth(**{a: t.arguments.get(b), b: t.arguments.get(a)})),
            hint=f"Which of the two, {one} or {other}, belongs to which formula?",
            evidence={"arguments": [one, other]},
        )
    labels = trial.arguments.get("labels")
    if labels is not None:
        for by, words in ((1, "one too high"), (-1, "one too low")):
            yield Reading(
                Kind.SHIFTED,
                f"the labels are {words}",
                lambda t, by=by: t.matches(t.truth(labels=(t.arguments["labels"] + by) % _classes(t))),
                evidence={"argument": "labels", "by": by},
            )


def unused_argument(trial: Trial) -> Iterator[Reading]:
    """The result stays as it is when an argument changes, although it should not."""
    for number, (name, value) in enumerate(trial.arguments.items()):
        changed = _another_value(value, number)
        if changed is not None:
            yield Reading(
                Kind.IGNORES_ARGUMENT,
                f"it does not depend on {name}, but should",
                lambda t, name=name, number=number: _is_unused(t, name, number),
                evidence={"argument": name},
                hint=f"In which line of your function should {name} appear?",
            )


def _is_unused(trial: Trial, name: str, number: int) -> bool:
    changed = _another_value(trial.arguments.get(name), number)
    if changed is None:
        return False
    right = trial.truth(**{name: changed})
    if right is None or trial.is_right(right):
        return False
    asked = trial.ask(**{name: changed})
    return asked is not None and asked.shape == trial.got.shape and np.array_equal(asked, trial.got, equal_nan=True)


def _another_value(value: Any, number: int) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.any():
        return value * (1.25 + 0.5 * np.cos(1.7 * np.arange(value.size) + number)).reshape(value.shape)
    if isinstance(value, float) and value > 0:
        return 0.75 * value
    return None


def _reading(
    kind: Kind,
    message: str,
    name: str,
    change: Change,
    *,
    tag: str = "",
    fallback: bool = False,
    factor: str = "",
    priority: float | None = None,
) -> Reading:
    """Read the result as the right one for a changed argument."""

    def holds(trial: Trial) -> bool:
        value = trial.arguments.get(name)
        if value is None:
            return False
        changed = change(value)
        if changed is None or np.shape(changed) != np.shape(value):
            return False
        return trial.matches(trial.truth(**{name: changed}))

    evidence = {"argument": name, **({"axes": tag} if tag else {}), **({"name": factor} if factor else {})}
    return Reading(kind, message, holds, fallback=fallback, evidence=evidence, priority=priority)


def _classes(trial: Trial) -> int:
    scores = trial.arguments.get("logits", trial.arguments.get("probabilities"))
    return scores.shape[1]  # type: ignore[union-attr]
