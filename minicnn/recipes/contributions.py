"""What each member of an ensemble adds to it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Score = Callable[[Any, Any], Any]
COLOUR, MARK, ADDED = "#0072B2", "#D55E00", "#009E73"


@dataclass(frozen=True)
class Contributions:
    """The scores of members, alone and together; M members.

    Attributes
    ----------
    score : str
        What was measured.
    ensemble : float
        The score of all members together.
    own : array (M,)
        Each member's own score.
    without : array (M,)
        The score of all but one; NaN for an ensemble of one. What member m adds is `ensemble - without[m]`: where this
        is negative, the others do better without it.
    first : array (M,)
        The score of the first 1, 2, ..., M members, in the order of the list.
    disagreement : array (M, M)
        The share of examples to which two members give different classes. Members that agree on everything add nothing
        to each other.
    """

    score: str
    ensemble: float
    own: np.ndarray
    without: np.ndarray
    first: np.ndarray
    disagreement: np.ndarray

    def __str__(self) -> str:
        count = len(self.own)
        lines = [
            f"{self.score} of the ensemble of {count}: {self.ensemble:.4f}",
            f"{'member':>6} {'alone':>8} {'all but it':>11} {'it adds':>8} {'up to it':>9} {'disagreement':>13}",
        ]
        for m in range(count):
            apart = self.disagreement[m].sum() / (count - 1) if count > 1 else np.nan
            row = (
                f"{self.without[m]:.4f}",
                f"{self.ensemble - self.without[m]:+.4f}",
                f"{self.first[m]:.4f}",
                f"{apart:.4f}",
            )
            without, adds, first, apart_text = ("-" if "nan" in text else text for text in row)
            lines.append(f"{m:>6} {self.own[m]:8.4f} {without:>11} {adds:>8} {first:>9} {apart_text:>13}")
        lines.append(f"{'mean':>6} {self.own.mean():8.4f}")
        return "\n".join(lines)

    def plot(self) -> "Figure":
        """Draw the scores, and how often two members disagree.

        Returns a matplotlib figure; `figure.savefig("members.png")` keeps it.
        """
        from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

        figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
        scores, matrix = figure.subplots(1, 2, width_ratios=(1.5, 1))
        self._draw_scores(scores)
        self._draw_disagreement(matrix)
        return figure

    def _draw_scores(self, axes: "Axes") -> None:
        members = range(len(self.own))
        axes.plot(members, self.own, "o", color=MARK, label="the member alone")
        axes.plot(members, self.without, "v", color=ADDED, label="all but this one")
        axes.plot(members, self.first, "s-", color=COLOUR, markersize=4, label="the members up to this one")
        axes.axhline(self.ensemble, color=COLOUR, linestyle="--", linewidth=1, label=f"all: {self.ensemble:.4f}")
        axes.set_xticks(members)
        axes.set_xlabel("member")
        axes.set_ylabel(self.score)
        axes.set_title("Members alone and together", fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)

    def _draw_disagreement(self, axes: "Axes") -> None:
        members = range(len(self.own))
        axes.imshow(self.disagreement, cmap="cividis", vmin=0)
        middle = self.disagreement.max() / 2
        for row in members:
            for column in members:
                value = self.disagreement[row, column]
                colour = "white" if value <= middle else "black"
                axes.text(column, row, f"{value:.3f}", ha="center", va="center", fontsize=8, color=colour)
        axes.set_xticks(members)
        axes.set_yticks(members)
        axes.set_xlabel("member")
        axes.set_ylabel("member")
        axes.set_title("Share of examples on which two disagree", fontsize=10)


def measure_contributions(
    labels: np.ndarray, classes: np.ndarray, decide: Callable[[list[int]], np.ndarray], score: Score
) -> Contributions:
    """Return the contributions of members.

    labels : (N,)
    classes : (M, N), what each member says
    decide : function from a list of members to the classes (N,) that they say together
    score : function (y_true, y_pred) -> float
    """
    everyone = list(range(len(classes)))
    without = [[m for m in everyone if m != left_out] for left_out in everyone]

    def scored(members: list[int]) -> float:
        return float(score(labels, decide(members))) if members else float("nan")

    return Contributions(
        score=getattr(score, "__name__", "score").removesuffix("_score"),
        ensemble=scored(everyone),
        own=np.array([float(score(labels, of_member)) for of_member in classes]),
        without=np.array([scored(others) for others in without]),
        first=np.array([scored(everyone[: m + 1]) for m in everyone]),
        disagreement=(classes[:, None] != classes[None]).mean(axis=2),
    )
