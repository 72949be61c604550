"""Floor 5: recipes, what one does with a model, a data set and a few trainings."""

from minicnn.recipes.contributions import Contributions
from minicnn.recipes.ensemble import Ensemble, train_ensemble
from minicnn.recipes.learning_rate import RangeTest, learning_rate_range_test

__all__ = ["Contributions", "Ensemble", "RangeTest", "learning_rate_range_test", "train_ensemble"]
