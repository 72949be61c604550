"""Exponentials, logarithms and the normal distribution in arithmetic that a compiler turns into whole vectors.

A library's exp is called for one number at a time. These are polynomials, so a loop over them works on as many numbers
at once as a vector holds. All is computed in float64, whatever goes in, to the last digit or two.

    x = n ln 2 + r,  |r| <= ln 2 / 2          e^x = 2^n e^r        e^r - 1 = r + r^2 / 2! + ... + r^13 / 13!
    s = e / (2 + e)                           log(1 + e) = 2 (s + s^3 / 3 + s^5 / 5 + ...)
    t = (a - 3.75) / (a + 3.75),  a >= 0      erfc(a) = e^(-a^2) / (1 + 2a) * a polynomial in t

Muller, "Elementary functions: algorithms and implementation", 2016, sections 11.1 and 11.4. Shepherd and Laframboise,
"Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in 0 <= x < infinity", Mathematics of Computation 36, 1981.
"""

import math

import numpy as np
from numba import njit

LOG2_E = 1 / math.log(2)
LN2_HIGH = float.fromhex("0x1.62e42fefa38p-1")
"""ln 2 with 11 of its last bits cut off, so that n * LN2_HIGH is exact; LN2_LOW is the rest."""
LN2_LOW = float.fromhex("0x1.ef35793c7673p-45")
TO_WHOLE = 1.5 * 2.0**52
"""Added to a small number, it leaves no room behind the binary point: the sum's last bits hold the nearest integer."""
LEAST = -708.0
"""e^LEAST is about the smallest normal float64."""
INVERSE = 1 / np.arange(1, 36)
HALF_WIDTH = 3.75
ERFC = np.array([
    1.2375126308378275, -0.14024059858554522, 0.0035854154854663067, 0.08227673848999159, -0.10880393014193915,
    0.09230432116435616, -0.058693398584491845, 0.028362277371370044, -0.00974657962081509, 0.0017556261692276722,
    0.00029371408777227685, -0.0002901553656394713, 5.164737123871838e-05, 2.238759272534769e-05,
    -1.143961526007595e-05, -9.79297529099823e-07, 1.7438577411359181e-06, -5.0816911811698186e-08,
    -2.4996538037405243e-07, 1.8778501156468795e-08, 3.256499083798513e-08, -1.952790162974837e-09,
    -2.7293941332533855e-09,
])  # fmt: skip
"""The polynomial through 23 Chebyshev nodes, computed with mpmath in 50 digits; its relative error is 1.5e-16."""


@njit(error_model="numpy", forceinline=True)
def exp(x):  # type: ignore[no-untyped-def]
    """e^x for x <= 0; 0 below LEAST."""
    power, more = _split(x)
    return power + power * more


@njit(error_model="numpy", forceinline=True)
def expm1(x):  # type: ignore[no-untyped-def]
    """e^x - 1 for x <= 0, exact to the last digits near 0 too."""
    power, more = _split(x)
    return (power - 1) + power * more


@njit(error_model="numpy", forceinline=True)
def log1p(e):  # type: ignore[no-untyped-def]
    """log(1 + e) for 0 <= e <= 1."""
    s = e / (2.0 + e)
    horner = 0.0
    for k in range(34, -1, -2):
        horner = INVERSE[k] + s * s * horner
    return 2 * s * horner


@njit(error_model="numpy", forceinline=True)
def normal_cdf(x):  # type: ignore[no-untyped-def]
    """The share of the normal distribution that lies below x: erfc(-x / sqrt 2) / 2."""
    a = np.float64(abs(x)) * math.sqrt(0.5)
    t = 1 - 2 * HALF_WIDTH / (a + HALF_WIDTH)
    horner = 0.0
    for k in range(22, -1, -1):
        horner = ERFC[k] + t * horner
    tail = 0.5 * exp(-a * a) * horner / (1 + 2 * a)
    return tail if x < 0 else 1 - tail


@njit(error_model="numpy", forceinline=True)
def _split(x):  # type: ignore[no-untyped-def]
    """Return 2^n and e^r - 1."""
    x64 = LEAST if x < LEAST else np.float64(x)
    shifted = x64 * LOG2_E + TO_WHOLE
    n = shifted - TO_WHOLE
    r = (x64 - n * LN2_HIGH) - n * LN2_LOW
    horner = 1.0
    for k in range(12, 0, -1):
        horner = 1.0 + horner * (r * INVERSE[k])
    exponent = np.float64(shifted).view(np.int64) + 1023
    power = np.int64(exponent << 52).view(np.float64)
    return 0.0 if x < LEAST else power, horner * r
