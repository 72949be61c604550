"""The modules of the strict device: cupy, cupy.cuda, cupyx and so on, with the names of the snapshot and no others."""

import importlib
import types
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from typing import Any

import numpy as np
import scipy.special

from gpu import strict_streams as streams
from gpu.cpu_cuda import ByValue, CpuKernel, CpuModule
from gpu.strict_array import UFUNC_METHODS, apply, array_at, ndarray, poisoned, put, wrapped
from gpu.strict_events import API, happened

WAITING = {
    *("allclose", "argwhere", "array_equal", "array_equiv", "bincount", "compress", "extract", "flatnonzero"),
    *("histogram", "nonzero", "repeat", "unique"),
}
"""Functions of CuPy's that read something back, for example to know how large their result is."""
ABOUT_TYPES = {
    *(
        "broadcast_shapes",
        "can_cast",
        "dtype",
        "finfo",
        "iinfo",
        "isdtype",
        "isscalar",
        "issubdtype",
        "min_scalar_type",
    ),
    *("ndim", "promote_types", "result_type", "shape", "size"),
}
"""Functions that look at types and shapes alone."""


class StrictModule(types.ModuleType):
    """A module that has CuPy's names: those given, those that NumPy's twin provides, and for the rest an error."""

    def __init__(self, name: str, twin: object = None, **given: Any) -> None:
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)
        self.__path__: list[str] = []
        self._twin = twin
        self._names = API["modules"].get(name, {})
        unknown = [item for item in given if item not in self._names]
        assert not unknown or name not in API["modules"], f"{name} of CuPy has no {unknown}"
        vars(self).update(given)

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"module {self.__name__!r} (CuPy {API['version']}) has no attribute {name!r}")
        value = getattr(self._twin, name, None)
        if value is None and not (self._twin is np and name == "newaxis"):
            raise AttributeError(f"{self.__name__}.{name} is CuPy's, but is not in the strict device (tests/gpu) yet")
        kind, arguments = self._names[name]
        if kind != "constant" and not isinstance(value, type) and name not in ABOUT_TYPES:
            value = device_function(f"{self.__name__}.{name}", value, arguments)
        setattr(self, name, value)
        return value


def device_function(name: str, function: Callable, arguments: list[str] | None) -> Callable:
    """NumPy's function as CuPy's: device arrays only, the keywords that CuPy has, and costs that are counted."""
    short = name.rpartition(".")[2]
    is_ufunc = isinstance(function, np.ufunc)
    keywords = {"out", "dtype", "casting"} if arguments is None and is_ufunc else arguments

    def call(*args: Any, **options: Any) -> Any:
        unknown = sorted(set(options) - set(keywords)) if keywords and "kwargs" not in keywords else []
        if unknown:
            raise TypeError(f"{name}() got an unexpected keyword argument {unknown[0]!r}")
        if short in WAITING or (short == "where" and len(args) == 1):
            happened("sync", name)
        return apply(function, name, args, options)

    call.__name__ = call.__qualname__ = short
    if is_ufunc:
        for method in UFUNC_METHODS:
            bound = getattr(function, method)
            setattr(call, method, lambda *a, _f=bound, **k: apply(_f, f"{name}.{_f.__name__}", a, k))
    return call


# ---- arrays in and out


def asarray(
    a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None, blocking: bool = False
) -> ndarray:
    """A device array as it is; anything else is copied from the host."""
    if isinstance(a, ndarray):
        return array(a, dtype, copy=bool(copy), order=order or "K")
    return array(a, dtype, order=order or "K", blocking=blocking)


def array(
    obj: Any,
    dtype: Any = None,
    copy: bool = True,
    order: str = "K",
    subok: bool = False,
    ndmin: int = 0,
    *,
    blocking: bool = False,
) -> ndarray:
    if isinstance(obj, ndarray):
        same = dtype is None or obj.dtype == np.dtype(dtype)
        return (
            obj
            if same and not copy and ndmin <= obj.ndim
            else apply(np.array, "cupy.array", (obj, dtype), {"ndmin": ndmin})
        )
    if type(obj) in (list, tuple) and any(isinstance(item, ndarray) for item in obj):
        return apply(np.array, "cupy.array", (list(obj), dtype), {})
    host = np.array(obj, dtype, copy=None, order=order, ndmin=ndmin)
    if host.dtype.kind not in "biufc":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    happened("h2d", "asarray")
    if blocking:
        happened("sync", "asarray(blocking=True)")
    device = wrapped(poisoned(host.shape, host.dtype, "F" if host.flags.fnc else "C"))
    put(device._numbers, host, None)
    return device


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    if not isinstance(a, ndarray):
        return array(a, dtype, order="C")
    return apply(np.ascontiguousarray, "cupy.ascontiguousarray", (a, dtype), {})


def asnumpy(
    a: Any, stream: Any = None, order: str = "C", out: np.ndarray | None = None, *, blocking: bool = True
) -> np.ndarray:
    if isinstance(a, ndarray):
        return a.get(stream=stream, order=order, out=out, blocking=blocking)
    return np.asarray(a, order=order)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    return wrapped(poisoned(shape, dtype, order))


def empty_like(
    prototype: ndarray, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    if not isinstance(prototype, ndarray):
        raise TypeError(f"Unsupported type {type(prototype)} in empty_like")
    numbers = np.empty_like(prototype._numbers, dtype, order, shape=shape)
    return wrapped(poisoned(numbers.shape, numbers.dtype, "F" if numbers.flags.fnc else "C"))


# ---- kernels of one's own


class Settings:
    """How kernels run from now on: see strict_cupy.py."""

    thread_order = "forward"
    guard_bands = True


class RawModule:
    """Stands for cupy.RawModule; runs its kernels on the CPU. Compiles at the first use, as CuPy does."""

    __module__ = "cupy"

    def __init__(
        self,
        code: str | None = None,
        *,
        path: str | None = None,
        options: tuple[str, ...] = (),
        backend: str = "nvrtc",
        translate_cucomplex: bool = False,
        enable_cooperative_groups: bool = False,
        name_expressions: Any = None,
        jitify: Any = None,
    ) -> None:
        if not isinstance(code, str) or path is not None or name_expressions is not None:
            raise NotImplementedError("the strict device takes a RawModule of code=..., without name_expressions")
        if not isinstance(options, tuple):
            raise TypeError(f"Argument 'options' has incorrect type (expected tuple, got {type(options).__name__})")
        self.code, self.options, self.backend = code, options, backend
        self._module: CpuModule | None = None

    def compile(self, log_stream: Any = None) -> None:
        if self._module is None:
            self._module = CpuModule(self.code, self.options)

    def get_function(self, name: str) -> "RawKernel":
        return RawKernel(self.code, name, self.options, _module=self)


class RawKernel:
    """Stands for cupy.RawKernel, and for what RawModule.get_function returns: kernel(grid, block, arguments)."""

    __module__ = "cupy"

    def __init__(
        self, code: str, name: str, options: tuple = (), backend: str = "nvrtc", *, _module: Any = None
    ) -> None:
        self.name = name
        self._raw_module = _module or RawModule(code=code, options=options, backend=backend)
        self._cpu: CpuKernel | None = None if _module is None else self.kernel

    @property
    def kernel(self) -> CpuKernel:
        self._raw_module.compile()
        return self._raw_module._module.kernel(self.name)

    @property
    def max_threads_per_block(self) -> int:
        return self.kernel.signature.max_threads

    def __call__(self, grid: tuple, block: tuple, args: tuple, *, shared_mem: int = 0) -> None:
        self._cpu = self._cpu or self.kernel
        happened("launch", self.name)
        streams.before_work()
        self._cpu.launch(
            grid,
            block,
            tuple(self._as_sent(value) for value in args),
            order=Settings.thread_order,
            shared_bytes=shared_mem,
            guard=Settings.guard_bands,
            array_at=array_at,
        )

    def _as_sent(self, value: Any) -> Any:
        if isinstance(value, ndarray):
            return value._numbers
        if isinstance(value, np.ndarray):
            if value.size != 1:
                raise TypeError(
                    f"You are trying to pass a numpy.ndarray of shape {value.shape} as a kernel parameter of "
                    f"{self.name}. Only numpy.ndarrays of size one can be passed by value."
                )
            return ByValue(value)
        return value


# ---- the device


class Device:
    """Stands for cupy.cuda.Device; there is one, of the kind of an H100."""

    def __init__(self, device: int | None = None) -> None:
        if device not in (None, 0, -1):
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self.id = 0

    compute_capability = "90"
    attributes: dict = {"MultiProcessorCount": 132, "WarpSize": 32, "MaxThreadsPerBlock": 1024}  # noqa: RUF012
    mem_info = (70 * 2**30, 80 * 2**30)

    def use(self) -> None: ...

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *error: object) -> None: ...

    def synchronize(self) -> None:
        happened("sync", "Device.synchronize")
        streams.synchronize_all()


class MemoryPool:
    """Stands for cupy.cuda.MemoryPool; NumPy's memory is not counted."""

    def __init__(self, allocator: Any = None) -> None: ...

    def used_bytes(self) -> int:
        return 0

    total_bytes = free_bytes = n_free_blocks = get_limit = used_bytes

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None: ...

    def malloc(self, size: int) -> types.SimpleNamespace:
        return types.SimpleNamespace(ptr=0)

    def free_all_blocks(self, stream: Any = None) -> None:
        happened("sync", "free_all_blocks")


class PinnedMemoryPool:
    """Stands for cupy.cuda.PinnedMemoryPool."""

    def malloc(self, size: int) -> streams.PinnedMemoryPointer:
        return streams.alloc_pinned_memory(size)

    def n_free_blocks(self) -> int:
        return 0

    def free_all_blocks(self) -> None: ...


def _device_synchronize() -> None:
    happened("sync", "deviceSynchronize")
    streams.synchronize_all()


def _properties(device: int) -> dict[str, Any]:
    return {
        "name": b"strict device (NumPy)",
        "major": 9,
        "minor": 0,
        "multiProcessorCount": 132,
        "totalGlobalMem": 80 * 2**30,
        "sharedMemPerBlock": 48 * 1024,
        "maxThreadsPerBlock": 1024,
        "warpSize": 32,
    }


class Generator:
    """Stands for cupy.random.Generator: CuPy's methods, and other numbers than NumPy's from the same seed."""

    def __init__(self, seed: int | None = None) -> None:
        self._twin = np.random.Generator(np.random.MT19937(None if seed is None else int(seed) ^ 0xC0FFEE))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in API["classes"]["cupy.random.Generator"]:
            raise AttributeError(f"'cupy.random.Generator' object has no attribute {name!r}; draw it on the host")
        return lambda *args, **options: apply(getattr(self._twin, name), name, args, options)


def get_array_module(*args: Any) -> types.ModuleType:
    is_device = any(isinstance(value, ndarray) for value in args)
    return importlib.import_module("cupy") if is_device else np


def build_modules() -> dict[str, types.ModuleType]:
    """All modules by name, for sys.modules."""
    pool, pinned_pool = MemoryPool(), PinnedMemoryPool()
    runtime = StrictModule(
        "cupy.cuda.runtime",
        CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {"__module__": "cupy_backends.cuda.api.runtime"}),
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        setDevice=lambda device: None,
        getDeviceProperties=_properties,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        deviceSynchronize=_device_synchronize,
        memGetInfo=lambda: Device.mem_info,
    )
    cuda = StrictModule(
        "cupy.cuda",
        runtime=runtime,
        Device=Device,
        Event=streams.Event,
        MemoryPool=MemoryPool,
        PinnedMemoryPointer=streams.PinnedMemoryPointer,
        PinnedMemoryPool=PinnedMemoryPool,
        Stream=streams.Stream,
        alloc_pinned_memory=streams.alloc_pinned_memory,
        get_current_stream=streams.get_current_stream,
        get_device_id=lambda: 0,
        get_elapsed_time=streams.get_elapsed_time,
        get_local_runtime_version=lambda: 13000,
        is_available=lambda: True,
        set_allocator=lambda allocator=None: None,
        set_pinned_memory_allocator=lambda allocator=None: None,
    )
    linalg = StrictModule("cupy.linalg", np.linalg)
    random = StrictModule("cupy.random", Generator=Generator, default_rng=Generator)
    stride_tricks = StrictModule("cupy.lib.stride_tricks", np.lib.stride_tricks)
    lib = StrictModule("cupy.lib", stride_tricks=stride_tricks)
    special = StrictModule("cupyx.scipy.special", scipy.special)
    cupyx_scipy = StrictModule("cupyx.scipy", special=special)
    cupyx = StrictModule(
        "cupyx",
        scipy=cupyx_scipy,
        empty_pinned=streams.empty_pinned,
        zeros_pinned=streams.zeros_pinned,
        empty_like_pinned=streams.empty_like_pinned,
        zeros_like_pinned=streams.zeros_like_pinned,
        rsqrt=device_function("cupyx.rsqrt", lambda x, **options: 1 / np.sqrt(x, **options), None),
    )
    cupy = StrictModule(
        "cupy",
        np,
        RawKernel=RawKernel,
        RawModule=RawModule,
        array=array,
        asanyarray=asarray,
        asarray=asarray,
        ascontiguousarray=ascontiguousarray,
        asnumpy=asnumpy,
        cuda=cuda,
        empty=empty,
        empty_like=empty_like,
        get_array_module=get_array_module,
        get_default_memory_pool=lambda: pool,
        get_default_pinned_memory_pool=lambda: pinned_pool,
        lib=lib,
        linalg=linalg,
        ndarray=ndarray,
        random=random,
    )
    cupy.__version__ = API["version"]
    every = (cupy, cuda, runtime, linalg, random, lib, stride_tricks, cupyx, cupyx_scipy, special)
    return {module.__name__: module for module in every}
