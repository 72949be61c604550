"""How strong an augmentation may be: numbers and ranges, checked and drawn from."""

import math
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.errors import ArgumentError, ShapeError, at_least, is_number, is_pair, whole_number
from minicnn.ops import random_bits, random_uniform

Range = float | tuple[float, float]
Fill = str | float | tuple[float, ...]


def around_zero(name: str, value: Any) -> tuple[float, float]:
    """Return (least, most) of a range: of a number a, from -a to a. Raises `ArgumentError` for anything else."""
    if is_number(value):
        return -at_least(name, value), value
    return _pair(name, value, f"a number of at least 0 or a pair ({name} from, to)")


def up_to(name: str, value: Any) -> tuple[float, float]:
    """Return (least, most) of a range: of a number a, from 0 to a. Raises `ArgumentError` for anything else."""
    if is_number(value):
        return 0.0, at_least(name, value)
    least, most = _pair(name, value, "a number of at least 0 or a pair of such")
    return at_least(name, least), most


def factors(name: str, value: Any) -> tuple[float, float]:
    """Return (least, most) of a range of factors: of a number a >= 1, from 1/a to a. Raises `ArgumentError` else."""
    if is_number(value):
        return 1 / at_least(name, value, 1.0), value
    least, most = _pair(name, value, "a number of at least 1 or a pair of numbers above 0")
    return at_least(name, least, above=True), most


def _pair(name: str, value: Any, expected: str) -> tuple[float, float]:
    if not is_pair(value) or not all(map(math.isfinite, value)) or value[0] > value[1]:
        raise ArgumentError(f"{name} must be {expected}, the smaller first, not {value!r}")
    return tuple(value)


def whole_pixels(name: str, value: Any, *, least: int = 0) -> tuple[int, int]:
    """Return (vertical, horizontal) of a whole number of pixels, or of two. Raises `ArgumentError` for others."""
    vertical, horizontal = value if isinstance(value, tuple | list) and len(value) == 2 else (value, value)
    return whole_number(name, vertical, least=least), whole_number(name, horizontal, least=least)


def check_fill(fill: Any) -> Any:
    """Return "edge", a number, or a tuple of one number a channel. Raises `ArgumentError` for anything else."""
    if (isinstance(fill, str) and fill == "edge") or _is_finite(fill):
        return fill
    several = np.ravel(fill) if isinstance(fill, tuple | list | np.ndarray) else ()
    if len(several) and all(map(_is_finite, several)):
        return tuple(map(float, several))
    raise ArgumentError(f"fill must be 'edge', a number, or one number a channel, not {fill!r}")


def fill_values(who: object, fill: Fill, x: np.ndarray) -> np.ndarray | None:
    """Return what lies outside the images x, (C,), or None for "edge". Raises `ShapeError` for too few or many."""
    if isinstance(fill, str):
        return None
    values = np.atleast_1d(np.asarray(fill, dtype=x.dtype))
    if len(values) not in (1, x.shape[1]):
        raise ShapeError(f"{who!r}: fill has {len(values)} numbers for {x.shape[1]} channels")
    return np.broadcast_to(values, x.shape[1]).copy()


def drawn(key: Key, count: int, limits: tuple[float, float]) -> np.ndarray:
    """Return `count` numbers uniform between the limits."""
    least, most = limits
    return least + (most - least) * random_uniform(key, shape=(count,))


def drawn_factors(key: Key, count: int, limits: tuple[float, float]) -> np.ndarray:
    """Return `count` factors whose logarithm is uniform between the limits': a half is as likely as twice."""
    return np.exp(drawn(key, count, (math.log(limits[0]), math.log(limits[1]))))


def drawn_whole(key: Key, count: int, least: int, most: int) -> np.ndarray:
    """Return `count` whole numbers from least to most, as float64."""
    return least + np.floor(random_uniform(key, shape=(count,)) * (most - least + 1))


def many_uniform(key: Key, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return numbers uniform in (0, 1] of 32 random bits each: for a number a pixel, where 53 bits take too long."""
    bits = random_bits(key, count=math.prod(shape)).astype(dtype)
    return ((bits + dtype.type(0.5)) * dtype.type(2.0**-32)).reshape(shape)


def many_normal(key: Key, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return standard normal numbers. Box and Muller, 1958: sqrt(-2 ln u) times cos(2 pi v) and times sin(2 pi v)."""
    count = math.prod(shape)
    u, v = many_uniform(key, (2, -(-count // 2)), dtype)
    radius, angle = np.sqrt(-2 * np.log(u)), dtype.type(2 * np.pi) * v
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(shape)


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
