"""Hypotheses where no formula is known: the right gradient was measured, and is compared with inputs and results."""

from collections.abc import Callable, Iterator

import numpy as np

from minicnn.check.hypotheses.parts import Grouping, contributions
from minicnn.check.hypotheses.terms import COUNT_THE_WAYS
from minicnn.check.hypotheses.whole import factor_of
from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial, largest

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
        Kind.SCALE,
        "the direct way from the input to the output, dy itself, counts twice",
        lambda t: t.matches(t.expected + t.arguments["dy"]),
        hint=COUNT_THE_WAYS,
    )
    yield Reading(
        Kind.MISSING_TERM,
        "only the way from each number to its own output is there; the ways to the other outputs are missing",
        _is_diagonal,
        hint="Which outputs change when one input changes? The gradient is the sum over all of them.",
    )


def separate_steps(trial: Trial) -> Iterator[Reading]:
    """Along axis 1, which may be time, each place gets from its own output alone."""
    x, dy = trial.arguments.get("x"), trial.arguments["dy"]
    if trial.operation or trial.result != "dx" or not isinstance(x, np.ndarray):
        return
    if x.ndim != 3 or dy.ndim != 3 or x.shape[:2] != dy.shape[:2]:
        return
    yield Reading(
        Kind.MISSING_TERM,
        "each place along axis 1 gets from the output at the same place alone; the ways to the others are missing",
        _is_separate,
        hint="If axis 1 is time: which outputs does a step have an influence on, besides its own?",
        priority=Kind.NOT_ACCUMULATED.rank - 0.5,
    )


def _is_separate(trial: Trial) -> bool:
    parts = contributions(trial, Grouping("dy", (1,), "entry of axis 1"))
    if parts is None:
        return False
    own = np.stack([part[:, t] for t, part in enumerate(parts[1:])], axis=1)
    return not trial.is_right(own) and trial.matches(own)


def mirrors(trial: Trial) -> Iterator[Reading]:
    """Fourier transforms: a transform in the place of its inverse mirrors the result at pixel 0."""
    if trial.expected.ndim < 2 or min(trial.expected.shape[-2:]) < 3:
        return
    yield Reading(
        Kind.FLIPPED,
        "it is mirrored at pixel 0 (row h - i for row i): a Fourier transform stands where its inverse belongs",
        lambda t: t.matches(_mirrored(t.expected)),
        hint="Going back through a matrix W takes its transpose, and for complex numbers the conjugate of that.",
    )
    yield Reading(
        Kind.MISSING_TERM,
        "it is the mean of the right result and of its mirror image at pixel 0: before the inverse Fourier transform "
        "the imaginary part was dropped",
        lambda t: t.matches((t.expected + _mirrored(t.expected)) / 2),
        hint="At which point are numbers real for sure? Only there may the imaginary part be left out.",
    )


def _mirrored(v: np.ndarray) -> np.ndarray:
    """v[..., -i mod h, -j mod w]"""
    return np.roll(v[..., ::-1, ::-1], 1, axis=(-2, -1))


def exchanged_parts(trial: Trial) -> Iterator[Reading]:
    """The output is made of parts side by side, and the parts of dy went to the wrong ones, or not to all."""
    dy = trial.arguments["dy"]
    if trial.operation or dy.ndim < 2:
        return
    for first in range(1, dy.shape[1]):
        yield Reading(
            Kind.TRANSPOSED,
            f"the parts of dy go to the wrong branches: the first {first} along axis 1 and the rest are exchanged",
            lambda t, first: _comes_from(t, np.roll(t.arguments["dy"], -first, axis=1)),
            (first,),
            hint="Which part of the output did each branch make? Its gradient is the same part of dy.",
        )
        if trial.result != "dx":
            continue  # of what all outputs share, a part of the sum is missing then
        for part, words in ((slice(first), f"first {first}"), (slice(first, None), f"last {dy.shape[1] - first}")):
            yield Reading(
                Kind.MISSING_TERM,
                f"only the way through the {words} along axis 1 of the output is there",
                lambda t, part: _comes_from(t, _only(t.arguments["dy"], part)),
                (part,),
                hint=COUNT_THE_WAYS,
                evidence={"part": words},
            )


def _comes_from(trial: Trial, dy: np.ndarray) -> bool:
    right = trial.truth(dy=dy)
    return right is not None and largest(right) > 0 and trial.matches(right)


def _only(dy: np.ndarray, part: slice) -> np.ndarray:
    kept = np.zeros_like(dy)
    kept[:, part] = dy[:, part]
    return kept


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
