"""The tile, held against NumPy's matrix product."""

import numpy as np
import pytest

numba = pytest.importorskip("numba", reason="Numba is not installed")

from minicnn.kernels.numba import tile as tiles  # noqa: E402
from minicnn.kernels.numba.vector import address  # noqa: E402

rng = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [1, 2, 7])
def test_it_sums_products(vectors, depth, dtype):
    tile = getattr(tiles, f"TILE_{vectors}")
    height, wide = tiles.tile_height(vectors), vectors * tiles.VECTOR_BYTES // np.dtype(dtype).itemsize

    @numba.njit
    def run(out, start, floor, a, offsets, steps, b):
        to, begin, from_a, from_b = address(out, 5), address(start, 1), address(a, 2), address(b, 7)
        tile(to, wide + 3, begin, wide, floor, from_a, address(offsets, 1), address(steps, 1), from_b, wide + 4, depth)

    a, b = rng.normal(size=200).astype(dtype), rng.normal(size=(depth, wide + 4)).astype(dtype)
    offsets, steps = rng.integers(0, 150, size=1 + height), rng.integers(0, 40, size=1 + depth)
    start = rng.normal(size=1 + height * wide).astype(dtype)
    packed = np.concatenate([np.full(7, np.nan, dtype), b.reshape(-1)])
    matrix = a[2 + offsets[1:, None] + steps[1:]]
    want = matrix.astype(np.float64) @ b[:, :wide].astype(np.float64) + start[1:].reshape(height, wide)
    for floor in (-np.inf, 0.0):
        out = np.full(5 + height * (wide + 3), np.nan, dtype)
        run(out, start, dtype(floor), a, offsets, steps, packed)
        got = out[5:].reshape(height, wide + 3)
        np.testing.assert_allclose(got[:, :wide], np.maximum(want, floor), rtol=0, atol=50 * np.finfo(dtype).eps)
        assert np.isnan(got[:, wide:]).all(), "it wrote beyond its rows"


@pytest.mark.parametrize("vectors", [1, 2, 3, 4])
def test_it_fits_into_the_registers(vectors):
    assert 1 <= tiles.tile_height(vectors) * vectors + vectors + 1 <= tiles.REGISTERS
