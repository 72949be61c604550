"""What a layer is: something with a forward and a backward pass, that may own parameters."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from minicnn.backend import Array, CounterRng, array_module, to_backend, to_host
from minicnn.errors import ArgumentError, CheckpointError, DTypeError, ShapeError, listed
from minicnn.nn.memory import Nothing, Remembers
from minicnn.nn.parameter import Buffer, Parameter, Parameters
from minicnn.nn.summary import Summary, Window, summarise


class Layer(Remembers):
    """The base of all layers. A subclass writes `forward` and `backward`; the rest is here.

        class Scale(nn.Layer):
            def __init__(self):
                self.scale = nn.Parameter(np.ones(1, dtype=np.float32))

            def forward(self, x):
                self.saved = x                                              # for the backward pass
                return self.scale.data * x

            def backward(self, dy):
                self.scale.add_grad((dy * self.saved).sum().reshape(1))     # gradients add up
                return self.scale.data * dy                                 # with respect to x

    `backward(dy)` takes the gradient of the loss with respect to the output of the last forward pass; a layer remembers
    one. Nothing has to be registered: parameters, buffers, random streams and sublayers are found among the layer's
    attributes (and in lists, tuples and dicts there), in the order in which the constructor set them.
    """

    training = True
    need_dx = True
    """Whether `backward` has to return a gradient; if not, a layer may save itself the work and return None."""
    _hooks: tuple[tuple[object, Callable[["Layer", Array, Array], None]], ...] = ()

    def forward(self, x: Array) -> Array:
        """Compute the output, and keep in `self.saved` what `backward` needs."""
        raise NotImplementedError(f"{type(self).__name__} has no forward pass yet")

    def backward(self, dy: Array) -> Array:
        """Add to the parameters' gradients and return the gradient with respect to the input of the last forward."""
        raise NotImplementedError(f"{type(self).__name__} has no backward pass yet")

    def __call__(self, x: Array, *context: Any, **named: Any) -> Array:
        """Run the forward pass, then show layer, input and output to the hooks.

        `context`, also by name, is what else `forward` takes and no gradient comes back to: `lstm(x, lengths=...)`.
        """
        y = self.forward(x, *context, **named)
        if not hasattr(y, "dtype"):
            what = "None; is a return missing?" if y is None else f"a {type(y).__name__}, expected an array"
            raise ArgumentError(f"{self!r}: forward returned {what}")
        given = getattr(x, "dtype", None)
        if given != y.dtype and y.dtype.kind == "f" and (given is None or given.kind not in "iu"):
            raise DTypeError(
                f"{self!r}: forward made {y.dtype} of {given}; are its parameters or other arrays {y.dtype}? "
                "np.zeros(..., dtype=x.dtype), for one, makes arrays of x's type"
            )
        for _, hook in self._hooks:
            hook(self, x, y)
        return y

    def add_hook(self, hook: Callable[["Layer", Array, Array], None]) -> Callable[[], None]:
        """Call `hook(layer, x, y)` after every forward pass of this layer; the function returned takes it off again."""
        token = object()  # the same hook may be added twice, and be taken off once
        self._hooks = (*self._hooks, (token, hook))

        def remove() -> None:
            self._hooks = tuple(kept for kept in self._hooks if kept[0] is not token)

        return remove

    # The tree of layers, and what hangs on it

    def children(self) -> dict[str, "Layer"]:
        """Return the layers directly inside this one, by name."""
        return {name: value for name, value in self._members() if isinstance(value, Layer)}

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def named_layers(self, prefix: str = "") -> Iterator[tuple[str, "Layer"]]:
        """Walk over this layer (named "" or the prefix) and all layers inside it, with their dotted names."""
        yield prefix, self
        for name, child in self.children().items():
            yield from child.named_layers(f"{prefix}.{name}" if prefix else name)

    def named_parameters(self) -> dict[str, Parameter]:
        """Return the parameters by dotted name, each object once, in the order of construction."""
        seen: set[int] = set()
        found = {}
        for name, parameter in self._named(Parameter):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                found[name] = parameter
        return found

    def named_buffers(self) -> dict[str, Buffer]:
        """Return the buffers by dotted name."""
        return dict(self._named(Buffer))

    def named_rngs(self) -> dict[str, CounterRng]:
        """Return the sources of randomness that layers keep, by dotted name."""
        return dict(self._named(CounterRng))

    def draws(self) -> bool:
        """Return whether this layer itself, and not just one inside it, keeps a source of randomness."""
        return any(isinstance(value, CounterRng) for _, value in self._members())

    def parameters(self) -> Parameters:
        """Return the parameters as a list that knows their names; it is what an optimizer takes."""
        return Parameters(self.named_parameters())

    def _members(self) -> Iterator[tuple[str, Any]]:
        """Walk over the attributes, and over the entries of lists, tuples and dicts among them, at whatever depth.

        Raises `ArgumentError` for a layer or a parameter under a name with an underscore, which nobody would find.
        """
        for name, value in vars(self).items():
            if name.startswith("_"):
                if isinstance(value, Layer | Parameter | Buffer | CounterRng):
                    raise ArgumentError(
                        f"{type(self).__name__}.{name} would be neither trained nor saved, since names with an "
                        f"underscore are private; call it {name.lstrip('_')}"
                    )
            elif name != "saved":
                yield from _entries(name, value)

    def _named(self, kind: type) -> Iterator[tuple[str, Any]]:
        for path, layer in self.named_layers():
            for name, value in layer._members():
                if isinstance(value, kind):
                    yield (f"{path}.{name}" if path else name), value

    # Modes, moves and state

    def train(self, mode: bool = True) -> Self:
        """Set training mode for the whole tree: dropout drops, batch norm takes the batch's statistics."""
        for _, layer in self.named_layers():
            layer.training = mode
        return self

    def eval(self) -> Self:
        """Set evaluation mode for the whole tree: nothing random, running statistics."""
        return self.train(False)

    def first_layers(self) -> list["Layer"]:
        """Return this layer and, in a chain, the first trained layers in it: nothing needs a gradient before them."""
        return [self]

    def takes_integers(self) -> bool:
        """Return whether x holds whole numbers that stand for something, such as words, and are not computed with."""
        return False

    def is_trained(self) -> bool:
        """Return whether there is a parameter in this layer or inside it that is not frozen."""
        return any(not parameter.frozen for _, parameter in self._named(Parameter))

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.zero_grad()

    def to(self, backend: str) -> Self:
        """Move parameters, gradients and buffers to where that backend keeps its arrays, in place.

        Raises `BackendError` for an unknown backend.
        """
        return self._convert(lambda array: to_backend(array, backend))

    def astype(self, dtype: Any) -> Self:
        """Turn all floating-point parameters, gradients and buffers into float32 or float64, in place.

        Raises `DTypeError` for any other type.
        """
        if np.dtype(dtype) not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise DTypeError(f"a model computes in float32 or float64, not in {np.dtype(dtype)}")
        return self._convert(lambda array: array.astype(dtype, copy=False) if array.dtype.kind == "f" else array)

    def _convert(self, function: Callable[[Array], Array]) -> Self:
        for parameter in self.parameters():
            parameter.data = function(parameter.data)
            if parameter.grad is not None:
                parameter.grad = function(parameter.grad)
        for buffer in self.named_buffers().values():
            buffer.data = function(buffer.data)
        for _, layer in self.named_layers():
            layer._saved = Nothing  # what was kept for a backward pass is of the old kind
        return self

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return copies of all parameters and buffers by dotted name, on the host, in PyTorch's names and layouts."""
        return {name: np.array(to_host(holder.data)) for name, holder in self._state().items()}

    def load_state_dict(self, state: Mapping[str, Any], *, strict: bool = True) -> tuple[list[str], list[str]]:
        """Take parameters and buffers from a mapping of names to arrays (or to PyTorch's CPU tensors).

        Returns the names that were missing and those that were not expected; both are empty when strict.

        Raises
        ------
        CheckpointError
            If a shape differs or, when strict, a name is missing or not expected. The model then stays as it was.
        """
        if not isinstance(state, Mapping):
            raise CheckpointError(
                f"load_state_dict takes names and arrays, as state_dict() gives them, not a {type(state).__name__}; "
                "minicnn.train.load_weights(model, path) reads a file"
            )
        own = self._state()
        given = {name: _as_numbers(name, value) for name, value in state.items()}
        missing = [name for name in own if name not in given]
        unexpected = [name for name in given if name not in own]
        wrong = [
            f"{name!r} is {given[name].shape}, the model's is {tuple(holder.data.shape)}"
            for name, holder in own.items()
            if name in given and given[name].shape != tuple(holder.data.shape)
        ]
        problems = [f"another shape: {'; '.join(wrong)}"] if wrong else []
        if strict and missing:
            problems.append(f"missing: {listed(missing)}")
        if strict and unexpected:
            problems.append(f"not in this model: {listed(unexpected)}")
        if problems:
            raise CheckpointError(f"the weights do not fit {type(self).__name__}: {'; '.join(problems)}")
        for name, holder in own.items():
            if name in given:
                holder.data = array_module(holder.data).array(given[name], dtype=holder.data.dtype)
        return missing, unexpected

    def _state(self) -> dict[str, Parameter | Buffer]:
        """Parameters and buffers by name. Within one layer parameters come first, as in PyTorch."""
        found: dict[str, Parameter | Buffer] = {}
        for path, layer in self.named_layers():
            for kind in (Parameter, Buffer):
                for name, value in layer._members():
                    if isinstance(value, kind):
                        found[f"{path}.{name}" if path else name] = value
        return found

    # What a summary asks of a layer

    def multiply_adds(self, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> int:
        """Return the multiplications with an addition that one forward pass takes, for these shapes."""
        return 0

    def window(self) -> Window | None:
        """Return (height, width, stride down, stride across) of what one output sees; None for all of the input."""
        return 1, 1, 1, 1

    def summary(self, input_shape: tuple[int, ...]) -> Summary:
        """Return a printable table of layers, output shapes, parameters, multiply-adds and receptive fields.

        input_shape : one input's shape, without the batch axis, such as (1, 28, 28)
        """
        if not isinstance(input_shape, tuple | list):
            raise ArgumentError(f"summary takes one input's shape, such as (1, 28, 28), not {input_shape!r}")
        return summarise(self, input_shape)


def _entries(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Walk over a value, or over the entries of a list, a tuple or a dict and of those in it."""
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _entries(f"{name}.{i}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _entries(f"{name}.{key}", item)
    else:
        yield name, value


def _as_numbers(name: str, value: Any) -> np.ndarray:
    """Return an entry of a state as an array of numbers. Raises `CheckpointError` if it is none."""
    try:
        array = np.asarray(to_host(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(f"the entry {name!r} is no array: {error}") from None
    if array.dtype.kind not in "fiub":
        raise CheckpointError(f"the entry {name!r} holds {array.dtype}, not numbers")
    return array


@contextmanager
def naming(layer: Layer) -> Iterator[None]:
    """Put the layer's name before the message of an error that its operation raises."""
    try:
        yield
    except ShapeError as error:
        error.args = (f"{layer!r}: {error}",)
        raise


def check_input(
    layer: Layer,
    x: Array,
    *,
    ndim: int | tuple[int, ...] | None = None,
    channels: int | None = None,
    like: Array | None = None,
) -> None:
    """Raise an error that names the layer unless x has as many axes, channels (axis 1) and the dtype as it should.

    Raises
    ------
    DTypeError
        If x is no array of float32 or float64, or not of the dtype of `like` (the layer's weights).
    ShapeError
        If axes or channels are wrong.
    """
    dtype = getattr(x, "dtype", None)
    if dtype not in (np.float32, np.float64):
        what = f"dtype {dtype}" if hasattr(dtype, "kind") else f"a {type(x).__name__}"
        raise DTypeError(f"{layer!r}: x is {what}, expected an array of float32 or float64: x.astype(np.float32)")
    if like is not None and dtype != like.dtype:
        raise DTypeError(
            f"{layer!r}: x is {dtype} but the weights are {like.dtype}; "
            f"use x.astype(np.{like.dtype}) or model.astype(np.{dtype})"
        )
    allowed = ndim if isinstance(ndim, tuple) else (x.ndim if ndim is None else ndim,)
    if x.ndim not in allowed:
        hint = "; put a Flatten before it" if allowed == (2,) and x.ndim > 2 else ""
        if 4 in allowed and x.ndim == 3:
            hint = "; grey images need their channel axis, x[:, None], and one image its batch axis, x[None]"
        axes = " or ".join(_AXES[n] for n in allowed)
        raise ShapeError(f"{layer!r}: x has shape {x.shape}, expected {axes}{hint}")
    if channels is not None and x.shape[1] != channels:
        unit = "channel" if x.ndim > 2 else "feature"
        plural = "" if x.shape[1] == 1 else "s"
        hint = "; channels come first: x.transpose(0, 3, 1, 2)" if x.ndim == 4 and x.shape[3] == channels else ""
        raise ShapeError(f"{layer!r}: x has {x.shape[1]} {unit}{plural}, expected {channels} (x shape {x.shape}){hint}")


_AXES = {2: "(N, features)", 3: "(N, C, L)", 4: "(N, C, H, W)"}
