"""Floor 3: optimizers. Names, arguments and update rules are PyTorch's."""

from minicnn.optim.adam import Adam
from minicnn.optim.clip import clip_grad_norm
from minicnn.optim.optimizer import Optimizer
from minicnn.optim.sgd import SGD

__all__ = ["SGD", "Adam", "Optimizer", "clip_grad_norm"]
