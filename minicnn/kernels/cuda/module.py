"""Compiling `kernels.cu` on the GPU's machine, and launching its kernels.

CuPy hands arguments over as they come: an address, or so many bytes. It checks neither types nor memory order, so all
of that is settled here: arrays must be contiguous and of the kernel's own type, a Python int goes in as 32 bits, a
fraction as REAL.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.backend import Array, array_module

THREADS = 256
"""Threads of a block, as in `kernels.cu`."""
MOST_BLOCKS = 2048
"""Enough to fill any GPU; threads take further numbers in turns."""
TILE = 16
SOURCE = Path(__file__).with_name("kernels.cu")
REALS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


def _structure(names: str, kind: type) -> np.dtype:
    return np.dtype([(name, kind) for name in names.split()])


WINDOWS = _structure("n c h w kh kw stride_h stride_w dilation_h dilation_w top left oh ow", np.int32)
KEY = _structure("seed_low seed_high stream step_low step_high", np.uint32)
MOST_TENSORS = 64
TENSOR = np.dtype(
    [(name, np.uint64) for name in ("w", "dw", "m", "v")]
    + [("size", np.int64), ("rate", np.float64), ("unbias", np.float64)]
)
"""The structures of `kernels.cu`. An array of one element of such a type goes to a kernel by value."""


@functools.cache
def _kernel(name: str, dtype: np.dtype) -> Any:
    return _module(dtype).get_function(name)


@functools.cache
def _module(dtype: np.dtype) -> Any:
    import cupy

    return cupy.RawModule(code=SOURCE.read_text(), options=("--std=c++17", f"-DREAL={REALS[dtype]}"))


def for_each(name: str, dtype: np.dtype, count: int, *arguments: Any, rows: int = 1) -> None:
    """Launch a kernel whose threads share `count` numbers, or so many in each of some rows of blocks."""
    blocks = min(-(-count // THREADS), MOST_BLOCKS // rows)
    if blocks:
        _launch(name, dtype, (blocks, rows), (THREADS,), arguments)


def by_blocks(name: str, dtype: np.dtype, blocks: int, *arguments: Any) -> None:
    """Launch a kernel whose blocks of THREADS threads each make one thing."""
    _launch(name, dtype, (blocks,), (THREADS,), arguments)


def matmul(a: Array, b: Array) -> Array:
    """Return a b by the tiled kernel, (M, K) times (K, N); transposed views are read as they lie.

    For what is to be captured in a CUDA graph. Elsewhere `a @ b`, by cuBLAS, is many times faster.
    """
    (rows, depth), columns, size = a.shape, b.shape[1], a.itemsize
    c = new((rows, columns), a)
    steps = [np.int64(step // size) for step in (*a.strides, *b.strides)]
    grid = -(-rows // TILE), -(-columns // TILE)
    _launch("matmul", a.dtype, grid, (TILE, TILE), (whole(a), whole(b), c, rows, columns, depth, *steps))
    return c


def whole(view: Array) -> Array:
    """Return the memory of a view as a kernel may take it, which reads it by steps of its own."""
    return view if view.flags.c_contiguous else view.T


def _launch(name: str, dtype: np.dtype, grid: tuple[int, ...], block: tuple[int, ...], arguments: tuple) -> None:
    real = dtype.type
    _kernel(name, dtype)(grid, block, tuple(_as_c(argument, real) for argument in arguments))


def _as_c(value: Any, real: Any) -> Any:
    if isinstance(value, int):  # a bool is one too
        return np.int32(value)
    return real(value) if isinstance(value, float | np.floating) else value


def is_real(*arrays: Array) -> bool:
    """Return whether all arrays are of one type, float32 or float64: what the kernels are compiled for."""
    dtype = arrays[0].dtype
    return dtype in REALS and all(array.dtype == dtype for array in arrays)


def new(shape: tuple[int, ...], like: Array, dtype: Any = None) -> Array:
    """Return an array for a kernel to write to, where `like` lives, and of its type."""
    return array_module(like).empty(shape, dtype=dtype or like.dtype)


def contiguous(array: Array) -> Array:
    """Return the array row by row in memory: itself, or a copy."""
    return array_module(array).ascontiguousarray(array)
