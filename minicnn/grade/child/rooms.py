"""The part of minicnn that a student's file may use: layers' base class, parameters, and random bits.

Everything else of minicnn is a `Refusal`: it can be imported, so that a file that was tried out with the engine still
loads, but whoever uses it is told to write it himself.
"""

import importlib
import sys
import types
from typing import Any, NoReturn

FILES = (
    ("minicnn.ops.random", ("random_bits", "random_normal", "random_uniform", "random_permutation")),
    ("minicnn.nn.init", ()),
    ("minicnn.nn.parameter", ("Parameter", "Buffer", "Parameters")),
    ("minicnn.nn.layer", ("Layer",)),
)
"""Files that hold no answers, in the order in which they need one another, and the names that their rooms show."""
CLOSED = frozenset({"kernels", "check", "grade"})


class NotWhileGradingError(RuntimeError):
    """A student's file used a part of minicnn that is the reference for what it should do itself."""


class Refusal:
    """Stands for something of minicnn that is not there while a file is graded."""

    def __init__(self, name: str) -> None:
        self._name = name

    def _refuse(self, *args: Any, **options: Any) -> NoReturn:
        raise NotWhileGradingError(
            f"{self._name} is not there while a file is graded. Write it yourself; "
            "and put trials under `if __name__ == '__main__':`"
        )

    __call__ = _refuse
    __mro_entries__ = _refuse  # class Mine(nn.Conv2d)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse()


def furnish() -> None:
    """Bring what is allowed into the rooms that `start.py` has opened, and shut them."""
    backend = importlib.import_module("minicnn.backend")
    backend.set_backend("numpy")  # random bits come from the plain body, which needs no kernels
    for file, names in FILES:
        module = importlib.import_module(file)
        room = sys.modules[file.rpartition(".")[0]]
        for name in names:
            setattr(room, name, getattr(module, name))
    minicnn = sys.modules["minicnn"]
    minicnn.__dict__.update(seed=backend.seed, backend=backend, errors=sys.modules["minicnn.errors"])
    for name in ("minicnn", "minicnn.nn", "minicnn.ops"):
        _shut(sys.modules[name])


def _shut(room: types.ModuleType) -> None:
    """Let a room find no more files, and answer for whatever else it is asked for."""

    def missing(name: str) -> Refusal:
        if name.startswith("__"):
            raise AttributeError(name)
        if room.__name__ == "minicnn" and name in CLOSED:
            raise ImportError(f"minicnn.{name} cannot be imported while a file is graded")
        return Refusal(f"{room.__name__}.{name}")

    room.__path__ = []
    room.__dict__["__getattr__"] = missing
