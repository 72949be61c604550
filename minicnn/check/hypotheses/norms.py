"""Layer norm and group norm: which numbers were taken together, what was made of them, and where gamma stands.

What belongs together is brought into rows (R, m): a step's features, or a group's channels and pixels.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

Arguments = Mapping[str, Any]
OVER: dict[str, Callable[[int], tuple[int, ...]]] = {
    "the batch": lambda ndim: (0,),
    "the last axis alone": lambda ndim: (ndim - 1,),
    "everything of an example": lambda ndim: tuple(range(1, ndim)),
    "each channel of an example": lambda ndim: tuple(range(2, ndim)),
    "each channel of the batch": lambda ndim: (0, *range(2, ndim)),
    "everything but the last axis": lambda ndim: tuple(range(ndim - 1)),
    "the whole batch and everything in it": lambda ndim: tuple(range(ndim)),
}
"""What means may be taken over, by axes."""
WRONG = "the statistics are taken over {}; here they are taken over {}"
HINT = "Over which axes is each mean taken? Which of them does gamma, or the number of groups, ask for?"


def rows(v: np.ndarray, a: Arguments) -> np.ndarray:
    """Bring an array of the shape of x into rows of what is normalised together."""
    return v.reshape(len(v) * a["groups"], -1) if "groups" in a else v.reshape(-1, a["gamma"].size)


def spread(v: np.ndarray, a: Arguments) -> np.ndarray:
    """Bring gamma or beta to the shape of x."""
    x = a["x"]
    return np.broadcast_to(v.reshape(-1, *[1] * (x.ndim - 2)) if "groups" in a else v, x.shape)


def normalised(a: Arguments) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of x_hat, and mean and 1 / standard deviation of each row (R, 1), those that are given first."""
    own = rows(a["x"], a)
    if "mean" in a:
        mean, inv_std = (a[name].reshape(-1, 1) for name in ("mean", "inv_std"))
    else:
        mean, inv_std = own.mean(axis=1, keepdims=True), 1 / np.sqrt(own.var(axis=1, keepdims=True) + a["eps"])
    return (own - mean) * inv_std, mean, inv_std


def norms(trial: Trial) -> Iterator[Reading]:
    """Compare with statistics of other numbers, and with other formulas for them."""
    right = "a group's channels of an example" if "groups" in trial.arguments else "the last axes, as many as gamma has"
    if trial.operation in ("layer_norm_forward", "group_norm_forward"):
        for words in OVER:
            yield Reading(Kind.NOT_SUMMED, WRONG.format(words, right), _is_forward_over, (words,), hint=HINT)
        for kind, message, formula in _FORMULAS:
            priority = Kind.SCALE.rank - 0.5 if kind is Kind.FORWARD_DIFFERS else None
            yield Reading(kind, message, _is_forward_with, (formula,), priority=priority)
    if trial.operation == "group_norm_forward":
        yield Reading(Kind.NOT_SUMMED, WRONG.format("groups of the whole batch", right), _is_over_the_batch, hint=HINT)
        yield Reading(
            Kind.TRANSPOSED,
            "every groups-th channel makes a group; neighbours belong together",
            _is_interleaved,
            hint="Write x[n, c] for the first group, with numbers for c: which channels does your reshape bring in?",
        )
        for kind, message, count in (
            (Kind.IGNORES_ARGUMENT, "groups is ignored: all channels are one group", lambda c, groups: 1),
            (Kind.IGNORES_ARGUMENT, "groups is ignored: each channel is a group of its own", lambda c, groups: c),
            (
                Kind.FORWARD_DIFFERS,
                "groups is taken for the number of channels in a group; it is the number of groups",
                lambda c, groups: c // groups,
            ),
        ):
            yield Reading(
                kind,
                message,
                lambda t, count: t.matches(t.truth(groups=count(t.arguments["x"].shape[1], t.arguments["groups"]))),
                (count,),
                evidence={"argument": "groups"},
                priority=Kind.MISSING_TERM.rank - 0.5,
            )
    if trial.operation in ("layer_norm_backward", "group_norm_backward") and trial.result == "dx":
        for words in OVER:
            yield Reading(Kind.NOT_SUMMED, WRONG.format(words, right), _is_dx_over, (words,), hint=HINT)
        yield Reading(
            Kind.SCALE,
            "the means are sums, divided by the number of pixels of one channel",
            _divides_by_pixels,
            hint=HINT,
        )


def _is_forward_over(trial: Trial, words: str) -> bool:
    a = trial.arguments
    x, axes = a["x"], OVER[words](a["x"].ndim)
    mean = x.mean(axis=axes, keepdims=True)
    return _matches_forward(trial, x, mean, 1 / np.sqrt(x.var(axis=axes, keepdims=True) + a["eps"]), lambda v: v)


def _matches_forward(
    trial: Trial, x: np.ndarray, mean: np.ndarray, inv_std: np.ndarray, back: Callable[[np.ndarray], np.ndarray]
) -> bool:
    """Return whether it is the result for these statistics; `back` brings x_hat to the shape of x."""
    a, got = trial.arguments, trial.got
    if trial.result == "y":
        return trial.matches(spread(a["gamma"], a) * back((x - mean) * inv_std) + spread(a["beta"], a))
    statistic = {"mean": mean, "inv_std": inv_std}[trial.result]
    return statistic.size == got.size > 1 and trial.matches(statistic.reshape(got.shape))


def _is_forward_with(trial: Trial, formula: Callable[[np.ndarray, float], np.ndarray]) -> bool:
    if trial.result == "mean":
        return False
    a, own = trial.arguments, rows(trial.arguments["x"], trial.arguments)
    mean, factor = own.mean(axis=1, keepdims=True), formula(own, a["eps"])
    return _matches_forward(trial, own, mean, factor, lambda v: v.reshape(a["x"].shape))


def _is_over_the_batch(trial: Trial) -> bool:
    a = trial.arguments
    own = rows(a["x"], a).reshape(len(a["x"]), a["groups"], -1)
    mean, var = own.mean(axis=(0, 2), keepdims=True), own.var(axis=(0, 2), keepdims=True)
    return _matches_forward(trial, own, mean, 1 / np.sqrt(var + a["eps"]), lambda v: v.reshape(a["x"].shape))


def _is_interleaved(trial: Trial) -> bool:
    a, count = trial.arguments, trial.arguments["x"].shape[1]
    order = np.arange(count).reshape(-1, a["groups"]).T.reshape(-1)
    changes = {"x": a["x"][:, order], "gamma": a["gamma"][order], "beta": a["beta"][order]}
    right = trial.truth(**changes)
    return right is not None and trial.matches(right[:, np.argsort(order)] if trial.result == "y" else right)


def _dx(a: Arguments, mean_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The gradient of x, with other means in it; arrays have the shape of x."""
    x_hat, _, inv_std = normalised(a)
    x_hat, s = (np.broadcast_to(v, x_hat.shape).reshape(a["x"].shape) for v in (x_hat, inv_std))
    d = spread(a["gamma"], a) * a["dy"]
    return s * (d - mean_of(d) - x_hat * mean_of(d * x_hat))


def _is_dx_over(trial: Trial, words: str) -> bool:
    axes = OVER[words](trial.arguments["x"].ndim)
    return trial.matches(_dx(trial.arguments, lambda v: v.mean(axis=axes, keepdims=True)))


def _divides_by_pixels(trial: Trial) -> bool:
    a, pixels = trial.arguments, int(np.prod(trial.arguments["x"].shape[2:]))

    def mean_of(v: np.ndarray) -> np.ndarray:
        own = rows(v, a)
        return np.broadcast_to(own.sum(axis=1, keepdims=True) / pixels, own.shape).reshape(v.shape)

    return trial.matches(_dx(a, mean_of))


def _var(v: np.ndarray) -> np.ndarray:
    return v.var(axis=1, keepdims=True)


_FORMULAS: tuple[tuple[Kind, str, Callable[[np.ndarray, float], np.ndarray]], ...] = (
    (
        Kind.SCALE,
        "the variance is divided by m - 1; here it is divided by m",
        lambda v, eps: 1 / np.sqrt(v.var(axis=1, ddof=1, keepdims=True) + eps),
    ),
    (Kind.FORWARD_DIFFERS, "eps is added outside the square root", lambda v, eps: 1 / (np.sqrt(_var(v)) + eps)),
    (Kind.FORWARD_DIFFERS, "the square root is missing", lambda v, eps: 1 / (_var(v) + eps)),
    (
        Kind.FORWARD_DIFFERS,
        "it is the standard deviation; its inverse belongs here",
        lambda v, eps: np.sqrt(_var(v) + eps),
    ),
    (Kind.FORWARD_DIFFERS, "it is the variance; 1 / sqrt(variance + eps) belongs here", lambda v, eps: _var(v)),
)
