"""The schemes: functions (shape, rng) -> float64 array on the host, and functions that make such functions."""

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from minicnn.backend import CounterRng
from minicnn.errors import ArgumentError, ShapeError, listed
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


def zeros(shape: Shape, rng: CounterRng) -> np.ndarray:
    """Return zeros: right for biases, and wrong for weights, all of which would then learn the same."""
    return np.zeros(shape)


def constant(value: float) -> Initialiser:
    """Return the initialiser that sets every weight to `value`."""

    def fill(shape: Shape, rng: CounterRng) -> np.ndarray:
        return np.full(shape, float(value))

    return fill


def normal(std: float = 1.0, mean: float = 0.0) -> Initialiser:
    """Return the initialiser that draws from the normal distribution, whatever the shape.

    Raises `ArgumentError` unless std >= 0 and both are finite.
    """
    _check_spread(std, mean)

    def draw(shape: Shape, rng: CounterRng) -> np.ndarray:
        return mean + std * random_normal(rng.next_key(), shape=shape)

    return draw


def uniform(low: float = 0.0, high: float = 1.0) -> Initialiser:
    """Return the initialiser that draws from [low, high), whatever the shape.

    Raises `ArgumentError` unless low <= high and both are finite.
    """
    if not -math.inf < low <= high < math.inf:
        raise ArgumentError(f"low must be at most high, and both finite, not {low} and {high}")

    def draw(shape: Shape, rng: CounterRng) -> np.ndarray:
        return low + (high - low) * random_uniform(rng.next_key(), shape=shape)

    return draw


def truncated_normal(std: float = 1.0, mean: float = 0.0, *, cut: float = 2.0) -> Initialiser:
    """Return the initialiser that draws from a normal distribution without tails: within cut * std of the mean.

    What falls outside is drawn again. As in PyTorch and Keras, `std` is that of the whole distribution: what is left
    has 0.88 of it for cut = 2. Raises `ArgumentError` unless std >= 0, cut >= 0.1 and all are finite.
    """
    _check_spread(std, mean)
    _check_cut(cut)

    def draw(shape: Shape, rng: CounterRng) -> np.ndarray:
        z = random_normal(rng.next_key(), shape=shape)
        while (outside := np.abs(z) > cut).any():
            z[outside] = random_normal(rng.next_key(), shape=(int(outside.sum()),))
        return mean + std * z

    return draw


def variance_scaling(scale: float = 1.0, mode: str = "fan_in", distribution: str = "normal") -> Initialiser:
    """Return the initialiser with mean 0 and variance scale / fan: the others of this file are its special cases.

    Parameters
    ----------
    scale : float
        Above 0. 2 makes up for ReLU; for other activations, `calculate_gain(name) ** 2`.
    mode : "fan_in", "fan_out" or "fan_avg"
        What is kept: the outputs' variance in the forward pass, the gradients' in the backward pass, or the mean of
        both fans. `variance_scaling(2, "fan_out")` is He et al., 2015, equation 14.
    distribution : "normal", "uniform" or "truncated_normal"
        The last is cut at two standard deviations, and widened so that the variance stays right.

    Raises
    ------
    ArgumentError
        If scale is not above 0, or the others are none of these.
    """
    if not 0 < scale < math.inf:
        raise ArgumentError(f"scale must be above 0, not {scale}")
    fan_of = {
        "fan_in": lambda fan_in, _: fan_in,
        "fan_out": lambda _, fan_out: fan_out,
        "fan_avg": lambda a, b: (a + b) / 2,
    }
    draw_with = {"normal": _normal, "uniform": _uniform, "truncated_normal": _truncated_normal}
    if mode not in fan_of:
        raise ArgumentError(f"mode must be one of {listed(fan_of)}, not {mode!r}")
    if distribution not in draw_with:
        raise ArgumentError(f"distribution must be one of {listed(draw_with)}, not {distribution!r}")

    def draw(shape: Shape, rng: CounterRng) -> np.ndarray:
        return draw_with[distribution](shape, rng, scale / fan_of[mode](*fans(shape)))

    return draw


def scaled(init: Initialiser, gain: float) -> Initialiser:
    """Return the initialiser whose weights are `gain` times those of `init`: `scaled(orthogonal, 2**0.5)` for ReLU."""

    def draw(shape: Shape, rng: CounterRng) -> np.ndarray:
        return gain * init(shape, rng)

    return draw


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor for the weights' standard deviation that makes up for what an activation takes. As in PyTorch.

    For "relu" and "leaky_relu" it is exact: 1 / sqrt(E[f(z)^2]) for a standard normal z; `param` is the leaky one's
    slope, 0.01 by default. The others are rules of thumb: "tanh" 5/3 (the formula would give 1.59), "selu" 3/4, and 1
    for "sigmoid" and "linear". Raises `ArgumentError` for other names.
    """
    slope = 0.01 if param is None else param
    gains = {
        "linear": 1.0,
        "sigmoid": 1.0,
        "tanh": 5 / 3,
        "relu": math.sqrt(2),
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    if nonlinearity not in gains:
        raise ArgumentError(f"nonlinearity must be one of {listed(gains)}, not {nonlinearity!r}")
    return gains[nonlinearity]


def fans(shape: Shape) -> tuple[int, int]:
    """Return (fan_in, fan_out) of weights of this shape: products that an output sums, and that an input goes into.

    Weights (F, C, kh, kw) have C*kh*kw and F*kh*kw, weights (K, D) have D and K. As in PyTorch, the groups of a
    convolution are not known here: its fan_out is too large by their number.
    Raises `ShapeError` for fewer than two axes.
    """
    if len(shape) < 2:
        raise ShapeError(f"this initialiser needs weights of two or more axes (out, in, ...), not shape {shape}")
    positions = math.prod(shape[2:])
    return shape[1] * positions, shape[0] * positions


def _normal(shape: Shape, rng: CounterRng, variance: float) -> np.ndarray:
    return math.sqrt(variance) * random_normal(rng.next_key(), shape=shape)


def _uniform(shape: Shape, rng: CounterRng, variance: float) -> np.ndarray:
    """Uniform in [-a, a] has variance a^2 / 3."""
    return math.sqrt(3 * variance) * (2 * random_uniform(rng.next_key(), shape=shape) - 1)


def _truncated_normal(shape: Shape, rng: CounterRng, variance: float, cut: float = 2.0) -> np.ndarray:
    """A standard normal cut at +-c has variance 1 - 2c phi(c) / (2 Phi(c) - 1)."""
    phi = math.exp(-cut * cut / 2) / math.sqrt(2 * math.pi)
    left = 1 - 2 * cut * phi / math.erf(cut / math.sqrt(2))
    return truncated_normal(math.sqrt(variance / left), cut=cut)(shape, rng)


def _check_spread(std: float, mean: float) -> None:
    if not 0 <= std < math.inf:
        raise ArgumentError(f"std must be at least 0, not {std}")
    if not math.isfinite(mean):
        raise ArgumentError(f"mean must be finite, not {mean}")


def _check_cut(cut: float) -> None:
    if not 0.1 <= cut < math.inf:
        raise ArgumentError(f"cut must be at least 0.1 standard deviations, not {cut}; use `uniform` for less")
