"""Finding where a NaN or an infinity first arose.

One step with a non-finite number makes all weights non-finite, and then nothing can be told any more. So the loss is
looked at before the backward pass and the gradients before the update, while the trace is fresh.
"""

import math
from collections.abc import Mapping

import numpy as np

from minicnn.backend import Array, array_module, to_host
from minicnn.errors import NonFiniteError
from minicnn.nn import Layer, Parameter

ADVICE = "a lower learning rate, clip_norm=1.0 or normalised inputs usually mend it, unless that layer has a mistake"


class Guard:
    """Watches over training steps on the host; on a GPU it looks at nothing, since looking would make it wait.

    `before` notes where the random streams and the buffers are, so that the forward pass can be repeated with the same
    random numbers, and so that a step that fails leaves the model as it was.
    """

    def __init__(self, model: Layer, parameters: Mapping[str, Parameter]) -> None:
        self.model = model
        self.parameters = parameters
        self._rngs = list(model.named_rngs().values())
        self._buffers = list(model.named_buffers().values())

    def before(self, x: Array, when: str) -> None:
        """Get ready for the step on this batch."""
        self.x = x
        self.when = when
        self.on_host = isinstance(x, np.ndarray)
        self.rngs = [(rng, rng.step) for rng in self._rngs]
        self.buffers = [(buffer, buffer.data) for buffer in self._buffers]

    def check_loss(self, loss: Array) -> None:
        """Raise `NonFiniteError` if the loss is not finite, naming the first layer whose output is not."""
        if self.on_host and not math.isfinite(loss):
            raise self.error(float(loss))

    def error(self, loss: float) -> NonFiniteError:
        """Return the error that says where a loss that is not finite comes from; the model's buffers are put back."""
        where = self._first_in_forward()
        self._restore_buffers()
        return NonFiniteError(f"{self.when}: the loss is {loss}; {where}; {ADVICE}")

    def check_gradients(self) -> None:
        """Raise `NonFiniteError` if a gradient is not finite; gradients flow backwards, so the last one arose first."""
        if not self.on_host:
            return
        for name, parameter in reversed(list(self.parameters.items())):
            grad = parameter.grad
            if grad is None:
                continue
            line = grad.ravel(order="K")  # as it lies in memory, without a copy
            # A sum of squares is one pass over the array; only if it is not finite is it worth looking closer.
            if not math.isfinite(line.dot(line)) and not np.isfinite(grad).all():
                self._restore_buffers()
                raise NonFiniteError(f"{self.when}: the gradient of {name!r} holds NaN or infinity; {ADVICE}")

    def _first_in_forward(self) -> str:
        """Repeat the forward pass with the same random numbers and say where it goes wrong."""
        if not _finite(self.x):
            return "the batch itself holds NaN or infinity"
        for name, parameter in self.model.named_parameters().items():
            if not _finite(parameter.data):
                return f"the parameter {name!r} holds NaN or infinity already"
        found: list[str] = []
        names = {id(layer): name for name, layer in self.model.named_layers()}

        def look(layer: Layer, x: Array, y: Array) -> None:
            if not found and not layer.children() and not _finite(y):
                where = f"layer {names[id(layer)]!r}, {layer!r}"
                found.append(f"NaN or infinity first arose in {where}, from inputs of up to {float(abs(x).max()):.3g}")

        removers = [layer.add_hook(look) for _, layer in self.model.named_layers()]
        for rng, step in self.rngs:
            rng.step = step
        try:
            self.model(self.x)
        finally:
            for remove in removers:
                remove()
        return found[0] if found else "all layers' outputs are finite, so it arose in the loss itself"

    def _restore_buffers(self) -> None:
        for buffer, data in self.buffers:
            buffer.data = data


def _finite(array: Array) -> bool:
    return bool(to_host(array_module(array).isfinite(array).all()))
