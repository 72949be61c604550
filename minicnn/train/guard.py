"""Finding where a NaN or an infinity first arose.

One step with a non-finite number makes all weights non-finite at the next, and then nothing can be told any more. So
the loss is looked at before the backward pass and the gradients before the update, while the trace is fresh.
"""

from collections.abc import Sequence

import numpy as np

from minicnn.backend import Array, CounterRng, array_module, to_host
from minicnn.errors import NonFiniteError
from minicnn.nn import Layer, Parameter

ADVICE = "a lower learning rate, clip_norm=1.0 or normalised inputs usually mend it"


def check_loss(model: Layer, x: Array, loss: Array, rngs: Sequence[tuple[CounterRng, int]], when: str) -> None:
    """Raise `NonFiniteError` if the loss is not finite, naming the first layer whose output is not.

    rngs : the layers' sources of randomness with their steps before the forward pass, so that it can be repeated
    when : the place in the training, for the message
    """
    if np.isfinite(to_host(loss)):
        return
    raise NonFiniteError(f"{when}: the loss is {float(loss)}; {_first_in_forward(model, x, rngs)}; {ADVICE}")


def check_gradients(named: dict[str, Parameter], when: str) -> None:
    """Raise `NonFiniteError` if a gradient is not finite; gradients flow backwards, so the last one arose first."""
    for name, parameter in reversed(named.items()):
        grad = parameter.grad
        # A sum of squares is one pass over the array; only if it is not finite is it worth looking closer.
        if grad is not None and not np.isfinite(np.vdot(grad, grad)) and not np.isfinite(grad).all():
            raise NonFiniteError(f"{when}: the gradient of {name!r} holds NaN or infinity; {ADVICE}")


def _first_in_forward(model: Layer, x: Array, rngs: Sequence[tuple[CounterRng, int]]) -> str:
    """Repeat the forward pass with the same random numbers and say where it goes wrong."""
    if not _finite(x):
        return "the batch itself holds NaN or infinity"
    for name, parameter in model.named_parameters().items():
        if not _finite(parameter.data):
            return f"the parameter {name!r} holds NaN or infinity already"
    found: list[str] = []
    names = {id(layer): name for name, layer in model.named_layers()}

    def look(layer: Layer, x: Array, y: Array) -> None:
        if not found and not layer.children() and not _finite(y):
            where = f"layer {names[id(layer)]!r}, {layer!r}"
            found.append(f"NaN or infinity first arose in {where}, from inputs of up to {float(abs(x).max()):.3g}")

    removers = [layer.add_hook(look) for _, layer in model.named_layers()]
    for rng, step in rngs:
        rng.step = step
    try:
        model(x)
    finally:
        for remove in removers:
            remove()
    return found[0] if found else "all layers' outputs are finite, so it arose in the loss itself"


def _finite(array: Array) -> bool:
    return bool(to_host(array_module(array).isfinite(array).all()))
