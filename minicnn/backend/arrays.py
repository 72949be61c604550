"""Arrays and the library that they belong to: NumPy on the host, CuPy on a GPU."""

import importlib
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from minicnn.backend.backends import BACKENDS, array_library_of, backend_of, current_backend
from minicnn.errors import BackendError

Array: TypeAlias = Any
"""A numpy.ndarray or a cupy.ndarray. (CuPy ships no types, so a checker cannot know more.)"""


def array_module(*arrays: Array) -> ModuleType:
    """Return `xp`, the library that these arrays belong to: `numpy` or `cupy`. Raises `DeviceError` on a mixture."""
    return backend_of(*arrays).xp


def special_functions(array: Array) -> ModuleType:
    """Return `scipy.special`, or its CuPy twin, for the library that this array belongs to."""
    library = array_library_of(array)
    return importlib.import_module("cupyx.scipy.special" if library == "cupy" else "scipy.special")


def to_host(array: Array) -> np.ndarray:
    """Return the array in host memory as a NumPy array; one that is there already is returned as it is."""
    return array.get() if array_library_of(array) not in (None, "numpy") else np.asarray(array)


def to_backend(array: Array, name: str | None = None) -> Array:
    """Return the array where the named backend (by default the one in use) keeps its arrays.

    An array that is there already is returned as it is. Raises `BackendError` for an unknown name.
    """
    if name is not None and name not in BACKENDS:
        raise BackendError(f"there is no backend {name!r}; the backends are {', '.join(map(repr, BACKENDS))}")
    target = BACKENDS[name] if name is not None else current_backend()
    if array_library_of(array) == target.array_library:
        return array
    host = to_host(array)
    return host if target.array_library == "numpy" else target.xp.asarray(host)
