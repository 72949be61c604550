"""The three backends, which of them can run here, and which one is in use.

A backend is an array library plus a folder of kernels:

    name      arrays            kernels
    numpy     numpy.ndarray     none: the plain bodies
    numba     numpy.ndarray     minicnn.kernels.numba
    cupy      cupy.ndarray      minicnn.kernels.cuda
"""

import difflib
import functools
import importlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from minicnn.backend.cuda import cupy_problem
from minicnn.errors import BackendError, DeviceError, listed


@dataclass(frozen=True, eq=False)  # each is there once, and is looked up at every operation
class Backend:
    """An array library and the kernels written for its arrays.

    `problem()` says why the backend cannot run here and how to mend that, or None when it can.
    """

    name: str
    array_library: str
    kernels: str | None
    problem: Callable[[], str | None]

    @property
    def xp(self) -> ModuleType:
        """The array library itself, imported on first use."""
        return importlib.import_module(self.array_library)

    def __reduce__(self) -> tuple:
        return known_backend, (self.name,)  # copied or pickled, it is the same one


def _numba_problem() -> str | None:
    if importlib.util.find_spec("numba") is None:
        return "Numba is not installed; run: pip install numba"
    return None


BACKENDS: dict[str, Backend] = {
    "numpy": Backend("numpy", "numpy", None, lambda: None),
    "numba": Backend("numba", "numpy", "minicnn.kernels.numba", _numba_problem),
    "cupy": Backend("cupy", "cupy", "minicnn.kernels.cuda", cupy_problem),
}

_default_name = "numpy" if _numba_problem() else "numba"
_override: ContextVar[str | None] = ContextVar("minicnn_backend", default=None)


def available_backends() -> list[str]:
    """Return the names of the backends that can run on this machine."""
    return [name for name, backend in BACKENDS.items() if backend.problem() is None]


def backend_problem(name: str) -> str | None:
    """Return why the backend cannot run here, with the command that mends it, or None when it can."""
    return known_backend(name).problem()


def get_backend() -> str:
    """Return the name of the backend in use."""
    return _override.get() or _default_name


def set_backend(name: str) -> None:
    """Choose where new parameters and batches are made, and which kernels run, from now on.

    Raises
    ------
    BackendError
        If there is no such backend or it cannot run here; the backend in use then stays as it was.
    """
    global _default_name
    _default_name = usable_backend(name).name


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Choose the backend for a `with` block, in this thread alone. Raises `BackendError` as `set_backend` does."""
    token = _override.set(usable_backend(name).name)
    try:
        yield
    finally:
        _override.reset(token)


def on_gpu(name: str) -> bool:
    """Return whether the backend of that name keeps its arrays on a GPU."""
    return known_backend(name).array_library == "cupy"


def current_backend() -> Backend:
    """Return the backend in use."""
    return BACKENDS[get_backend()]


def array_library_of(value: Any) -> str | None:
    """Return the name of the library whose array this is, or None when it is no array of a known backend."""
    kind = type(value)
    if kind in _library_of_type:
        return _library_of_type[kind]
    library = kind.__module__.partition(".")[0]
    is_array = hasattr(value, "dtype") and hasattr(value, "__setitem__")  # NumPy's scalars lack the second
    known = is_array and any(library == backend.array_library for backend in BACKENDS.values())
    _library_of_type[kind] = library if known else None
    return _library_of_type[kind]


_library_of_type: dict[type, str | None] = {}
_library_of_types: dict[tuple[type, ...], str | None] = {}


def backend_of(*values: Any) -> Backend:
    """Return the backend that works on these arrays; the one in use where there is no array among them.

    Raises
    ------
    DeviceError
        If arrays of two libraries are mixed.
    """
    kinds = tuple(map(type, values))  # once an operation, so it has to be quick: most have been seen before
    library = _library_of_types[kinds] if kinds in _library_of_types else _common_library(kinds, values)
    current = current_backend()
    if library is None or current.array_library == library:
        return current
    return _first_backend_for(library)


def _common_library(kinds: tuple[type, ...], values: Iterable[Any]) -> str | None:
    """Return the library whose arrays these are, or None without any; lists are looked into."""
    library = None
    for kind, value in zip(kinds, values, strict=True):
        found = _library_of_list(value) if kind is list else array_library_of(value)
        if found is None or found == library:
            continue
        if library is not None:
            raise DeviceError(
                f"one operation was given arrays of {library} and of {found}: a model and its batch must be on the "
                "same device; model.to('numba') or model.to('cupy') moves a model"
            )
        library = found
    if list not in kinds:
        _library_of_types[kinds] = library
    return library


def _library_of_list(values: list) -> str | None:
    kinds = set(map(type, values))  # the arrays of many parameters, as a rule of one kind
    return array_library_of(values[0]) if len(kinds) == 1 else _common_library(tuple(map(type, values)), values)


@functools.cache
def _first_backend_for(library: str) -> Backend:
    """NumPy arrays while a GPU backend is chosen (or the reverse): the fastest backend of those arrays serves them.

    That the library has arrays proves that it runs; only the kernels may be missing.
    """
    fitting = [backend for backend in BACKENDS.values() if backend.array_library == library]
    return fitting[-1] if len(fitting) == 1 or fitting[-1].problem() is None else fitting[0]


def known_backend(name: str) -> Backend:
    """Return the backend of that name. Raises `BackendError` if there is none."""
    if name not in BACKENDS:
        near = difflib.get_close_matches(str(name), BACKENDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise BackendError(f"there is no backend {name!r}; the backends are {listed(BACKENDS)}{hint}")
    return BACKENDS[name]


def usable_backend(name: str) -> Backend:
    """Return the backend of that name. Raises `BackendError` if there is none or it cannot run here, saying why."""
    backend = known_backend(name)
    problem = backend.problem()
    if problem:
        raise BackendError(f"the backend {name!r} cannot run here: {problem}")
    return backend
