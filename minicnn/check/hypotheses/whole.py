"""Mistakes that show in the result as a whole: it is zero, has the wrong sign or size, or lies the wrong way round."""

import itertools
from collections.abc import Iterator

import numpy as np

from minicnn.check.hypotheses.naming import axis_names, name_axes, names_of_factor
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, largest, same


def zero(trial: Trial) -> Iterator[Reading]:
    """Nothing but zeros."""
    yield Reading(Kind.ZERO, "all entries are 0", lambda t: t.got.size > 0 and not t.got.any())


def sign(trial: Trial) -> Iterator[Reading]:
    """Every entry has the wrong sign."""
    yield Reading(Kind.SIGN, "the sign is wrong; everything else is right", lambda t: t.matches(-_numbers(t.expected)))


def scale(trial: Trial) -> Iterator[Reading]:
    """Every entry is the same number of times too large."""
    factor = factor_of(trial)
    if factor is None or np.isclose(abs(factor), 1) or factor == 0:
        return
    for name, value in names_of_factor(trial, abs(factor)):
        if trial.expected.size == 1 and name.removeprefix("1/").isdigit():
            continue  # one number is always some multiple of another
        evidence = {"factor": factor, "name": name}
        values = (name, factor < 0)
        if _is_pure_sum(trial) and value < 1:
            yield Reading(
                Kind.NOT_SUMMED,
                f"it is {name} of what it should be: a mean where a sum belongs",
                lambda t, *values: _is_pure_sum(t) and _is_multiple(t, *values),
                values,
                evidence=evidence,
            )
        times = f"-{name}" if factor < 0 else name
        yield Reading(Kind.SCALE, f"it is {times} times what it should be", _is_multiple, values, evidence=evidence)
        if value < 1 and _without_batch(trial):
            yield Reading(
                Kind.NOT_SUMMED,
                f"it is {name} of the sum: as if a mean were taken",
                _is_multiple,
                values,
                evidence=evidence,
                priority=Kind.SCALE.rank + 0.5,
            )
        if factor < 0:
            yield Reading(Kind.SIGN, "the sign is wrong, and so is the size", _is_multiple, values)
    constant = f"{factor:.6g}"
    yield Reading(
        Kind.SCALE,
        f"it is {constant} times what it should be",
        lambda t: t.matches(factor * _numbers(t.expected)),
        evidence={"factor": factor, "name": constant},
        least=2 if trial.expected.size == 1 else 1,  # one number is always some multiple of another
    )
    yield Reading(
        Kind.SCALE,
        "all entries are wrong by one factor, which is another one for each example",
        lambda t: t.expected.size > 1 and factor_of(t) is not None,
        fallback=True,
    )


def transposed(trial: Trial) -> Iterator[Reading]:
    """The axes are in another order, or the right numbers lie in the wrong places."""
    axes = range(trial.expected.ndim)
    if trial.expected.ndim > 1:
        for order in itertools.permutations(axes):
            if list(order) == list(axes) or trial.expected.transpose(order).shape != trial.got.shape:
                continue
            yield Reading(
                Kind.TRANSPOSED,
                f"axes are exchanged: {name_axes(trial, order)}",
                lambda t, order: t.expected.ndim == len(order) and t.matches(t.expected.transpose(order)),
                values=(order,),
                evidence={"axes": order},
            )
    yield Reading(
        Kind.TRANSPOSED,
        "the right numbers stand in the wrong places: a reshape or transpose reads them in wrong order",
        _holds_the_same_numbers,
        hint="A reshape never moves a number in memory: before it, the axes must be in the order that you want.",
        fallback=True,
    )


def flipped(trial: Trial) -> Iterator[Reading]:
    """The result is upside down, or left and right are exchanged."""
    if trial.result == "cols":
        yield Reading(Kind.FLIPPED, "each window is read from its last pixel to its first", _reads_windows_backwards)
        yield Reading(
            Kind.FLIPPED, "the windows come from the last to the first", lambda t: t.matches(t.expected[:, :, ::-1])
        )
    if trial.expected.ndim != 4:
        return
    for axes, words in (((2, 3), "upside down and left to right"), ((2,), "upside down"), ((3,), "left to right")):
        yield Reading(
            Kind.FLIPPED,
            f"it is flipped {words}",
            lambda t, axes: t.expected.ndim == 4 and t.matches(np.flip(t.expected, axes)),
            values=(axes,),
            evidence={"axes": axes},
        )


def shifted(trial: Trial) -> Iterator[Reading]:
    """The result lies some pixels beside where it should."""
    if trial.expected.ndim != 4:
        yield from _rolled(trial)
        return
    for down, right in itertools.product(range(-2, 3), repeat=2):
        if (down, right) != (0, 0):
            yield Reading(
                Kind.SHIFTED,
                f"it is shifted by {_pixels(down, right)}",
                lambda t, by: _is_shifted(t, *by),
                values=((down, right),),
                evidence={"down": down, "right": right},
            )


def _rolled(trial: Trial) -> Iterator[Reading]:
    for axis in range(1 if trial.expected.ndim > 1 else 0, trial.expected.ndim):
        for by in (-2, -1, 1, 2):
            if trial.expected.shape[axis] > 2:
                yield Reading(
                    Kind.SHIFTED,
                    f"it is shifted by {abs(by)} along axis {axis}, {'forwards' if by > 0 else 'backwards'}",
                    lambda t, by, axis: axis < t.expected.ndim and t.matches(np.roll(t.expected, by, axis)),
                    values=(by, axis),
                    evidence={"axis": axis, "by": by},
                )


def other_sample(trial: Trial) -> Iterator[Reading]:
    """Every sample has the result of another one."""
    if trial.result not in trial.batched and trial.result.removeprefix("d") not in trial.batched:
        return
    for words, order in SAMPLE_ORDERS:
        yield Reading(
            Kind.WRONG_CACHE,
            f"it is the result of {words}",
            lambda t, order: len(t.expected) > 1 and t.matches(t.expected[order(len(t.expected))]),
            values=(order,),
        )


SAMPLE_ORDERS = (
    ("the sample before", lambda n: np.roll(np.arange(n), 1)),
    ("the sample after", lambda n: np.roll(np.arange(n), -1)),
    ("the batch in reverse order", lambda n: np.arange(n)[::-1]),
    ("the first sample for all", lambda n: np.zeros(n, int)),
    ("the last sample for all", lambda n: np.full(n, n - 1)),
)


def unsummed(trial: Trial) -> Iterator[Reading]:
    """The result has axes over which it should have been summed, or averaged."""
    more = trial.got.ndim - trial.expected.ndim
    if more < 1:
        return
    for axes in itertools.combinations(range(trial.got.ndim), more):
        if all(trial.got.shape[axis] == 1 for axis in axes):
            continue  # nothing to sum: an axis of length 1 is merely left there
        for words, reduce in (("summed", np.sum), ("averaged", np.mean)):
            yield Reading(
                Kind.NOT_SUMMED,
                f"it is not {words} over all axes: {more} of them {'is' if more == 1 else 'are'} left over",
                lambda t, axes, reduce: (
                    t.got.ndim == t.expected.ndim + len(axes) and t.is_right(reduce(t.got, axis=axes))
                ),
                values=(axes, reduce),
                evidence={"axes": axes},
            )


def sums_of_others(trial: Trial) -> Iterator[Reading]:
    """A sum of dy over other axes than those that belong."""
    dy = trial.arguments.get("dy")
    if not isinstance(dy, np.ndarray) or not _is_pure_sum(trial):
        return
    for count in range(1, dy.ndim):
        for axes in itertools.combinations(range(dy.ndim), count):
            names = [axis_names("dy", dy.ndim)[axis] for axis in axes]
            yield Reading(
                Kind.NOT_SUMMED,
                f"it is the sum of dy over the wrong axes: each {' and '.join(names)}",
                lambda t, axes: t.arguments["dy"].ndim > max(axes) and t.matches(t.arguments["dy"].sum(axis=axes)),
                (axes,),
                evidence={"axes": axes},
            )


def bordered(trial: Trial) -> Iterator[Reading]:
    """The right result lies within a larger one: the padding is still around it."""
    if trial.got.ndim == trial.expected.ndim == 4 and trial.got.shape != trial.expected.shape:
        yield Reading(
            Kind.SHAPE,
            "the right result is in it, with a border around it: the padding is not cut off",
            _has_a_border,
            priority=Kind.IGNORES_ARGUMENT.rank - 0.5,
        )


def _has_a_border(trial: Trial) -> bool:
    (h, w), (gh, gw) = trial.expected.shape[2:], trial.got.shape[2:]
    return any(
        trial.is_right(trial.got[:, :, top : top + h, left : left + w])
        for top in range(gh - h + 1)
        for left in range(gw - w + 1)
    )


def _reads_windows_backwards(trial: Trial) -> bool:
    n, rows, windows = trial.expected.shape
    area = int(np.prod(trial.arguments["kernel"]))
    split = trial.expected.reshape(n, rows // area, area, windows)
    return trial.matches(split[:, :, ::-1].reshape(n, rows, windows))


def factor_of(trial: Trial) -> float | None:
    """Return c if the result is c times the right one."""
    got, expected = trial.got, _numbers(trial.expected)
    if got.shape != expected.shape or got.dtype.kind not in "fiu" or not np.isfinite(got).all():
        return None
    told = np.isfinite(expected)
    square = float((expected[told] ** 2).sum())
    if square == 0:
        return None
    factor = float((expected[told] * got[told]).sum()) / square
    return factor if factor != 0 and trial.matches(factor * expected) else None


def _numbers(a: np.ndarray) -> np.ndarray:
    return a if a.dtype.kind == "f" else a.astype(np.float64)


def _is_multiple(trial: Trial, name: str, negative: bool) -> bool:
    value = dict(names_of_factor(trial, None)).get(name)
    return value is not None and trial.matches((-value if negative else value) * _numbers(trial.expected))


def _is_pure_sum(trial: Trial) -> bool:
    """Return whether the right result is `dy`, summed over some axes."""
    dy = trial.arguments.get("dy")
    if not isinstance(dy, np.ndarray) or dy.ndim <= trial.expected.ndim:
        return False
    others = itertools.combinations(range(dy.ndim), dy.ndim - trial.expected.ndim)
    return any(trial.is_right(dy.sum(axis=axes)) for axes in others)


def _without_batch(trial: Trial) -> bool:
    """Return whether the result is the gradient of something that all samples share."""
    return (
        trial.result.startswith("d") and trial.result[1:] in trial.arguments and trial.result[1:] not in trial.batched
    )


def _holds_the_same_numbers(trial: Trial) -> bool:
    """Return whether it holds the right numbers in another order, but for a bias that was added to all."""
    got, expected = trial.got, trial.expected
    if got.ndim != expected.ndim or got.size != expected.size or got.size < 4 or got.dtype.kind != "f":
        return False
    if np.isnan(expected).any() or largest(expected) == 0:
        return False
    if _same_sorted(trial, expected, got):
        return True
    x = trial.arguments.get("x")
    bias = None if x is None or got.shape != expected.shape else trial.truth(x=np.zeros_like(x))
    return bias is not None and bool(bias.any()) and _same_sorted(trial, expected - bias, got - bias)


def _same_sorted(trial: Trial, one: np.ndarray, other: np.ndarray) -> bool:
    return same(np.sort(one, axis=None), np.sort(other, axis=None), trial.tolerance)


def _is_shifted(trial: Trial, down: int, right: int) -> bool:
    got, expected = trial.got, trial.expected
    if got.shape != expected.shape or got.ndim != 4:
        return False
    h, w = expected.shape[2:]
    if (h - abs(down)) * (w - abs(right)) * 3 < h * w or h <= abs(down) or w <= abs(right):
        return False
    to = np.s_[:, :, max(down, 0) : h + min(down, 0), max(right, 0) : w + min(right, 0)]
    source = np.s_[:, :, max(-down, 0) : h + min(-down, 0), max(-right, 0) : w + min(-right, 0)]
    return same(expected[source], got[to], trial.tolerance) and np.unique(expected[source]).size > 2


def _pixels(down: int, right: int) -> str:
    words = []
    for count, names in ((down, ("down", "up")), (right, ("to the right", "to the left"))):
        if count:
            words.append(f"{abs(count)} {names[count < 0]}")
    return " and ".join(words)
