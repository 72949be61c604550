"""Floor 3: optimizers, schedules, regularisers. Names, arguments and update rules are PyTorch's, where it has them."""

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
