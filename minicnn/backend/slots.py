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
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
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
        self.__doc__ = f"{self}\n\n{inspect.cleandoc(body.__doc__ or '')}"  # so that help() begins with the arguments

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run whatever fills the slot for these arguments. Raises `DeviceError` if they mix devices."""
        backend = backend_of(*args, *kwargs.values())
        plugged = _plugged.get()
        if plugged:
            if self.name in plugged:
                return self._call_plugged(plugged[self.name], args, kwargs)
            if any(name in plugged for name in self.uses):
                return self.body(*args, **kwargs)
        return kernels_of(backend).get(self.name, self.body)(*args, **kwargs)

    def has_kernel(self, *arrays: Any) -> bool:
        """Return whether a kernel would run for these arrays: there is one, and nothing is plugged in its way."""
        plugged = _plugged.get()
        if plugged and (self.name in plugged or any(name in plugged for name in self.uses)):
            return False
        return self.name in kernels_of(backend_of(*arrays))

    def __str__(self) -> str:
        return f"{self.name}{plain(self.signature)} -> {', '.join(self.returns)}"

    def __repr__(self) -> str:
        return f"<operation {self}>"

    def check_fits(self, function: Callable) -> None:
        """Raise `SlotError` unless the function can be called the way this operation is called.

        Keywords that have a default here may be left out; `_call_plugged` sees to it that they are not needed.
        """
        if not callable(function):
            raise SlotError(f"{self.name} must be a function, not {type(function).__name__}")
        own = _signature_of(function)
        if own is None:
            return
        parameters = self.signature.parameters.values()
        keywords = [
            p.name
            for p in parameters
            if p.kind is p.KEYWORD_ONLY and (p.default is p.empty or takes_keyword(own, p.name))
        ]
        positional = [p.name for p in parameters if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
        hands_on = any(p.kind is p.VAR_KEYWORD for p in parameters)  # then a function may ask for any keyword
        bind = own.bind_partial if hands_on else own.bind
        try:
            bind(*positional, **dict.fromkeys(keywords))
        except TypeError:
            raise SlotError(
                f"{describe_function(function)}{plain(own)} does not fit: the engine calls {self}, "
                "arguments before the star by position, those after it by name"
            ) from None

    def _call_plugged(self, function: Callable, args: tuple, kwargs: dict[str, Any]) -> Any:
        given = self.signature.bind(*args, **kwargs)
        given.apply_defaults()
        who = f"{describe_function(function)}, plugged into {self.name},"
        keywords = dict(given.kwargs)
        own = _signature_of(function)
        for name in [name for name in keywords if own is not None and not takes_keyword(own, name)]:
            value, default = keywords.pop(name), self.signature.parameters[name].default
            same = value in (default, (default, default))  # layers say (1, 1) where the default is 1
            if not same and name != "need_dx":  # it may compute dx all the same
                raise SlotError(f"{who} does not take {name}, which is {value!r} here; add it to the arguments")
        try:
            result = function(*given.args, **keywords)
        except Exception as error:
            error.add_note(f"(in {describe_function(function)}, which is plugged into {self.name})")
            raise
        self._check_results(who, result, given.arguments)
        return result

    def _check_results(self, who: str, result: Any, arguments: Mapping[str, Any]) -> None:
        """Raise `SlotError` unless all results are there, of the arguments' type, gradients with their shapes."""
        expected = ", ".join(self.returns)
        if result is None:
            raise SlotError(f"{who} returned None; expected {expected}. Is a return missing?")
        count = len(result) if isinstance(result, tuple | list) else 1
        if count != len(self.returns) or (count == 1 and isinstance(result, tuple | list)):
            values = "value" if count == 1 else "values"
            raise SlotError(f"{who} returned {count} {values}; expected {len(self.returns)}: {expected}")
        floats = (v.dtype for v in arguments.values() if getattr(getattr(v, "dtype", None), "kind", None) == "f")
        dtype = next(floats, None)
        for name, value in zip(self.returns, result if count > 1 else [result], strict=True):
            if value is None:
                if name == "dx" and arguments.get("need_dx") is False:
                    continue
                raise SlotError(f"{who} returned None for {name}")
            shape = getattr(arguments.get(name[1:]), "shape", None) if name.startswith("d") else None
            if shape is not None and getattr(value, "shape", shape) != shape:
                raise SlotError(f"{who} returned {name} of shape {value.shape}; expected {shape}, as {name[1:]} has")
            found: Any = getattr(value, "dtype", dtype)
            if dtype is not None and found != dtype and found.kind == "f":
                raise SlotError(
                    f"{who} returned {name} as {found}; expected {dtype}, the type of its arguments: "
                    "np.zeros(..., dtype=dy.dtype), for one, makes arrays of that type"
                )

    def __deepcopy__(self, memo: object) -> "Slot":
        return self  # there is one slot of a name

    def __reduce__(self) -> tuple:
        return slot_named, (self.name,)


def dispatch_state(*arrays: Any) -> tuple[Mapping[str, Callable], Backend]:
    """Return what decides which fillings run for these arrays: the functions plugged in, and the backend."""
    return _plugged.get(), backend_of(*arrays)


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


def plain_body(name: str) -> Callable:
    """Return an operation's plain body, for a kernel that leaves a case to it."""
    return slot_named(name).body


def plug(**functions: Callable) -> "Plugged":
    """Put one's own functions into slots for a `with` block: `with plug(conv2d_backward=mine): ...`

    A function takes the arguments of the operation that it replaces, as `help(ops.conv2d_backward)` shows them, and
    returns the same results; keywords that have a default there may be left out. Blocks can be nested; each holds in
    the thread that entered it.

    Raises
    ------
    ArgumentError
        If there is no operation of that name.
    SlotError
        If the function does not take the operation's arguments, or (when it is called) returns something else.
    """
    for name, function in functions.items():
        slot_named(name).check_fits(function)
    return Plugged(functions)


class Plugged:
    """The `with` block of `plug`."""

    def __init__(self, functions: dict[str, Callable]) -> None:
        self.functions = functions
        self.tokens: list[Token] = []
        self.entered = False

    def __enter__(self) -> None:
        self.entered = True
        self.tokens.append(_plugged.set({**_plugged.get(), **self.functions}))

    def __exit__(self, *error: object) -> None:
        _plugged.reset(self.tokens.pop())

    def __del__(self) -> None:
        if not self.entered:
            names = ", ".join(self.functions)
            warnings.warn(f"plug({names}=...) has no effect without a with block", RuntimeWarning, stacklevel=2)


@functools.cache
def kernels_of(backend: Backend) -> Mapping[str, Callable]:
    """Return the backend's table of kernels, imported on first use; empty for a backend of plain bodies alone."""
    return importlib.import_module(backend.kernels).FILLINGS if backend.kernels else {}


def plain(signature: inspect.Signature) -> str:
    """Write a signature without annotations, as a reader would type it."""
    bare = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=signature.empty))


def _signature_of(function: Callable) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except ValueError:  # some compiled functions hide their signature; the first call will tell
        return None


def takes_keyword(signature: inspect.Signature, keyword: str) -> bool:
    """Return whether a function takes this keyword, by name or among **keywords."""
    parameters = signature.parameters.values()
    return any(p.kind is p.VAR_KEYWORD or (p.name == keyword and p.kind is not p.POSITIONAL_ONLY) for p in parameters)


def describe_function(function: Callable) -> str:
    """Name a function as its author would."""
    return getattr(function, "__name__", None) or type(function).__name__


def slot_named(name: str) -> Slot:
    """Return the operation of that name. Raises `ArgumentError`, with the nearest names, if there is none."""
    if name not in _registry:
        near = difflib.get_close_matches(name, _registry, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"they are {', '.join(sorted(_registry))}"
        raise ArgumentError(f"there is no operation {name!r}; {hint}")
    return _registry[name]
