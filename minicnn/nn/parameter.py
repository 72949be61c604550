"""What a layer owns: parameters, which are trained, and buffers, which are not."""

from collections.abc import Mapping
from typing import Any, SupportsIndex, overload

import numpy as np

from minicnn.backend import Array, CounterRng, default_rng, to_backend
from minicnn.errors import DTypeError, ShapeError
from minicnn.nn.init import Initialiser, drawing


class Parameter:
    """An array that is trained, on the backend in use. Raises `DTypeError` for anything but floating-point arrays.

    Attributes
    ----------
    data : array
        The values; operations take these, `x * self.scale.data`.
    grad : array or None
        The sum of the gradients since `zero_grad()`; None if there has been none. `add_grad` adds to it.
    frozen : bool
        A frozen parameter gets no gradient, and optimizers leave it alone.
    is_weight : bool
        Whether it is a weight, which initialisers draw and penalties hold down, and not a scale, a shift or a bias. By
        default what has two axes or more is.
    """

    def __init__(self, data: Array, *, is_weight: bool | None = None) -> None:
        if getattr(getattr(data, "dtype", None), "kind", None) != "f":
            what = getattr(data, "dtype", type(data).__name__)
            raise DTypeError(
                f"a parameter is an array of float32 or float64, not {what}: np.zeros(3, dtype=np.float32)"
            )
        self.data = to_backend(data)
        self.grad: Array | None = None
        self.frozen = False
        self.is_weight = self.data.ndim >= 2 if is_weight is None else is_weight

    def drawn(self, init: Initialiser, rng: CounterRng) -> np.ndarray:
        """Return new values (on the host) as an initialiser gives them; parameters in several parts draw each part."""
        return np.asarray(init(tuple(self.data.shape), rng))

    def add_grad(self, grad: Array) -> None:
        """Add to the gradient, unless frozen. Raises `ShapeError` or `DTypeError` if it is not like the values."""
        if self.frozen:
            return
        if not hasattr(grad, "shape"):
            raise ShapeError(f"the gradient is {grad!r}, expected an array of the parameter's shape {self.data.shape}")
        if grad.shape != self.data.shape:
            raise ShapeError(f"a gradient of shape {grad.shape} for a parameter of shape {self.data.shape}")
        if grad.dtype != self.data.dtype:
            raise DTypeError(
                f"a gradient of {grad.dtype} for a parameter of {self.data.dtype}; grad.astype(...) mends it"
            )
        self.grad = grad if self.grad is None else self.grad + grad

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def __repr__(self) -> str:
        return f"Parameter(shape={self.data.shape}, dtype={self.data.dtype}{', frozen' if self.frozen else ''})"


class Buffer:
    """An array that belongs to a layer's state but is not trained, such as a running mean."""

    def __init__(self, data: Array) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"Buffer(shape={self.data.shape}, dtype={self.data.dtype})"


class Parameters(tuple[Parameter, ...]):
    """A model's parameters in order, each once; `names` holds their dotted names, and a slice keeps them."""

    names: list[str]

    def __new__(cls, named: Mapping[str, Parameter]) -> "Parameters":
        """Keep the order and the names of a mapping."""
        parameters = super().__new__(cls, named.values())
        parameters.names = list(named)
        return parameters

    def __getnewargs__(self) -> tuple:
        return (dict(zip(self.names, self, strict=True)),)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Parameter: ...
    @overload
    def __getitem__(self, index: slice) -> "Parameters": ...
    def __getitem__(self, index: Any) -> Any:
        chosen = super().__getitem__(index)
        return Parameters(dict(zip(self.names[index], chosen, strict=True))) if isinstance(index, slice) else chosen


def new_weight(shape: tuple[int, ...], init: Initialiser, rng: CounterRng | None) -> Parameter:
    """Return a float32 parameter that starts as `init` says, or with zeros under `init.undrawn()`."""
    return started(Parameter(np.zeros(shape, dtype=np.float32)), init, rng)


def started(parameter: Parameter, init: Initialiser, rng: CounterRng | None) -> Parameter:
    """Return a parameter of zeros with its first values; with zeros under `init.undrawn()`."""
    rng = rng if rng is not None else default_rng()
    if drawing():
        parameter.data = to_backend(np.asarray(parameter.drawn(init, rng), dtype=np.float32))
    return parameter


def new_vector(size: int, value: float = 0.0) -> Parameter:
    """Return a float32 parameter of one axis that starts at one value."""
    return Parameter(np.full(size, value, dtype=np.float32))
