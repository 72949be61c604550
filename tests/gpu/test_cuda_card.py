"""The same comparisons as on the strict device, on a card: `pytest -m gpu`, with CuPy installed."""

import numpy as np
import pytest

from gpu import comparing
from gpu.cpu_cuda import signatures_of
from gpu.sources import KERNELS, OPTIONS
from minicnn.backend import use_backend

pytestmark = pytest.mark.gpu


@pytest.fixture(autouse=True)
def _on_the_card():
    with use_backend("cupy"):
        yield


@pytest.mark.parametrize("case", comparing.cases())
@pytest.mark.parametrize("dtype", comparing.DTYPES)
def test_an_operation_is_as_its_plain_body(case, dtype):
    got, want = comparing.results_on_device(case, dtype), comparing.results_on_numpy(case, dtype)
    comparing.assert_same(case, got, want, dtype)


@pytest.mark.parametrize("real", OPTIONS)
def test_all_kernels_load(real):
    import cupy

    module = cupy.RawModule(code=KERNELS.read_text(), options=OPTIONS[real])
    for name in signatures_of(KERNELS.read_text(), OPTIONS[real]):
        assert module.get_function(name).max_threads_per_block >= 256


@pytest.mark.parametrize("dtype", comparing.DTYPES)
def test_the_same_call_gives_the_same_bits(dtype):
    for name in comparing.filled_operations():
        first, second = (comparing.results_on_device(name, dtype) for _ in range(2))
        for one, other in zip(first, second, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=name)
