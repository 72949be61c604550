"""Dropout: which numbers go, and what becomes of the others."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_gradient
from strategies import memory_orders, normal, seeds

from minicnn import ops
from minicnn.backend import Key

pytestmark = pytest.mark.usefixtures("backend")

KEY = Key(seed=1, stream=2, step=3)
shapes = st.lists(st.integers(0, 5), min_size=1, max_size=4).map(tuple)
rates = st.floats(0, 1, exclude_max=True)


@given(shapes, rates, seeds)
def test_the_mask_is_the_keys_numbers_against_p(shape, p, seed):
    key = Key(seed, 1, 2)
    _, mask = ops.dropout_forward(np.ones(shape), p=p, key=key)
    bits = ops.random_bits(key, count=math.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(mask, bits >= int(p * 2**32))
    assert mask.dtype == bool


@given(shapes, seeds, memory_orders)
def test_the_mask_knows_neither_dtype_nor_memory_order(shape, seed, order):
    x = normal(seed, *shape)
    _, mask = ops.dropout_forward(x, p=0.5, key=KEY)
    _, same = ops.dropout_forward(order(x.astype(np.float32)), p=0.5, key=KEY)
    np.testing.assert_array_equal(same, mask)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_goes_is_p(p):
    _, mask = ops.dropout_forward(np.ones((100, 100)), p=p, key=KEY)
    assert abs((~mask).mean() - p) < 4 * math.sqrt(p * (1 - p) / mask.size)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_mean_stays(p):
    y, _ = ops.dropout_forward(np.ones((100, 100)), p=p, key=KEY)
    assert abs(y.mean() - 1) < 4 * math.sqrt(p / (1 - p) / y.size)


@given(shapes, st.floats(0, 0.9), seeds)
def test_what_stays_is_scaled_and_the_rest_is_zero(shape, p, seed):
    x = normal(seed, *shape)
    y, mask = ops.dropout_forward(x, p=p, key=KEY)
    assert_close64(y, np.where(mask, x / (1 - p), 0))


def test_nothing_goes_at_p_0():
    x = normal(0, 50, 50)
    y, mask = ops.dropout_forward(x, p=0.0, key=KEY)
    assert mask.all()
    np.testing.assert_array_equal(y, x)


def test_everything_goes_at_p_1():
    x = normal(0, 50, 50)
    y, mask = ops.dropout_forward(x, p=1.0, key=KEY)
    assert not y.any()
    assert not ops.dropout_backward(x, mask, p=1.0).any()


def test_another_step_is_another_mask():
    x = np.ones((20, 20))
    _, a = ops.dropout_forward(x, p=0.5, key=KEY)
    _, b = ops.dropout_forward(x, p=0.5, key=KEY._replace(step=4))
    assert 0.3 < (a == b).mean() < 0.7


@given(shapes, st.floats(0, 0.9), seeds)
def test_backward_is_the_gradient_of_forward(shape, p, seed):
    x, dy = normal(seed, *shape), normal(seed + 1, *shape)
    _, mask = ops.dropout_forward(x, p=p, key=KEY)
    assert_gradient(ops.dropout_backward(dy, mask, p=p), lambda x: ops.dropout_forward(x, p=p, key=KEY)[0], x, dy)
