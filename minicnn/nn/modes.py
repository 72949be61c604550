"""Ways for a model to be in for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
