"""Means over an epoch, batch by batch."""

from collections.abc import Iterator, Mapping
from typing import Any


class RunningMeans(Mapping[str, float]):
    """Means of measures over batches of different sizes. Sums stay where they arise until a mean is asked for.

    Attributes
    ----------
    sums, weights : dict of str to number
        What each mean is the ratio of, in double precision: an epoch has too many batches for single.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}
        self.weights: dict[str, Any] = {}

    def add(self, weight: Any, measures: Mapping[str, Any]) -> None:
        """Add means over a batch; `weight` is how much the batch counts: its size, for most measures."""
        for name, value in measures.items():
            self.sums[name] = self.sums.get(name, 0.0) + _double(value) * _double(weight)
            self.weights[name] = self.weights.get(name, 0.0) + _double(weight)

    def totals(self) -> "Totals":
        """Return the sums and the weights so far, on the host: a GPU is waited for."""
        return {name: (float(self.sums[name]), float(self.weights[name])) for name in self}

    def __getitem__(self, name: str) -> float:
        return float(self.sums[name]) / float(self.weights[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.sums)

    def __len__(self) -> int:
        return len(self.sums)


Totals = dict[str, tuple[float, float]]
"""The sum and the weight of each measure at some moment of an epoch."""


def means_between(before: Totals, after: Totals) -> dict[str, float]:
    """Return the means over the batches between two moments of an epoch; `before` is empty at its beginning."""
    means = {}
    for name, (total, weight) in after.items():
        total_before, weight_before = before.get(name, (0.0, 0.0))
        means[name] = (total - total_before) / (weight - weight_before)
    return means


def _double(value: Any) -> Any:
    """Return a number in double precision, on its device."""
    return value.astype("float64") if hasattr(value, "astype") else float(value)
