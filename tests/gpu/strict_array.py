"""The array of the strict device: NumPy's numbers behind CuPy's doors.

Host arrays come in by `asarray` and `set` and go out by `get`; every other meeting of host and device raises, in CuPy's
words where CuPy raises, and where CuPy helps out in silence the event is counted.
"""

import operator
import types
import weakref
from typing import Any

import numpy as np

from gpu import strict_streams as streams
from gpu.strict_events import API, happened

NAMES = set(API["classes"]["cupy.ndarray"])
UFUNC_METHODS = ("at", "reduce", "accumulate", "outer", "reduceat")
WAITING_METHODS = {"nonzero", "compress", "repeat", "tobytes", "dump", "dumps", "tofile"}
VIEWS = {"T", "mT", "real", "imag"}
NUMBERS = (bool, int, float, complex, np.generic)

_by_address: weakref.WeakValueDictionary[int, np.ndarray] = weakref.WeakValueDictionary()
"""Arrays whose address somebody asked for: a kernel may find it in a structure."""


class ndarray:  # noqa: N801 (the name is CuPy's)
    """Stands for cupy.ndarray. The host array `_numbers` is private to the strict device."""

    __slots__ = ("__weakref__", "_numbers")
    __hash__ = None
    __array_priority__ = 100
    __module__ = "cupy"

    def __init__(self, shape: Any, dtype: Any = float, *, _numbers: np.ndarray | None = None) -> None:
        object.__setattr__(self, "_numbers", poisoned(shape, dtype) if _numbers is None else _numbers)

    # ---- from host to device and back

    def set(self, arr: np.ndarray, stream: streams.Stream | None = None) -> None:
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if arr.dtype != self.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if arr.shape != self.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        if not (self._numbers.flags.c_contiguous or self._numbers.flags.f_contiguous):
            raise RuntimeError("Cannot set to non-contiguous array")
        happened("h2d", "set")
        put(self._numbers, arr, stream)

    def get(
        self,
        stream: streams.Stream | None = None,
        order: str = "C",
        out: np.ndarray | None = None,
        blocking: bool = True,
    ) -> np.ndarray:
        happened("d2h", "get")
        if blocking:
            happened("sync", "get")
        streams.before_work()
        if out is not None and not isinstance(out, np.ndarray):
            raise TypeError("Only numpy.ndarray can be obtained from cupy.ndarray")
        if out is None:
            out = np.empty(self.shape, self.dtype, order="F" if order == "F" else "C")
        elif out.dtype != self.dtype or out.shape != self.shape:
            raise TypeError(f"out must be {self.dtype} {self.shape}, not {out.dtype} {out.shape}")
        stream = stream or streams.get_current_stream()
        source, target = self._numbers, out
        if blocking or not streams.is_pinned(out):
            stream._finish()
            np.copyto(target, source)
        else:
            stream._later(lambda: np.copyto(target, source))
        return out

    def item(self, *args: int) -> Any:
        _waits("item")
        return self._numbers.item(*args)

    def tolist(self) -> Any:
        _waits("tolist")
        return self._numbers.tolist()

    def __float__(self) -> float:
        _waits("float(x)")
        return float(self._numbers)

    def __int__(self) -> int:
        _waits("int(x)")
        return int(self._numbers)

    def __index__(self) -> int:
        raise TypeError("'cupy.ndarray' object cannot be interpreted as an integer")

    def __bool__(self) -> bool:
        _waits("bool(x)")
        return bool(self._numbers)

    def __complex__(self) -> complex:
        _waits("complex(x)")
        return complex(self._numbers)

    def __repr__(self) -> str:
        _waits("repr(x)")
        return repr(self._numbers)

    def __str__(self) -> str:
        _waits("str(x)")
        return str(self._numbers)

    def __format__(self, spec: str) -> str:
        _waits("format(x)")
        return format(self._numbers.item() if self.ndim == 0 else self._numbers, spec)

    def __reduce__(self) -> tuple:
        _waits("pickle")
        return from_host, (self._numbers.copy(),)

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    # ---- NumPy's functions, which CuPy takes over

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **options: Any) -> Any:
        if ufunc.__name__ not in API["modules"]["cupy"] or method not in ("__call__", *UFUNC_METHODS):
            return NotImplemented
        if not any(isinstance(value, np.generic) for value in inputs):  # uint64(3) * x is plain arithmetic
            happened("numpy", f"np.{ufunc.__name__}")
        if out:
            options["out"] = out[0]
        return apply(getattr(ufunc, method), f"cupy.{ufunc.__name__}", inputs, options)

    def __array_function__(self, function: Any, kinds: Any, args: tuple, options: dict) -> Any:
        if function.__name__ not in API["modules"]["cupy"]:
            return NotImplemented
        happened("numpy", f"np.{function.__name__}")
        return apply(function._implementation, f"cupy.{function.__name__}", args, options)

    # ---- elements

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Any:
        return (wrapped(value) for value in self._numbers)

    def __getitem__(self, where: Any) -> "ndarray":
        index = _index(where)
        streams.before_work()
        return wrapped(self._numbers[index])

    def __setitem__(self, where: Any, value: Any) -> None:
        index = _index(where)
        parts = [p for p in (index if isinstance(index, tuple) else (index,)) if isinstance(p, np.ndarray) and p.ndim]
        if isinstance(value, np.ndarray | list | tuple):
            raise TypeError(f"Unsupported type {type(value)} in __setitem__; x[...] = cupy.asarray(value), or x.set")
        _check_no_duplicates([part for part in parts if part.dtype != bool])
        happened("launch", "__setitem__")
        streams.before_work()
        self._numbers[index] = numbers_of(value, "__setitem__")

    def __deepcopy__(self, memo: object) -> "ndarray":
        return self.copy()

    def __copy__(self) -> "ndarray":
        return self.copy()

    def __neg__(self) -> "ndarray":
        return apply(operator.neg, "__neg__", (self,), {})

    def __pos__(self) -> "ndarray":
        return apply(operator.pos, "__pos__", (self,), {})

    def __abs__(self) -> "ndarray":
        return apply(operator.abs, "__abs__", (self,), {})

    def __invert__(self) -> "ndarray":
        return apply(operator.invert, "__invert__", (self,), {})

    # ---- everything else that CuPy has, and nothing that it has not

    @property
    def data(self) -> types.SimpleNamespace:
        _by_address[self._numbers.ctypes.data] = self._numbers
        return types.SimpleNamespace(ptr=self._numbers.ctypes.data, mem=self, device_id=0)

    @property
    def base(self) -> "ndarray | None":
        return None if self._numbers.base is None else wrapped(self._numbers.base)

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES or name.startswith("_"):
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r}")
        value = getattr(self._numbers, name, None)
        if name in VIEWS:
            return wrapped(value)
        if not callable(value):
            if value is None:
                raise NotImplementedError(f"cupy.ndarray.{name} is not in the strict device")
            return value
        if name in WAITING_METHODS:
            happened("sync", name)
        return lambda *args, **options: apply(value, f"cupy.ndarray.{name}", args, options)

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "shape":
            raise AttributeError(f"'cupy.ndarray' object has no attribute {name!r} to be set")
        self._numbers.shape = value


def _waits(cause: str) -> None:
    """The host reads numbers of the device, and has to wait for them."""
    happened("sync", cause)
    happened("d2h", cause)
    streams.before_work()


def array_at(address: int) -> np.ndarray | None:
    """The numbers of the living array that starts at this address, if its address was asked for."""
    return _by_address.get(address)


def poisoned(shape: Any, dtype: Any = float, order: str = "C") -> np.ndarray:
    """Memory that nobody wrote to: NaN, or -1, or True, so that whoever reads it is found out."""
    numbers = np.empty(shape, dtype, order=order)
    bytes_ = numbers.ravel(order="K").view(np.uint8)
    bytes_[...] = 1 if numbers.dtype == bool else 0xFF
    return numbers


def wrapped(value: Any) -> Any:
    """Put NumPy's results, also single numbers and those in lists, on the device."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(None, _numbers=np.asarray(value))
    return type(value)(map(wrapped, value)) if type(value) in (list, tuple) else value


def from_host(value: Any) -> ndarray:
    """Copy a host array to the device."""
    happened("h2d", "asarray")
    return wrapped(np.array(value))


def put(target: np.ndarray, source: np.ndarray, stream: streams.Stream | None) -> None:
    """Copy from the host into an array's memory: later, where the memory is pinned and the stream not the null one."""
    stream = stream or streams.get_current_stream()
    if streams.is_pinned(source):
        stream._later(lambda: np.copyto(target, source))
    else:
        stream._finish()
        np.copyto(target, source)


def numbers_of(value: Any, what: str) -> Any:
    """Take device arrays for NumPy to work on. Raises TypeError on a host array, as CuPy does."""
    if isinstance(value, ndarray):
        return value._numbers
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)} in {what}: a host array was given to a device operation")
    if type(value) in (list, tuple):
        return type(value)(numbers_of(item, what) for item in value)
    return value


def apply(function: Any, name: str, args: tuple, options: dict) -> Any:
    """Run NumPy's function for CuPy's: one launch, unless what it returns is a view."""
    streams.before_work()
    plain_args = [numbers_of(value, name) for value in args]
    plain_options = {key: numbers_of(value, name) for key, value in options.items()}
    result = function(*plain_args, **plain_options)
    if options.get("out") is not None:
        happened("launch", name)
        return options["out"]
    owner = getattr(function, "__self__", None)  # of a method
    if not any(_is_view(result, value) for value in (owner, *plain_args)):
        happened("launch", name)
    return wrapped(result)


def _is_view(result: Any, value: Any) -> bool:
    both = isinstance(result, np.ndarray) and isinstance(value, np.ndarray)
    return both and np.may_share_memory(result, value)


def _index(where: Any) -> Any:
    """An index for NumPy. CuPy copies lists and host arrays to the device in silence, and waits for masks."""
    parts = where if isinstance(where, tuple) else (where,)
    plain = []
    for part in parts:
        if isinstance(part, np.ndarray | list):
            happened("h2d", "a host array or a list as an index")
            part = np.asarray(part)
        elif isinstance(part, ndarray):
            part = part._numbers
        if isinstance(part, np.ndarray | np.bool_) and part.dtype == bool:
            happened("sync", "a mask as an index")
        plain.append(part)
    return tuple(plain) if isinstance(where, tuple) else plain[0]


def _check_no_duplicates(indices: list[np.ndarray]) -> None:
    """Stricter than CuPy, which leaves open who wins when one element is assigned to twice."""
    if indices:
        places = np.stack([index.ravel() for index in np.broadcast_arrays(*indices)])
        if np.unique(places, axis=1).shape[1] != places.shape[1]:
            raise ValueError("an element is assigned to twice, and a GPU leaves open who wins; cupy.add.at adds")


def _binary(name: str, function: Any, *, swapped: bool = False, in_place: bool = False) -> Any:
    def method(self: ndarray, other: Any) -> Any:
        if not isinstance(other, (ndarray, *NUMBERS)):
            raise TypeError(f"Unsupported type {type(other)}")
        happened("launch", name)
        streams.before_work()
        value = numbers_of(other, name)
        if in_place:
            _in_place(function, self._numbers, value)
            return self
        return wrapped(function(value, self._numbers) if swapped else function(self._numbers, value))

    method.__name__ = name
    return method


def _in_place(function: Any, numbers: np.ndarray, value: Any) -> None:
    """`numbers += value`, also where NumPy's own answer would be a new number instead of an array without axes."""
    result = function(numbers, value)
    if result is not numbers:
        numbers[...] = result


for _word in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
):
    _function = getattr(operator, f"__{_word}__")
    setattr(ndarray, f"__{_word}__", _binary(f"__{_word}__", _function))
    setattr(ndarray, f"__r{_word}__", _binary(f"__r{_word}__", _function, swapped=True))
    if f"__i{_word}__" in NAMES:
        setattr(ndarray, f"__i{_word}__", _binary(f"__i{_word}__", getattr(operator, f"__i{_word}__"), in_place=True))
for _word in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(ndarray, f"__{_word}__", _binary(f"__{_word}__", getattr(operator, _word)))
