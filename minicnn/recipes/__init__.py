"""Floor 5: recipes, what one does with a model, a data set and a few trainings."""

from minicnn.recipes.architecture import (
    Architecture,
    Cell,
    SearchSpace,
    design_by_q_learning,
    evolve,
    random_architectures,
    train_architecture,
)
from minicnn.recipes.learning_rate import RangeTest, learning_rate_range_test

__all__ = [
    "Architecture",
    "Cell",
    "RangeTest",
    "SearchSpace",
    "design_by_q_learning",
    "evolve",
    "learning_rate_range_test",
    "random_architectures",
    "train_architecture",
]
