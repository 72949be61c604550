"""Evolution of architectures, and random architectures to compare it with."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from minicnn.errors import ArgumentError, expect_kind, whole_number
from minicnn.recipes.architecture.dice import CHILD, START, Dice
from minicnn.recipes.architecture.evaluating import Evaluator, Fitness, Individual, badness, make_fitness
from minicnn.recipes.architecture.genome import Architecture
from minicnn.recipes.architecture.mutation import mutate
from minicnn.recipes.architecture.result import EvolutionResult
from minicnn.recipes.architecture.space import SearchSpace


def evolve(
    data: Any = None,
    *,
    population: int = 8,
    evaluations: int = 40,
    tournament: int = 2,
    together: int = 1,
    epochs: int = 2,
    batch_size: int = 64,
    lr: float = 0.01,
    seed: int = 0,
    space: SearchSpace | None = None,
    start: Architecture | None = None,
    fitness: Fitness | None = None,
    folder: str | Path | None = None,
    jobs: int = 1,
) -> EvolutionResult:
    """Search an architecture by evolution: of a few drawn at random the worst is removed, the best has a mutated child.

    Real et al., "Large-scale evolution of image classifiers", 2017, section 3.1: pairs are drawn from the population,
    their fitness is compared, the worse one is removed and the better one's copy is mutated, trained and added. The
    population keeps its size, and only its members need to be remembered.

    What differs from the paper: the first individuals are random architectures rather than the simplest ones (`start`
    gives them all one to begin with); the learning rate is not part of the genome; a shortcut goes around one cell and
    not between any two; children begin with fresh weights and inherit none, so that "identity" trains anew rather than
    longer; trainings take a few epochs rather than 25,600 steps; and the paper's hundreds of workers compare whoever is
    there at that moment, while here everything is a pure function of (seed, number of the evaluation).

    Parameters
    ----------
    data : Splits or (train, validation)
        Where the fitness comes from: validation accuracy after a short training on the training set. A test set is
        never touched.
    population : int
        How many live at a time; at least 2.
    evaluations : int
        How many are trained in all, the first population among them.
    tournament : int
        How many are drawn for each comparison; 2 in the paper.
    together : int
        How many children are made from the same population before any of them is trained, for `jobs`; the population
        is smaller meanwhile. It changes what is found, `jobs` does not.
    epochs, batch_size, lr : int, int, float
        Of each training, with Adam.
    seed : int
        Of the search; each training gets a seed of its own from it, as `mc.seed` would set.
    space : SearchSpace, optional
        What may be found; by default `SearchSpace.of(data)`.
    start : Architecture, optional
        What the first population consists of, rather than of random architectures.
    fitness : function (architecture, seed) -> float, optional
        Used in the place of a training; the larger the better.
    folder : path, optional
        Where each evaluation is written down. The same search, started again, repeats none of them.
    jobs : int
        Processes side by side. Each gets its share of the threads; a kernel's number of threads may change the last
        bits of a training, so set it to 1 where results must be the same for any number of jobs.

    Returns
    -------
    EvolutionResult
        `.best`, `.individuals`, `.lineage()`, `.table()`, `.plot()`.

    Raises
    ------
    ArgumentError
        If a number makes no sense, or there is neither data nor a fitness.
    CheckpointError
        If `folder` holds another search.
    """
    population = whole_number("population", population, least=2)
    tournament = whole_number("tournament", tournament, least=2)
    together, evaluations = whole_number("together", together), whole_number("evaluations", evaluations)
    if tournament > population:
        raise ArgumentError(f"a tournament of {tournament} needs as many individuals; the population is {population}")
    if evaluations < population:
        raise ArgumentError(f"evaluations must be at least the population, {population}, not {evaluations}")
    if together > population - tournament + 1:
        raise ArgumentError(
            f"together may be at most population - tournament + 1 = {population - tournament + 1}, not {together}: "
            "each child costs one individual before it is trained"
        )
    space, fitness = make_fitness(data, space, fitness, epochs=epochs, batch_size=batch_size, lr=lr)
    if start is not None and not space.allows(expect_kind(Architecture, start, "start")):
        raise ArgumentError(f"start is '{start}', which does not lie in the space {space!r}")
    plan = {"kind": "evolution", "population": population, "tournament": tournament, "together": together}
    plan["start"] = str(start) if start else "random"
    evaluate = Evaluator(fitness, space, seed=seed, folder=folder, jobs=jobs, plan=plan)

    first = [(n, start or space.random(Dice(seed, START, n))) for n in range(population)]
    everyone = [replace(one, mutation="start" if start else "random") for one in evaluate(first)]
    living = list(range(population))
    while len(everyone) < evaluations:
        numbers = range(len(everyone), min(len(everyone) + together, evaluations))
        births = [_birth(everyone, living, tournament, space, Dice(seed, CHILD, number)) for number in numbers]
        children = evaluate(
            [(number, birth.pop("architecture")) for number, birth in zip(numbers, births, strict=True)]
        )
        everyone += [replace(child, **birth) for child, birth in zip(children, births, strict=True)]
        living += numbers
    return EvolutionResult("evolution", everyone, living)


def _birth(
    everyone: list[Individual], living: list[int], tournament: int, space: SearchSpace, dice: Dice
) -> dict[str, Any]:
    """Hold a tournament, remove the loser from the living, and return a child of the winner and where it came from."""
    contestants = dice.sample(living, tournament)
    ranked = sorted(contestants, key=lambda number: badness(everyone[number]))  # equal ones stay in the order drawn
    winner, loser = ranked[0], ranked[-1]
    living.remove(loser)
    mutation, child = mutate(everyone[winner].architecture, space, dice)
    return {
        "architecture": child,
        "parent": winner,
        "mutation": mutation,
        "contestants": tuple(contestants),
        "removed": loser,
    }


def random_architectures(
    data: Any = None,
    *,
    evaluations: int = 40,
    epochs: int = 2,
    batch_size: int = 64,
    lr: float = 0.01,
    seed: int = 0,
    space: SearchSpace | None = None,
    fitness: Fitness | None = None,
    folder: str | Path | None = None,
    jobs: int = 1,
) -> EvolutionResult:
    """Train random architectures: what every cleverer search has to beat at the same number of trainings.

    They are drawn as the first population of `evolve` is, and the first of them are the same ones, trained from the
    same seeds: both searches, given one seed, start from one place. Arguments, result and errors are those of `evolve`.
    """
    evaluations = whole_number("evaluations", evaluations)
    space, fitness = make_fitness(data, space, fitness, epochs=epochs, batch_size=batch_size, lr=lr)
    evaluate = Evaluator(fitness, space, seed=seed, folder=folder, jobs=jobs, plan={"kind": "random architectures"})
    numbers = range(evaluations)
    everyone = evaluate([(n, space.random(Dice(seed, START, n))) for n in numbers])
    return EvolutionResult("random architectures", everyone, list(numbers))
