"""Sigmoid and tanh in the arithmetic of the number's own type, float32 or float64.

    e = e^-|x|                  sigmoid(x) = 1 / (1 + e) for x >= 0, and e / (1 + e) below
    e = e^-2|x| - 1             tanh(|x|) = -e / (2 + e)

A vector holds twice as many numbers in float32, and e^r needs half as many terms. `exponential.py` computes in float64
throughout, where a pass over memory takes most of the time anyhow; gates are computed on what is in the cache.
"""

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from minicnn.kernels.numba.exponential import exp, expm1

LOG2_E = np.float32(1 / math.log(2))
LN2_HIGH = np.float32(0.693359375)
"""ln 2 in 9 bits, so that n * LN2_HIGH is exact; LN2_LOW is the rest."""
LN2_LOW = np.float32(math.log(2) - 0.693359375)
TO_WHOLE = np.float32(1.5 * 2.0**23)
"""As in `exponential.py`: the last bits of a sum with it hold the nearest integer."""
LEAST = np.float32(-87.0)
"""e^LEAST is about the smallest normal float32."""
ZERO, ONE, TWO = (np.float32(number) for number in range(3))
C2, C3, C4, C5, C6, C7 = (np.float32(1 / math.factorial(k)) for k in range(2, 8))

OPTIONS: dict[str, Any] = {"error_model": "numpy", "forceinline": True, "fastmath": {"contract"}}
"""Inlined, since a loop that calls a function is not vectorised; a * b + c may become one instruction."""
formula = register_jitable(**OPTIONS)


def sigmoid(x: float) -> float:
    """1 / (1 + e^-x)"""
    return 1 / (1 + math.exp(-x))


def tanh(x: float) -> float:
    """(e^x - e^-x) / (e^x + e^-x)"""
    return math.tanh(x)


@overload(sigmoid, jit_options=OPTIONS)
def _compiled_sigmoid(x):  # type: ignore[no-untyped-def]
    return _sigmoid_32 if x == types.float32 else _sigmoid_64


@overload(tanh, jit_options=OPTIONS)
def _compiled_tanh(x):  # type: ignore[no-untyped-def]
    return _tanh_32 if x == types.float32 else _tanh_64


def _sigmoid_64(x):  # type: ignore[no-untyped-def]
    e = exp(-abs(x))
    return (1.0 if x >= 0.0 else e) / (1.0 + e)


def _tanh_64(x):  # type: ignore[no-untyped-def]
    e = expm1(-2.0 * abs(x))
    size = -e / (2.0 + e)
    return -size if x < 0.0 else size


def _sigmoid_32(x):  # type: ignore[no-untyped-def]
    power, more = _split(-abs(x))
    e = power + power * more
    return (ONE if x >= ZERO else e) / (ONE + e)


def _tanh_32(x):  # type: ignore[no-untyped-def]
    power, more = _split(-TWO * abs(x))
    e = (power - ONE) + power * more
    size = -e / (TWO + e)
    return -size if x < ZERO else size


@formula
def _split(x):  # type: ignore[no-untyped-def]
    """Return 2^n and e^r - 1 of e^x, x <= 0, as in `exponential.py` but in float32."""
    z = LEAST if x < LEAST else x
    shifted = z * LOG2_E + TO_WHOLE
    n = shifted - TO_WHOLE
    r = (z - n * LN2_HIGH) - n * LN2_LOW
    more = r + r * r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * (C6 + r * C7)))))
    power = np.int32((np.float32(shifted).view(np.int32) + 127) << 23).view(np.float32)
    return ZERO if x < LEAST else power, more
