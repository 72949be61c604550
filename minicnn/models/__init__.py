"""Floor 3: the known networks, a page each; `create("resnet20", input_shape=(1, 28, 28), classes=10)` builds one."""

import inspect
from collections.abc import Callable
from typing import Any

from minicnn.errors import ArgumentError, listed
from minicnn.models.alexnet import alexnet
from minicnn.models.autoencoder import autoencoder
from minicnn.models.basic import basic
from minicnn.models.lenet import lenet
from minicnn.models.lenet5 import lenet5
from minicnn.models.resnet import resnet20, resnet32, resnet44, resnet56, resnet110
from minicnn.models.segnet import segnet
from minicnn.models.unet import unet
from minicnn.models.vgg import vgg, vgg11, vgg13, vgg16, vgg19
from minicnn.nn import Sequential

CLASSIFIERS: dict[str, Callable[..., Sequential]] = {
    "basic": basic,
    "lenet": lenet,
    "lenet5": lenet5,
    "alexnet": alexnet,
    "vgg": vgg,
    "vgg11": vgg11,
    "vgg13": vgg13,
    "vgg16": vgg16,
    "vgg19": vgg19,
    "resnet20": resnet20,
    "resnet32": resnet32,
    "resnet44": resnet44,
    "resnet56": resnet56,
    "resnet110": resnet110,
}
"""(N, C, H, W) -> (N, classes)"""
SEGMENTERS: dict[str, Callable[..., Sequential]] = {"unet": unet, "segnet": segnet}
"""(N, C, H, W) -> (N, classes, H, W)"""
MODELS: dict[str, Callable[..., Sequential]] = {**CLASSIFIERS, **SEGMENTERS, "autoencoder": autoencoder}
"""These, and the autoencoder, (N, C, H, W) -> (N, C, H, W)."""


def create(
    name: str, input_shape: tuple[int, int, int] | None = None, classes: int | None = None, **options: Any
) -> Sequential:
    """Build a network by name.

    Parameters
    ----------
    name : str
        One of `MODELS`.
    input_shape : (int, int, int), optional
        (C, H, W) of an image; by default as in the paper.
    classes : int, optional
        How many scores it gives, for an image or, in segmentation, for a pixel; by default as in the paper. The
        autoencoder has none.
    options
        What else the network's own function takes, such as `width`: `help(models.unet)` says.

    Raises
    ------
    ArgumentError
        For an unknown name or option, with those that there are; for images too small for the network, or of sides
        that it cannot halve often enough.
    """
    if name not in MODELS:
        raise ArgumentError(f"there is no model {name!r}; the models are {listed(MODELS)}")
    build = MODELS[name]
    given = {"input_shape": input_shape, "classes": classes}
    options |= {option: value for option, value in given.items() if value is not None}
    known = inspect.signature(build).parameters
    if unknown := [option for option in options if option not in known]:
        raise ArgumentError(f"{name} has no option {listed(unknown)}; it has {listed(known)}")
    return build(**options)


__all__ = [
    "CLASSIFIERS",
    "MODELS",
    "SEGMENTERS",
    "alexnet",
    "autoencoder",
    "basic",
    "create",
    "lenet",
    "lenet5",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "segnet",
    "unet",
    "vgg",
    "vgg11",
    "vgg13",
    "vgg16",
    "vgg19",
]
