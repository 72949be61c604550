"""Containers: layers made of layers. Their backward passes are the chain rule, written out.

There is no automatic differentiation. A chain goes back through its layers in reverse; where a value was used twice the
gradients add; where values were joined the gradient is split.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, overload

from minicnn import ops
from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, MinicnnError, ShapeError
from minicnn.nn.activation import ReLU
from minicnn.nn.fusion import Fused, Plan, runs_as_one
from minicnn.nn.layer import Layer


class Identity(Layer):
    """y = x; for a shortcut, or in the place of a layer that was taken out."""

    def forward(self, x: Array) -> Array:
        """Return x."""
        return x

    def backward(self, dy: Array) -> Array:
        """Return dy."""
        return dy

    def __repr__(self) -> str:
        return "Identity()"


class Sequential(Layer):
    """y = layer_n(... layer_2(layer_1(x)))

    Layers are given in order, or as a mapping that names them; without names they are called "0", "1", ...
    `model[2]` and `model["conv1"]` are layers, `model[:2]` is a Sequential of the same layer objects.

    Raises
    ------
    ArgumentError
        If something is no layer, or one layer object comes twice (it remembers one forward pass only).
    """

    _plan: Plan | None = None
    """How the last forward pass went."""

    def __init__(self, *layers: Layer | Mapping[str, Layer]) -> None:
        self.layers = _by_name(layers)

    def children(self) -> dict[str, Layer]:
        """Return the layers by name, after those that a subclass has added."""
        return _added(super().children(), "layers") | self.layers

    def forward(self, x: Array) -> Array:
        """Run x through the layers in order; where a kernel does neighbours together, in one step (see `fusion.py`)."""
        plan = self._plan
        if plan is None or not plan.holds(self.layers, x):
            plan = self._plan = Plan(self.layers, x)
        for names, step in plan.steps:
            y = run_in(self, names[0], step, x) if step else None
            if y is None:
                for name in names:
                    x = run_in(self, name, self.layers[name], x)
            else:
                x = y
        return x

    def backward(self, dy: Array) -> Array:
        """Run dy through the layers in reverse; without `need_dx`, back to the first layer that is trained."""
        plan = self._plan
        known = plan is not None and plan.holds(self.layers, dy)
        for names, step in reversed(plan.steps if plan and known else [([name], None) for name in self.layers]):
            if step and step.remembers():
                dy = back_in(self, names[0], step, dy)
            else:
                for name in reversed(names):
                    dy = back_in(self, name, self.layers[name], dy)
            if not self.need_dx and not self.layers[names[0]].need_dx:
                return None  # nothing before this layer is trained
        return dy

    def first_layers(self) -> list[Layer]:
        """Return this chain and the first layers of its first layer that is trained."""
        if type(self).backward is not Sequential.backward:
            return []  # somebody's own may do something with the gradient of the input
        first = next((layer for layer in self.layers.values() if layer.is_trained()), None)
        return [self, *(first.first_layers() if first else [])]

    def takes_integers(self) -> bool:
        """Return whether the first layer that does anything takes whole numbers."""
        first = next((layer for layer in self.layers.values() if not isinstance(layer, Identity)), None)
        return first is not None and first.takes_integers()

    def append(self, layer: Layer) -> "Sequential":
        """Add a layer at the end, under the next free number."""
        number = len(self.layers)
        while str(number) in self.layers:
            number += 1
        self.layers = _by_name(({**self.layers, str(number): layer},))
        return self

    @overload
    def __getitem__(self, index: int | str) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> "Sequential": ...
    def __getitem__(self, index: int | str | slice) -> Layer:
        if isinstance(index, str):
            return self.layers[index]
        if isinstance(index, slice):
            return Sequential(dict(list(self.layers.items())[index]))
        return list(self.layers.values())[index]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers.values())

    def __repr__(self) -> str:
        return f"Sequential({len(self.layers)} layers)"


class Residual(Layer):
    """y = body(x) + shortcut(x); the shortcut is the identity unless given.

    He et al., "Deep residual learning for image recognition", 2016, equations 1 and 2.
    Raises `ShapeError` if body and shortcut give different shapes.
    """

    def __init__(self, body: Layer, shortcut: Layer | None = None) -> None:
        both = _by_name(({"body": body, "shortcut": shortcut if shortcut is not None else Identity()},))
        self.body, self.shortcut = both["body"], both["shortcut"]

    def forward(self, x: Array) -> Array:
        """Add what both paths make of x."""
        y, short = self.paths(x)
        return y + short

    def paths(self, x: Array) -> tuple[Array, Array]:
        """Return what the body and what the shortcut make of x; they have one shape."""
        y = run_in(self, "body", self.body, x)
        short = run_in(self, "shortcut", self.shortcut, x)
        if y.shape != short.shape:
            raise ShapeError(
                f"{self!r}: the body gives {y.shape} and the shortcut {short.shape}; they must agree to be added "
                "(a 1x1 Conv2d with the body's stride as shortcut changes channels and size)"
            )
        return y, short

    def backward(self, dy: Array) -> Array:
        """x went both ways, so its gradient is the sum of both."""
        return back_in(self, "body", self.body, dy) + back_in(self, "shortcut", self.shortcut, dy)

    def takes_integers(self) -> bool:
        """Return whether the body takes whole numbers."""
        return self.body.takes_integers()

    def __repr__(self) -> str:
        return f"Residual({self.body!r}, {self.shortcut!r})"


@runs_as_one
class ResidualReLU(Fused):
    """Residual and ReLU: the sum never goes to memory."""

    kinds, forwards, backwards = (Residual, ReLU), ops.add_relu_forward, ops.relu_backward

    def forward(self, x: Array) -> Array:
        """Return what both make of x. An error is one of the paths' own: a second try would not help."""
        return self.keep(*self._forward(x))

    def _forward(self, x: Array) -> tuple[Array, tuple]:
        y = ops.add_relu_forward(*self.layers[0].paths(x))
        return y, (None, y)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        residual, _ = self.layers
        return residual.backward(ops.relu_backward(dy, self.left[-1]))


class Concat(Layer):
    """y = [branch_1(x), branch_2(x), ...] joined along the channels (axis 1).

    A skip connection is `Concat(Identity(), body)`. Branches are given in order, as a list, or as a mapping with names.
    Raises `ShapeError` if the branches' outputs differ in anything but channels.
    """

    def __init__(self, *branches: Layer | Mapping[str, Layer] | list[Layer]) -> None:
        self.branches = _by_name(branches)
        if not self.branches:
            raise ArgumentError("Concat joins what its branches give, and it was given none")

    def children(self) -> dict[str, Layer]:
        """Return the branches by name, after those that a subclass has added."""
        return _added(super().children(), "branches") | self.branches

    def forward(self, x: Array) -> Array:
        """Join what all branches make of x."""
        outputs = [run_in(self, name, branch, x) for name, branch in self.branches.items()]
        if len({(len(y), *y.shape[2:]) for y in outputs}) > 1:
            shapes = ", ".join(str(y.shape) for y in outputs)
            raise ShapeError(f"{self!r}: the branches' outputs may differ in channels alone; they are {shapes}")
        self.saved = [y.shape[1] for y in outputs]
        return array_module(x).concatenate(outputs, axis=1)

    def backward(self, dy: Array) -> Array:
        """Give each branch its own channels of dy; x went into every branch, so their gradients add."""
        dx, start = None, 0
        for (name, branch), channels in zip(self.branches.items(), self.saved, strict=True):
            part = back_in(self, name, branch, dy[:, start : start + channels])
            dx = part if dx is None else dx + part
            start += channels
        return dx

    def takes_integers(self) -> bool:
        """Return whether a branch takes whole numbers."""
        return any(branch.takes_integers() for branch in self.branches.values())

    def __repr__(self) -> str:
        return f"Concat({len(self.branches)} branches)"


def _added(children: dict[str, Layer], own: str) -> dict[str, Layer]:
    """Leave out what the container's own attribute holds."""
    return {name: layer for name, layer in children.items() if not name.startswith(f"{own}.")}


def _by_name(layers: tuple) -> dict[str, Layer]:
    """Give layers that came in order the names "0", "1", ...; keep the names that a mapping gives."""
    if len(layers) == 1 and isinstance(layers[0], Mapping):
        named = {str(name): layer for name, layer in layers[0].items()}
    else:
        if len(layers) == 1 and isinstance(layers[0], list | tuple):
            layers = tuple(layers[0])
        named = {str(i): layer for i, layer in enumerate(layers)}
    for name, layer in named.items():
        if isinstance(layer, type):
            raise ArgumentError(f"layer {name!r} is the class {layer.__name__}; build one: {layer.__name__}()")
        if not isinstance(layer, Layer):
            raise ArgumentError(f"layer {name!r} is a {type(layer).__name__}, not a Layer")
        if "." in name or not name:
            raise ArgumentError(f"a layer's name may not be empty or contain a dot: {name!r}")
    _check_each_once(named.values())
    return named


def _check_each_once(layers: Iterable[Layer]) -> None:
    """Raise `ArgumentError` if a layer object stands in two places, at whatever depth."""
    inside = [id(layer) for outer in layers for _, layer in outer.named_layers()]
    if len(set(inside)) < len(inside):
        raise ArgumentError("one layer object stands in two places; a layer remembers one forward pass, so build two")


def run_in(container: Layer, name: str, layer: Layer | Fused, x: Array, *context: Any) -> Any:
    """Call a layer, or a step of several; an error on the way says where in the network it was."""
    try:
        return layer.forward(x) if isinstance(layer, Fused) else layer(x, *context)
    except MinicnnError as error:
        error.add_note(_place(container, name))
        raise


def back_in(container: Layer, name: str, layer: Layer | Fused, dy: Array) -> Array:
    """Go back through a layer, or a step of several; an error on the way says where in the network it was."""
    try:
        dx = layer.backward(dy)
        if dx is None and isinstance(layer, Layer) and layer.need_dx:
            raise ArgumentError(f"{layer!r}: backward returned None; is a return missing?")
        return dx
    except MinicnnError as error:
        error.add_note(_place(container, name))
        raise


def _place(container: Layer, name: str) -> str:
    return f"(in layer {name!r} of {type(container).__name__})"
