"""What a search found: its trials, the best of them, a table, a figure, and how often the test set was opened."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from minicnn.data.seal import Seal
from minicnn.recipes.search.space import Distribution, readable
from minicnn.recipes.search.trial import Trial, ranked

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class SearchResult:
    """The trials of a search.

    Attributes
    ----------
    trials : list of Trial
        All of them in order.
    monitor : str
        What the score is.
    small_is_good : bool
        Whether the smallest score is the best.
    space : dict of str to Distribution
        What was searched.
    """

    def __init__(
        self,
        trials: Sequence[Trial],
        space: Mapping[str, Distribution],
        *,
        monitor: str,
        small_is_good: bool,
        seal: Seal | None = None,
    ) -> None:
        self.trials = list(trials)
        self.space = dict(space)
        self.monitor = monitor
        self.small_is_good = small_is_good
        self._seal = seal
        self._before = 0 if seal is None else len(seal.openings)

    @property
    def ranked(self) -> list[Trial]:
        """All trials, the best first and failed ones last."""
        return ranked(self.trials, small_is_good=self.small_is_good)

    @property
    def best(self) -> Trial:
        """The trial with the best score; of equal ones the first."""
        return self.ranked[0]

    @property
    def test_set_openings(self) -> list[str]:
        """Why the sealed test set was opened since the search began, each time: in the trials, and until now.

        Those in trials are any test set's, in whatever process they ran.
        """
        in_trials = [reason for trial in self.trials for reason in trial.test_set_openings]
        return in_trials + ([] if self._seal is None else self._seal.openings[self._before :])

    def table(self, *, limit: int | None = None) -> str:
        """Return the trials as text, a line each, the best first; `limit` keeps so many lines."""
        names, rows = self._columns(self.ranked[:limit], _short)
        cells = [names, *([row[name] for name in names] for row in rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
        padded = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
        errors = [f"  {_cut(trial.error)}" if trial.error else "" for trial in self.ranked[:limit]]
        return "\n".join(line + error for line, error in zip(padded, ["", *errors], strict=True))

    def to_csv(self) -> str:
        """Return the trials as comma-separated values under a line of names, in the order of their numbers."""
        names, rows = self._columns(self.trials, _exact)
        text = io.StringIO()
        writer = csv.DictWriter(text, [*names, "seed", "status", "error"], lineterminator="\n")
        writer.writeheader()
        for row, trial in zip(rows, self.trials, strict=True):
            writer.writerow({**row, "seed": trial.seed, "status": trial.status, "error": trial.error or ""})
        return text.getvalue()

    def _columns(
        self, trials: Sequence[Trial], written: Callable[[object], str]
    ) -> tuple[list[str], list[dict[str, str]]]:
        """Return the names of the table's columns, and a row of texts for each trial."""
        rungs = any(trial.rungs for trial in self.trials)
        spread = any(len(trial.seeds) > 1 for trial in self.trials)
        rows = []
        for trial in trials:
            row = {"trial": str(trial.number), **{name: written(value) for name, value in trial.settings.items()}}
            row[self.monitor] = "failed" if trial.failed else written(trial.score)
            if spread:
                row["lowest"], row["highest"] = (
                    ("", "") if trial.failed else (written(min(trial.scores)), written(max(trial.scores)))
                )
            if rungs:
                row["rungs"] = str(len(trial.rungs))
            row["epoch"] = "" if trial.failed else f"{trial.measures['epoch']:g}"
            row["seconds"] = f"{trial.seconds:.2f}"
            rows.append(row)
        names = ["trial", *self.space, self.monitor, *(["lowest", "highest"] if spread else [])]
        return [*names, *(["rungs"] if rungs else []), "epoch", "seconds"], rows

    def plot(self) -> "Figure":
        """Draw the score against each setting, a panel each; failed trials are crosses at the lower edge.

        Returns a matplotlib figure; `figure.savefig("search.png")` keeps it.
        """
        from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

        from minicnn.recipes.search.panels import draw_panels

        columns = min(len(self.space), 4)
        lines = -(-len(self.space) // columns)
        figure = Figure(figsize=(max(3.2 * columns, 4.8), 3.2 * lines + 0.4), layout="constrained", dpi=120)
        draw_panels(figure, self, lines, columns)
        return figure

    def __str__(self) -> str:
        failed = sum(trial.failed for trial in self.trials)
        times = len(self.test_set_openings)
        best = ", ".join(f"{name}={_short(value)}" for name, value in self.best.settings.items())
        return (
            f"{self.table()}\n"
            f"best of {len(self.trials)} trials ({failed} failed): {best}: {self.monitor} {self.best.score:.4g}\n"
            f"the test set was opened {times} time{'' if times == 1 else 's'}"
        )

    def __repr__(self) -> str:
        return f"SearchResult({len(self.trials)} trials, best {self.monitor} {self.best.score:.4g})"


def _short(value: object) -> str:
    """Return a value for reading: four digits of a number."""
    return f"{value:.4g}" if isinstance(value, float) else _exact(value)


def _cut(text: str, length: int = 70) -> str:
    """Return the beginning of a message; the whole is in the trial."""
    line = text.splitlines()[0]
    return line if len(line) <= length else f"{line[:length].rstrip()}..."


def _exact(value: object) -> str:
    return value if isinstance(value, str) else readable(value)
