"""The matrix product against PyTorch and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close32, assert_close64, assert_gradient, needs_torch, torch, torch_gradients
from strategies import normal, seeds

from minicnn import ops
from minicnn.errors import ShapeError

pytestmark = pytest.mark.usefixtures("backend")

sizes = st.tuples(st.integers(0, 5), st.integers(1, 9), st.integers(1, 5))


def arrays(size, seed, dtype=np.float64):
    n, d, k = size
    shapes = (n, d), (k, d), (k,), (n, k)
    return [normal(seed + i, *shape, dtype=dtype) for i, shape in enumerate(shapes)]


@needs_torch
@given(sizes, seeds)
def test_float64_is_pytorchs_to_nine_digits(size, seed):
    x, w, b, dy = arrays(size, seed)
    want, gradients = torch_gradients(torch.nn.functional.linear, (x, w, b), dy)
    assert_close64(ops.linear_forward(x, w, b), want)
    for got, gradient in zip(ops.linear_backward(dy, x, w), gradients, strict=True):
        assert_close64(got, gradient)


@given(sizes, seeds)
def test_float32_is_within_the_rounding_of_its_sums(size, seed):
    x, w, b, dy = arrays(size, seed, np.float32)
    X, W, B, DY = (a.astype(np.float64) for a in (x, w, b, dy))
    assert_close32(ops.linear_forward(x, w, b), X @ W.T + B, abs(X) @ abs(W.T) + abs(B))
    dx, dw, db = ops.linear_backward(dy, x, w)
    assert_close32(dx, DY @ W, abs(DY) @ abs(W))
    assert_close32(dw, DY.T @ X, abs(DY.T) @ abs(X))
    assert_close32(db, DY.sum(0), abs(DY).sum(0))


@given(sizes, seeds)
def test_backward_is_the_gradient_of_forward(size, seed):
    x, w, b, dy = arrays(size, seed)
    dx, dw, db = ops.linear_backward(dy, x, w)
    assert_gradient(dx, lambda x: ops.linear_forward(x, w, b), x, dy)
    assert_gradient(dw, lambda w: ops.linear_forward(x, w, b), w, dy)
    assert_gradient(db, lambda b: ops.linear_forward(x, w, b), b, dy)


def test_no_bias_is_a_bias_of_zero():
    x, w, *_ = arrays((3, 4, 2), 0)
    assert_close64(ops.linear_forward(x, w, None), ops.linear_forward(x, w, np.zeros(2)))


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 4, 1)])
def test_an_input_that_does_not_fit_is_refused(shape):
    with pytest.raises(ShapeError, match=r"x must be \(N, 4\)"):
        ops.linear_forward(np.ones(shape), np.ones((2, 4)), None)
