"""What a training has measured, epoch by epoch."""

import csv
import io
import math
from collections.abc import Iterator, Mapping

from minicnn.errors import ArgumentError, listed


class History:
    """One row of numbers an epoch: `history["val_loss"]` is a column, `history.rows[-1]` the last epoch."""

    def __init__(self, rows: list[dict[str, float]] | None = None) -> None:
        self.rows: list[dict[str, float]] = list(rows or [])

    def add(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Write down an epoch, counted from 1."""
        self.rows.append({"epoch": epoch, **{name: float(value) for name, value in logs.items()}})

    @property
    def epoch(self) -> list[int]:
        """The epochs, counted from 1."""
        return [int(row["epoch"]) for row in self.rows]

    @property
    def names(self) -> list[str]:
        """What was measured."""
        return list(dict.fromkeys(name for row in self.rows for name in row if name != "epoch"))

    @property
    def history(self) -> dict[str, list[float]]:
        """All columns by name, as Keras keeps them."""
        return {name: self[name] for name in self.names}

    def __getitem__(self, name: str) -> list[float]:
        if name not in self.names:
            raise ArgumentError(f"{name!r} was not measured; there are {listed(self.names)}")
        return [row.get(name, math.nan) for row in self.rows]

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[dict[str, float]]:
        return iter(self.rows)

    def to_csv(self) -> str:
        """Return the rows as comma-separated values under a line of names."""
        text = io.StringIO()
        writer = csv.DictWriter(text, ["epoch", *self.names], lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {value:.4g}" for name, value in (self.rows[-1] if self.rows else {}).items())
        return f"History({len(self)} epoch{'' if len(self) == 1 else 's'}{'; last: ' + last if last else ''})"
