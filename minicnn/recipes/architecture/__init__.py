"""Architectures found by search: evolution, Q-learning, and random ones to compare them with."""

from minicnn.recipes.architecture.evaluating import Individual, train_architecture
from minicnn.recipes.architecture.evolution import evolve, random_architectures
from minicnn.recipes.architecture.genome import POOL, Architecture, Cell
from minicnn.recipes.architecture.mutation import MUTATIONS
from minicnn.recipes.architecture.q_learning import design_by_q_learning, epsilon_schedule
from minicnn.recipes.architecture.q_result import Episode, QLearningResult
from minicnn.recipes.architecture.result import EvolutionResult
from minicnn.recipes.architecture.space import SearchSpace

__all__ = [
    "MUTATIONS",
    "POOL",
    "Architecture",
    "Cell",
    "Episode",
    "EvolutionResult",
    "Individual",
    "QLearningResult",
    "SearchSpace",
    "design_by_q_learning",
    "epsilon_schedule",
    "evolve",
    "random_architectures",
    "train_architecture",
]
