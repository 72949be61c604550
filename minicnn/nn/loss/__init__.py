"""Losses: the number that training makes small.

A loss compares a prediction with a target. `forward(prediction, target)` gives the number and remembers what it needs;
`backward()` gives its gradient with respect to the prediction, where the network's own backward pass begins. Names,
arguments and values are PyTorch's, with its reduction="mean".

    a class for each image or pixel    CrossEntropyLoss, HingeLoss
    yes or no, any number of times     BCEWithLogitsLoss
    masks                              DiceLoss
    numbers                            MSELoss, L1Loss, HuberLoss

All but the last row take scores as a network's last layer gives them: sigmoid and softmax are inside.
"""

from minicnn.nn.loss.base import Loss
from minicnn.nn.loss.binary import BCEWithLogitsLoss
from minicnn.nn.loss.cross_entropy import CrossEntropyLoss
from minicnn.nn.loss.dice import DiceLoss
from minicnn.nn.loss.hinge import HingeLoss
from minicnn.nn.loss.regression import HuberLoss, L1Loss, MSELoss

__all__ = [
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "DiceLoss",
    "HingeLoss",
    "HuberLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
]
