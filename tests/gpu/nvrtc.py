"""NVIDIA's own compiler as a gate: is this valid CUDA C, for that card? It needs no GPU, no driver and no CuPy.

program, log = compile_cuda(source, "sm_90", ("--std=c++17", "-DREAL=float"))
"""

import ctypes
import functools
import importlib.util
from pathlib import Path

INSTALL = "pip install nvidia-cuda-nvrtc (the extra `dev` brings it)"


class CompileError(Exception):
    """NVRTC refuses the source; the message is its log."""


def nvrtc_problem() -> str | None:
    """Why NVRTC cannot be used here, and how to mend that; None where it can."""
    if not _libraries():
        return f"NVIDIA's compiler NVRTC is missing, which checks the CUDA kernels; install it with: {INSTALL}"
    return None


def architectures() -> list[str]:
    """The GPUs that this NVRTC compiles for: sm_75, ..."""
    library, count = _nvrtc(), ctypes.c_int()
    _check(library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    numbers = (ctypes.c_int * count.value)()
    _check(library.nvrtcGetSupportedArchs(numbers))
    return [f"sm_{number}" for number in numbers]


def compile_cuda(source: str, architecture: str, options: tuple[str, ...] = ()) -> tuple[bytes, str]:
    """Compile for an architecture, as far as machine code.

    Returns
    -------
    program : bytes
    log : str
        Warnings; empty if there are none.

    Raises
    ------
    CompileError
        If the source is refused.
    """
    library, program = _nvrtc(), ctypes.c_void_p()
    _check(library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None))
    try:
        flags = [f"-arch={architecture}".encode(), *(option.encode() for option in options)]
        status = library.nvrtcCompileProgram(program, len(flags), (ctypes.c_char_p * len(flags))(*flags))
        log = _read(program, "ProgramLog").rstrip(b"\0").decode().strip()
        if status:
            raise CompileError(log)
        return _read(program, "CUBIN"), log
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _read(program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(_nvrtc(), f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    content = ctypes.create_string_buffer(size.value)
    _check(getattr(_nvrtc(), f"nvrtcGet{what}")(program, content))
    return content.raw


def _check(status: int) -> None:
    if status:
        raise RuntimeError(f"NVRTC reports error {status}")


@functools.cache
def _nvrtc() -> ctypes.CDLL:
    return ctypes.CDLL(str(_libraries()[0]))


def _libraries() -> list[Path]:
    """The libraries found, the wheel's before a CUDA toolkit's."""
    spec = importlib.util.find_spec("nvidia")
    wheels = [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []
    toolkits = sorted(Path("/usr/local").glob("cuda*"), reverse=True)
    found = [
        *(path for folder in wheels for path in folder.glob("cu*/lib/libnvrtc.so.*")),
        *(path for folder in wheels for path in folder.glob("cuda_nvrtc/lib/libnvrtc.so.*")),
        *(path for folder in toolkits for path in folder.glob("lib64/libnvrtc.so")),
    ]
    return [path for path in found if "alt" not in path.name]
