"""Where the engine's CUDA source is, how it is compiled, and what tests of it need."""

from pathlib import Path

import pytest

from gpu.cpu_cuda import compiler_problem

ROOT = Path(__file__).resolve().parents[2]
KERNELS = ROOT / "minicnn" / "kernels" / "cuda" / "kernels.cu"
OPTIONS = {real: ("--std=c++17", f"-DREAL={real}") for real in ("float", "double")}
"""As minicnn/kernels/cuda/module.py compiles it."""

needs_kernels = pytest.mark.skipif(not KERNELS.exists(), reason=f"there is no {KERNELS.name} yet")
needs_compiler = pytest.mark.skipif(compiler_problem() is not None, reason=str(compiler_problem()))
