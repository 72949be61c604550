"""Hypotheses where no formula is known: the right gradient was measured, and is compared with inputs and results."""

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.check.hypotheses.parts import Grouping, contributions
from minicnn.check.hypotheses.terms import COUNT_THE_WAYS
from minicnn.check.hypotheses.whole import factor_of
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

GROUPS: dict[str, Callable[[int], tuple[int, ...]]] = {
    "each channel": lambda ndim: (0, *range(2, ndim)),
    "each sample": lambda ndim: tuple(range(1, ndim)),
    "each row": lambda ndim: (ndim - 1,),
}
"""What normalisations take their statistics of, by the axes over which they go: batch norm, layer norm, a softmax."""


def statistics(trial: Trial) -> Iterator[Reading]:
    """Compare what is missing with what flows back through statistics of the input.

    Through a mean, every number of a group gets the same; through a variance, it gets a multiple of its deviation from
    the mean; through a root mean square, a multiple of itself.
    """
    x = trial.arguments.get("x")
    if trial.operation or trial.result != "dx" or not isinstance(x, np.ndarray) or x.ndim < 2:
        return
    for group in GROUPS:
        for words, parts in (
            ("the way through the mean", ("mean",)),
            ("the way through the variance", ("deviation",)),
            ("the way through the root mean square, or the length,", ("itself",)),
            ("the ways through mean and variance", ("mean", "deviation")),
        ):
            verb = "are" if len(parts) > 1 else "is"
            message = f"{words} of {group} {verb} missing"
            yield Reading(Kind.MISSING_TERM, message, _lacks, (group, parts), hint=COUNT_THE_WAYS)


def _lacks(trial: Trial, group: str, parts: tuple[str, ...]) -> bool:
    x, missing = trial.arguments["x"], trial.got - trial.expected
    if factor_of(trial) is not None:
        return False  # then it is merely too large, and so is whatever is missing
    axes = GROUPS[group](x.ndim)
    if x.shape != missing.shape or not np.isfinite(missing).all():
        return False
    if np.prod([x.shape[axis] for axis in axes]) < 2 + len(parts):
        return False  # too few numbers for the fit to mean anything
    deviation = x - x.mean(axis=axes, keepdims=True)
    fit = np.zeros_like(missing)
    if "mean" in parts:
        fit = fit + missing.mean(axis=axes, keepdims=True)
    for name, direction in (("deviation", deviation), ("itself", x)):
        if name in parts:
            square = (direction**2).sum(axis=axes, keepdims=True)
            fit = fit + direction * (missing * direction).sum(axis=axes, keepdims=True) / np.maximum(square, 1e-300)
    return trial.matches(trial.expected + fit)


def direct_ways(trial: Trial) -> Iterator[Reading]:
    """The way past everything is missing, or it is the only one, or only that of each number to itself is there."""
    if trial.operation or trial.arguments["dy"].shape != trial.expected.shape:
        return
    yield Reading(
        Kind.MISSING_TERM,
        "the direct way from the input to the output is missing: dy itself",
        lambda t: t.matches(t.expected - t.arguments["dy"]),
        hint=COUNT_THE_WAYS,
    )
    yield Reading(
        Kind.MISSING_TERM,
        "only the direct way from the input to the output is there: dy itself",
        lambda t: t.matches(t.arguments["dy"]),
        hint=COUNT_THE_WAYS,
        fallback=True,
    )
    yield Reading(
        Kind.MISSING_TERM,
        "only the way from each number to its own output is there; the ways to the other outputs are missing",
        _is_diagonal,
        hint="Which outputs change when one input changes? The gradient is the sum over all of them.",
    )


def _is_diagonal(trial: Trial) -> bool:
    dy = trial.arguments["dy"]
    parts = contributions(trial, Grouping("dy", tuple(range(dy.ndim)), "number"))
    if parts is None:
        return False
    own = np.array([part.reshape(-1)[place] for place, part in enumerate(parts[1:])])
    return trial.matches(own.reshape(dy.shape))


def unmasked_sums(trial: Trial) -> Iterator[Reading]:
    """A parameter's gradient is a sum over the numbers that saw the parameter; here all are summed, or the others."""
    if trial.operation:
        return
    for words, over in (
        ("the mask is not applied: the sum goes over all numbers, also those that never met this parameter", "all"),
        ("the mask is inverted: the sum goes over the numbers that never met this parameter", "others"),
    ):
        yield Reading(Kind.MASK, words, _sums_over, (over,))


def _sums_over(trial: Trial, over: str) -> bool:
    x, dy = trial.arguments.get("x"), trial.arguments["dy"]
    if not isinstance(x, np.ndarray) or x.shape != dy.shape:
        return False
    for open_places in (x > 0, x < 0):
        for each in (dy, dy * x):
            if trial.is_right(_summed_to(each * open_places, trial.expected.shape)):
                wrong = each if over == "all" else each * ~open_places
                return trial.matches(_summed_to(wrong, trial.expected.shape))
    return False


def _summed_to(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """Sum over the axes along which an array of this shape was broadcast; None if it could not have been."""
    if shape == (1,) or not shape:
        return values.sum().reshape(shape)
    if values.ndim > 2 and shape == (values.shape[1],):  # one number a channel
        return values.sum(axis=(0, *range(2, values.ndim)))
    if len(shape) > values.ndim:
        return None
    padded = (1,) * (values.ndim - len(shape)) + shape
    axes = tuple(axis for axis, length in enumerate(padded) if length == 1)
    summed = values.sum(axis=axes, keepdims=True)
    return summed.reshape(shape) if summed.size == np.prod(shape) else None
