"""The package's own exceptions: each is a `MinicnnError` and also the built-in that a caller would expect."""

import math
import numbers
import reprlib
from typing import Any


class MinicnnError(Exception):
    """Whatever minicnn itself refuses; catch this one to catch them all."""


class ArgumentError(MinicnnError, ValueError):
    """An argument has a value that makes no sense: a stride of 0, a dropout rate of 1.5, an unknown name."""


class ShapeError(MinicnnError, ValueError):
    """An array has the wrong number of axes, or an axis of the wrong length."""


class DTypeError(MinicnnError, TypeError):
    """An array has the wrong element type."""


class SlotError(MinicnnError, TypeError):
    """A function does not fit the operation that it was to replace."""


class BackendError(MinicnnError, RuntimeError):
    """The backend asked for cannot run here; the message says why and what mends it."""


class DeviceError(MinicnnError, TypeError):
    """Arrays of two devices met in one operation."""


class BackwardError(MinicnnError, RuntimeError):
    """`backward` was called when there was nothing to go back through."""


class DataError(MinicnnError, ValueError):
    """A data set or a batch is not what it should be: empty, truncated, mislabelled, sealed."""


class CheckpointError(MinicnnError, ValueError):
    """A file of weights is damaged, or belongs to another model."""


class OutputError(MinicnnError, OSError):
    """A file or a folder cannot be written."""


class DependencyError(MinicnnError, ImportError):
    """A package that only some parts of minicnn need is not installed; the message has the command that installs it."""


class NonFiniteError(MinicnnError, FloatingPointError):
    """A NaN or an infinity arose in training; the message names the layer where it first did."""


class UndefinedMetricWarning(UserWarning):
    """A measure is 0 / 0, such as the precision where nothing was predicted; the message says what it is set to."""


class CheckpointWarning(UserWarning):
    """A training goes on from a checkpoint in another way than it began; the message says how."""


class DataWarning(UserWarning):
    """Data that can be trained on, though a score on it may not mean what it seems to: leaks, an order by class."""


def whole_number(name: str, value: object, *, least: int = 1) -> int:
    """Return the value as an int. Raises `ArgumentError` unless it is a whole number of at least `least`."""
    try:
        number = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != value or number < least:
        raise ArgumentError(f"{name} must be a whole number of at least {least}, not {value!r}")
    return number


def at_least(name: str, value: Any, least: float = 0.0, *, above: bool = False) -> float:
    """Return a finite number of at least `least`, or above it. Raises `ArgumentError` for anything else."""
    if not is_number(value) or not math.isfinite(value) or value < least or (above and value == least):
        bound = f" {'above' if above else 'of at least'} {least:g}" if least > -math.inf else ""
        raise ArgumentError(f"{name} must be a number{bound}, not {value!r}")
    return value


def probability(name: str, value: Any) -> float:
    """Return the value as a float. Raises `ArgumentError` unless it is a number from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ArgumentError(f"{name} is a probability and must lie between 0 and 1, not {value!r}")
    return float(value)


def is_number(value: Any) -> bool:
    """Return whether it is one real number, not a truth value, a string or an array."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def is_pair(value: Any) -> bool:
    """Return whether it is a tuple or a list of two numbers."""
    return isinstance(value, tuple | list) and len(value) == 2 and all(map(is_number, value))


def listed(names: object) -> str:
    """Write names as a readable list for an error message: `'a', 'b', 'c'`."""
    return ", ".join(repr(str(name)) for name in names)  # type: ignore[attr-defined]


def expect_kind(kind: Any, value: Any, name: str) -> Any:
    """Return the value. Raises `ArgumentError` unless it is of that kind, with a hint if it is a class."""
    if isinstance(value, type) and issubclass(value, kind):
        raise ArgumentError(f"{name} is the class {value.__name__}; build one: {value.__name__}(...)")
    if not isinstance(value, kind):
        raise ArgumentError(f"{name} must be {_a(kind.__name__)}, not {reprlib.repr(value)}")
    return value


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'AEIOU' else 'a'} {noun}"
