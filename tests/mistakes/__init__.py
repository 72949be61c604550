"""What students hand in: operations with one mistake each, and correct ones that look nothing like the engine's.

The examiner in `minicnn.check` has to name every mistake in MISTAKES by its kind, and to find nothing in CORRECT.
Each function is written as its author would write it, with the keywords that its author thought of; a docstring says
what went wrong. One module a family of operations, one for layers; correct implementations stand in modules of their
own.
"""

from mistakes import (
    activation,
    columns,
    conv_backward,
    conv_forward,
    correct_images,
    correct_layers,
    correct_vectors,
    dropout,
    fused,
    layers,
    linear,
    loss,
    norm,
    pool_average,
    pool_max,
    update,
)
from mistakes.registry import (
    CORRECT,
    LAYER_CORRECT,
    LAYER_MISTAKES,
    MISTAKES,
    Correct,
    LayerCase,
    Mistake,
    correct,
    mistake,
)

__all__ = [
    "CORRECT",
    "LAYER_CORRECT",
    "LAYER_MISTAKES",
    "MISTAKES",
    "Correct",
    "LayerCase",
    "Mistake",
    "activation",
    "columns",
    "conv_backward",
    "conv_forward",
    "correct",
    "correct_images",
    "correct_layers",
    "correct_vectors",
    "dropout",
    "fused",
    "layers",
    "linear",
    "loss",
    "mistake",
    "norm",
    "pool_average",
    "pool_max",
    "update",
]
