"""Every kernel once under AddressSanitizer, which sees each read and write outside of an array.

It has to be in the process before Python is, so the tests of test_cuda_slots.py run again in one of their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gpu.cpu_cuda import asan_library
from gpu.sources import ROOT, needs_compiler

pytestmark = [
    needs_compiler,
    pytest.mark.skipif(asan_library() is None, reason="libasan is missing; install it with: apt install libasan8"),
]

READS_ONE_TOO_FAR = """
import numpy as np
from gpu.cpu_cuda import CpuModule
source = '''extern "C" __global__ void copy(const float* x, float* y) {{ y[threadIdx.x] = x[threadIdx.x + {by}]; }}'''
CpuModule(source).kernel("copy").launch((1,), (8,), (np.ones(8, np.float32), np.ones(8, np.float32)))
"""
SHARED_ONE_TOO_FAR = """
import numpy as np
from gpu.cpu_cuda import CpuModule
source = '''extern "C" __global__ void turn(float* x) {{
    __shared__ float s[8];
    s[threadIdx.x + {by}] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = s[7 - threadIdx.x];
}}'''
CpuModule(source).kernel("turn").launch((2,), (8,), (np.ones(8, np.float32),))
"""


def under_asan(*command):
    environment = {
        **os.environ,
        "MINICNN_CUDA_ASAN": "1",
        "LD_PRELOAD": asan_library(),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
    }
    return subprocess.run([sys.executable, *command], cwd=ROOT, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("program", [READS_ONE_TOO_FAR, SHARED_ONE_TOO_FAR], ids=["global", "shared"])
def test_one_step_too_far_is_seen(program):
    good = under_asan("-c", program.format(by=0))
    assert good.returncode == 0, good.stderr
    bad = under_asan("-c", program.format(by=1))
    assert bad.returncode != 0
    assert "AddressSanitizer" in bad.stderr
    assert "kernels.cu:" in bad.stderr


@pytest.mark.slow
def test_no_kernel_leaves_its_arrays():
    tests = str(Path(__file__).with_name("test_cuda_slots.py"))
    done = under_asan("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-k", "shuffled", tests)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert " passed" in done.stdout
