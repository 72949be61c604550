"""The table that `model.summary(input_shape)` gives: what each layer makes of an image, and what that costs."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from minicnn.backend import Array, array_module
from minicnn.nn.modes import evaluating, observing

if TYPE_CHECKING:
    from minicnn.nn.layer import Layer


Window: TypeAlias = tuple[int, int, int | Fraction, int | Fraction]
"""Height and width of what one output sees of a layer's input, and the steps down and across to the next one's."""


@dataclass(frozen=True)
class Field:
    """What one output sees: `height` x `width` pixels of the input, in steps of `down` and `across` pixels.

    Behind upsampling, outputs lie a fraction of a pixel apart, and see a whole number of them when rounded up.
    """

    height: int | Fraction = 1
    width: int | Fraction = 1
    down: int | Fraction = 1
    across: int | Fraction = 1

    def through(self, window: Window) -> "Field":
        """Return the field behind a layer that looks at this window of what came before.

        r' = r + (k - 1) * jump and jump' = jump * stride: Araujo, Norris and Sim, "Computing receptive fields of
        convolutional neural networks", Distill, 2019, equation 2.
        """
        kh, kw, sh, sw = window
        return Field(
            self.height + (kh - 1) * self.down,
            self.width + (kw - 1) * self.across,
            self.down * sh,
            self.across * sw,
        )

    def __str__(self) -> str:
        return f"{math.ceil(self.height)} x {math.ceil(self.width)}"


@dataclass(frozen=True)
class Row:
    """One layer of the table. `field` is None where an output sees the whole image."""

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    multiply_adds: int
    field: Field | None


@dataclass(frozen=True)
class Summary:
    """The table, with the totals; print it."""

    input_shape: tuple[int, ...]
    rows: list[Row]
    parameters: int
    trainable: int

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one forward pass for one input."""
        return sum(row.multiply_adds for row in self.rows)

    def __str__(self) -> str:
        titles = ("", "layer", "output shape", "parameters", "multiply-adds", "receptive field")
        body = [
            (
                row.name,
                row.layer,
                " x ".join(map(str, row.output_shape)) or "1",
                f"{row.parameters:,}" if row.parameters else "",
                f"{row.multiply_adds:,}" if row.multiply_adds else "",
                "whole input" if row.field is None else str(row.field),
            )
            for row in self.rows
        ]
        total = ("", "total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}", "")
        widths = [max(len(line[i]) for line in (titles, *body, total)) for i in range(len(titles))]
        to_the_right = (False, False, False, True, True, True)

        def write(line: tuple[str, ...]) -> str:
            cells = [
                cell.rjust(width) if right else cell.ljust(width)
                for cell, width, right in zip(line, widths, to_the_right, strict=True)
            ]
            return "  ".join(cells).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        lines = [write(titles), rule, *map(write, body), rule, write(total)]
        if self.trainable != self.parameters:
            lines.append(f"trainable parameters: {self.trainable:,} (the others are frozen)")
        return "\n".join(lines)

    __repr__ = __str__


def summarise(model: "Layer", input_shape: tuple[int, ...]) -> Summary:
    """Run one input of zeros through the model in evaluation mode and write down what each layer made of it.

    Receptive fields follow the arrays: a layer's input is recognised by the array object that another layer gave out,
    and a container sees what the widest of the layers inside it sees.
    """
    parameters = model.parameters()
    like = parameters[0].data if parameters else np.zeros(0, dtype=np.float32)
    dtype = np.int64 if model.takes_integers() else like.dtype
    x = array_module(like).zeros((1, *input_shape), dtype=dtype)
    names = {id(layer): name for name, layer in model.named_layers()}
    fields: dict[int, Field | None] = {id(x): Field()}
    alive: list[Array] = [x]  # an array that is freed would hand its id to the next
    rows: list[Row] = []

    def note(layer: "Layer", x: Array, y: Array) -> None:
        alive.extend((x, y))
        fields.setdefault(id(x), Field())
        inside = list(layer.children().values())
        if inside:
            fields.setdefault(id(y), _widest([field_of_layer.get(id(child)) for child in inside]))
        else:
            before, window = fields[id(x)], layer.window()
            if y is not x:
                fields[id(y)] = None if before is None or window is None else before.through(window)
            own = sum(p.data.size for p in layer.parameters())
            cost = len(x) * layer.multiply_adds(x.shape, y.shape)  # more than one where time is folded into the batch
            rows.append(Row(names[id(layer)], repr(layer), y.shape[1:], own, cost, fields[id(y)]))
        field_of_layer[id(layer)] = fields[id(y)]

    field_of_layer: dict[int, Field | None] = {}
    with evaluating(model), observing(model, note):
        model(x)
    total = sum(p.data.size for p in parameters)
    trainable = sum(p.data.size for p in parameters if not p.frozen)
    return Summary(tuple(input_shape), rows, total, trainable)


def _widest(fields: list[Field | None]) -> Field | None:
    known = [field for field in fields if field is not None]
    if len(known) < len(fields) or not known:
        return None
    return Field(
        max(f.height for f in known),
        max(f.width for f in known),
        max(f.down for f in known),
        max(f.across for f in known),
    )
