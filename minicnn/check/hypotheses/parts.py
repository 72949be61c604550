"""Mistakes in a sum: some of the contributions are missing, or each one overwrites the last.

Most results are linear in one of the arguments, a gradient in `dy` to begin with. So the contribution of one sample,
one window or one kernel is what comes out if `dy` is zero everywhere else; the right result is the sum of them all.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from minicnn.check.hypotheses.naming import axis_names
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, largest, same

LIMIT = 260  # contributions


@dataclass(frozen=True)
class Grouping:
    """A way to cut an argument into parts: along these axes, each index on its own."""

    argument: str
    axes: tuple[int, ...]
    what: str
    batch: bool = False

    @property
    def plural(self) -> str:
        """Of what it is."""
        return self.what.replace("entry", "entries") if "entry" in self.what else f"{self.what}s"


def incomplete_sums(trial: Trial) -> Iterator[Reading]:
    """Only the first, only the last, or all but one of the contributions are there."""
    for grouping in _groupings(trial):
        kind = Kind.PARTIAL_BATCH if grouping.batch else Kind.NOT_SUMMED
        for words, chosen in _CHOICES.items():
            if grouping.what in ("window", "place") and words not in ("the first", "the last"):
                continue
            message = (
                f"of the {grouping.plural} only {words} counts"
                if "but" not in words
                else (f"{words.removeprefix('all but ')} {grouping.what} does not count")
            )

            evidence = {"argument": grouping.argument, "summed": words, "over": grouping.what}
            yield Reading(kind, message, _is_sum_of, (grouping, chosen), evidence=evidence)
            if words == "the last":
                yield Reading(
                    Kind.NOT_ACCUMULATED,
                    f"of the {grouping.plural} only the last counts, as if `=` stood where `+=` is meant",
                    _is_sum_of,
                    (grouping, chosen),
                    evidence=evidence,
                    priority=kind.rank + 0.5 if grouping.batch else None,
                )
        if not grouping.batch:
            yield Reading(
                Kind.NOT_SUMMED,
                f"it is the mean over the {grouping.plural} that contribute, where their sum belongs",
                _is_mean,
                values=(grouping,),
                evidence={"argument": grouping.argument, "over": grouping.what},
            )
        if grouping.batch:
            yield Reading(
                Kind.NOT_SUMMED,
                "only one sample counts",
                _is_one_part,
                values=(grouping,),
                evidence={"argument": grouping.argument, "over": grouping.what},
                priority=Kind.NOT_SUMMED.rank + 0.6,
            )


def smaller_batch(trial: Trial) -> Iterator[Reading]:
    """The result is that of a part of the batch, or right for a part of the batch alone."""
    for words, chosen in _CHOICES.items():
        yield Reading(
            Kind.PARTIAL_BATCH,
            f"it is computed from {words.removeprefix('all ')} of the samples alone"
            if "but" not in words
            else f"it is computed from {words} of the samples",
            _is_of_a_part,
            values=(chosen,),
            evidence={"samples": words},
        )
        if trial.result in trial.batched or trial.result.removeprefix("d") in (*trial.batched, "logits"):
            yield Reading(
                Kind.PARTIAL_BATCH,
                f"of the samples only {words} {'is' if 'but' not in words else 'are'} right",
                _is_right_in_a_part,
                values=(chosen,),
                evidence={"samples": words},
                fallback=True,
            )
            yield Reading(
                Kind.PARTIAL_BATCH,
                f"of the samples only {words} {'is' if 'but' not in words else 'are'} computed, the rest is 0",
                lambda t, chosen: _is_right_in_a_part(t, chosen) and not t.got[_others(t, chosen)].any(),
                values=(chosen,),
                evidence={"samples": words},
            )


def _is_of_a_part(trial: Trial, chosen: slice) -> bool:
    if "shape" in trial.arguments:
        return False
    batched = {n: v for n, v in trial.arguments.items() if n in trial.batched and isinstance(v, np.ndarray)}
    length = max((len(v) for v in batched.values() if v.ndim), default=0)
    part = trial.truth(**{name: value[chosen] for name, value in batched.items()}) if length > 2 else None
    if part is None:
        return False
    share = len(np.arange(length)[chosen]) / length
    return trial.matches(part) or trial.matches(part * share)


def _is_right_in_a_part(trial: Trial, chosen: slice) -> bool:
    got, expected = trial.got, trial.expected
    if got.shape != expected.shape or got.ndim < 1 or len(got) < 2:
        return False
    right = [same(e, g, trial.tolerance) for e, g in zip(expected, got, strict=True)]
    return right == [i in np.arange(len(got))[chosen] for i in range(len(got))]


def _others(trial: Trial, chosen: slice) -> np.ndarray:
    """Return which samples were not chosen, as a mask."""
    mask = np.ones(len(trial.got), dtype=bool)
    mask[chosen] = False
    return mask


def overwritten(trial: Trial) -> Iterator[Reading]:
    """Places that should receive several contributions keep one of them."""
    for grouping in _groupings(trial):
        if not grouping.batch:
            yield Reading(
                Kind.NOT_ACCUMULATED,
                f"where several {grouping.plural} contribute to one number, only one of them is left",
                _keeps_one,
                values=(grouping,),
                evidence={"argument": grouping.argument, "over": grouping.what},
            )


_CHOICES = {
    "the first": np.s_[:1],
    "the last": np.s_[-1:],
    "all but the first": np.s_[1:],
    "all but the last": np.s_[:-1],
}


def contributions(trial: Trial, grouping: Grouping) -> np.ndarray | None:
    """Return what comes out without any part, and then what each part adds: (1 + parts, ...).

    None if the result is not linear in the argument, or if there are too many parts.
    """
    if grouping not in trial.memory:
        trial.memory[grouping] = _contributions(trial, grouping)
    return trial.memory[grouping]


def _contributions(trial: Trial, grouping: Grouping) -> np.ndarray | None:
    whole = trial.arguments.get(grouping.argument)
    if not isinstance(whole, np.ndarray) or whole.ndim <= max(grouping.axes):
        return None
    lengths = [whole.shape[axis] for axis in grouping.axes]
    if not 2 <= np.prod(lengths) <= LIMIT or not _is_linear(trial, grouping.argument):
        return None
    rest = trial.truth(**{grouping.argument: np.zeros_like(whole)})
    found = [rest]
    for index in np.ndindex(*lengths):
        part = np.zeros_like(whole)
        at: list = [slice(None)] * whole.ndim
        for axis, i in zip(grouping.axes, index, strict=True):
            at[axis] = i
        part[tuple(at)] = whole[tuple(at)]
        found.append(trial.truth(**{grouping.argument: part}) - rest)  # type: ignore[operator]
    return np.array(found)


def _is_linear(trial: Trial, name: str) -> bool:
    """Return whether f(a + b) = f(a) + f(b) - f(0), with other numbers b."""
    key = "linear", name
    if key not in trial.memory:
        trial.memory[key] = _test_linear(trial, name, trial.arguments[name])
    return trial.memory[key]


def _test_linear(trial: Trial, name: str, whole: np.ndarray) -> bool:
    other = np.cos(1 + 7 * np.arange(whole.size)).reshape(whole.shape)
    rest, alone, both = (trial.truth(**{name: a}) for a in (np.zeros_like(whole), other, whole + other))
    if rest is None or alone is None or both is None or rest.dtype.kind != "f":
        return False
    return largest(trial.expected) > 0 and trial.is_right(both - alone + rest)


def _groupings(trial: Trial) -> Iterator[Grouping]:
    numbers = trial.arguments.get("x")
    if isinstance(numbers, np.ndarray) and numbers.dtype.kind in "iu":  # each of which stands at a place
        yield Grouping("dy", tuple(range(numbers.ndim)), "place")
    for name, value in trial.arrays():
        names = axis_names(name, value.ndim)
        for axis in range(value.ndim):
            batch = axis == 0 and name in trial.batched
            what = f"entry of {names[axis]}" if names[axis].startswith("axis") else names[axis]
            yield Grouping(name, (axis,), "sample" if batch else what, batch)
        if value.ndim == 4:
            yield Grouping(name, (2, 3), "kernel position" if name == "w" else "window" if name == "dy" else "pixel")
            yield Grouping(name, (1, 2, 3), "window" if name == "dy" else "number")
            yield Grouping(name, (0, 2, 3), "window" if name == "dy" else "pixel")
        if value.ndim == 3:
            yield Grouping(name, (1, 2), "window")


def _keeps_one(trial: Trial, grouping: Grouping) -> bool:
    parts = contributions(trial, grouping)
    if parts is None or trial.got.shape != trial.expected.shape or not np.isfinite(trial.got).all():
        return False
    alone = parts[0] + parts[1:]
    size = max(largest(trial.expected), largest(trial.got))
    agrees = np.abs(alone - trial.got) <= trial.tolerance * size
    if not agrees.any(axis=0).all() or not trial.got.any():
        return False
    coarser = [grouping.axes, *((axis,) for axis in grouping.axes), *[grouping.axes[1:]] * (len(grouping.axes) == 3)]
    if any(_is_one_part(trial, replace(grouping, axes=axes)) for axes in coarser):
        return False  # one and the same for all: then a part of the sum is missing
    contributes = np.abs(parts[1:]) > trial.tolerance * size
    if not (contributes.sum(axis=0) > 1).any():
        return False
    lengths = [np.shape(trial.arguments[grouping.argument])[axis] for axis in grouping.axes]
    return any(_keeps_the_last(agrees, contributes, order) for order in _orders(lengths))


def _orders(lengths: list[int]) -> Iterator[np.ndarray]:
    """Walk over the orders in which loops may come to the parts: forwards or backwards along each axis."""
    numbers = np.arange(int(np.prod(lengths))).reshape(lengths)
    for steps in itertools.product((1, -1), repeat=len(lengths)):
        yield numbers[tuple(slice(None, None, step) for step in steps)].reshape(-1)


def _keeps_the_last(agrees: np.ndarray, contributes: np.ndarray, order: np.ndarray) -> bool:
    """Return whether each entry that parts contribute to agrees with the last of them in this order."""
    contributes, agrees = contributes[order], agrees[order]
    last = len(order) - 1 - contributes[::-1].argmax(axis=0)
    kept = np.take_along_axis(agrees, last[None], axis=0)[0]
    return bool(kept[contributes.any(axis=0)].all())


def _is_sum_of(trial: Trial, grouping: Grouping, chosen: slice) -> bool:
    parts = contributions(trial, grouping)
    if parts is None and chosen in (_CHOICES["all but the first"], _CHOICES["all but the last"]):
        return _is_nothing(trial, grouping)
    return parts is not None and len(parts) > 2 and trial.matches(parts[0] + parts[1:][chosen].sum(axis=0))


def _is_nothing(trial: Trial, grouping: Grouping) -> bool:
    """Return whether there is one part alone, and it does not count."""
    whole = trial.arguments.get(grouping.argument)
    if not isinstance(whole, np.ndarray) or any(whole.shape[axis] != 1 for axis in grouping.axes):
        return False
    return trial.matches(trial.truth(**{grouping.argument: np.zeros_like(whole)}))


def _is_mean(trial: Trial, grouping: Grouping) -> bool:
    parts = contributions(trial, grouping)
    if parts is None or trial.got.shape != trial.expected.shape:
        return False
    count = (np.abs(parts[1:]) > trial.tolerance * largest(trial.expected)).sum(axis=0)
    return bool(count.max() > 1) and trial.matches(parts[0] + parts[1:].sum(axis=0) / np.maximum(count, 1))


def _is_one_part(trial: Trial, grouping: Grouping) -> bool:
    parts = contributions(trial, grouping)
    return parts is not None and any(trial.matches(parts[0] + part) for part in parts[1:])
