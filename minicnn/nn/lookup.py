"""Finding a layer in a network by what somebody calls it."""

import difflib
from collections.abc import Iterable

from minicnn.errors import ArgumentError, listed
from minicnn.nn.containers import Sequential
from minicnn.nn.layer import Layer


def find_layer(model: Layer, which: int | str | Layer) -> Layer:
    """Return a layer of a model: by dotted name, by number in a Sequential, or itself.

    Raises `ArgumentError` if it is not in the model; the message lists the names.
    """
    layers = dict(model.named_layers())
    if isinstance(which, Layer):
        if not any(which is layer for layer in layers.values()):
            raise ArgumentError(f"{which!r} is not a layer of this model")
        return which
    if isinstance(which, str):
        if which not in layers:
            raise ArgumentError(no_such_layer(which, layers, layers))
        return layers[which]
    if not isinstance(model, Sequential):
        raise ArgumentError(f"a number means a layer of a Sequential; {model!r} has {listed(filter(None, layers))}")
    if not isinstance(which, int) or not -len(model) <= which < len(model):
        allowed = f"a number from {-len(model)} to {len(model) - 1}"
        raise ArgumentError(f"layer must be a name, a layer, or {allowed}, not {which!r}")
    return model[which]


def no_such_layer(name: str, known: Iterable[str], shown: Iterable[str]) -> str:
    """Return the message for a name that is not among the known ones, with the nearest and a list of some to choose."""
    near = difflib.get_close_matches(name, list(known), n=1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    return f"there is no layer {name!r}{hint}; there are {listed(filter(None, shown))}"
