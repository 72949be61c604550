"""Floor 3: the known networks, a page each; `create("lenet", input_shape=(1, 28, 28), classes=10)` builds one."""

from collections.abc import Callable

from minicnn.errors import ArgumentError, listed
from minicnn.models.basic import basic
from minicnn.models.lenet import lenet
from minicnn.nn import Sequential

MODELS: dict[str, Callable[..., Sequential]] = {"basic": basic, "lenet": lenet}


def create(name: str, input_shape: tuple[int, int, int], classes: int) -> Sequential:
    """Build a network by name for images (C, H, W). Raises `ArgumentError` for an unknown name, with the known ones."""
    if name not in MODELS:
        raise ArgumentError(f"there is no model {name!r}; the models are {listed(MODELS)}")
    if len(input_shape) != 3 or min(input_shape[1:]) < 4:
        raise ArgumentError(f"input_shape must be (C, H, W) with sides of at least 4 pixels, not {input_shape}")
    return MODELS[name](input_shape=input_shape, classes=classes)


__all__ = ["MODELS", "basic", "create", "lenet"]
