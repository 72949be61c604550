"""CUDA C on the CPU: `CpuModule` compiles the kernels' source with g++, behind cuda_shim.h.

    module = CpuModule(source, ("-DREAL=float",))
    module.kernel("relu").launch((blocks, 1, 1), (threads, 1, 1), (x, y, np.int64(x.size)), order="shuffled")

A GPU takes any arguments for a kernel and computes nonsense from wrong ones. Here each is held against the kernel's
declaration: how many there are, the type and width of every number, the dtype and contiguity of every array. Arrays
are handed over between guard bands, so that a write next to one is found, and a read next to one brings NaN.
"""

import ctypes
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

SHIM = Path(__file__).with_name("cuda_shim.h")
ORDERS = ("forward", "reverse", "shuffled")
GUARD_BYTES = 256
GUARD = 0xFF  # as bytes of a float, NaN; of an integer, -1
MAX_THREADS, MAX_SHARED, MAX_ARGUMENTS = 1024, 48 * 1024, 4096
MAX_BLOCKS = (2**31 - 1, 65535, 65535)
WITH_ASAN = os.environ.get("MINICNN_CUDA_ASAN") == "1"
"""Whether kernels are compiled with AddressSanitizer, which has to be loaded before Python: see test_cuda_asan.py."""

FLAGS = ("-std=c++17", "-O1", "-fPIC", "-shared", "-ffp-contract=off", "-U_FORTIFY_SOURCE", "-Wno-multichar")
ASAN_FLAGS = ("-fsanitize=address", "-fno-omit-frame-pointer", "-g")

SCALARS = {
    "bool": np.bool_,
    "char": np.int8,
    "signed char": np.int8,
    "unsigned char": np.uint8,
    "short": np.int16,
    "unsigned short": np.uint16,
    "int": np.int32,
    "unsigned": np.uint32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
    "size_t": np.uint64,
    "float": np.float32,
    "double": np.float64,
}
"""The C types of arguments. `long` is not among them: it has 8 bytes here and 4 on Windows."""
PYTHON_NUMBERS = {bool: np.bool_, int: np.int64, float: np.float64}
"""What CuPy makes of Python's own numbers, whatever the kernel expects."""

_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\((?P<bounds>[^()]*(?:\([^()]*\)[^()]*)*)\)\s*)?'
    r"(?P<name>\w+)\s*\((?P<parameters>[^()]*)\)\s*\{",
)
_TYPEDEF = re.compile(r"\btypedef\s+([\w\s]+?)\s+(\w+)\s*;|\busing\s+(\w+)\s*=\s*([\w\s]+?)\s*;")
_STRUCT = re.compile(r"\bstruct\s+(?:__align__\(\d+\)\s*)?(\w+)\s*\{([^{}()]*)\}\s*;")
_DYNAMIC_SHARED = re.compile(r"extern\s+__shared__\s+([\w\s]+?)\s+(\w+)\s*\[\s*\]\s*;")
_BARRIERS = r"\b__(?:sync\w*|shfl\w*|any_sync|all_sync)\b"


class ByValue(NamedTuple):
    """A host array of one element, which a kernel gets itself, not its address: a structure."""

    array: np.ndarray


class KernelError(Exception):
    """A kernel was launched in a way, or did something, that a GPU forbids or leaves undefined."""


@dataclass(frozen=True)
class Structure:
    """A struct of the source, with its members one after another; a member may be one itself, or an array."""

    name: str
    members: tuple["Parameter", ...]

    @property
    def dtype(self) -> np.dtype:
        """Its layout in memory; pointers are numbers of 64 bits."""
        fields = [(m.name, np.uint64 if m.is_pointer else m.dtype, m.count) for m in self.members]
        return np.dtype([field if field[2] else field[:2] for field in fields], align=True)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel, or member of a struct: its name and C type, whether it is a pointer, and to constants.

    `structure` is set for a struct that goes by value, `count` for a member that is an array.
    """

    name: str
    c_type: str
    is_pointer: bool
    is_const: bool
    structure: Structure | None = None
    count: tuple[int, ...] = ()

    @property
    def dtype(self) -> np.dtype:
        return self.structure.dtype if self.structure else np.dtype(SCALARS[self.c_type])

    def __str__(self) -> str:
        return f"{'const ' if self.is_const else ''}{self.c_type}{'*' if self.is_pointer else ''} {self.name}"


@dataclass(frozen=True)
class Signature:
    """A kernel's name and parameters, its __launch_bounds__, and whether its threads meet at barriers."""

    name: str
    parameters: tuple[Parameter, ...]
    max_threads: int
    has_barriers: bool


def compiler() -> str | None:
    """The C++ compiler's path, or None without one."""
    return shutil.which(os.environ.get("CXX", "g++"))


def compiler_problem() -> str | None:
    """Why kernels cannot run on the CPU here, and how to mend that; None where they can."""
    if compiler() is None:
        return "g++ is missing, which runs the CUDA kernels on the CPU; install it with: apt install g++"
    return None


def asan_library() -> str | None:
    """AddressSanitizer's library, to be loaded with LD_PRELOAD; None where g++ has none."""
    if compiler() is None:
        return None
    path = subprocess.run([compiler(), "-print-file-name=libasan.so"], capture_output=True, text=True).stdout.strip()
    return path if os.path.isabs(path) else None


def definitions(options: tuple[str, ...]) -> tuple[str, ...]:
    """The options that matter to g++ too: -DNAME=VALUE. Refuses options that only NVRTC knows, except harmless ones."""
    known = ("-D", "--define-macro=", "--std=", "-std=", "--use_fast_math", "-lineinfo", "--fmad=", "-I")
    for option in options:
        if not option.startswith(known):
            raise KernelError(f"cpu_cuda.py does not know the option {option!r}; what does it change on the CPU?")
    return tuple(
        f"-D{option.split('=', 1)[1]}" if option.startswith("--d") else option
        for option in options
        if option.startswith(("-D", "--define-macro="))
    )


def signatures_of(source: str, options: tuple[str, ...] = ()) -> dict[str, Signature]:
    """Every kernel of the source by name, as the preprocessor leaves it: types may be macros, kernels too."""
    text = _run([compiler() or "g++", "-E", "-P", "-x", "c++", *definitions(options), "-"], source)
    types = _Types(text)
    waiting = _functions_with_barriers(text)
    found = (_signature(match, types, match["name"] in waiting) for match in _KERNEL.finditer(text))
    return {signature.name: signature for signature in found}


def _signature(match: re.Match, types: "_Types", has_barriers: bool) -> Signature:
    texts = [text for text in match["parameters"].split(",") if text.strip()]
    bounds = match["bounds"]
    max_threads = int(eval(bounds.split(",")[0], {"__builtins__": {}})) if bounds else MAX_THREADS
    return Signature(match["name"], tuple(types.parameter(text) for text in texts), max_threads, has_barriers)


def _functions_with_barriers(text: str) -> set[str]:
    """The functions whose threads wait for each other, in themselves or in a function that they call."""
    bodies = dict(_function_bodies(text))
    found: set[str] = set()
    while True:
        calls = "|".join([_BARRIERS, *(rf"\b{name}\b" for name in found)])
        more = {name for name, body in bodies.items() if re.search(calls, body)}
        if more == found:
            return found
        found = more


def _function_bodies(text: str) -> Iterator[tuple[str, str]]:
    """Every function's name, and what stands between its braces."""
    for match in re.finditer(r"\b(\w+)\s*\([^(){};]*\)\s*\{", text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if match[1] not in ("if", "for", "while", "switch"):
            yield match[1], text[match.end() : end]


class _Types:
    """What the typedefs and structs of a source mean."""

    def __init__(self, text: str) -> None:
        self.aliases: dict[str, str] = {}
        for old, new, using, meaning in _TYPEDEF.findall(text):
            self.aliases[new or using] = " ".join((old or meaning).split())
        self.structures: dict[str, Structure] = {}
        for name, body in _STRUCT.findall(text):
            self.structures[name] = Structure(name, tuple(self._members(body)))

    def parameter(self, text: str) -> Parameter:
        """Read `const real* __restrict__ x` or `Tensor of[64]`."""
        counts = tuple(int(eval(n, {"__builtins__": {}})) for n in re.findall(r"\[([^\]]+)\]", text))
        bare = re.sub(r"\[[^\]]*\]", "", text)
        words = re.sub(r"\b(const|struct|__restrict__|__restrict)\b|\*", " ", bare).split()
        c_type, name = " ".join(words[:-1]), words[-1]
        while c_type in self.aliases:
            c_type = self.aliases[c_type]
        structure, is_pointer = self.structures.get(c_type), "*" in bare
        if c_type not in SCALARS and (structure is None or is_pointer):
            known = ", ".join(SCALARS)
            raise KernelError(f"{text.strip()!r}: cpu_cuda.py knows structs, {known}, and pointers to numbers")
        return Parameter(name, c_type, is_pointer, bool(re.search(r"\bconst\b", bare)), structure, counts)

    def _members(self, body: str) -> Iterator[Parameter]:
        """Read the declarations of a struct: `real *m, *v; long long size;`"""
        for declaration in filter(str.strip, body.split(";")):
            first, *others = declaration.split(",")
            base = re.match(r"\s*((?:\w+\s+)*\w+)\s*[\s*]\s*\w+\s*(?:\[|$)", first)
            yield self.parameter(first)
            for other in others:
                yield self.parameter(f"{base[1]} {other}" if base else other)


class CpuModule:
    """A CUDA source, compiled for the CPU.

    Attributes
    ----------
    signatures : dict of str to Signature
        Its kernels.
    """

    def __init__(self, source: str, options: tuple[str, ...] = (), *, asan: bool = WITH_ASAN) -> None:
        self.asan = asan
        self.signatures = signatures_of(source, options)
        self.lock = threading.Lock()  # the shim's threadIdx and its like are there once
        flags = [*FLAGS, *(ASAN_FLAGS if asan else ()), *definitions(options)]
        self.library = ctypes.CDLL(str(_compiled(_with_launchers(source, self.signatures.values()), flags)))

    def kernel(self, name: str) -> "CpuKernel":
        """The kernel of that name. Raises `KernelError` if there is none."""
        if name not in self.signatures:
            raise KernelError(f"the source has no kernel {name!r}; it has {', '.join(self.signatures) or 'none'}")
        return CpuKernel(self, self.signatures[name])


class CpuKernel:
    """One kernel: checks its arguments and runs it."""

    def __init__(self, module: CpuModule, signature: Signature) -> None:
        self.module, self.signature = module, signature
        self.function = getattr(module.library, f"launch_{signature.name}")
        self.function.restype = ctypes.c_char_p

    def launch(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        arguments: tuple,
        *,
        order: str = "forward",
        shared_bytes: int = 0,
        guard: bool = True,
        array_at: Callable[[int], np.ndarray | None] = lambda address: None,
    ) -> None:
        """Run the kernel; threads and blocks take turns in this order.

        `array_at` finds the array that an address in a structure means.

        Raises
        ------
        KernelError
            If the launch or an argument does not fit the kernel, or the kernel misuses a barrier or leaves its arrays.
        """
        grid, block = self._checked_sizes(grid, block, shared_bytes)
        self._check_count(arguments)
        self._check_bytes()
        bands = _Bands(GUARD_BYTES if guard and not self.module.asan else 0, array_at, copies=guard)
        pairs = zip(self.signature.parameters, arguments, strict=True)
        values = [self._converted(parameter, value, bands) for parameter, value in pairs]
        sizes = (ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block)
        with self.module.lock:
            error = self.function(*sizes, ORDERS.index(order), int(self.signature.has_barriers), shared_bytes, *values)
            error = error and error.decode()
        if error:
            raise KernelError(f"{self.signature.name}: {error}")
        broken = bands.release()
        if broken:
            raise KernelError(f"{self.signature.name} wrote outside of its array {broken}")

    def _checked_sizes(self, grid: tuple, block: tuple, shared_bytes: int) -> tuple[tuple, tuple]:
        name = self.signature.name
        for what, size in (("grid", grid), ("block", block)):
            if not isinstance(size, tuple) or not 1 <= len(size) <= 3:
                raise KernelError(f"{name}: the {what} must be a tuple of one to three numbers, not {size!r}")
            if any(not isinstance(n, int | np.integer) or n < 1 for n in size):
                raise KernelError(f"{name}: the {what} must be of whole numbers from 1, not {size!r}")
        grid, block = (*grid, 1, 1)[:3], (*block, 1, 1)[:3]
        if any(n > most for n, most in zip(grid, MAX_BLOCKS, strict=True)):
            raise KernelError(f"{name}: a grid has at most {MAX_BLOCKS} blocks, not {grid}")
        if int(np.prod(block)) > self.signature.max_threads or block[2] > 64:
            most = self.signature.max_threads
            raise KernelError(f"{name}: a block has at most {most} threads here, and 64 in z, not {block}")
        if not 0 <= shared_bytes <= MAX_SHARED:
            raise KernelError(f"{name}: {shared_bytes} bytes of shared memory; a block has {MAX_SHARED}")
        return grid, block

    def _check_count(self, arguments: tuple) -> None:
        if not isinstance(arguments, tuple | list):
            raise KernelError(f"{self.signature.name}: arguments come as a tuple, not {type(arguments).__name__}")
        if len(arguments) != len(self.signature.parameters):
            expected = ", ".join(map(str, self.signature.parameters))
            raise KernelError(
                f"{self.signature.name} takes {len(self.signature.parameters)} arguments ({expected}), "
                f"not {len(arguments)}"
            )

    def _check_bytes(self) -> None:
        sizes = [8 if p.is_pointer else p.dtype.itemsize for p in self.signature.parameters]
        if sum(sizes) > MAX_ARGUMENTS:
            raise KernelError(
                f"{self.signature.name} takes {sum(sizes)} bytes of arguments; there is room for {MAX_ARGUMENTS}"
            )

    def _converted(self, parameter: Parameter, value: object, bands: "_Bands") -> object:
        where = f"{self.signature.name}: {parameter}"
        if parameter.is_pointer:
            _check_array(where, parameter, value)
            return bands.pointer_to(value, parameter.name) if isinstance(value, np.ndarray) else ctypes.c_void_p(None)
        if parameter.structure:
            return self._structure(where, parameter.structure, value, bands)
        dtype = _dtype_as_sent(where, value)
        if dtype != parameter.dtype:
            name = f"np.{parameter.dtype.name}"
            raise KernelError(f"{where} was given {value!r}, which CuPy sends as {dtype}; write {name}(...)")
        return np.ctypeslib.as_ctypes_type(dtype)(value.item() if isinstance(value, np.generic) else value)

    def _structure(self, where: str, structure: Structure, value: object, bands: "_Bands") -> object:
        """The bytes of a structure, with the addresses in it replaced by those of the guarded copies."""
        if not isinstance(value, ByValue):
            raise KernelError(f"{where} must be a NumPy array of one element, not {type(value).__name__}")
        given, expected = _leaves(value.array.dtype), _leaves(structure.dtype)
        if [leaf[:2] for leaf in given] != [leaf[:2] for leaf in expected] or (
            value.array.dtype.itemsize != structure.dtype.itemsize
        ):
            raise KernelError(f"{where} has another layout: given {value.array.dtype}, expected {structure.dtype}")
        content = bytearray(value.array.tobytes())
        for offset, _, name, pointer in _pointers(structure):
            address = int.from_bytes(content[offset : offset + 8], "little")
            if address:
                array = bands.array_at(address)
                if array is None:
                    raise KernelError(f"{where}: the address in {name} is not that of a living array's data.ptr")
                _check_array(f"{where}: {name}", pointer, array)
                content[offset : offset + 8] = bands.pointer_to(array, name).value.to_bytes(8, "little")
        return bands.keep((ctypes.c_char * len(content)).from_buffer(content))


def _leaves(dtype: np.dtype, offset: int = 0, name: str = "") -> list[tuple[int, np.dtype, str]]:
    """All plain numbers of a structure: where each stands, its type, and its name."""
    if dtype.subdtype is not None:
        base, shape = dtype.subdtype
        count = int(np.prod(shape))
        return [leaf for i in range(count) for leaf in _leaves(base, offset + i * base.itemsize, f"{name}[{i}]")]
    if dtype.names is None:
        return [(offset, dtype, name)]
    fields = sorted((dtype.fields[field][1], field) for field in dtype.names)
    return [
        leaf
        for at, field in fields
        for leaf in _leaves(dtype.fields[field][0], offset + at, f"{name}.{field}".strip("."))
    ]


def _pointers(structure: Structure, offset: int = 0, prefix: str = "") -> list[tuple[int, np.dtype, str, Parameter]]:
    """All pointers of a structure: where each stands, its name, and what it points to."""
    found = []
    for member in structure.members:
        layout, at = structure.dtype.fields[member.name][:2]
        count = int(np.prod(member.count)) if member.count else 1
        for i in range(count if member.is_pointer or member.structure else 0):
            name = f"{prefix}{member.name}{f'[{i}]' if member.count else ''}"
            place = offset + at + i * (layout.itemsize // count)
            if member.is_pointer:
                found.append((place, layout, name, Parameter(name, member.c_type, True, member.is_const)))
            elif member.structure:
                found += _pointers(member.structure, place, f"{name}.")
    return found


def _check_array(where: str, parameter: Parameter, value: object) -> None:
    """Raise unless the array is as the kernel reads it: CuPy passes on its address and checks nothing."""
    if isinstance(value, np.intp | np.uintp) and not value:
        return  # a null pointer: np.intp(0)
    if not isinstance(value, np.ndarray):
        raise KernelError(f"{where} must be an array (or np.intp(0) for none), not {type(value).__name__}")
    bytes_for_bool = value.dtype == np.bool_ and parameter.dtype == np.uint8
    if value.dtype != parameter.dtype and not bytes_for_bool:
        raise KernelError(f"{where} was given an array of {value.dtype}; expected {parameter.dtype}")
    if not value.flags.c_contiguous:
        raise KernelError(
            f"{where} was given an array that is not C-contiguous: shape {value.shape}, strides {value.strides}"
        )


def _dtype_as_sent(where: str, value: object) -> np.dtype:
    if isinstance(value, np.generic):
        return value.dtype
    if type(value) not in PYTHON_NUMBERS:
        raise KernelError(f"{where} must be a number, not {type(value).__name__}")
    return np.dtype(PYTHON_NUMBERS[type(value)])


class _Bands:
    """Copies of a launch's arrays, each between two guard bands (of no width under AddressSanitizer, which fences)."""

    def __init__(self, width: int, array_at: Callable[[int], np.ndarray | None], *, copies: bool) -> None:
        self.width, self.array_at, self.makes_copies = width, array_at, copies
        self.copies: list[tuple[str, np.ndarray, np.ndarray]] = []
        self.kept: list[object] = []

    def keep(self, value: object) -> object:
        """Let the value live until the launch is over."""
        self.kept.append(value)
        return ctypes.byref(value)

    def pointer_to(self, array: np.ndarray, name: str) -> ctypes.c_void_p:
        """The address of the array's copy, which is shared by arguments that are the same array."""
        if not self.makes_copies:
            return ctypes.c_void_p(array.ctypes.data)
        for _, other, copy in self.copies:
            if other.ctypes.data == array.ctypes.data and other.nbytes == array.nbytes:
                return ctypes.c_void_p(copy.ctypes.data + self.width)
            if np.may_share_memory(other, array):
                raise KernelError(f"{name} overlaps another argument in part; the shim runs equal or separate arrays")
        copy = np.full(array.nbytes + 2 * self.width, GUARD, dtype=np.uint8)
        copy[self.width : self.width + array.nbytes] = array.reshape(-1).view(np.uint8)
        self.copies.append((name, array, copy))
        return ctypes.c_void_p(copy.ctypes.data + self.width)

    def release(self) -> str | None:
        """Copy everything back; return the name of an array whose bands were written to."""
        broken = None
        for name, array, copy in self.copies:
            end = self.width + array.nbytes
            array.reshape(-1).view(np.uint8)[...] = copy[self.width : end]
            if (copy[: self.width] != GUARD).any() or (copy[end:] != GUARD).any():
                broken = broken or name
        return broken


def _with_launchers(source: str, signatures: Iterable[Signature]) -> str:
    """The source behind the shim, and for each kernel a C function that launches it."""
    source = _DYNAMIC_SHARED.sub(r"\1 *\2 = (\1 *)shim::dynamic_shared;", source)
    parts = ['#include "cuda_shim.h"\nnamespace {\n#line 1 "kernels.cu"\n', source, "\n}\n"]
    for signature in signatures:
        declared = "".join(f", {_declared(p)}" for p in signature.parameters)
        given = ", ".join(f"*{p.name}" if p.structure else p.name for p in signature.parameters)
        parts += [
            f"static_assert(sizeof({p.c_type}) == {p.dtype.itemsize}, {json.dumps(p.c_type)});\n"
            for p in signature.parameters
            if p.structure
        ]
        call = f"[&] {{ {signature.name}({given}); }}"
        parts.append(
            f'extern "C" const char *launch_{signature.name}('
            f"const unsigned *grid_, const unsigned *block_, int order_, int barriers_, unsigned shared_{declared}) "
            f"{{ return shim::launch(grid_, block_, order_, barriers_, shared_, {call}); }}\n"
        )
    return "".join(parts)


def _declared(parameter: Parameter) -> str:
    """A launcher's parameter; a structure comes by its address, since ctypes knows no more of it."""
    return f"{parameter.c_type} {'*' if parameter.is_pointer or parameter.structure else ''}{parameter.name}"


def _compiled(text: str, flags: list[str]) -> Path:
    """The shared library for this text, compiled at its first use on this machine."""
    key = hashlib.sha256("\0".join([text, SHIM.read_text(), *flags]).encode()).hexdigest()[:20]
    folder = Path(tempfile.gettempdir()) / f"minicnn-cpu-cuda-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    library = folder / f"{key}.so"
    if not library.exists():
        unfinished = folder / f"{key}.{os.getpid()}.{threading.get_ident()}.so"
        _run([compiler() or "g++", *flags, f"-I{SHIM.parent}", "-x", "c++", "-", "-o", str(unfinished)], text)
        unfinished.replace(library)
    return library


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, text=True, capture_output=True)
    if done.returncode:
        raise KernelError(f"{Path(command[0]).name} refuses the kernels:\n{done.stderr}")
    return done.stdout
