"""The states of callbacks as a checkpoint keeps them: arrays beside each other, the rest as JSON."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.backend import to_host

if TYPE_CHECKING:
    from minicnn.train.callbacks import Callback


def named_callbacks(callbacks: Sequence["Callback"]) -> dict[str, "Callback"]:
    """Return those that have a state by the names of their classes; a second of its class is called `Class.2`."""
    named: dict[str, Callback] = {}
    counts: dict[str, int] = {}
    for callback in callbacks:
        if callback.state_dict():
            kind = type(callback).__name__
            counts[kind] = counts.get(kind, 0) + 1
            named[kind if counts[kind] == 1 else f"{kind}.{counts[kind]}"] = callback
    return named


def packed(callbacks: Sequence["Callback"]) -> tuple[dict[str, np.ndarray], dict[str, dict[str, Any]]]:
    """Return all arrays as "callback/<name>/<what>", on the host, and all else as {name: {what: value}}."""
    arrays: dict[str, np.ndarray] = {}
    rest: dict[str, dict[str, Any]] = {}
    for name, callback in named_callbacks(callbacks).items():
        rest[name] = {}
        for what, value in callback.state_dict().items():
            if hasattr(value, "dtype") and hasattr(value, "shape"):
                arrays[f"callback/{name}/{what}"] = to_host(value)
            else:
                rest[name][what] = value
    return arrays, rest


def unpacked(arrays: Mapping[str, np.ndarray], rest: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the state of each callback by name: the way back from `packed`."""
    states = {name: dict(state) for name, state in rest.items()}
    for name, state in states.items():
        prefix = f"callback/{name}/"
        state |= {key.removeprefix(prefix): value for key, value in arrays.items() if key.startswith(prefix)}
    return states
