"""Architectures designed by Q-learning: an agent that chooses cell after cell, and learns which choices ended well."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from minicnn.errors import ArgumentError, whole_number
from minicnn.recipes.architecture.dice import EPISODE, Dice
from minicnn.recipes.architecture.evaluating import Evaluator, Fitness, Individual, make_fitness
from minicnn.recipes.architecture.genome import Architecture, Cell
from minicnn.recipes.architecture.q_result import Episode, QLearningResult
from minicnn.recipes.architecture.space import SearchSpace

END = "end"
"""The action that ends the chain."""
Q_START = 0.5
"""What an action is believed to be worth that was never learned about: section 5 of the paper."""
SCHEDULE: Mapping[float, int] = {1.0: 1500, 0.9: 100, 0.8: 100, 0.7: 100} | dict.fromkeys(
    (0.6, 0.5, 0.4, 0.3, 0.2, 0.1), 150
)
"""The paper's numbers of models for each epsilon (table 2): more than half of them at random."""


class State(NamedTuple):
    """Where the agent stands: the text of the last cell ("" at the start), how many there are, and the images' size.

    `size` is 2 for images of at least 8 pixels a side, 1 for 4 to 7, and 0 below: the paper's bins of the
    representation size.
    """

    cell: str
    depth: int
    size: int


class Step(NamedTuple):
    """One transition: in `state` came `action`, which led to `after`, where there are `choices` (none at the end)."""

    state: State
    action: str
    after: State | None
    choices: tuple[str, ...]


class QTable:
    """Q(s, a), what an action in a state is believed to lead to, and how it is learned.

    Q(s, a) <- (1 - alpha) Q(s, a) + alpha (r + gamma max over a' of Q(s', a'))

    Baker et al., 2017, equation 3. The reward r is 0 but for the last step, where it is the accuracy.
    """

    def __init__(self, *, alpha: float = 0.01, gamma: float = 1.0) -> None:
        self.alpha, self.gamma = alpha, gamma
        self.values: dict[tuple[State, str], float] = {}

    def __call__(self, state: State, action: str) -> float:
        """Return Q(s, a); 0.5 where nothing was learned yet."""
        return self.values.get((state, action), Q_START)

    def best(self, state: State, choices: Sequence[str], dice: Dice) -> str:
        """Return the action of the highest value; of equal ones, one at random."""
        highest = max(self(state, action) for action in choices)
        return dice.pick([action for action in choices if self(state, action) == highest])

    def learn(self, steps: Sequence[Step], accuracy: float) -> None:
        """Update the values along one trajectory, backwards, so that the accuracy reaches its first step at once."""
        alpha, gamma = self.alpha, self.gamma
        for s, a, after, choices in reversed(steps):
            target = accuracy if after is None else gamma * max(self(after, action) for action in choices)
            self.values[s, a] = (1 - alpha) * self(s, a) + alpha * target


def epsilon_schedule(episodes: int, schedule: Mapping[float, float] = SCHEDULE) -> list[float]:
    """Return epsilon for each episode: those of the schedule in its order, each for its share of the episodes.

    Raises `ArgumentError` for an epsilon outside 0 to 1 and for shares that are none.
    """
    episodes = whole_number("episodes", episodes)
    if not isinstance(schedule, Mapping) or not schedule:
        raise ArgumentError(f"schedule must map each epsilon to its share, as in {{1.0: 3, 0.1: 1}}, not {schedule!r}")
    for epsilon, share in schedule.items():
        if not 0 <= epsilon <= 1:
            raise ArgumentError(f"an epsilon is a probability, from 0 to 1, not {epsilon!r}")
        if not 0 < share < float("inf"):
            raise ArgumentError(f"the share of epsilon {epsilon} must be a number above 0, not {share!r}")
    total, begun = sum(schedule.values()), 0.0
    epsilons: list[float] = []
    for epsilon, share in schedule.items():
        end = round(episodes * (begun + share) / total)
        epsilons += [float(epsilon)] * (end - len(epsilons))
        begun += share
    return epsilons


@dataclass(frozen=True)
class Agent:
    """Walks through a space cell by cell."""

    space: SearchSpace
    q: QTable

    def design(self, epsilon: float, dice: Dice) -> tuple[Architecture, list[Step]]:
        """Choose cells, at random with probability epsilon and else the one of the highest Q, until the chain ends."""
        cells: list[Cell] = []
        steps: list[Step] = []
        state, choices = self.state(cells), self.choices(cells)
        while True:
            action = dice.pick(list(choices)) if dice.chance(epsilon) else self.q.best(state, list(choices), dice)
            if action == END:
                steps.append(Step(state, action, None, ()))
                return Architecture(tuple(cells)), steps
            cells.append(choices[action])
            after, next_choices = self.state(cells), self.choices(cells)
            steps.append(Step(state, action, after, tuple(next_choices)))
            state, choices = after, next_choices

    def state(self, cells: Sequence[Cell]) -> State:
        """Return the state behind a chain of cells."""
        size = self.space.input_shape[1:]
        for cell in cells:
            size = cell.size_after(size)
        return State(str(cells[-1]) if cells else "", len(cells), (min(size) >= 4) + (min(size) >= 8))

    def choices(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Return what may come next, by its text: cells, and the end where there is a cell already."""
        may_follow: dict[str, Any] = {str(cell): cell for cell in self.space.next_cells(cells)}
        return may_follow | ({END: None} if cells else {})


def design_by_q_learning(
    data: Any = None,
    *,
    episodes: int = 60,
    schedule: Mapping[float, float] = SCHEDULE,
    alpha: float = 0.01,
    gamma: float = 1.0,
    replay: int = 100,
    epochs: int = 2,
    batch_size: int = 64,
    lr: float = 0.01,
    seed: int = 0,
    space: SearchSpace | None = None,
    fitness: Fitness | None = None,
    folder: str | Path | None = None,
) -> QLearningResult:
    """Design architectures cell by cell with epsilon-greedy Q-learning and experience replay.

    Baker et al., "Designing neural network architectures using reinforcement learning" (MetaQNN), 2017, algorithms 1
    to 3. In each episode the agent chooses cells until it ends the chain; the network is trained and its validation
    accuracy is the reward; then `replay` episodes, drawn from all so far, are learned from. Epsilon falls from 1 (all
    choices at random) to 0.1, and an architecture that comes again is not trained again.

    What differs from the paper: convolutions may have a stride, batch norm and a shortcut, pooling is 2 x 2 alone, and
    there are no fully connected layers but the last; networks are shorter and trained for a few epochs; `episodes` is
    far below the paper's 2,700, and the schedule is shortened in proportion; a training that diverges counts 0 and is
    not tried again with a smaller learning rate.

    Parameters
    ----------
    data : Splits or (train, validation)
        Where the reward comes from. A test set is never touched.
    episodes : int
        How many architectures are designed; fewer are trained.
    schedule : dict of float to number
        Epsilons in order, each with its share of the episodes; the paper's by default.
    alpha, gamma : float
        Learning rate and discount of the values, from 0 to 1.
    replay : int
        Episodes to learn from after each one.
    epochs, batch_size, lr : int, int, float
        Of each training, with Adam.
    seed : int
        Of the search; each training gets a seed of its own from it, as `mc.seed` would set.
    space : SearchSpace, optional
        What may be designed; by default `SearchSpace.of(data)`. The fewer cells there are to choose from, the sooner
        the agent has tried each.
    fitness : function (architecture, seed) -> float, optional
        Used in the place of a training; from 0 to 1, as an accuracy.
    folder : path, optional
        Where each training is written down. The same search, started again, repeats none of them.

    Returns
    -------
    QLearningResult
        `.best`, `.episodes`, `.individuals`, `.q`, `.plot()`.

    Raises
    ------
    ArgumentError
        If a number makes no sense, or there is neither data nor a fitness.
    CheckpointError
        If `folder` holds another search.
    """
    epsilons = epsilon_schedule(episodes, schedule)
    replay = whole_number("replay", replay, least=0)
    for name, value in {"alpha": alpha, "gamma": gamma}.items():
        if not 0 < value <= 1:
            raise ArgumentError(f"{name} must be above 0 and at most 1, not {value!r}")
    space, fitness = make_fitness(data, space, fitness, epochs=epochs, batch_size=batch_size, lr=lr)
    plan = {"kind": "Q-learning", "epsilons": epsilons, "alpha": alpha, "gamma": gamma, "replay": replay}
    evaluate = Evaluator(fitness, space, seed=seed, folder=folder, jobs=1, plan=plan)

    agent = Agent(space, QTable(alpha=alpha, gamma=gamma))
    trained: dict[Architecture, Individual] = {}
    memory: list[tuple[list[Step], float]] = []
    designed: list[Episode] = []
    for number, epsilon in enumerate(epsilons):
        dice = Dice(seed, EPISODE, number)
        architecture, steps = agent.design(epsilon, dice)
        new = architecture not in trained
        if new:
            (individual,) = evaluate([(len(trained), architecture)])
            trained[architecture] = replace(individual, mutation="designed")
        accuracy = trained[architecture].fitness
        designed.append(Episode(number, epsilon, architecture, accuracy, new))
        memory.append((steps, accuracy))
        for _ in range(replay):
            agent.q.learn(*dice.pick(memory))
    return QLearningResult(designed, list(trained.values()), agent.q.values)
