"""A genome of convolutional networks for classification: a chain of cells, as plain data.

An `Architecture` is hashable, has an order-preserving text such as "conv3x16 bn pool conv3x32/2 skip" that can be read
back, and builds itself as layers. Searches compare, change and write down these genomes; no weights are in them.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from minicnn.errors import ArgumentError, ShapeError, expect_kind, whole_number
from minicnn.geometry import Pair
from minicnn.nn import BatchNorm2d, Conv2d, GlobalAvgPool2d, Layer, Linear, MaxPool2d, ReLU, Residual, Sequential

WORD = re.compile(r"conv(\d+)x(\d+)(?:/(\d+))?")


@dataclass(frozen=True)
class Cell:
    """One cell: y = relu(bn(conv(x)) + shortcut(x)), in which batch norm and shortcut are optional; or max pooling.

    x : (N, C, H, W)   y : (N, width, ceil(H / stride), ceil(W / stride)); pooling gives (N, C, floor(H/2), floor(W/2))

    The shortcut is the identity; where width or stride change the shape it is a 1 x 1 convolution with that stride.

    Parameters
    ----------
    kernel : int
        Pixels a side, odd; the image is padded by kernel // 2.
    width : int
        Channels that come out.
    stride : int
        Of the convolution.
    skip, batch_norm : bool
        Whether there is a shortcut around the convolution, and batch norm behind it.
    kind : "conv" or "pool"
        Pooling has windows of 2 x 2, and nothing to choose: it is written `POOL`.

    Raises
    ------
    ArgumentError
        If a number is below 1, the kernel even, or a pooling cell has settings.
    """

    kernel: int = 3
    width: int = 16
    stride: int = 1
    skip: bool = False
    batch_norm: bool = False
    kind: Literal["conv", "pool"] = "conv"

    def __post_init__(self) -> None:
        if self.kind == "pool":
            if (self.kernel, self.width, self.stride, self.skip, self.batch_norm) != (2, 0, 2, False, False):
                raise ArgumentError("a pooling cell has windows of 2 x 2 and nothing to choose; take POOL")
            return
        if self.kind != "conv":
            raise ArgumentError(f"Cell: kind must be 'conv' or 'pool', not {self.kind!r}")
        for name in ("kernel", "width", "stride"):
            whole_number(f"Cell: {name}", getattr(self, name))
        if self.kernel % 2 == 0:
            raise ArgumentError(f"Cell: kernel must be odd, so that padding keeps the image's size, not {self.kernel}")

    def size_after(self, size: Pair) -> Pair:
        """Return (height, width) of what comes out, for an image of this size."""
        h, w = size
        if self.kind == "pool":
            return h // 2, w // 2
        return -(-h // self.stride), -(-w // self.stride)

    def __str__(self) -> str:
        if self.kind == "pool":
            return "pool"
        stride = f"/{self.stride}" if self.stride > 1 else ""
        return f"conv{self.kernel}x{self.width}{stride}{' bn' * self.batch_norm}{' skip' * self.skip}"

    def in_words(self) -> str:
        """Return a line for a reader: "convolution 3 x 3, 16 channels, stride 2, batch norm, shortcut"."""
        if self.kind == "pool":
            return "max pooling 2 x 2"
        parts = [f"convolution {self.kernel} x {self.kernel}", f"{self.width} channels"]
        parts += [f"stride {self.stride}"] * (self.stride > 1)
        parts += ["batch norm"] * self.batch_norm + ["shortcut"] * self.skip
        return ", ".join(parts)


POOL = Cell(kernel=2, width=0, stride=2, kind="pool")


class Cost(NamedTuple):
    """What a network costs: numbers to learn, and multiply-adds of one forward pass for one image."""

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Architecture:
    """A chain of at least one cell; behind it the mean over each channel and a linear layer for the classes.

    Raises `ArgumentError` if there is no cell, or something is none.
    """

    cells: tuple[Cell, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cells", tuple(self.cells))
        for cell in self.cells:
            expect_kind(Cell, cell, "a cell")
        if not self.cells:
            raise ArgumentError("an architecture needs at least one cell")

    @classmethod
    def parse(cls, text: str) -> "Architecture":
        """Read an architecture back from its text, "conv3x16 bn pool conv3x32/2 skip"; `ArgumentError` for others."""
        words = str(text).split()
        cells: list[Cell] = []
        while words:
            word = words.pop(0)
            match = WORD.fullmatch(word)
            if word == "pool":
                cells.append(POOL)
            elif match:
                behind = {words.pop(0) for _ in range(2) if words and words[0] in ("bn", "skip")}
                k, width, stride = (int(number or 1) for number in match.groups())
                cells.append(Cell(k, width, stride, skip="skip" in behind, batch_norm="bn" in behind))
            else:
                raise ArgumentError(
                    f"{word!r} is no cell in {text!r}; cells are 'pool' and 'conv3x16' (kernel, width), with '/2' "
                    "behind it for a stride, and then 'bn' or 'skip'"
                )
        return cls(tuple(cells))

    def sizes(self, size: Pair) -> list[Pair]:
        """Return (height, width) behind each cell. Raises `ShapeError` if an image is too small to be pooled."""
        sizes = []
        for number, cell in enumerate(self.cells, start=1):
            if cell.kind == "pool" and min(size) < 2:
                raise ShapeError(
                    f"cell {number} of '{self}' cannot pool an image of {size[0]} x {size[1]}; leave out one that "
                    "makes it smaller"
                )
            size = cell.size_after(size)
            sizes.append(size)
        return sizes

    def cost(self, input_shape: Sequence[int], classes: int) -> Cost:
        """Return parameters and multiply-adds for images (C, H, W), as `build(...).summary(...)` counts them."""
        c, h, w = input_shape
        parameters = multiply_adds = 0
        for cell, (oh, ow) in zip(self.cells, self.sizes((h, w)), strict=True):
            if cell.kind == "pool":
                continue
            weights = cell.kernel**2 * c * cell.width
            multiply_adds += (weights + cell.width * cell.batch_norm) * oh * ow
            parameters += weights + cell.width * (2 if cell.batch_norm else 1)
            if needs_convolution(cell, c):
                multiply_adds += c * cell.width * oh * ow
                parameters += (c + 1) * cell.width
            c = cell.width
        return Cost(parameters + (c + 1) * classes, multiply_adds + c * classes)

    def build(self, input_shape: Sequence[int], classes: int) -> Sequential:
        """Return the network for images (C, H, W), with fresh weights: (N, C, H, W) -> scores (N, classes).

        Raises `ShapeError` if the images are too small for it, `ArgumentError` for a shape that is none.
        """
        c, *size = check_input_shape(input_shape)
        self.sizes((size[0], size[1]))
        layers: list[Layer] = []
        for cell in self.cells:
            layers.extend(layers_of(cell, c))
            c = cell.width or c
        return Sequential(*layers, GlobalAvgPool2d(), Linear(c, whole_number("classes", classes)))

    def describe(self) -> str:
        """Return the architecture in words, a line for each cell."""
        lines = [f"{number}. {cell.in_words()}" for number, cell in enumerate(self.cells, start=1)]
        return "\n".join([*lines, f"{len(lines) + 1}. mean over each channel, linear"])

    def __len__(self) -> int:
        return len(self.cells)

    def __iter__(self) -> Iterator[Cell]:
        return iter(self.cells)

    def __str__(self) -> str:
        return " ".join(map(str, self.cells))


def layers_of(cell: Cell, channels: int) -> list[Layer]:
    """Return the layers of a cell that gets so many channels."""
    if cell.kind == "pool":
        return [MaxPool2d(2)]
    k, bn = cell.kernel, cell.batch_norm
    body: list[Layer] = [Conv2d(channels, cell.width, k, cell.stride, padding=k // 2, bias=not bn)]
    if bn:
        body.append(BatchNorm2d(cell.width))
    if not cell.skip:
        return [*body, ReLU()]
    shortcut = Conv2d(channels, cell.width, 1, cell.stride) if needs_convolution(cell, channels) else None
    return [Residual(Sequential(*body), shortcut), ReLU()]


def needs_convolution(cell: Cell, channels: int) -> bool:
    """Return whether the cell has a shortcut that has to change the shape."""
    return cell.skip and (cell.width != channels or cell.stride > 1)


def check_input_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """Return (C, H, W). Raises `ArgumentError` for anything else."""
    if not isinstance(shape, Sequence) or len(shape) != 3:
        raise ArgumentError(f"input_shape must be (channels, height, width), not {shape!r}")
    c, h, w = (whole_number("input_shape", number) for number in shape)
    return c, h, w
