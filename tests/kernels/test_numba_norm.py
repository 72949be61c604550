"""Batch norm over more numbers than one stretch of rows holds: rows that end early, and means that wander."""

import numpy as np
import pytest
from bodies import close, in_float64
from strategies import channels_last, normal

from minicnn import ops
from minicnn.backend import use_backend

norm = pytest.importorskip("minicnn.kernels.numba.norm", reason="Numba is not installed")

SHAPES = [(5, 3, 61, 59), (3, 17, 31, 33), (2, 257, 9, 11), (1, 600, 3, 5), (3, 1, 100, 101)]
"""Some of more than one stretch; pixels that do not fill their last row; pixels longer than a row; a single channel."""


def arrays_of(shape, dtype):
    """Images of which each is brighter than the one before it, a gradient, and what every channel has."""
    brightness = 3 * np.arange(shape[0], dtype=dtype).reshape(-1, 1, 1, 1)
    x, dy = channels_last(normal(0, *shape, dtype=dtype) + brightness), channels_last(normal(1, *shape, dtype=dtype))
    return x, dy, normal(2, shape[1], dtype=dtype), normal(3, shape[1], dtype=dtype)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_many_numbers(shape, dtype):
    x, dy, gamma, beta = arrays_of(shape, dtype)
    wide_x, wide_dy, wide_gamma, wide_beta = in_float64((x, dy, gamma, beta))
    terms = np.abs(wide_x).max() * (1 + np.abs(wide_gamma).max())
    want = ops.batch_norm_forward.body(wide_x, wide_gamma, wide_beta)
    with use_backend("numba"):
        got = ops.batch_norm_forward(x, gamma, beta)
        y, mean, inv_std = ops.batch_norm_relu_forward(x, gamma, beta)
    close(got, want, [terms] * 3, dtype)
    close((y, mean, inv_std), (np.maximum(got[0], 0), *got[1:]), [0] * 3, dtype)

    for name, gradient in (("batch_norm_backward", wide_dy), ("batch_norm_relu_backward", wide_dy * (y > 0))):
        needed = (gamma,) if name == "batch_norm_backward" else (gamma, beta)
        x_hat = (wide_x - want[1].reshape(-1, 1, 1)) * want[2].reshape(-1, 1, 1)
        sizes = [2 * terms, *(np.abs(g).sum((0, 2, 3)) for g in (gradient * x_hat, gradient))]
        with use_backend("numba"):
            results = getattr(ops, name)(dy, x, *needed, mean, inv_std)
        close(results, ops.batch_norm_backward.body(gradient, wide_x, wide_gamma, *want[1:]), sizes, dtype)


def test_some_shapes_are_longer_than_a_stretch_and_some_end_within_a_row():
    rows = [shape[1] * max(1, norm.ROW // shape[1]) for shape in SHAPES]
    sizes = [np.prod(shape) for shape in SHAPES]
    assert sum(size > norm.ROWS * row for size, row in zip(sizes, rows, strict=True)) >= 3
    assert sum(size % row > 0 for size, row in zip(sizes, rows, strict=True)) >= 3


def test_the_spread_about_a_large_mean_is_not_lost():
    x = channels_last(normal(0, 4, 5, 40, 40, dtype=np.float32) + np.float32(1000))
    with use_backend("numba"):
        _, _, inv_std = ops.batch_norm_forward(x, np.ones(5, "f"), np.ones(5, "f"))
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(x.astype(np.float64).var((0, 2, 3)) + 1e-5), rtol=1e-6)


def test_relu_lets_nothing_past_where_batch_norm_gives_zero():
    x, dy, zeros, _ = (array * scale for array, scale in zip(arrays_of((2, 3, 4, 5), "f"), (1, 1, 0, 0), strict=True))
    with use_backend("numba"):
        y, mean, inv_std = ops.batch_norm_relu_forward(x, zeros, zeros)
        gradients = ops.batch_norm_relu_backward(dy, x, zeros, zeros, mean, inv_std)
    for array in (y, *gradients):
        assert not array.any()
