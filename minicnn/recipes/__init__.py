"""Floor 5: recipes, what one does with a model, a data set and a few trainings."""

from minicnn.recipes.averaging import Averaged, predict_averaged
from minicnn.recipes.learning_rate import RangeTest, learning_rate_range_test

__all__ = ["Averaged", "RangeTest", "learning_rate_range_test", "predict_averaged"]
