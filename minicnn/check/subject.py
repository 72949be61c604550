"""What is checked: a layer, a loss or a pair of functions, all brought to one form.

The check works on copies in float64 on the host, so that whatever it does to them, the original stays as it was.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import Key, to_host
from minicnn.errors import ArgumentError
from minicnn.nn import Layer, Loss
from minicnn.ops import random_normal


@dataclass(frozen=True)
class Subject:
    """Something with a gradient.

    Attributes
    ----------
    name : str
        For the report.
    tensors : dict of str to array
        What it is differentiated by; the arrays may be changed in place, and `forward` sees that.
    forward : function () -> y
        Always from the same state and with the same random numbers.
    backward : function (dy) -> dict of str to array or None
        The gradients of sum(dy * y) for the last `forward`, by the names in `tensors`.
    forget : function () -> None
        Drop the gradients that have accumulated.
    accumulates : tuple of str
        The tensors whose gradients must add up over two backward passes.
    fixed_dy : bool
        Whether dy can only be 1, as for a loss.
    """

    name: str
    tensors: dict[str, np.ndarray]
    forward: Callable[[], np.ndarray]
    backward: Callable[[np.ndarray], dict[str, np.ndarray | None]]
    forget: Callable[[], None] = lambda: None
    accumulates: tuple[str, ...] = ()
    fixed_dy: bool = False


def subject_of_layer(original: Layer, x: Any, dtype: Any, seed: int, context: tuple = ()) -> Subject:
    """Check a layer by its input and all its parameters (those that all start equal get random values first)."""
    layer = copy.deepcopy(original).to("numpy").astype(dtype)
    x, context = _copy(x, dtype), in_dtype(context, dtype)
    parameters = layer.named_parameters()
    for step, parameter in enumerate(parameters.values()):
        parameter.frozen = False
        parameter.data = _unlike_each_other(parameter.data, Key(seed, 1, step))
    buffers = {name: buffer.data.copy() for name, buffer in layer.named_buffers().items()}
    steps = {name: rng.step for name, rng in layer.named_rngs().items()}

    def forward() -> np.ndarray:
        for name, buffer in layer.named_buffers().items():
            buffer.data = buffers[name].copy()
        for name, rng in layer.named_rngs().items():
            rng.step = steps[name]
        return layer.forward(x, *context)  # not layer(x): what that refuses, the check reports

    def backward(dy: np.ndarray) -> dict[str, np.ndarray | None]:
        dx = layer.backward(dy)
        return {"x": dx, **{name: parameter.grad for name, parameter in parameters.items()}}

    tensors = {name: parameter.data for name, parameter in parameters.items()}
    if x.dtype.kind == "f":  # whole numbers, as an embedding takes them, have no derivative
        tensors = {"x": x, **tensors}
    return Subject(repr(original), _not_empty(tensors), forward, backward, layer.zero_grad, tuple(parameters))


def subject_of_loss(original: Loss, x: Any, target: Any, dtype: Any) -> Subject:
    """Check a loss by its prediction."""
    if target is None:
        raise ArgumentError(
            f"{original!r} compares a prediction with a target: gradcheck(loss, prediction, target=...)"
        )
    loss, x, target = copy.deepcopy(original), _copy(x, dtype), _copy(target, dtype)
    return Subject(
        repr(original),
        {"x": x},
        lambda: np.asarray(loss.forward(x, target)),
        lambda dy: {"x": loss.backward()},
        fixed_dy=True,
    )


def subject_of_functions(forward: Callable, backward: Callable | None, x: Any, dtype: Any) -> Subject:
    """Check `backward(dy, *x) -> gradient(s)` against `forward(*x) -> y`; integer inputs are held fixed."""
    if backward is None:
        raise ArgumentError("a function has no backward pass of its own: gradcheck(forward, x, backward=backward)")
    inputs = [_copy(value, dtype) for value in (x if isinstance(x, tuple) else (x,))]
    names = ["x"] if len(inputs) == 1 else [f"x[{i}]" for i in range(len(inputs))]
    free = [i for i, value in enumerate(inputs) if value.dtype.kind == "f"]

    def gradients(dy: np.ndarray) -> dict[str, np.ndarray | None]:
        result = backward(dy, *inputs)
        given = list(result) if isinstance(result, tuple | list) else [result]
        if len(given) not in (len(free), len(inputs)):
            raise ArgumentError(f"backward returned {len(given)} gradients for {len(free)} inputs")
        if len(given) == len(inputs):
            given = [given[i] for i in free]
        return {names[i]: gradient for i, gradient in zip(free, given, strict=True)}

    def value() -> np.ndarray:
        y = forward(*inputs)
        return y if hasattr(y, "dtype") else np.asarray(y, dtype=dtype)  # a plain number has no type of its own

    name = getattr(forward, "__name__", type(forward).__name__)
    return Subject(name, _not_empty({names[i]: inputs[i] for i in free}), value, gradients)


def _not_empty(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    if not tensors:
        raise ArgumentError("x holds whole numbers, so there is nothing to differentiate by: x.astype(float)")
    return tensors


def make_subject(
    checked: Layer | Loss | Callable,
    x: Any,
    *,
    backward: Callable | None,
    target: Any,
    dtype: Any,
    seed: int,
    context: tuple = (),
) -> Subject:
    """Bring a layer, a loss or a function to one form. Raises `ArgumentError` if something is missing."""
    if isinstance(checked, type):
        raise ArgumentError(
            f"{checked.__name__} is a class; gradcheck takes one that is built: {checked.__name__}(...)"
        )
    arrays: Sequence = x if isinstance(x, tuple) else (x,)
    if not any(np.asarray(to_host(value)).size for value in arrays):
        raise ArgumentError("x is empty, so there is nothing to differentiate by")
    if isinstance(checked, Layer):
        return subject_of_layer(checked, x, dtype, seed, context)
    if context:
        raise ArgumentError("context is what a layer's forward takes beside x; a loss or a function has none")
    if isinstance(checked, Loss):
        return subject_of_loss(checked, x, target, dtype)
    return subject_of_functions(checked, backward, x, dtype)


def _copy(value: Any, dtype: Any) -> np.ndarray:
    """A copy on the host in row-major order; floating-point numbers in the given type."""
    host = np.asarray(to_host(value))
    return np.array(host, dtype=dtype if host.dtype.kind == "f" else None, order="C")


def in_dtype(value: Any, dtype: Any) -> Any:
    """Arrays among what a layer takes beside x, also in tuples and lists there, as copies on the host."""
    if isinstance(value, tuple | list):
        return type(value)(in_dtype(item, dtype) for item in value)
    return _copy(value, dtype) if hasattr(value, "dtype") else value


def _unlike_each_other(values: np.ndarray, key: Key) -> np.ndarray:
    """Random numbers where all were equal: biases of zero hide mistakes, and so do scales of one."""
    values = np.array(values, order="C")
    if values.size and (values == values.flat[0]).all():
        values += (0.5 * random_normal(key, shape=values.shape)).astype(values.dtype)
    return values
