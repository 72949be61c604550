"""How weights start. An initialiser is a function (shape, rng) -> float64 array on the host.

Weights of shape (F, C, kh, kw) or (K, D): each output sums `fan_in` = C*kh*kw or D products, each input goes into
`fan_out` = F*kh*kw or K of them. The schemes choose the variance so that numbers neither die out nor explode.
"""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from minicnn.backend import CounterRng
from minicnn.errors import ShapeError
from minicnn.ops import random_normal, random_uniform

Shape: TypeAlias = tuple[int, ...]
Initialiser: TypeAlias = Callable[[Shape, CounterRng], np.ndarray]


def he_normal(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Normal with variance 2 / fan_in, for ReLU.   He et al., "Delving deep into rectifiers", 2015, equation 10."""
    return _normal(shape, rng, 2 / fans(shape)[0])


def he_uniform(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Uniform with variance 2 / fan_in, for ReLU.   He et al., 2015, equation 10."""
    return _uniform(shape, rng, 2 / fans(shape)[0])


def xavier_normal(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Normal with variance 2 / (fan_in + fan_out), for tanh.

    Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, equation 12.
    """
    return _normal(shape, rng, 2 / sum(fans(shape)))


def xavier_uniform(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Uniform with variance 2 / (fan_in + fan_out), for tanh.   Glorot and Bengio, 2010, equation 16."""
    return _uniform(shape, rng, 2 / sum(fans(shape)))


def lecun_normal(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Normal with variance 1 / fan_in, for SELU.   LeCun et al., "Efficient backprop", 1998, equation 16."""
    return _normal(shape, rng, 1 / fans(shape)[0])


def lecun_uniform(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Uniform with variance 1 / fan_in.   LeCun et al., "Efficient backprop", 1998, equation 16."""
    return _uniform(shape, rng, 1 / fans(shape)[0])


def orthogonal(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Rows (or columns, whichever are fewer) of a random orthogonal matrix, reshaped: lengths are kept.

    Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning", 2014, section 3.
    """
    rows, columns = shape[0], math.prod(shape[1:])
    tall = random_normal(rng.next_key(), shape=(max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(tall)
    q *= np.sign(np.diag(r))  # makes the distribution uniform over orthogonal matrices
    return (q if rows >= columns else q.T).reshape(shape)


def constant(value: float) -> Initialiser:
    """Return the initialiser that sets every weight to `value`."""

    def fill(shape: Shape, rng: CounterRng) -> np.ndarray:
        return np.full(shape, float(value))

    return fill


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out) of weights of this shape. Raises `ShapeError` for fewer than two axes."""
    if len(shape) < 2:
        raise ShapeError(f"this initialiser needs weights of two or more axes (out, in, ...), not shape {shape}")
    positions = math.prod(shape[2:])
    return shape[1] * positions, shape[0] * positions


def _normal(shape: Shape, rng: CounterRng, variance: float) -> np.ndarray:
    return math.sqrt(variance) * random_normal(rng.next_key(), shape=shape)


def _uniform(shape: Shape, rng: CounterRng, variance: float) -> np.ndarray:
    """Uniform in [-a, a] has variance a^2 / 3."""
    return math.sqrt(3 * variance) * (2 * random_uniform(rng.next_key(), shape=shape) - 1)
