"""Mistakes in the options that the computation was fed with, and in numbers that count something.

As in `arguments.py`, a wrong value is put in the place of one argument, and the right result for that is compared.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.case import NO_DEFAULT, default_of
from minicnn.check.hypotheses.arguments import reading_of
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial


def changed_option(trial: Trial) -> Iterator[Reading]:
    """An option was ignored, or one of its numbers, or read otherwise."""
    operation = slots().get(trial.operation)
    if operation is None:
        return
    for name, value in trial.arguments.items():
        if not isinstance(value, bool | int | float | tuple | np.ndarray) or name in ("shape", "key"):
            continue
        default = default_of(operation, name)
        given = not isinstance(value, np.ndarray) and value not in (default, (default, default))
        if given and default not in (None, NO_DEFAULT):
            yield reading_of(
                Kind.IGNORES_ARGUMENT,
                f"{name} is ignored: it is what comes out for the default, {name}={default}",
                name,
                lambda v, default: (default, default) if isinstance(v, tuple) else default,
                values=(default,),
                priority=Kind.MISSING_TERM.rank - 0.5,
            )
        if name == "class_weights":
            yield reading_of(
                Kind.IGNORES_ARGUMENT, f"{name} is ignored", name, lambda v: None if v is None else 1 + 0 * v
            )
        elif isinstance(value, np.ndarray) and default is None and name in operation.signature.parameters:
            yield Reading(
                Kind.IGNORES_ARGUMENT,
                f"{name} is ignored: it is what comes out without any",
                lambda t, name: t.arguments.get(name) is not None and t.matches(t.truth(**{name: None})),
                (name,),
                evidence={"argument": name},
                priority=Kind.MISSING_TERM.rank - 0.5,
            )
        if isinstance(value, tuple) and len(value) == 2:
            yield reading_of(
                Kind.IGNORES_ARGUMENT,
                f"only the first number of {name} is used, for both directions",
                name,
                lambda v: (v[0], v[0]),
            )
            yield reading_of(
                Kind.IGNORES_ARGUMENT,
                f"only the second number of {name} is used, for both directions",
                name,
                lambda v: (v[1], v[1]),
            )
            yield reading_of(
                Kind.TRANSPOSED, f"the two directions of {name} are exchanged", name, lambda v: (v[1], v[0])
            )
        if name == "step":
            for by, words in ((1, "one too high"), (-1, "one too low")):
                yield reading_of(Kind.SHIFTED, f"{name} is {words}", name, lambda v, by: max(v + by, 0), values=(by,))
        if isinstance(value, float) and 0 < value < 1 and name != "eps":
            yield reading_of(
                Kind.SCALE, f"1 - {name} stands where {name} belongs", name, lambda v: 1 - v, factor=f"(1 - {name})"
            )


def exchanged_options(trial: Trial) -> Iterator[Reading]:
    """Two numbers stand in each other's place."""
    numbers = [name for name, value in trial.arguments.items() if isinstance(value, float) and name != "eps"]
    for one, other in itertools.combinations(numbers, 2):
        yield Reading(
            Kind.FORWARD_DIFFERS,
            f"{one} and {other} are exchanged",
            lambda t, a, b: t.matches(t.truth(**{a: t.arguments.get(b), b: t.arguments.get(a)})),
            values=(one, other),
            hint=f"Which of the two, {one} or {other}, belongs to which formula?",
            evidence={"arguments": [one, other]},
            priority=Kind.SCALE.rank - 0.5,
        )


def miscounted_numbers(trial: Trial) -> Iterator[Reading]:
    """Labels, positions or words are counted from another number."""
    whole = trial.operation.startswith("embedding")
    for name, count in (("labels", _classes), ("argmax", _positions), *([("x", _words)] if whole else [])):
        for by, words in ((1, "one too high"), (-1, "one too low")):
            if name in trial.arguments:
                yield Reading(
                    Kind.SHIFTED,
                    f"the numbers in {name} are read as if they were {words}",
                    _is_off_by,
                    values=(name, by, count),
                    evidence={"argument": name, "by": by},
                )


def _is_off_by(trial: Trial, name: str, by: int, count: Callable[[Trial], int]) -> bool:
    """Return whether numbers were read too high or too low; those that fall out may come in again, stay, or be lost."""
    moved, last = trial.arguments[name].astype(np.int64) + by, count(trial) - 1
    return any(trial.matches(trial.truth(**{name: m})) for m in (moved % (last + 1), np.clip(moved, 0, last), moved))


def _positions(trial: Trial) -> int:
    return int(np.prod(trial.arguments["kernel"]))


def _words(trial: Trial) -> int:
    return len(trial.arguments["w"])


def _classes(trial: Trial) -> int:
    scores = trial.arguments.get("logits", trial.arguments.get("probabilities"))
    return scores.shape[1]
