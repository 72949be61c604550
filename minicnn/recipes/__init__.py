"""Floor 5: recipes, what one does with a model, a data set and a few trainings."""

from minicnn.recipes.learning_rate import RangeTest, learning_rate_range_test
from minicnn.recipes.pretrained import Pretrained, pretrained
from minicnn.recipes.transfer import features, fine_tuning_groups, freeze, replace_head, unfreeze

__all__ = [
    "Pretrained",
    "RangeTest",
    "features",
    "fine_tuning_groups",
    "freeze",
    "learning_rate_range_test",
    "pretrained",
    "replace_head",
    "unfreeze",
]
