"""Products: a factor that is multiplied at the wrong end, or a sum of products with the wrong factor."""

from collections.abc import Iterator

import numpy as np

from minicnn.check.kinds import Kind
from minicnn.check.trial import Reading, Trial

AT_THE_START = "What is multiplied first on the way forwards is multiplied last on the way back: which comes last here?"


def late_factors(trial: Trial) -> Iterator[Reading]:
    """A factor stands outside a mean or a sum, and belongs inside: dy has to be multiplied by it first."""
    dy = trial.arguments.get("dy")
    if not isinstance(dy, np.ndarray) or dy.shape != trial.expected.shape:
        return
    for name, value in trial.arrays():
        if name != "dy" and name not in trial.batched and value.all() and value.size > 1:
            yield Reading(
                Kind.SCALE,
                f"{name} is multiplied at the end; it belongs inside the means, at the beginning",
                _comes_late,
                (name,),
                hint=AT_THE_START,
                evidence={"argument": name},
            )


def _comes_late(trial: Trial, name: str) -> bool:
    dy, value = trial.arguments["dy"], trial.arguments[name]
    for factor in _broadcasts(value, dy):
        right = trial.truth(dy=dy / factor)
        if right is not None and trial.matches(right * factor):
            return True
    return False


def _broadcasts(value: np.ndarray, like: np.ndarray) -> Iterator[np.ndarray]:
    """Walk over the ways in which an array may line up with another: by its last axes, or by channels."""
    if value.ndim <= like.ndim and value.shape == like.shape[like.ndim - value.ndim :]:
        yield value
    if value.ndim == 1 and like.ndim > 2 and len(value) == like.shape[1]:
        yield value.reshape(-1, *[1] * (like.ndim - 2))


def sums_of_products(trial: Trial) -> Iterator[Reading]:
    """The gradient of a factor is a sum of dy times what it multiplied; here dy is multiplied by the input."""
    dy, x = trial.arguments.get("dy"), trial.arguments.get("x")
    if not isinstance(dy, np.ndarray) or not isinstance(x, np.ndarray) or x.dtype.kind != "f" or x.shape != dy.shape:
        return
    if trial.expected.ndim < dy.ndim and trial.result not in ("dx", "x"):
        yield Reading(
            Kind.WRONG_CACHE,
            f"it is the sum of dy times x; what {trial.result.removeprefix('d')} was multiplied by belongs there",
            _is_sum_with_x,
            fallback=True,
        )


def _is_sum_with_x(trial: Trial) -> bool:
    product, shape = trial.arguments["dy"] * trial.arguments["x"], trial.expected.shape
    lasts = product.sum(axis=tuple(range(product.ndim - len(shape))))
    channels = product.sum(axis=(0, *range(2, product.ndim)))
    return any(sums.shape == shape and trial.matches(sums) for sums in (lasts, channels))
