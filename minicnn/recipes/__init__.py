"""Floor 5: recipes, what one does with a model, a data set and a few trainings."""

from minicnn.recipes.architecture import (
    POOL,
    Architecture,
    Cell,
    EvolutionResult,
    Individual,
    QLearningResult,
    SearchSpace,
    design_by_q_learning,
    epsilon_schedule,
    evolve,
    random_architectures,
    train_architecture,
)
from minicnn.recipes.averaging import Averaged, predict_averaged
from minicnn.recipes.contributions import Contributions
from minicnn.recipes.decoding import Said, beam_search
from minicnn.recipes.ensemble import Ensemble, train_ensemble
from minicnn.recipes.learning_rate import RangeTest, learning_rate_range_test
from minicnn.recipes.pretrained import Pretrained, pretrained
from minicnn.recipes.search import (
    SearchResult,
    Trial,
    choice,
    grid_search,
    integers,
    loguniform,
    random_search,
    rungs_of,
    successive_halving,
    uniform,
)
from minicnn.recipes.transfer import features, fine_tuning_groups, freeze, replace_head, unfreeze

__all__ = [
    "POOL",
    "Architecture",
    "Averaged",
    "Cell",
    "Contributions",
    "Ensemble",
    "EvolutionResult",
    "Individual",
    "Pretrained",
    "QLearningResult",
    "RangeTest",
    "Said",
    "SearchResult",
    "SearchSpace",
    "Trial",
    "beam_search",
    "choice",
    "design_by_q_learning",
    "epsilon_schedule",
    "evolve",
    "features",
    "fine_tuning_groups",
    "freeze",
    "grid_search",
    "integers",
    "learning_rate_range_test",
    "loguniform",
    "predict_averaged",
    "pretrained",
    "random_architectures",
    "random_search",
    "replace_head",
    "rungs_of",
    "successive_halving",
    "train_architecture",
    "train_ensemble",
    "unfreeze",
    "uniform",
]
