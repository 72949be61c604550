"""The lists that the modules of this folder fill: implementations with one mistake each, and correct ones."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import minicnn as mc

MISTAKES: list["Mistake"] = []
CORRECT: list["Correct"] = []
LAYER_MISTAKES: list["LayerCase"] = []
LAYER_CORRECT: list["LayerCase"] = []


@dataclass(frozen=True)
class Mistake:
    """An implementation of an operation with one mistake.

    Attributes
    ----------
    name : str
        The function's name, which no other function here has.
    op : str
        The operation that it implements.
    kind : str
        What a teacher would call the mistake, in the words of `minicnn.check`.
    also : tuple of str
        Kinds that are as right a name for it.
    where : str
        The result in which it shows; the argument, where one is written to.
    function : callable
        The implementation itself.
    """

    name: str
    op: str
    kind: str
    also: tuple[str, ...]
    where: str
    function: Callable


@dataclass(frozen=True)
class Correct:
    """A correct implementation of an operation; `needs` is a module that not every machine has, such as torch."""

    name: str
    op: str
    needs: str | None
    function: Callable


def mistake(op: str, kind: str, *, where: str, also: tuple[str, ...] = ()) -> Callable[[Callable], Callable]:
    """Add a function to MISTAKES."""

    def register(function: Callable) -> Callable:
        name = _new_name(function)
        MISTAKES.append(Mistake(name, op, kind, also, where, function))
        return function

    return register


def correct(op: str, *, needs: str | None = None) -> Callable[[Callable], Callable]:
    """Add a function to CORRECT."""

    def register(function: Callable) -> Callable:
        name = _new_name(function)
        CORRECT.append(Correct(name, op, needs, function))
        return function

    return register


@dataclass(frozen=True)
class LayerCase:
    """A layer, or a pair of functions, for a gradient check.

    Attributes
    ----------
    name : str
        Of the class, or of the backward function.
    kind, also : str or None, tuple of str
        As for `Mistake`; None and nothing for what is right.
    where : str or None
        "x", "y" or a parameter's name.
    make : callable
        () -> layer, or (forward, backward).
    x : callable
        (generator) -> the input to check at, or a tuple of inputs.
    """

    name: str
    kind: str | None
    also: tuple[str, ...]
    where: str | None
    make: Callable[[], Any]
    x: Callable[[Any], Any]

    def check(self, x: Any) -> Any:
        """Return the report of a gradient check at x."""
        made = self.make()
        return mc.gradcheck(made[0], x, backward=made[1]) if isinstance(made, tuple) else mc.gradcheck(made, x)


def mistake_layer(kind: str, *, where: str | None, make: Callable, x: Callable, also: tuple[str, ...] = ()) -> Callable:
    """Add a layer class, or the backward function of a pair, to LAYER_MISTAKES."""

    def register(thing: Any) -> Any:
        LAYER_MISTAKES.append(LayerCase(_new_name(thing), kind, also, where, make, x))
        return thing

    return register


def correct_layer(*, make: Callable, x: Callable) -> Callable:
    """Add a layer class, or the backward function of a pair, to LAYER_CORRECT."""

    def register(thing: Any) -> Any:
        LAYER_CORRECT.append(LayerCase(_new_name(thing), None, (), None, make, x))
        return thing

    return register


def _new_name(function: Callable) -> str:
    """Return the function's name. Raises ValueError if another one here has it: tests are named after them."""
    name = function.__name__
    if name in {entry.name for entry in (*MISTAKES, *CORRECT, *LAYER_MISTAKES, *LAYER_CORRECT)}:
        raise ValueError(f"there are two functions named {name}")
    return name
