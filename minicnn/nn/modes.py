"""Ways for a model to be in for a while."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from minicnn.backend import Array

if TYPE_CHECKING:
    from minicnn.nn.layer import Layer


@contextmanager
def evaluating(model: "Layer") -> Iterator[None]:
    """Put a model into evaluation mode for a `with` block; afterwards each layer has the mode that it had."""
    modes = [(layer, layer.training) for _, layer in model.named_layers()]
    model.eval()
    try:
        yield
    finally:
        for layer, training in modes:
            layer.training = training


@contextmanager
def observing(model: "Layer", look: Callable[["Layer", Array, Array], None]) -> Iterator[None]:
    """In a `with` block, call `look(layer, x, y)` after every forward pass of every layer.

    Afterwards each layer remembers what it remembered before: a backward pass may still be to come.
    """
    layers = [layer for _, layer in model.named_layers()]
    saved = [layer._saved for layer in layers]
    removers = [layer.add_hook(look) for layer in layers]
    try:
        yield
    finally:
        for remove in removers:
            remove()
        for layer, value in zip(layers, saved, strict=True):
            layer._saved = value


@contextmanager
def without_input_gradient(model: "Layer") -> Iterator[None]:
    """In a `with` block, let a backward pass leave out what training discards.

    That is the gradient of the model's input and, in a chain, everything before the first layer that is trained.
    """
    layers = [layer for layer in model.first_layers() if layer.need_dx]
    for layer in layers:
        layer.need_dx = False
    try:
        yield
    finally:
        for layer in layers:
            layer.need_dx = True
