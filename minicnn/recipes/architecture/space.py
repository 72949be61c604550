"""Which architectures a search may find, and drawing one at random."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from minicnn.data import ArrayDataset, SealedDataset, Splits
from minicnn.errors import ArgumentError, DataError, ShapeError, expect_kind, whole_number
from minicnn.recipes.architecture.dice import Dice
from minicnn.recipes.architecture.genome import POOL, Architecture, Cell, check_input_shape

POOL_SHARE = 0.25
"""How often a random cell is a pooling cell, where that may be."""
TRIES = 20


@dataclass(frozen=True)
class SearchSpace:
    """All chains of cells with these settings that the images are large enough for.

    A cell makes the image smaller only while its shorter side is at least the cell's stride, so that sizes never fall
    below 1. `SearchSpace.of(data)` takes shape and classes from the data.

    Parameters
    ----------
    input_shape : (int, int, int)
        Channels, height and width of the images.
    classes : int
        How many scores come out.
    kernels, widths, strides : sequence of int
        What a convolution may have; kernels are odd.
    skip, batch_norm : sequence of bool
        Whether cells may have them, must, or may not: (False, True), (True,) or (False,).
    pool : bool
        Whether cells may be pooling cells.
    most_cells : int
        The longest chain.
    most_multiply_adds : int, optional
        A limit to what one forward pass for one image may cost.

    Raises
    ------
    ArgumentError
        If a choice is empty or makes no sense, or no cell at all is within the limits.
    """

    input_shape: tuple[int, int, int]
    classes: int
    kernels: Sequence[int] = (1, 3, 5)
    widths: Sequence[int] = (8, 16, 32)
    strides: Sequence[int] = (1, 2)
    skip: Sequence[bool] = (False, True)
    batch_norm: Sequence[bool] = (False, True)
    pool: bool = True
    most_cells: int = 6
    most_multiply_adds: int | None = None
    cells: tuple[Cell, ...] = field(init=False, repr=False, compare=False)
    """All cells there are."""

    def __post_init__(self) -> None:
        def keep(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        keep("input_shape", check_input_shape(self.input_shape))
        keep("classes", whole_number("classes", self.classes, least=2))
        keep("most_cells", whole_number("most_cells", self.most_cells))
        if self.most_multiply_adds is not None:
            keep("most_multiply_adds", whole_number("most_multiply_adds", self.most_multiply_adds))
        for name in ("kernels", "widths", "strides", "skip", "batch_norm"):
            values = getattr(self, name)
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise ArgumentError(f"{name} must be a sequence of at least one value, not {values!r}")
            keep(name, tuple(sorted(set(values))))
        convolutions = [
            Cell(k, width, stride, bool(skip), bool(batch_norm))
            for k, width, stride, skip, batch_norm in product(
                self.kernels, self.widths, self.strides, self.skip, self.batch_norm
            )
        ]
        keep("cells", (*convolutions, POOL) if self.pool else tuple(convolutions))
        if not any(self.allows((cell,)) for cell in self.cells):
            raise ArgumentError(
                f"no single cell is within the limits (most_multiply_adds={self.most_multiply_adds}, images "
                f"{self.input_shape}); raise the limit or offer smaller cells"
            )

    @classmethod
    def of(cls, data: Any, **settings: Any) -> "SearchSpace":
        """Return the space for the images and classes of a `Splits` or a pair (train, validation)."""
        train, _ = parts_of(data)
        return cls(input_shape=train.x.shape[1:], classes=classes_of(data), **settings)

    def allows(self, cells: Architecture | Sequence[Cell]) -> bool:
        """Return whether a chain of cells lies in this space."""
        if not 0 < len(cells) <= self.most_cells or not all(cell in self._known for cell in cells):
            return False
        architecture = cells if isinstance(cells, Architecture) else Architecture(tuple(cells))
        size = self.input_shape[1:]
        for cell in architecture:
            if cell.stride > min(size):
                return False
            size = cell.size_after(size)
        if self.most_multiply_adds is None:
            return True
        return architecture.cost(self.input_shape, self.classes).multiply_adds <= self.most_multiply_adds

    @cached_property
    def _known(self) -> frozenset[Cell]:
        return frozenset(self.cells)

    def next_cells(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that may follow this chain."""
        return [cell for cell in self.cells if self.allows((*cells, cell))]

    def random(self, dice: Dice) -> Architecture:
        """Draw an architecture: its length evenly from 1 to `most_cells`, then each cell among those that may follow.

        A quarter of the cells are pooling cells, where they may be. The chain ends early where nothing may follow.
        """
        length = 1 + dice.below(self.most_cells)
        cells: list[Cell] = []
        while len(cells) < length and (cell := self._random_cell(cells, dice)) is not None:
            cells.append(cell)
        return Architecture(tuple(cells))

    def _random_cell(self, cells: list[Cell], dice: Dice) -> Cell | None:
        """Return a cell that may follow; None if there is none. Trying is faster than listing, so it comes first."""
        convolutions = self.cells[:-1] if self.pool else self.cells
        for _ in range(TRIES):
            cell = POOL if self.pool and dice.chance(POOL_SHARE) else dice.pick(convolutions)
            if self.allows((*cells, cell)):
                return cell
        may_follow = self.next_cells(cells)
        return dice.pick(may_follow) if may_follow else None


def parts_of(data: Any) -> tuple[ArrayDataset, ArrayDataset]:
    """Return training and validation set of a `Splits` or a pair; never a test set.

    Raises `ArgumentError` for anything else, `DataError` for a sealed test set and for inputs that are no images.
    """
    if isinstance(data, Splits):
        parts: tuple = (data.train, data.validation)
    elif isinstance(data, tuple | list) and len(data) == 2:
        parts = tuple(data)
    else:
        raise ArgumentError(f"data must be Splits or a pair (train, validation) of data sets, not {data!r}")
    for part in parts:
        if isinstance(part, SealedDataset):
            raise DataError(
                "a sealed test set is for evaluate(), not for choosing an architecture; use the other splits"
            )
        if expect_kind(ArrayDataset, part, "each part of data").x.ndim != 4:
            raise ShapeError(f"the inputs must be images (N, C, H, W), not {part.x.shape}")
        if part.y.ndim != 1 or part.y.dtype.kind not in "iu":
            raise DataError(f"the targets must be labels (N,), whole numbers, not {part.y.dtype} {part.y.shape}")
    return parts


def classes_of(data: Any) -> int:
    """Return how many classes there are: as many as have names, or as the largest label says."""
    train, validation = parts_of(data)
    names = data.classes if isinstance(data, Splits) else train.classes
    return len(names or ()) or int(max(np.max(train.y), np.max(validation.y))) + 1
