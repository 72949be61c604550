"""An optimizer's step in one pass over memory, written where a parameter and its moments lie."""

import math
from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import Array, plain_body
from minicnn.kernels.numba.elementwise import pass_over
from minicnn.kernels.numba.memory import flat, is_float, laid_as


def sgd_update(w: Array, dw: Array, velocity: Array, **options: Any) -> tuple[Array, Array]:
    """One pass, in place."""
    flats = _flats(w, dw, velocity)
    if flats is None:
        return plain_body("sgd_update")(w, dw, velocity, **options)
    pass_over(_sgd, flats, *_sgd_numbers(w.dtype.type, **options))
    return w, velocity


def adam_update(w: Array, dw: Array, m: Array, v: Array, **options: Any) -> tuple[Array, Array, Array]:
    """One pass, in place; what undoes the moments' bias is computed once."""
    flats = _flats(w, dw, m, v)
    if flats is None:
        return plain_body("adam_update")(w, dw, m, v, **options)
    pass_over(_adam, flats, *_adam_numbers(w.dtype.type, **options))
    return w, m, v


def sgd_update_all(ws: list[Array], dws: list[Array], velocities: list[Array], **options: Any) -> tuple[list, list]:
    """The body, without a look at what is plugged for every parameter."""
    results = [sgd_update(*arrays, **options) for arrays in zip(ws, dws, velocities, strict=True)]
    return [w for w, _ in results], [velocity for _, velocity in results]


def adam_update_all(
    ws: list[Array], dws: list[Array], ms: list[Array], vs: list[Array], *, steps: list[int], **options: Any
) -> tuple[list[Array], list[Array], list[Array]]:
    """The body, without a look at what is plugged for every parameter."""
    cases = zip(ws, dws, ms, vs, steps, strict=True)
    results = [adam_update(*arrays, step=step, **options) for *arrays, step in cases]
    return [w for w, _, _ in results], [m for _, m, _ in results], [v for _, _, v in results]


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
