"""What students hand in: operations with one mistake each, and correct ones that look nothing like the engine's.

The examiner in `minicnn.check` has to name every mistake in MISTAKES by its kind, and to find nothing in CORRECT.
Each function is written as its author would write it, with the keywords that its author thought of; a docstring says
what went wrong. One module a family of operations; correct implementations stand in modules of their own.
"""

from mistakes import (
    activation,
    columns,
    conv_backward,
    conv_forward,
    correct_images,
    correct_vectors,
    dropout,
    fused,
    linear,
    loss,
    norm,
    pool_average,
    pool_max,
    update,
)
from mistakes.registry import CORRECT, MISTAKES, Correct, Mistake, correct, mistake

__all__ = [
    "CORRECT",
    "MISTAKES",
    "Correct",
    "Mistake",
    "activation",
    "columns",
    "conv_backward",
    "conv_forward",
    "correct",
    "correct_images",
    "correct_vectors",
    "dropout",
    "fused",
    "linear",
    "loss",
    "mistake",
    "norm",
    "pool_average",
    "pool_max",
    "update",
]
