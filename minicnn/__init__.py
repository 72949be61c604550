"""minicnn: a convolutional-network engine to read, to check and to rewrite.

Every layer's forward and backward pass is written by hand, every operation can be replaced by one's own, and one switch
runs the same script on NumPy, on Numba kernels or, through CuPy, on a GPU.
"""

import importlib
from typing import TYPE_CHECKING, Any

from minicnn import data, errors, metrics, models, nn, ops, optim
from minicnn.backend import (
    available_backends,
    get_backend,
    get_num_threads,
    plug,
    seed,
    set_backend,
    set_num_threads,
    use_backend,
)

if TYPE_CHECKING:
    from minicnn.check import gradcheck
    from minicnn.train import Trainer

__version__ = "0.1.0"

_LAZY = {"Trainer": "minicnn.train", "gradcheck": "minicnn.check"}
_ROOMS = ("analyse", "check", "grade", "interop", "recipes", "train")


def __getattr__(name: str) -> Any:
    """Import the upper floors when they are first asked for: `import minicnn` stays fast."""
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"minicnn.{name}")
    rooms = [room for room in (nn, optim, data, metrics) if name in room.__all__]
    hint = f"; did you mean {rooms[0].__name__}.{name}?" if rooms else ""
    raise AttributeError(f"module 'minicnn' has no attribute {name!r}{hint}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_ROOMS, "backend", "__version__"])


__all__ = [
    "Trainer",
    "available_backends",
    "data",
    "errors",
    "get_backend",
    "get_num_threads",
    "gradcheck",
    "metrics",
    "models",
    "nn",
    "ops",
    "optim",
    "plug",
    "seed",
    "set_backend",
    "set_num_threads",
    "use_backend",
]
