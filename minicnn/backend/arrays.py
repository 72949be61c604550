"""Arrays and the library that they belong to: NumPy on the host, CuPy on a GPU."""

import importlib
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from minicnn.backend.backends import array_library_of, backend_of, current_backend, known_backend, usable_backend

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

    An array that is there already is returned as it is. Raises `BackendError` for a backend that is unknown or cannot
    run here.
    """
    target = current_backend() if name is None else known_backend(name)
    if array_library_of(array) == target.array_library:
        return array
    host = to_host(array)
    return host if target.array_library == "numpy" else usable_backend(target.name).xp.asarray(host)
