"""Mutations: what may become of an architecture in one step.

Real et al., "Large-scale evolution of image classifiers", 2017, section 3.2, has eleven, and one is drawn evenly.
Each function here lists every chain of cells that its mutation could make of an architecture; `mutate` draws one.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from minicnn.recipes.architecture.dice import Dice
from minicnn.recipes.architecture.genome import POOL, Architecture, Cell
from minicnn.recipes.architecture.space import SearchSpace

Chain: TypeAlias = tuple[Cell, ...]


def insert_convolution(cells: Chain, space: SearchSpace) -> list[Chain]:
    """Any convolution at any place."""
    return [(*cells[:i], cell, *cells[i:]) for i in range(len(cells) + 1) for cell in space.cells if cell != POOL]


def insert_pooling(cells: Chain, space: SearchSpace) -> list[Chain]:
    """A pooling cell at any place; places beside another give the same chain, so they count once."""
    if not space.pool:
        return []
    return list(dict.fromkeys((*cells[:i], POOL, *cells[i:]) for i in range(len(cells) + 1)))


def remove(cells: Chain, space: SearchSpace) -> list[Chain]:
    """One cell less."""
    return list(dict.fromkeys((*cells[:i], *cells[i + 1 :]) for i in range(len(cells))))


def change(name: str, values: str) -> Callable[[Chain, SearchSpace], list[Chain]]:
    """Return the mutation that gives one convolution another value of a field, out of those the space has."""

    def changed(cells: Chain, space: SearchSpace) -> list[Chain]:
        choices: tuple[Any, ...] = getattr(space, values)
        return [
            (*cells[:i], replace(cell, **{name: value}), *cells[i + 1 :])
            for i, cell in enumerate(cells)
            if cell.kind == "conv"
            for value in choices
            if value != getattr(cell, name)
        ]

    return changed


def identity(cells: Chain, space: SearchSpace) -> list[Chain]:
    """No change: the child is trained again from other weights, so a lucky fitness is not kept by chance alone."""
    return [cells]


MUTATIONS: dict[str, Callable[[Chain, SearchSpace], list[Chain]]] = {
    "insert convolution": insert_convolution,
    "insert pooling": insert_pooling,
    "remove": remove,
    "kernel": change("kernel", "kernels"),
    "width": change("width", "widths"),
    "stride": change("stride", "strides"),
    "skip": change("skip", "skip"),
    "batch norm": change("batch_norm", "batch_norm"),
    "identity": identity,
}


def mutate(parent: Architecture, space: SearchSpace, dice: Dice) -> tuple[str, Architecture]:
    """Return the name of a mutation, drawn evenly among those that can be made here, and a child that it gives.

    The child is drawn evenly among all that the mutation could give within the space.
    """
    for name in dice.sample(list(MUTATIONS), len(MUTATIONS)):
        children = MUTATIONS[name](parent.cells, space)
        while children:
            child = children.pop(dice.below(len(children)))
            if space.allows(child):
                return name, Architecture(child)
    return "identity", parent  # only for a parent from outside the space
