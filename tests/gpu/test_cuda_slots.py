"""Every operation on the strict device, with its CUDA kernel run on the CPU where there is one, against its plain body.

The same on a card is in test_cuda_card.py.
"""

import functools

import numpy as np
import pytest

from gpu import comparing, strict_cupy
from gpu.cpu_cuda import signatures_of
from gpu.sources import KERNELS, OPTIONS, needs_compiler
from minicnn.backend import slots, to_backend

every_case = pytest.mark.parametrize("case", comparing.cases())
both_dtypes = pytest.mark.parametrize("dtype", comparing.DTYPES)


@needs_compiler
@every_case
@both_dtypes
@pytest.mark.parametrize("order", strict_cupy.ORDERS)
def test_an_operation_is_as_its_plain_body_and_waits_for_nothing(device, case, dtype, order):
    want = comparing.results_on_numpy(case, dtype)
    watched = functools.partial(device.forbidding, "sync", "h2d", "d2h", "numpy")
    with device.threads_in_order(order):
        got = comparing.results_on_device(case, dtype, watched)
    comparing.assert_same(case, got, want, dtype)


@needs_compiler
@every_case
def test_memory_order_makes_no_difference(device, case):
    want = comparing.results_on_numpy(case, np.float64)
    got = comparing.results_on_device(case, np.float64, order=np.asfortranarray)
    comparing.assert_same(case, got, want, np.float64)


@needs_compiler
@both_dtypes
@pytest.mark.parametrize("order", strict_cupy.ORDERS)
@pytest.mark.parametrize("transposed", ["", "a", "b", "ab"])
def test_the_tiled_matrix_product(device, dtype, order, transposed):
    from minicnn.kernels.cuda.module import matmul

    a, b = comparing.Numbers(dtype)(33, 50), comparing.Numbers(dtype)(50, 21)
    on_device = [
        to_backend(np.ascontiguousarray(array.T)).T if name in transposed else to_backend(array)
        for name, array in (("a", a), ("b", b))
    ]
    with device.threads_in_order(order), device.forbidding("sync", "h2d", "d2h", "numpy"):
        got = matmul(*on_device)
    bound = 8 * np.finfo(dtype).eps * (np.abs(a) @ np.abs(b))
    assert (np.abs(got.get() - a.astype(np.float64) @ b) <= bound).all()


@needs_compiler
@both_dtypes
def test_a_filled_operation_runs_kernels_of_ours(device, dtype):
    """Or the tests above would compare the plain body with itself."""
    ours = signatures_of(KERNELS.read_text(), OPTIONS["float"]).keys()
    idle = set(comparing.filled_operations())
    for case in comparing.cases():
        device.counts.clear()
        comparing.results_on_device(case, dtype)
        if any(device.counts["launch", kernel] for kernel in ours):
            idle.discard(comparing.operation_of(case))
    assert not idle, "no kernel is launched for any example of these: comparing.MORE_EXAMPLES needs one"


@needs_compiler
def test_every_kernel_is_launched_by_some_case(device):
    ours = signatures_of(KERNELS.read_text(), OPTIONS["float"]).keys()
    for case in comparing.cases():
        comparing.results_on_device(case, np.float32)
    idle = {kernel for kernel in ours - LAUNCHED_ELSEWHERE if not device.counts["launch", kernel]}
    assert not idle, "comparing.MORE_EXAMPLES needs a case that launches these"


LAUNCHED_ELSEWHERE = {"matmul"}
"""Kernels that no operation launches: what they are for has tests of its own."""


def test_every_filling_is_of_an_operation(device):
    assert set(comparing.filled_operations()) <= slots().keys()
