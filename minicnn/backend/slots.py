"""Slots: every operation is a function that can be replaced, by a faster kernel or by one's own.

    @slot("y")
    def relu_forward(x): ...            # the plain body is the specification

    with plug(relu_forward=mine):       # in this block, whoever calls ops.relu_forward runs `mine`
        trainer.fit(...)

Which filling runs is decided at each call: a plugged function first, then the kernel of the backend that the
arrays belong to, then the plain body.
"""

import difflib
import functools
import importlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any

from minicnn.backend.backends import Backend, backend_of
from minicnn.errors import ArgumentError, SlotError

_registry: dict[str, "Slot"] = {}
_plugged: ContextVar[Mapping[str, Callable]] = ContextVar("minicnn_plugged", default={})  # noqa: B039 (never written to)


class Slot:
    """An operation: its plain body, and the rule by which something else runs in its place.

    Attributes
    ----------
    name : str
        The name under which kernels are listed and functions are plugged in.
    body : callable
        The plain NumPy/CuPy body.
    returns : tuple of str
        What the operation returns, by name.
    uses : tuple of str
        Slots that the body calls. A function plugged into one of them must be seen,
        so the plain body then runs even where a kernel would be faster.
    """

    def __init__(self, body: Callable, returns: tuple[str, ...], uses: tuple[str, ...]) -> None:
        functools.update_wrapper(self, body)
        self.name = body.__name__
        self.body = body
        self.returns = returns
        self.uses = uses
        self.signature = inspect.signature(body)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run whatever fills the slot for these arguments. Raises `DeviceError` if they mix devices."""
        backend = backend_of(*args, *kwargs.values())
        plugged = _plugged.get()
        if self.name in plugged:
            return self._call_plugged(plugged[self.name], args, kwargs)
        if any(name in plugged for name in self.uses):
            return self.body(*args, **kwargs)
        return kernels_of(backend).get(self.name, self.body)(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<slot {self.name}{self.signature}>"

    def _call_plugged(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            error.add_note(f"(in {describe_function(function)}, which is plugged into {self.name})")
            raise
        self._check_results(function, result)
        return result

    def _check_results(self, function: Callable, result: Any) -> None:
        """Raise `SlotError` unless the function returned as many results as the operation does."""
        who = f"{describe_function(function)}, plugged into {self.name},"
        expected = ", ".join(self.returns)
        if result is None:
            raise SlotError(f"{who} returned None; expected {expected}. Is a return missing?")
        count = len(result) if isinstance(result, tuple | list) else 1
        if count != len(self.returns) or (count == 1 and isinstance(result, tuple | list)):
            values = "value" if count == 1 else "values"
            raise SlotError(f"{who} returned {count} {values}; expected {len(self.returns)}: {expected}")

    def check_fits(self, function: Callable) -> None:
        """Raise `SlotError` unless the function can be called the way this operation is called."""
        if not callable(function):
            raise SlotError(f"{self.name} must be a function, not {type(function).__name__}")
        try:
            signature = inspect.signature(function)
        except ValueError:  # some compiled functions hide their signature; the first call will tell
            return
        parameters = self.signature.parameters.values()
        positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
        keywords = {p.name: None for p in parameters if p.kind is p.KEYWORD_ONLY}
        try:
            signature.bind(*positional, **keywords)
        except TypeError as error:
            raise SlotError(
                f"{describe_function(function)}{signature} does not fit the slot {self.name}{self.signature}: {error}"
            ) from None


def slot(returns: str, *, uses: tuple[str, ...] = ()) -> Callable[[Callable], Slot]:
    """Make a plain body the specification of a replaceable operation; `returns` names its results: "dx, dw, db"."""
    names = tuple(name.strip() for name in returns.split(","))

    def decorate(body: Callable) -> Slot:
        _registry[body.__name__] = Slot(body, names, uses)
        return _registry[body.__name__]

    return decorate


def slots() -> dict[str, Slot]:
    """Return every operation by name."""
    return dict(_registry)


def plug(**functions: Callable) -> AbstractContextManager[None]:
    """Put one's own functions into slots for a `with` block: `plug(conv2d_backward=mine)`.

    A function must take the arguments of the operation that it replaces and return the same results. Blocks can be
    nested; each holds in the thread that entered it.

    Raises
    ------
    ArgumentError
        If there is no operation of that name.
    SlotError
        If the function does not take the operation's arguments, or (when it is called) returns too few results.
    """
    for name, function in functions.items():
        _slot_named(name).check_fits(function)
    return _plug_for_block(functions)


@contextmanager
def _plug_for_block(functions: dict[str, Callable]) -> Iterator[None]:
    token = _plugged.set({**_plugged.get(), **functions})
    try:
        yield
    finally:
        _plugged.reset(token)


@functools.cache
def kernels_of(backend: Backend) -> Mapping[str, Callable]:
    """Return the backend's table of kernels, imported on first use; empty for a backend of plain bodies alone."""
    return importlib.import_module(backend.kernels).FILLINGS if backend.kernels else {}


def describe_function(function: Callable) -> str:
    """Name a function as its author would."""
    return getattr(function, "__name__", None) or type(function).__name__


def _slot_named(name: str) -> Slot:
    if name not in _registry:
        near = difflib.get_close_matches(name, _registry, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they are {', '.join(sorted(_registry))}"
        raise ArgumentError(f"there is no operation {name!r}; {hint}")
    return _registry[name]
