"""Mistakes with groups of channels: dealt out in turn instead of in blocks, or one group in the place of all."""

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

CHANNEL_AXIS = {"x": 1, "y": 1, "dx": 1, "dy": 1, "w": 0, "dw": 0, "b": 0, "db": 0}
"""Along which axis the groups lie one after the other: w is (F, C/groups, ...), or (C, F/groups, ...) transposed."""

Rearranged = Callable[[np.ndarray, int, int], np.ndarray]


def groups(trial: Trial) -> Iterator[Reading]:
    """Compare with the result, or an argument, whose groups lie otherwise."""
    if trial.arguments.get("groups", 1) == 1:
        return
    hint = "Which channels belong to group 0? They are neighbours: the first C / groups."
    if trial.result in CHANNEL_AXIS:
        message = f"the groups' parts of {trial.result} come in turn, g, g + groups, ...; they lie in blocks"
        yield Reading(Kind.TRANSPOSED, message, _lies_otherwise, (dealt_out,), hint=hint)
        message = f"only the last group's part of {trial.result} is left, the rest is 0: it is made anew for each group"
        yield Reading(Kind.NOT_ACCUMULATED, message, _lies_otherwise, (_last_alone,))
        message = f"every group's part of {trial.result} is that of the last group, which writes over all of it"
        yield Reading(Kind.NOT_ACCUMULATED, message, _lies_otherwise, (_last_for_all,))
    for name in ("x", "w", "b", "dy"):
        message = f"group g takes g, g + groups, ... of {name}; a group's channels are neighbours"
        yield Reading(Kind.TRANSPOSED, message, _reads_otherwise, (name, collected), hint=hint)
        yield Reading(Kind.TRANSPOSED, message, _reads_otherwise, (name, dealt_out), hint=hint)
        for words, chosen in (("first", _first_for_all), ("last", _last_for_all)):
            yield Reading(
                Kind.IGNORES_ARGUMENT,
                f"every group uses the {words} group's part of {name}",
                _reads_otherwise,
                (name, chosen),
                hint="In which line does the group's number decide which channels are taken?",
                evidence={"argument": "groups"},
            )
    message = "of each group only the first channel counts, as if there were a group for each channel"
    yield Reading(Kind.NOT_SUMMED, message, _first_channel_alone, priority=Kind.NOT_ACCUMULATED.rank - 0.5)


def dealt_out(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Blocks to turns: entry k of group g goes to place k * count + g."""
    return _in_two(array, axis, count).swapaxes(axis, axis + 1).reshape(array.shape)


def collected(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    """Turns to blocks: the inverse."""
    return dealt_out(array, axis, array.shape[axis] // count)


def _in_two(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    return array.reshape(*array.shape[:axis], count, -1, *array.shape[axis + 1 :])


def _first_for_all(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    return np.concatenate([np.split(array, count, axis)[0]] * count, axis)


def _last_for_all(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    return np.concatenate([np.split(array, count, axis)[-1]] * count, axis)


def _last_alone(array: np.ndarray, axis: int, count: int) -> np.ndarray:
    *others, last = np.split(array, count, axis)
    return np.concatenate([*map(np.zeros_like, others), last], axis)


def _lies_otherwise(trial: Trial, change: Rearranged) -> bool:
    """Return whether it is the right result with its groups changed, but for a bias that was added afterwards."""
    count, axis, bias = trial.arguments.get("groups", 1), CHANNEL_AXIS[trial.result], np.zeros(())
    if count == 1:
        return False
    if trial.result == "y":
        b = trial.arguments.get("b")
        bias = bias if b is None else b.reshape(1, -1, 1, 1)
    return trial.matches(change(trial.expected - bias, axis, count) + bias)


def _reads_otherwise(trial: Trial, name: str, change: Rearranged) -> bool:
    count, value = trial.arguments.get("groups", 1), trial.arguments.get(name)
    if count == 1 or value is None:
        return False
    return trial.matches(trial.truth(**{name: change(value, CHANNEL_AXIS[name], count)}))


def _first_channel_alone(trial: Trial) -> bool:
    w = trial.arguments.get("w")
    if w is None or trial.arguments.get("groups", 1) == 1:
        return False
    first = np.zeros_like(w)
    first[:, :1] = w[:, :1]
    return trial.matches(trial.truth(w=first))
