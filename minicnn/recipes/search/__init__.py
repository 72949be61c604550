"""Search for good settings: learning rate, width, batch size, and whatever else a training depends on."""

from minicnn.recipes.search.result import SearchResult
from minicnn.recipes.search.searches import grid_search, random_search, rungs_of, successive_halving
from minicnn.recipes.search.space import choice, integers, loguniform, uniform
from minicnn.recipes.search.trial import Trial

__all__ = [
    "SearchResult",
    "Trial",
    "choice",
    "grid_search",
    "integers",
    "loguniform",
    "random_search",
    "rungs_of",
    "successive_halving",
    "uniform",
]
