"""Floor 3: optimizers, schedules, regularisers. Names, arguments and update rules are PyTorch's, where it has them."""

import difflib
from typing import NoReturn

from minicnn.optim.adagrad import AdaGrad
from minicnn.optim.adam import Adam, AdamW
from minicnn.optim.clip import clip_grad_norm
from minicnn.optim.one_cycle import OneCycle
from minicnn.optim.optimizer import Optimizer
from minicnn.optim.plateau import ReduceOnPlateau
from minicnn.optim.regularise import L1, L2, MaxNorm, Regulariser
from minicnn.optim.rmsprop import RMSprop
from minicnn.optim.schedules import (
    Cosine,
    CosineWarmRestarts,
    Exponential,
    MultiStep,
    Schedule,
    Step,
    Warmup,
)
from minicnn.optim.sgd import SGD

__all__ = [
    "L1",
    "L2",
    "SGD",
    "AdaGrad",
    "Adam",
    "AdamW",
    "Cosine",
    "CosineWarmRestarts",
    "Exponential",
    "MaxNorm",
    "MultiStep",
    "OneCycle",
    "Optimizer",
    "RMSprop",
    "ReduceOnPlateau",
    "Regulariser",
    "Schedule",
    "Step",
    "Warmup",
    "clip_grad_norm",
]


def __getattr__(name: str) -> NoReturn:
    """Answer a name that is not here with the nearest that is."""
    bare = name.removesuffix("LR").replace("LROn", "On").replace("Annealing", "").lower()  # as PyTorch calls schedules
    near = difflib.get_close_matches(bare, (known := {entry.lower(): entry for entry in __all__}), n=1)
    raise AttributeError(f"minicnn.optim has no {name}{f'; did you mean {known[near[0]]}?' if near else ''}")
