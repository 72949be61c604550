"""The two lists that the modules of this folder fill: implementations with one mistake each, and correct ones."""

from collections.abc import Callable
from dataclasses import dataclass

MISTAKES: list["Mistake"] = []
CORRECT: list["Correct"] = []


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


def _new_name(function: Callable) -> str:
    """Return the function's name. Raises ValueError if another one here has it: tests are named after them."""
    name = function.__name__
    if name in {entry.name for entry in (*MISTAKES, *CORRECT)}:
        raise ValueError(f"there are two functions named {name}")
    return name
