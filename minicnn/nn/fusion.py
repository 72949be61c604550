"""Neighbours that run as one step: convolution, ReLU and max pooling; convolution and ReLU; batch norm and ReLU.

One more, `ResidualReLU`, stands in `containers.py`, where its layer is, and where the chains are that take steps.

Nothing of this shows from outside. A step leaves in every layer's `saved` what the layer itself would have left there
(or the means to compute it, where the numbers were never written to memory), so each layer can go back alone. A step is
taken only where a kernel is there for it, and never where somebody looks between: not with a hook on one of the layers,
not with a function plugged into one of the operations, not with a subclass or a layer whose methods were replaced.
"""

from collections.abc import Mapping
from typing import Any

from minicnn import ops
from minicnn.backend import Array, dispatch_state
from minicnn.errors import MinicnnError
from minicnn.nn.activation import ReLU
from minicnn.nn.conv import Conv2d
from minicnn.nn.layer import Layer, check_input
from minicnn.nn.memory import Deferred
from minicnn.nn.norm import BatchNorm2d
from minicnn.nn.pool import MaxPool2d


class Fused:
    """A step made of neighbouring layers. Those are the ones that own and remember everything."""

    kinds: tuple[Any, ...]
    """The layers that stand side by side."""
    forwards: Any
    backwards: Any
    """The operations whose kernels do it."""

    def __init__(self, names: list[str], layers: list[Any]) -> None:
        self.names = names
        self.layers = layers
        self.left: list[Any] = []

    def forward(self, x: Array) -> Array | None:
        """Return what the layers together make of x; None if something is wrong with it, for the layers to say what."""
        try:
            y, saved = self._forward(x)
        except MinicnnError:
            return None
        return self.keep(y, saved)

    def keep(self, y: Array, saved: tuple) -> Array:
        """Let every layer remember its part, and return y."""
        for layer, value in zip(self.layers, saved, strict=True):
            layer.saved = value
        self.left = [*saved, y]
        return y

    def remembers(self) -> bool:
        """Return whether the layers went forwards together the last time, and remember that."""
        if len(self.left) <= len(self.layers):
            return False
        return all(layer._saved is left for layer, left in zip(self.layers, self.left, strict=False))

    def _forward(self, x: Array) -> tuple[Array, tuple]:
        """Return the last layer's output, and what each layer is to remember."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        """Return dx, and add to the gradients of the first layer's parameters."""
        raise NotImplementedError


STEPS: list[type[Fused]] = []
"""The longest come first."""

_OWN_METHODS: dict[Any, tuple] = {}
"""The passes of every kind of layer that a step stands for, as they were written."""


def runs_as_one(kind: type[Fused]) -> type[Fused]:
    """Let chains take a kind of step from now on."""
    STEPS.append(kind)
    STEPS.sort(key=lambda each: -len(each.kinds))
    _OWN_METHODS.update({layer: (layer.forward, layer.backward) for layer in kind.kinds})
    return kind


@runs_as_one
class ConvReLU(Fused):
    """Conv2d and ReLU."""

    kinds, forwards, backwards = (Conv2d, ReLU), ops.conv2d_relu_forward, ops.conv2d_relu_backward

    def _forward(self, x: Array) -> tuple[Array, tuple]:
        weight, bias, options = _conv_arguments(self.layers[0], x)
        y = ops.conv2d_relu_forward(x, weight, bias, **options)
        return y, (x, y)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        conv, _ = self.layers
        x, y, _ = self.left
        weight, _, options = _conv_arguments(conv, x)
        return conv.add_grads(*ops.conv2d_relu_backward(dy, y, x, weight, **options, need_dx=conv.need_dx))


@runs_as_one
class ConvReLUMaxPool(Fused):
    """Conv2d, ReLU and MaxPool2d. What goes into the pooling is never written to memory."""

    kinds = (Conv2d, ReLU, MaxPool2d)
    forwards, backwards = ops.conv2d_relu_max_pool2d_forward, ops.conv2d_relu_max_pool2d_backward

    def _forward(self, x: Array) -> tuple[Array, tuple]:
        conv, _, pool = self.layers
        weight, bias, options = _conv_arguments(conv, x)
        y, argmax = ops.conv2d_relu_max_pool2d_forward(x, weight, bias, **options, **_pool_options(pool))
        # An optimizer may write to the weights before anybody asks for what ReLU made.
        between = Deferred(_conv_relu, x, weight.copy(), None if bias is None else bias.copy(), options)
        return y, (x, between, (argmax, (len(x), len(weight), *conv.output_size(x))))

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        conv, _, pool = self.layers
        x, _, (argmax, _), y = self.left
        weight, _, options = _conv_arguments(conv, x)
        gradients = ops.conv2d_relu_max_pool2d_backward(
            dy, y, argmax, x, weight, **options, **_pool_options(pool), need_dx=conv.need_dx
        )
        return conv.add_grads(*gradients)


@runs_as_one
class BatchNormReLU(Fused):
    """BatchNorm2d and ReLU."""

    kinds, forwards, backwards = (BatchNorm2d, ReLU), ops.batch_norm_relu_forward, ops.batch_norm_relu_backward

    def _forward(self, x: Array) -> tuple[Array, tuple]:
        norm, _ = self.layers
        y, saved = norm.normalise(x, ops.batch_norm_relu_forward, ops.batch_norm_inference_relu_forward)
        return y, (saved, y)

    def remembers(self) -> bool:
        """By the batch's own statistics; for given ones there is no kernel."""
        return super().remembers() and self.left[0].of_the_batch

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        norm, _ = self.layers
        x, mean, inv_std, _ = self.left[0]
        return norm.add_grads(*ops.batch_norm_relu_backward(dy, x, norm.weight.data, norm.bias.data, mean, inv_std))


class Plan:
    """How a chain runs: stretches of its layers, each as one fused step or, where `fused` is None, a layer alone."""

    def __init__(self, layers: Mapping[str, Layer], x: Array) -> None:
        self.layers = list(layers.items())
        self.state = self._state(x)
        self.steps: list[tuple[list[str], Fused | None]] = []
        names, row = list(layers), list(layers.values())
        while row:
            found = next((kind for kind in STEPS if _begins_with(row, kind.kinds) and _has_kernels(kind, x)), None)
            count = len(found.kinds) if found else 1
            self.steps.append((names[:count], found(names[:count], row[:count]) if found else None))
            names, row = names[count:], row[count:]

    def holds(self, layers: Mapping[str, Layer], x: Array) -> bool:
        """Return whether the chain would be planned like this today."""
        return self.layers == list(layers.items()) and self.state == self._state(x)

    def _state(self, x: Array) -> list:
        """Everything that decides which layers may run together."""
        state: list[Any] = [dispatch_state(x)]
        for _, layer in self.layers:
            own = vars(layer)
            state += [layer._hooks, "forward" in own, "backward" in own]
        for kind in _OWN_METHODS:
            state += [kind.forward, kind.backward]
        return state


def _has_kernels(kind: type[Fused], x: Array) -> bool:
    return kind.forwards.has_kernel(x) and kind.backwards.has_kernel(x)


def _begins_with(row: list[Layer], kinds: tuple) -> bool:
    return len(row) >= len(kinds) and all(map(is_plain, row, kinds))


def is_plain(layer: Layer, kind: Any) -> bool:
    """Return whether a layer is of this kind, as it was written, and unobserved."""
    if type(layer) is not kind or layer._hooks:
        return False
    own = vars(layer)
    return "forward" not in own and "backward" not in own and (kind.forward, kind.backward) == _OWN_METHODS[kind]


def _conv_arguments(conv: Any, x: Array) -> tuple[Array, Array | None, dict[str, Any]]:
    """Return the weights, the bias and the options with which a convolutional layer calls its operation."""
    check_input(conv, x, ndim=4, channels=conv.in_channels, like=conv.weight.data)
    return conv.weight.data, conv.bias.data if conv.bias else None, conv.options(x)


def _pool_options(pool: Any) -> dict[str, Any]:
    return {"pool_kernel": pool.kernel_size, "pool_stride": pool.stride, "pool_padding": pool.padding}


def _conv_relu(x: Array, weight: Array, bias: Array | None, options: dict[str, Any]) -> Array:
    return ops.relu_forward(ops.conv2d_forward(x, weight, bias, **options))
