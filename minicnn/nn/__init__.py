"""Floor 2: layers, containers and losses. Names, arguments and defaults are PyTorch's."""

import difflib
from typing import NoReturn

from minicnn.nn import init
from minicnn.nn.activation import ELU, GELU, SELU, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from minicnn.nn.containers import Concat, Identity, Residual, Sequential
from minicnn.nn.conv import Conv2d
from minicnn.nn.conv_transpose import ConvTranspose2d
from minicnn.nn.drop_connect import DropConnect
from minicnn.nn.dropout import Dropout
from minicnn.nn.embedding import Embedding
from minicnn.nn.fractional_pool import FractionalMaxPool2d
from minicnn.nn.layer import Layer
from minicnn.nn.layer_norm import GroupNorm, LayerNorm
from minicnn.nn.linear import Flatten, Linear
from minicnn.nn.loss import (
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    DiceLoss,
    HingeLoss,
    HuberLoss,
    L1Loss,
    Loss,
    MSELoss,
)
from minicnn.nn.modes import evaluating, without_input_gradient
from minicnn.nn.norm import BatchNorm1d, BatchNorm2d
from minicnn.nn.parameter import Buffer, Parameter, Parameters
from minicnn.nn.pool import AdaptiveAvgPool2d, AvgPool2d, GlobalAvgPool2d, MaxPool2d
from minicnn.nn.pool_unpool import PoolUnpool
from minicnn.nn.recurrent import LSTM, SimpleRNN
from minicnn.nn.roi_pool import RoIMaxPool2d
from minicnn.nn.separable import SeparableConv2d
from minicnn.nn.shortcut import ZeroPadShortcut
from minicnn.nn.squeeze_excitation import SqueezeExcitation
from minicnn.nn.stochastic_depth import StochasticDepth, linear_decay
from minicnn.nn.summary import Summary
from minicnn.nn.time_distributed import TimeDistributed
from minicnn.nn.upsample import Upsample

__all__ = [
    "ELU",
    "GELU",
    "LSTM",
    "SELU",
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "DiceLoss",
    "DropConnect",
    "Dropout",
    "Embedding",
    "Flatten",
    "FractionalMaxPool2d",
    "GlobalAvgPool2d",
    "GroupNorm",
    "HingeLoss",
    "HuberLoss",
    "Identity",
    "L1Loss",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Loss",
    "MSELoss",
    "MaxPool2d",
    "Parameter",
    "Parameters",
    "PoolUnpool",
    "ReLU",
    "Residual",
    "RoIMaxPool2d",
    "SeparableConv2d",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SimpleRNN",
    "Softplus",
    "SqueezeExcitation",
    "StochasticDepth",
    "Summary",
    "Tanh",
    "TimeDistributed",
    "Upsample",
    "ZeroPadShortcut",
    "evaluating",
    "init",
    "linear_decay",
    "without_input_gradient",
]


_ELSEWHERE = {
    "Module": "Layer",
    "Dense": "Linear",
    "MaxPooling2D": "MaxPool2d",
    "AveragePooling2D": "AvgPool2d",
    "GlobalAveragePooling2D": "GlobalAvgPool2d",
    "BatchNormalization": "BatchNorm2d",
    "Conv2DTranspose": "ConvTranspose2d",
    "RNN": "SimpleRNN",
    "NLLLoss": "CrossEntropyLoss",
    "BCELoss": "BCEWithLogitsLoss",
    "SmoothL1Loss": "HuberLoss",
}
"""What PyTorch and Keras call what is here."""


def __getattr__(name: str) -> NoReturn:
    """Answer a name that is not here with the nearest that is."""
    near = [_ELSEWHERE[name]] if name in _ELSEWHERE else difflib.get_close_matches(name, __all__, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    if name.endswith("Softmax"):
        hint = "; CrossEntropyLoss takes scores as they are, and trainer.predict_proba(x) makes probabilities of them"
    raise AttributeError(f"minicnn.nn has no {name}{hint}")
