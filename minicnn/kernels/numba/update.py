"""An optimizer's step in one pass over memory, written where a parameter and its moments lie."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import Array, plain_body
from minicnn.kernels.numba.elementwise import pass_over
from minicnn.kernels.numba.memory import flat, is_float, laid_as


def sgd_update(w: Array, dw: Array, velocity: Array, **options: Any) -> tuple[Array, Array]:
    """One pass, in place."""
    ws, velocities = sgd_update_all([w], [dw], [velocity], **options)
    return ws[0], velocities[0]


def adam_update(w: Array, dw: Array, m: Array, v: Array, *, step: int, **options: Any) -> tuple[Array, Array, Array]:
    """One pass, in place; what undoes the moments' bias is computed once."""
    ws, ms, vs = adam_update_all([w], [dw], [m], [v], steps=[step], **options)
    return ws[0], ms[0], vs[0]


def sgd_update_all(ws: list[Array], dws: list[Array], velocities: list[Array], **options: Any) -> Any:
    """What is the same for all parameters is done once."""
    return _update_all("sgd_update", _sgd, _sgd_numbers, (ws, dws, velocities), [options] * len(ws))


def adam_update_all(
    ws: list[Array], dws: list[Array], ms: list[Array], vs: list[Array], *, steps: list[int], **options: Any
) -> Any:
    """What is the same for all parameters is done once."""
    return _update_all("adam_update", _adam, _adam_numbers, (ws, dws, ms, vs), [{**options, "step": s} for s in steps])


def _update_all(name: str, loop: Callable, numbers_of: Callable, lists: tuple[list[Array], ...], options: list) -> Any:
    """Update parameter after parameter, each by its options; return lists of w and of the moments."""
    last, numbers, results = None, (), []
    for arrays, own in zip(zip(*lists, strict=True), options, strict=True):
        flats, kind = _flats(*arrays), (arrays[0].dtype, own.get("step"))
        if flats is None:
            results.append(plain_body(name)(*arrays, **own))
            continue
        if kind != last:
            last, numbers = kind, numbers_of(arrays[0].dtype.type, **own)
        pass_over(loop, flats, *numbers)
        results.append((arrays[0], *arrays[2:]))
    return tuple(list(column) for column in zip(*results, strict=True)) or tuple([] for _ in lists[1:])


def _sgd_numbers(
    number: Any, *, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
) -> tuple[Any, ...]:
    return number(lr), number(momentum), bool(nesterov), number(weight_decay)


def _adam_numbers(
    number: Any,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Any, ...]:
    numbers = beta1, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step), 1 / (1 - beta2**step), eps, weight_decay
    return tuple(number(value) for value in numbers)


def _flats(w: Array, dw: Array, *moments: Array) -> list[np.ndarray] | None:
    """Return flat views, if all lie alike and may be written to; a gradient that lies otherwise is copied."""
    if not is_float(w, dw, *moments) or not w.flags.writeable:
        return None
    for moment in moments:
        if not moment.flags.writeable:
            return None
    return flat(w, laid_as(w, dw), *moments)


@njit(nogil=True, cache=True)
def _sgd(w, dw, velocity, lr, momentum, nesterov, weight_decay):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        g = dw[i] + weight_decay * w[i]
        velocity[i] = momentum * velocity[i] + g
        w[i] -= lr * (g + momentum * velocity[i] if nesterov else velocity[i])


@njit(nogil=True, cache=True, error_model="numpy")
def _adam(w, dw, m, v, beta1, rest1, beta2, rest2, lr, unbias, eps, weight_decay):  # type: ignore[no-untyped-def]
    for i in range(w.size):
        g = dw[i] + weight_decay * w[i]
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * (g * g)
        w[i] -= lr * m[i] / (math.sqrt(v[i] * unbias) + eps)
