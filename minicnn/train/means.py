"""Means over an epoch, batch by batch."""

from collections.abc import Iterator, Mapping
from typing import Any


class RunningMeans(Mapping[str, float]):
    """Means of measures over batches of different sizes. Sums stay where they arise until a mean is asked for."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}
        self.count = 0

    def add(self, size: int, measures: Mapping[str, Any]) -> None:
        """Add the means over a batch of `size`."""
        self.count += size
        for name, value in measures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * float(size)

    def __getitem__(self, name: str) -> float:
        return float(self.sums[name]) / self.count

    def __iter__(self) -> Iterator[str]:
        return iter(self.sums)

    def __len__(self) -> int:
        return len(self.sums)
