"""The space of a search: for each setting's name the values that it may take, and how to draw one.

A draw is a pure function of (seed of the search, name of the setting, number of the trial): trial 7 gets the same
settings whatever came before it, and a setting added to the space leaves the others' values as they were.
"""

import itertools
import math
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.errors import ArgumentError
from minicnn.ops import random_bits, random_uniform

Settings = dict[str, Any]


class Distribution(ABC):
    """The values that a setting may take."""

    @abstractmethod
    def at(self, u: float) -> Any:
        """Return the value at u, 0 <= u < 1: with u uniform, it is drawn from the distribution."""

    @abstractmethod
    def values(self) -> list | None:
        """Return all values in order, or None where there are too many to try them all."""


@dataclass(frozen=True, repr=False)
class Choice(Distribution):
    """One of the given values, each as likely as any other."""

    options: tuple

    def at(self, u: float) -> Any:
        """Return the value number floor(n u) of n."""
        return self.options[int(u * len(self.options))]

    def values(self) -> list:
        """Return the options."""
        return list(self.options)

    def __repr__(self) -> str:
        return f"choice({', '.join(map(readable, self.options))})"


@dataclass(frozen=True)
class Integers(Distribution):
    """A whole number from low to high, both included."""

    low: int
    high: int

    def at(self, u: float) -> int:
        """Return low + floor(n u), with n numbers to choose from."""
        return self.low + int(u * (self.high - self.low + 1))

    def values(self) -> list:
        """Return low, low + 1, ..., high."""
        return list(range(self.low, self.high + 1))

    def __repr__(self) -> str:
        return f"integers({self.low}, {self.high})"


@dataclass(frozen=True)
class Uniform(Distribution):
    """A number from low to high."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """Return low + u (high - low)."""
        return self.low + u * (self.high - self.low)

    def values(self) -> None:
        """There are too many."""

    def __repr__(self) -> str:
        return f"uniform({self.low}, {self.high})"


@dataclass(frozen=True)
class LogUniform(Distribution):
    """A number from low to high whose logarithm is uniform."""

    low: float
    high: float

    def at(self, u: float) -> float:
        """Return low (high / low)^u."""
        return self.low * (self.high / self.low) ** u

    def values(self) -> None:
        """There are too many."""

    def __repr__(self) -> str:
        return f"loguniform({self.low}, {self.high})"


def choice(*values: Any) -> Choice:
    """One of these values, each as likely as any other: `choice(8, 16, 32)`. A list in a space means the same.

    Raises `ArgumentError` if there are none.
    """
    if not values:
        raise ArgumentError("choice() has no values to choose from: choice(8, 16, 32)")
    return Choice(tuple(value.item() if isinstance(value, np.generic) else value for value in values))


def integers(low: int, high: int) -> Integers:
    """A whole number from low to high, both included, each as likely as any other.

    Raises `ArgumentError` unless both are whole numbers and low <= high.
    """
    try:
        first, last = int(low), int(high)
        whole = first == low and last == high
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole or not first <= last:
        raise ArgumentError(f"integers({low!r}, {high!r}): expected whole numbers, the lower one first")
    return Integers(first, last)


def uniform(low: float, high: float) -> Uniform:
    """A number from low to high, each as likely as any other. Raises `ArgumentError` unless low < high."""
    first, last = _bounds("uniform", low, high)
    return Uniform(first, last)


def loguniform(low: float, high: float) -> LogUniform:
    """A number from low to high, each order of magnitude as likely as any other: for learning rates and penalties.

    Raises `ArgumentError` unless 0 < low < high.
    """
    first, last = _bounds("loguniform", low, high)
    if first <= 0:
        raise ArgumentError(f"loguniform({low!r}, {high!r}): low must be above 0, it is {low!r}")
    return LogUniform(first, last)


def _bounds(name: str, low: Any, high: Any) -> tuple[float, float]:
    try:
        first, last = float(low), float(high)
    except (TypeError, ValueError):
        first, last = math.nan, math.nan
    if not -math.inf < first < last < math.inf:
        raise ArgumentError(f"{name}({low!r}, {high!r}): expected two finite numbers, the lower one first")
    return first, last


def checked_space(space: Any) -> dict[str, Distribution]:
    """Return a space with lists made choices. Raises `ArgumentError` if it, or a parameter in it, has no values."""
    if not isinstance(space, Mapping) or not space:
        raise ArgumentError(
            "the space must be a dict of settings by name, such as {'lr': loguniform(1e-4, 1e-1), 'width': [8, 16]}, "
            f"not {space!r}"
        )
    return {_checked_name(name): _distribution(name, values) for name, values in space.items()}


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise ArgumentError(f"the space's names must be strings, as they become arguments; not {name!r}")
    return name


def _distribution(name: str, values: Any) -> Distribution:
    if isinstance(values, Distribution):
        return values
    if not isinstance(values, list | tuple | range | np.ndarray):
        raise ArgumentError(
            f"the space's {name!r} must be a list of values or one of choice, integers, uniform, loguniform; "
            f"not {values!r}"
        )
    if len(values) == 0:
        raise ArgumentError(f"the space's {name!r} has no values to choose from")
    return choice(*values)


def draw(space: Mapping[str, Distribution], seed: int, number: int) -> Settings:
    """Return the settings of a trial."""
    return {
        name: values.at(float(random_uniform(_key(seed, f"setting {name}", number), shape=(1,))[0]))
        for name, values in space.items()
    }


def seeds_of_trial(seed: int, number: int, count: int) -> tuple[int, ...]:
    """Return the seeds under which a trial is trained; the first of them are the same for any count."""
    return tuple(int(bits) for bits in random_bits(_key(seed, "seeds of trials", number), count=count))


def _key(seed: int, name: str, number: int) -> Key:
    return Key(seed, stream=zlib.crc32(name.encode()), step=number)


def grid(space: Mapping[str, Distribution]) -> list[Settings]:
    """Return all combinations, in the order of nested loops: the last setting changes fastest.

    Raises `ArgumentError` if a parameter has more values than can be tried.
    """
    columns = []
    for name, values in space.items():
        column = values.values()
        if column is None:
            raise ArgumentError(
                f"grid_search tries all values of a setting, and {name!r} is {values!r}; give a list, such as "
                f"{name}=[{values.at(0.0):g}, {values.at(0.5):.3g}], or take random_search"
            )
        columns.append(column)
    return [dict(zip(space, row, strict=True)) for row in itertools.product(*columns)]


def readable(value: Any) -> str:
    """Return a value as text for tables and records, the same in every process: functions and classes by name."""
    name = getattr(value, "__qualname__", None)
    return name if isinstance(name, str) else re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
