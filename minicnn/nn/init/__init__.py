"""How weights start. An initialiser is a function (shape, rng) -> float64 array on the host.

Weights of shape (F, C, kh, kw) or (K, D): each output sums `fan_in` = C*kh*kw or D products, each input goes into
`fan_out` = F*kh*kw or K of them. The schemes choose the variance so that numbers neither die out nor explode.

    nn.Linear(64, 10, init=init.xavier_uniform)       a layer's own
    init.initialise(model, init.normal(std=0.01))     all weights of a model that is built
    init.lsuv(model, x)                               measured: every layer's outputs get variance 1 on x
    with init.undrawn(): ...                          zeros, for a model that will be loaded from a file
"""

from minicnn.nn.init.models import initialise, lsuv
from minicnn.nn.init.schemes import (
    Initialiser,
    Shape,
    calculate_gain,
    constant,
    fans,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    normal,
    orthogonal,
    scaled,
    truncated_normal,
    uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
    zeros,
)
from minicnn.nn.init.undrawn import drawing, undrawn

__all__ = [
    "Initialiser",
    "Shape",
    "calculate_gain",
    "constant",
    "drawing",
    "fans",
    "he_normal",
    "he_uniform",
    "initialise",
    "lecun_normal",
    "lecun_uniform",
    "lsuv",
    "normal",
    "orthogonal",
    "scaled",
    "truncated_normal",
    "undrawn",
    "uniform",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
