"""What a hypothesis about a mistake is tried on, and what it says if it holds."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minicnn.check.kinds import Kind

CANCELLED = 1e-13  # what may remain of numbers around 1 that should cancel


@dataclass(frozen=True, eq=False)
class Trial:
    """One wrong result of one call, and the means to try what would have made it right.

    Attributes
    ----------
    operation : str
        Of which the result is, or "" for a layer or function of which only the gradient is known.
    result : str
        "dx", or a parameter's name.
    label : str
        What is special about the call.
    got, expected : array
        What the candidate returned, and what is right; the right one is NaN where it cannot be told (on a kink).
    arguments : dict
        Of the call, by name.
    batched : set of str
        Those arguments whose first axis is the batch.
    quantities : dict of str to float
        Numbers by which a result may be wrong: N, H*W, 1 - p, ...
    truth : function (**changes) -> array or None
        The right result if some arguments had other values; None if that makes no sense.
    ask : function (**changes) -> array or None
        What the candidate returns then.
    tolerance : float
        The relative error up to which two arrays count as the same.
    memory : dict
        What hypotheses have computed for this trial and will need again.
    """

    operation: str
    result: str
    label: str
    got: np.ndarray
    expected: np.ndarray
    arguments: Mapping[str, Any]
    batched: frozenset[str]
    quantities: Mapping[str, float]
    truth: Callable[..., np.ndarray | None]
    ask: Callable[..., np.ndarray | None]
    tolerance: float = 1e-8
    memory: dict[Any, Any] = field(default_factory=dict, compare=False)

    def matches(self, prediction: np.ndarray | None) -> bool:
        """Return whether this is what the candidate returned, as far as it can be told."""
        return prediction is not None and same(prediction, self.got, self.tolerance)

    def is_right(self, prediction: np.ndarray | None) -> bool:
        """Return whether this is the right result."""
        return prediction is not None and same(self.expected, prediction, self.tolerance)

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Walk over the arguments that are arrays of real numbers."""
        for name, value in self.arguments.items():
            if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.size:
                yield name, value


@dataclass(frozen=True)
class Reading:
    """A way to read a wrong result: "each entry is N times too large". It can be tried on other trials.

    Attributes
    ----------
    kind : Kind
    message : str
        The mistake in words, the same for all trials.
    test : function (Trial, *values) -> bool
        Whether it explains a wrong result to the last digit.
    values : tuple
        What the test needs to know besides the trial: the axes, the argument's name.
    hint : str
        Where to look, if there is more to say than for all mistakes of this kind.
    fallback : bool
        Whether it counts only where nothing more telling holds.
    evidence : dict
        Names and numbers that belong to it: the factor, the axes, the argument.
    priority : float, optional
        Its rank in a report, if not that of its kind.
    least : int
        How many trials it has to explain before it says anything.
    """

    kind: Kind
    message: str
    test: Callable[..., bool]
    values: tuple[Any, ...] = ()
    hint: str = ""
    fallback: bool = False
    evidence: dict[str, Any] = field(default_factory=dict)
    priority: float | None = None
    least: int = 1

    @property
    def rank(self) -> float:
        """The place in the order of a report: the lower, the more specific."""
        return self.kind.rank if self.priority is None else self.priority

    def holds(self, trial: Trial) -> bool:
        """Return whether it explains a trial."""
        return bool(self.test(trial, *self.values))

    @property
    def key(self) -> tuple[Kind, str, str]:
        """What makes two readings the same."""
        return self.kind, self.message, repr(self.values)


def same(a: np.ndarray, b: np.ndarray, tolerance: float) -> bool:
    """Return whether two arrays agree to `tolerance` times the largest entry, wherever `a` is not NaN.

    Where both are all but zero, the rounding of larger numbers that cancelled is let through.
    """
    if a.shape != b.shape:
        return False
    if a.dtype.kind == b.dtype.kind == "b" or not a.size:
        return bool(np.array_equal(a, b))
    told = ~np.isnan(a)
    if not told.any():
        return False
    a, b = a[told], b[told]
    equal = a == b  # infinities, too
    if not np.isfinite(b[~equal]).all() or not np.isfinite(a[~equal]).all():
        return False
    size = max(largest(a), largest(b))
    return bool((np.abs(a[~equal] - b[~equal]) <= tolerance * size + CANCELLED).all())


def largest(a: np.ndarray) -> float:
    """Return the largest absolute value among the finite entries, 0 if there are none."""
    finite = np.abs(a[np.isfinite(a)])
    return float(finite.max()) if finite.size else 0.0
