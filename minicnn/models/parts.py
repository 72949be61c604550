"""What several networks are made of."""

import itertools
import operator

from minicnn.errors import ArgumentError
from minicnn.nn import BatchNorm2d, Conv2d, Layer, ReLU, Sequential

Image = tuple[int, int, int]
"""(channels, height, width) of the images that a network is built for."""


def sides_of(name: str, image: Image, *, least: int, multiple: int = 1) -> Image:
    """Return (C, H, W). Raises `ArgumentError` unless the sides are long enough, and multiples of a number."""
    wanted = f"sides of at least {least} pixels" + (f" that are multiples of {multiple}" if multiple > 1 else "")
    try:
        channels, height, width = (operator.index(size) for size in image)
        fits = channels >= 1 and min(height, width) >= least and height % multiple == width % multiple == 0
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ArgumentError(f"{name}: input_shape must be (C, H, W) with {wanted}, not {image!r}")
    return channels, height, width


def chosen(name: str, option: str, value: object, known: tuple[object, ...]) -> None:
    """Raise `ArgumentError` unless an option has one of the known values."""
    if value not in known:
        raise ArgumentError(f"{name}: {option} must be {' or '.join(map(repr, known))}, not {value!r}")


def conv_relu(before: int, after: int, *, batch_norm: bool = False) -> list[Layer]:
    """Return a 3 x 3 convolution that keeps the size, with batch norm if asked for, and ReLU."""
    conv = Conv2d(before, after, 3, padding=1, bias=not batch_norm)  # batch norm brings a shift of its own
    return [conv, BatchNorm2d(after), ReLU()] if batch_norm else [conv, ReLU()]


def convs(*widths: int, batch_norm: bool = False) -> Sequential:
    """Return one convolution after another: `convs(3, 64, 64)` goes from 3 channels to 64, and to 64 again."""
    steps = itertools.pairwise(widths)
    return Sequential(*[layer for step in steps for layer in conv_relu(*step, batch_norm=batch_norm)])
