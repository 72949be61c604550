"""kernels.cu is valid CUDA C for every card in use: NVIDIA's compiler takes it without a word."""

import pytest

from gpu.nvrtc import CompileError, architectures, compile_cuda, nvrtc_problem
from gpu.sources import KERNELS, OPTIONS, needs_kernels

ARCHITECTURES = {"sm_75": "T4, RTX 20", "sm_80": "A100", "sm_90": "H100", "sm_120": "RTX 50"}

pytestmark = pytest.mark.skipif(nvrtc_problem() is not None, reason=str(nvrtc_problem()))


@needs_kernels
@pytest.mark.parametrize("real", OPTIONS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_kernels_compile_without_a_warning(architecture, real):
    program, log = compile_cuda(KERNELS.read_text(), architecture, OPTIONS[real])
    assert log == ""
    assert program[:4] == b"\x7fELF"


def test_all_architectures_are_known():
    assert set(ARCHITECTURES) <= set(architectures())


def test_a_mistake_is_refused_with_its_place():
    source = 'extern "C" __global__ void k(float* x) { x[0] = nothing; }'
    with pytest.raises(CompileError, match=r'kernels\.cu\(1\): error: identifier "nothing" is undefined'):
        compile_cuda(source, "sm_90")


def test_a_warning_is_in_the_log():
    source = 'extern "C" __global__ void k(float* x) { int unused; x[0] = 1; }'
    assert "unused" in compile_cuda(source, "sm_90")[1]


def test_a_function_that_cuda_lacks_is_refused():
    source = 'extern "C" __global__ void k(float* x) { x[0] = INFINITY; }'
    with pytest.raises(CompileError, match="INFINITY"):
        compile_cuda(source, "sm_90")


def test_too_much_shared_memory_is_refused():
    source = 'extern "C" __global__ void k(float* x) { __shared__ float s[50000]; s[threadIdx.x] = x[0]; x[1] = s[5]; }'
    with pytest.raises(CompileError, match="shared data"):
        compile_cuda(source, "sm_90")
