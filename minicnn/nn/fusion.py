"""Neighbours that run as one step: convolution, ReLU and max pooling; convolution and ReLU; batch norm and ReLU.

Nothing of this shows from outside. A fused step leaves in every layer's `saved` what the layer itself would have left
there (or the means to compute it, where the numbers were never written to memory), so each layer can go back alone. It
is taken only where a kernel is there for it, and never where somebody looks between: not with a hook on one of the
layers, not with a function plugged into one of the operations, not with a subclass or a layer whose methods were
replaced.
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


class Fused(Layer):
    """A step made of neighbouring layers. Those are the ones that own and remember everything."""

    operation: Any
    """The slot of the backward pass."""

    def __init__(self, *layers: Any) -> None:
        self.layers = layers
        self.left: list[Any] = []

    def forward(self, x: Array) -> Array:
        """Run the layers together; if something is wrong, one by one, so that it is said by whoever knows."""
        try:
            y = self.forward_together(x)
        except MinicnnError:
            return self._one_by_one(x)
        self.left = [layer._saved for layer in self.layers]
        return y

    def backward(self, dy: Array) -> Array:
        """Go back together if that is how the layers went forwards the last time, else one by one."""
        same = all(layer._saved is left for layer, left in zip(self.layers, self.left, strict=False))
        if self.left and same and self.operation.has_kernel(dy):
            return self.backward_together(dy)
        for layer in reversed(self.layers):
            dy = layer.backward(dy)
        return dy

    @property
    def need_dx(self) -> bool:  # type: ignore[override]
        """Whether anybody needs the gradient of what goes into the first layer."""
        return self.layers[0].need_dx

    def forward_together(self, x: Array) -> Array:
        """Compute the last layer's output, and leave in every layer what it would have saved."""
        raise NotImplementedError

    def backward_together(self, dy: Array) -> Array:
        """Compute dx, and add to the gradients of the first layer's parameters."""
        raise NotImplementedError

    def _one_by_one(self, x: Array) -> Array:
        self.left = []
        for layer in self.layers:
            x = layer(x)
        return x


class ConvReLU(Fused):
    """Conv2d and ReLU."""

    operation = ops.conv2d_relu_backward

    def forward_together(self, x: Array) -> Array:
        """x -> y"""
        conv, relu = self.layers
        weight, bias, options = conv_arguments(conv, x)
        y = ops.conv2d_relu_forward(x, weight, bias, **options)
        conv.saved, relu.saved = x, y
        return y

    def backward_together(self, dy: Array) -> Array:
        """dy -> dx"""
        conv, relu = self.layers
        x = conv.saved
        weight, _, options = conv_arguments(conv, x)
        gradients = ops.conv2d_relu_backward(dy, relu.saved, x, weight, **options, need_dx=conv.need_dx)
        return conv.add_grads(*gradients)


class ConvReLUMaxPool(Fused):
    """Conv2d, ReLU and MaxPool2d. What goes into the pooling is never written to memory."""

    operation = ops.conv2d_relu_max_pool2d_backward

    def forward_together(self, x: Array) -> Array:
        """x -> y"""
        conv, relu, pool = self.layers
        weight, bias, options = conv_arguments(conv, x)
        self.y, argmax = ops.conv2d_relu_max_pool2d_forward(x, weight, bias, **options, **_pool_options(pool))
        conv.saved = x
        relu.saved = Deferred(lambda: ops.relu_forward(ops.conv2d_forward(x, weight, bias, **options)))
        pool.saved = argmax, (len(x), len(weight), *conv.output_size(x))
        return self.y

    def backward_together(self, dy: Array) -> Array:
        """dy -> dx"""
        conv, _, pool = self.layers
        x, (argmax, _) = conv.saved, pool.saved
        weight, _, options = conv_arguments(conv, x)
        gradients = ops.conv2d_relu_max_pool2d_backward(
            dy, self.y, argmax, x, weight, **options, **_pool_options(pool), need_dx=conv.need_dx
        )
        return conv.add_grads(*gradients)


class BatchNormReLU(Fused):
    """BatchNorm2d and ReLU."""

    def forward_together(self, x: Array) -> Array:
        """x -> y"""
        norm, relu = self.layers
        relu.saved = norm.normalise(x, ops.batch_norm_relu_forward, ops.batch_norm_inference_relu_forward)
        self.operation = ops.batch_norm_relu_backward if norm.training else ops.batch_norm_inference_relu_backward
        return relu.saved

    def backward_together(self, dy: Array) -> Array:
        """dy -> dx"""
        norm, relu = self.layers
        x, mean, inv_std, _ = norm.saved
        return norm.add_grads(*self.operation(dy, relu.saved, x, norm.weight.data, mean, inv_std))


PATTERNS = (
    ((Conv2d, ReLU, MaxPool2d), ConvReLUMaxPool, ops.conv2d_relu_max_pool2d_forward),
    ((Conv2d, ReLU), ConvReLU, ops.conv2d_relu_forward),
    ((BatchNorm2d, ReLU), BatchNormReLU, ops.batch_norm_relu_forward),
)
"""Layers in a row, the step that they become, and the operation whose kernel does it; the longest come first."""

_OWN_METHODS: dict[Any, tuple] = {kind: (kind.forward, kind.backward) for kinds, *_ in PATTERNS for kind in kinds}


class Plan:
    """How a chain runs: its layers in order, those that can run together as one step."""

    def __init__(self, layers: Mapping[str, Layer], x: Array) -> None:
        self.layers = dict(layers)
        self.state = self._state(x)
        self.steps: list[tuple[str, Layer]] = []
        names, row = list(layers), list(layers.values())
        while row:
            step = next((make(*row[: len(kinds)]) for kinds, make, op in PATTERNS if _fits(row, kinds, op, x)), row[0])
            count = len(step.layers) if isinstance(step, Fused) else 1
            self.steps.append((names[0], step))
            names, row = names[count:], row[count:]

    def holds(self, layers: Mapping[str, Layer], x: Array) -> bool:
        """Return whether the chain would be planned like this today."""
        return self.layers == layers and self.state == self._state(x)

    def _state(self, x: Array) -> list:
        """Everything that decides which layers may run together."""
        state: list[Any] = [dispatch_state(x)]
        for layer in self.layers.values():
            own = vars(layer)
            state += [layer._hooks, "forward" in own, "backward" in own]
        for kind in _OWN_METHODS:
            state += [kind.forward, kind.backward]
        return state


def _fits(row: list[Layer], kinds: tuple, operation: Any, x: Array) -> bool:
    """Return whether the row begins with these kinds of layers, as they were written, unobserved, and with a kernel."""
    return (
        len(row) >= len(kinds)
        and all(_is_plain(layer, kind) for layer, kind in zip(row, kinds, strict=False))
        and operation.has_kernel(x)
    )


def _is_plain(layer: Layer, kind: type) -> bool:
    if type(layer) is not kind or layer._hooks:
        return False
    own = vars(layer)
    return "forward" not in own and "backward" not in own and (kind.forward, kind.backward) == _OWN_METHODS[kind]


def conv_arguments(conv: Any, x: Array) -> tuple[Array, Array | None, dict[str, Any]]:
    """Return the weights, the bias and the options with which a convolutional layer calls its operation."""
    check_input(conv, x, ndim=4, channels=conv.in_channels, like=conv.weight.data)
    return conv.weight.data, conv.bias.data if conv.bias else None, conv.options(x)


def _pool_options(pool: Any) -> dict[str, Any]:
    return {"pool_kernel": pool.kernel_size, "pool_stride": pool.stride, "pool_padding": pool.padding}
