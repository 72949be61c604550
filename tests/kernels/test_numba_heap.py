"""Freed memory stays with the process: large arrays that come and go do not cost fresh pages every time."""

import platform
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="Numba is not installed")
pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not GNU's")

SCRIPT = """
import resource
import numpy as np
import minicnn.kernels.numba

def pages(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.empty(1 << 24, dtype=np.uint8)[::4096] = 1
        np.empty(1 << 26, dtype=np.uint8)[::4096] = 1  # above what the C library keeps of its own accord
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

pages(2)
print(pages(10))
"""


def test_arrays_that_come_and_go_touch_no_fresh_memory():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, timeout=60)
    assert int(done.stdout) < 100
