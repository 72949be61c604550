"""An optimizer's step for one parameter in one pass over memory, written where the parameter and its moments lie."""

import math

import numpy as np
from numba import njit

from minicnn.backend import Array, plain_body
from minicnn.kernels.numba.elementwise import pass_over
from minicnn.kernels.numba.memory import flat, is_float, laid_as


def sgd_update(
    w: Array,
    dw: Array,
    velocity: Array,
    *,
    lr: float,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> tuple[Array, Array]:
    """One pass, in place."""
    flats = _flats(w, dw, velocity)
    if flats is None:
        options = {"lr": lr, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
        return plain_body("sgd_update")(w, dw, velocity, **options)
    number = w.dtype.type
    pass_over(_sgd, flats, number(lr), number(momentum), bool(nesterov), number(weight_decay))
    return w, velocity


def adam_update(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    *,
    step: int,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[Array, Array, Array]:
    """One pass, in place; what undoes the moments' bias is computed once."""
    flats = _flats(w, dw, m, v)
    if flats is None:
        options = {"lr": lr, "beta1": beta1, "beta2": beta2, "eps": eps, "weight_decay": weight_decay}
        return plain_body("adam_update")(w, dw, m, v, step=step, **options)
    numbers = [beta1, 1 - beta1, beta2, 1 - beta2, lr / (1 - beta1**step), 1 / (1 - beta2**step), eps, weight_decay]
    pass_over(_adam, flats, *[w.dtype.type(number) for number in numbers])
    return w, m, v


def _flats(w: Array, dw: Array, *moments: Array) -> list[np.ndarray] | None:
    """Return flat views, if all lie alike and may be written to; a gradient that lies otherwise is copied."""
    if not is_float(w, dw, *moments):
        return None
    flats = flat(w, laid_as(w, dw), *moments)
    return flats if flats and all(f.flags.writeable for f in (flats[0], *flats[2:])) else None


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
