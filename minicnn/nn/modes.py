"""Training mode and evaluation mode, for a while."""

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
