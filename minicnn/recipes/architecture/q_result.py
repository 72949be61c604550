"""What Q-learning has designed, as a table and a figure."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.recipes.architecture.evaluating import Individual
from minicnn.recipes.architecture.genome import Architecture
from minicnn.recipes.architecture.result import BLUE, VERMILION, table_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Episode:
    """One design: its number, the epsilon it was made with, its accuracy, and whether it had to be trained for that."""

    number: int
    epsilon: float
    architecture: Architecture
    accuracy: float
    trained: bool


@dataclass(frozen=True)
class QLearningResult:
    """All episodes in order; print it for the mean accuracy at each epsilon and the ten best architectures.

    Attributes
    ----------
    episodes : list of Episode
        Everything that was designed.
    individuals : list of Individual
        Everything that was trained: each architecture once.
    q : dict of ((cell, depth, size), action) to float
        What was learned.
    """

    episodes: list[Episode]
    individuals: list[Individual]
    q: dict[Any, float] = field(repr=False)

    @property
    def best(self) -> Individual:
        """The architecture of the highest accuracy; the first of equal ones."""
        return max(self.individuals, key=lambda individual: individual.fitness)

    @property
    def accuracy(self) -> np.ndarray:
        """Accuracy of each episode's architecture: (episodes,)."""
        return np.array([episode.accuracy for episode in self.episodes])

    def mean_accuracy(self) -> dict[float, float]:
        """Return the mean accuracy of what was designed with each epsilon, in the schedule's order."""
        groups: dict[float, list[float]] = {}
        for episode in self.episodes:
            groups.setdefault(episode.epsilon, []).append(episode.accuracy)
        return {epsilon: float(np.mean(values)) for epsilon, values in groups.items()}

    def rolling_mean(self, window: int = 10) -> np.ndarray:
        """Return the mean of each episode's accuracy and of those before it, `window` of them in all: (episodes,)."""
        sums = np.concatenate([[0.0], np.cumsum(self.accuracy)])
        ends = np.arange(1, len(sums))
        starts = np.maximum(ends - window, 0)
        return (sums[ends] - sums[starts]) / (ends - starts)

    def table(self, most: int | None = None) -> str:
        """Return the trained architectures as text, the best first; `most` of them, or all."""
        return table_of(sorted(self.individuals, key=lambda one: (-one.fitness, one.number))[:most])

    def plot(self) -> "Figure":
        """Draw the mean accuracy at each epsilon as bars, every episode as a point, and the rolling mean over ten.

        Returns a matplotlib figure; `figure.savefig("q_learning.png")` keeps it.
        """
        from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

        figure = Figure(figsize=(7, 4), layout="constrained", dpi=120)
        axes = figure.subplots()
        epsilons = np.array([episode.epsilon for episode in self.episodes])
        borders = [0, *np.flatnonzero(np.diff(epsilons)) + 1, len(epsilons)]
        means = self.accuracy
        low = max(0.0, means.min() - 0.05)
        for start, end in pairwise(borders):
            mean = means[start:end].mean()
            axes.bar(
                start + 0.5, mean - low, end - start, bottom=low, align="edge", color=BLUE, alpha=0.2, edgecolor="white"
            )
            axes.text(
                (start + end + 1) / 2,
                low,
                f"{epsilons[start]:g}" if start else f"epsilon {epsilons[0]:g}",
                ha="center",
                va="bottom",
                fontsize=8,
            )
        numbers = np.arange(1, len(means) + 1)
        axes.plot(numbers, means, "o", color=BLUE, alpha=0.5, markersize=4, label="each episode")
        axes.plot(numbers, self.rolling_mean(), color=VERMILION, linewidth=2, label="mean of the last ten")
        axes.set_title("Q-learning: bars are the mean at each epsilon, which is written in them", fontsize=10)
        axes.set_xlabel("episode")
        axes.set_ylabel("accuracy")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9, loc="best")
        return figure

    def __str__(self) -> str:
        lines = [f"Q-learning: {len(self.episodes)} designs, {len(self.individuals)} of them trained"]
        lines += [f"  epsilon {epsilon:<4g} mean {mean:.3f}" for epsilon, mean in self.mean_accuracy().items()]
        return "\n".join([*lines, "the best:", self.table(10)])

    __repr__ = __str__
