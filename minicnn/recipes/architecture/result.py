"""What a search for an architecture has seen, as a table, a family tree and a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minicnn.recipes.architecture.evaluating import Individual, badness

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILION, GREEN = "#0072B2", "#D55E00", "#009E73"


@dataclass(frozen=True)
class EvolutionResult:
    """All individuals in the order of their evaluation; print it for the ten best.

    Attributes
    ----------
    kind : str
        "evolution" or "random architectures".
    individuals : list of Individual
        Everyone who was trained, from first to last.
    population : list of int
        Numbers of those who were alive at the end.
    """

    kind: str
    individuals: list[Individual]
    population: list[int]

    @property
    def best(self) -> Individual:
        """The individual of the highest fitness; the first of equal ones. One whose training diverged is below all."""
        return min(self.individuals, key=badness)

    @property
    def fitness(self) -> np.ndarray:
        """Fitness of every individual: (evaluations,)."""
        return np.array([individual.fitness for individual in self.individuals])

    @property
    def best_so_far(self) -> np.ndarray:
        """The highest fitness up to each evaluation: (evaluations,)."""
        return np.maximum.accumulate(self.fitness)

    def lineage(self, number: int | None = None) -> str:
        """Return the ancestors of an individual (the best by default) as text: which mutation gained what."""
        chain = self.ancestors(self.best.number if number is None else number)
        lines = [f"{'':>4}  {'fitness':>7}  {'gain':>7}  {'mutation':<18}  architecture"]
        for parent, child in zip([None, *chain], chain, strict=False):
            gain = "" if parent is None else f"{child.fitness - parent.fitness:+7.3f}"
            text = f"{child.number:4d}  {child.fitness:7.3f}  {gain:>7}  {child.mutation:<18}  {child.architecture}"
            lines.append(text)
        return "\n".join(lines)

    def ancestors(self, number: int) -> list[Individual]:
        """Return the chain of parents that leads to an individual, from the first of them to itself."""
        chain = [self.individuals[number]]
        while (parent := chain[0].parent) is not None:
            chain.insert(0, self.individuals[parent])
        return chain

    def table(self, most: int | None = None) -> str:
        """Return the individuals as text, the best first; `most` of them, or all."""
        return table_of(sorted(self.individuals, key=lambda one: (*badness(one), one.number))[:most])

    def to_csv(self) -> str:
        """Return all individuals as comma-separated text, in the order of their evaluation."""
        names = ("number", "parent", "removed", "mutation", "fitness", "parameters", "multiply_adds", "seconds", "seed")
        rows = [",".join([*names, "architecture"])]
        for one in self.individuals:
            values = ("" if getattr(one, name) is None else str(getattr(one, name)) for name in names)
            rows.append(",".join([*values, str(one.architecture)]))
        return "\n".join(rows) + "\n"

    def plot(self) -> "Figure":
        """Draw every individual's fitness, the best so far, and the winner's line of ancestors.

        Returns a matplotlib figure; `figure.savefig("evolution.png")` keeps it.
        """
        from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

        figure = Figure(figsize=(6.4, 4), layout="constrained", dpi=120)
        axes = figure.subplots()
        evaluations = np.arange(1, len(self.individuals) + 1)
        axes.plot(evaluations, self.fitness, "o", color=BLUE, alpha=0.5, markersize=4, label="each individual")
        axes.step(evaluations, self.best_so_far, where="post", color=BLUE, linewidth=2, label="best so far")
        chain = self.ancestors(self.best.number)
        if len(chain) > 1:
            numbers = [one.number + 1 for one in chain]
            axes.plot(numbers, [one.fitness for one in chain], "o-", color=VERMILION, label="the winner's ancestors")
        axes.set_title(f"{self.kind}: {len(self.individuals)} architectures", fontsize=10)
        axes.set_xlabel("evaluation")
        axes.set_ylabel("fitness")
        axes.grid(alpha=0.3)
        axes.legend(fontsize=9)
        return figure

    def __str__(self) -> str:
        diverged = sum(bool(one.error) for one in self.individuals)
        head = f"{self.kind}: {len(self.individuals)} architectures" + (
            f", {diverged} of them diverged" if diverged else ""
        )
        return f"{head}; the best:\n{self.table(10)}"

    __repr__ = __str__


def table_of(individuals: Sequence[Individual]) -> str:
    """Return individuals as a table."""
    lines = [f"{'':>4}  {'fitness':>7}  {'parameters':>10}  {'multiply-adds':>13}  {'seconds':>7}  architecture"]
    for one in individuals:
        cost = f"{one.parameters:>10,}  {one.multiply_adds:>13,}  {one.seconds:>7.2f}"
        lines.append(
            f"{one.number:>4}  {one.fitness:>7.3f}  {cost}  {one.architecture}{' (diverged)' * bool(one.error)}"
        )
    return "\n".join(lines)
