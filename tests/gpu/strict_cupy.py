"""A stand-in for CuPy, for machines without a GPU, that refuses what a GPU would refuse.

    with strict_cupy.installed(), mc.use_backend("cupy"):
        model.to("cupy")
        with strict_cupy.forbidding("sync", "h2d", "d2h"):
            ...                                             # raises where the host would wait for the device
        strict_cupy.counts["launch"]                        # see strict_events.py for what is counted

    with strict_cupy.threads_in_order("shuffled"):          # or "forward" (how it starts), "reverse"
        ...                                                 # the engine's CUDA kernels, on the CPU

It is NumPy inside, so it says nothing about speed; and numbers may differ from a GPU's in the last digits.
"""

import contextlib
import functools
import importlib
import sys
from collections.abc import Iterator

from gpu.cpu_cuda import ORDERS, KernelError, compiler_problem
from gpu.strict_events import API, ForbiddenError, counts, forbidding
from gpu.strict_modules import Settings, build_modules
from gpu.strict_streams import forget_streams
from minicnn.backend import backends, cuda

__all__ = [
    "API",
    "ORDERS",
    "ForbiddenError",
    "KernelError",
    "Settings",
    "compiler_problem",
    "counts",
    "forbidding",
    "forget_engine_caches",
    "installed",
    "threads_in_order",
    "without_guard_bands",
]

_STAND_IN_FOR = ("cupy", "cupyx")
_BUILT_ON_CUPY = ("minicnn.kernels.cuda",)


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let `import cupy` find the strict device in a `with` block; the engine forgets before and after what it knew.

    The engine's CUDA kernels are imported anew inside. An array of the device must not be used after the block.
    """
    replaced = _take_out(_STAND_IN_FOR)
    kernels = _take_out(_BUILT_ON_CUPY)
    _bind(kernels, present=False)
    forget_engine_caches()
    sys.modules.update(build_modules())
    forget_streams()
    counts.clear()
    works, cuda._works = cuda._works, True  # or the engine would look for a driver
    try:
        yield
    finally:
        cuda._works = works
        _take_out(_STAND_IN_FOR)
        _take_out(_BUILT_ON_CUPY)
        sys.modules.update(replaced)
        sys.modules.update(kernels)
        _bind(kernels, present=True)
        forget_engine_caches()


@contextlib.contextmanager
def threads_in_order(order: str) -> Iterator[None]:
    """Let the threads and blocks of kernels take turns in this order, in a `with` block."""
    assert order in ORDERS, order
    with _setting("thread_order", order):
        yield


def without_guard_bands() -> contextlib.AbstractContextManager[None]:
    """Let kernels work on the arrays themselves: for large arrays, whose copies take time."""
    return _setting("guard_bands", False)


@contextlib.contextmanager
def _setting(name: str, value: object) -> Iterator[None]:
    before = getattr(Settings, name)
    setattr(Settings, name, value)
    try:
        yield
    finally:
        setattr(Settings, name, before)


def forget_engine_caches() -> None:
    """Empty every cache in which the engine keeps types, backends or kernels."""
    for module in [module for name, module in sys.modules.items() if name.startswith("minicnn.")]:
        for value in list(vars(module).values()):
            if isinstance(value, functools._lru_cache_wrapper) and value.__module__.startswith("minicnn.backend"):
                value.cache_clear()
    backends._library_of_type.clear()
    backends._library_of_types.clear()


def _take_out(packages: tuple[str, ...]) -> dict:
    """Remove these packages from sys.modules; return what was there."""
    names = [name for name in sys.modules if any(name == p or name.startswith(p + ".") for p in packages)]
    return {name: sys.modules.pop(name) for name in names}


def _bind(modules: dict, *, present: bool) -> None:
    """Let a parent package know its submodule again, or not: `import a.b` leaves an attribute `b` on `a`."""
    for name in _BUILT_ON_CUPY:
        parent, _, child = name.rpartition(".")
        package = importlib.import_module(parent)
        if present and name in modules:
            setattr(package, child, modules[name])
        else:
            vars(package).pop(child, None)
