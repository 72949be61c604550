"""DropConnect: which weights go, what the sums come to, and their mean and variance over all masks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_gradient, needs_torch, tensor, torch, torch_gradients
from strategies import memory_orders, normal, seeds

from minicnn import ops
from minicnn.backend import Key
from minicnn.ops import drop_connect

pytestmark = pytest.mark.usefixtures("backend")

KEY = Key(seed=1, stream=2, step=3)
sizes = st.tuples(st.integers(0, 5), st.integers(1, 5), st.integers(1, 5))
rates = st.floats(0, 1, exclude_max=True)


def arrays(seed, n, d, k):
    return normal(seed, n, d), normal(seed + 1, k, d), normal(seed + 2, k)


@given(sizes, rates, seeds)
def test_the_mask_is_the_keys_numbers_against_p(size, p, seed):
    n, d, k = size
    key = Key(seed, 1, 2)
    _, mask = ops.drop_connect_forward(*arrays(0, *size), p=p, key=key)
    bits = ops.random_bits(key, count=n * k * (d + 1)).reshape(n, k, d + 1)
    np.testing.assert_array_equal(mask, bits >= int(p * 2**32))
    assert mask.dtype == bool


@given(sizes, seeds, memory_orders)
def test_the_mask_knows_neither_dtype_nor_memory_order_nor_whether_there_is_a_bias(size, seed, order):
    x, w, b = arrays(seed, *size)
    _, mask = ops.drop_connect_forward(x, w, b, p=0.5, key=KEY)
    single = [order(a.astype(np.float32)) for a in (x, w)]
    np.testing.assert_array_equal(ops.drop_connect_forward(*single, None, p=0.5, key=KEY)[1], mask)


@given(sizes, rates, seeds)
def test_every_example_goes_through_its_own_weights(size, p, seed):
    x, w, b = arrays(seed, *size)
    y, mask = ops.drop_connect_forward(x, w, b, p=p, key=KEY)
    want = np.zeros_like(y)
    for n, k in np.ndindex(*y.shape):
        for d in range(x.shape[1]):
            if mask[n, k, d]:
                want[n, k] += w[k, d] * x[n, d]
        if mask[n, k, -1]:
            want[n, k] += b[k]
    assert_close64(y, want)


@needs_torch
@pytest.mark.parametrize("chunk", [1, 100, 2**20])
def test_gradients_are_pytorch_s_whatever_the_size_of_the_pieces(chunk, monkeypatch):
    monkeypatch.setattr(drop_connect, "CHUNK", chunk)
    x, w, b = arrays(5, 7, 4, 6)
    y, mask = ops.drop_connect_forward(x, w, b, p=0.4, key=KEY)
    dy = normal(9, *y.shape)
    m = tensor(mask)
    want_y, want = torch_gradients(
        lambda x, w, b: torch.einsum("nkd,kd,nd->nk", m[:, :, :-1], w, x) + m[:, :, -1] * b, (x, w, b), dy
    )
    assert_close64(y, want_y)
    for got, gradient in zip(ops.drop_connect_backward(dy, x, w, mask), want, strict=True):
        assert_close64(got, gradient)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_goes_is_p_for_weights_and_for_biases(p):
    _, mask = ops.drop_connect_forward(np.ones((300, 9)), np.ones((20, 9)), None, p=p, key=KEY)
    for part in (mask[:, :, :-1], mask[:, :, -1]):
        assert abs((~part).mean() - p) < 4 * math.sqrt(p * (1 - p) / part.size)


def test_no_two_examples_and_no_two_units_share_a_mask():
    _, mask = ops.drop_connect_forward(np.ones((8, 40)), np.ones((8, 40)), None, p=0.5, key=KEY)
    rows = mask.reshape(64, 41)
    agreement = [(one == other).mean() for one, other in itertools.combinations(rows, 2)]
    assert 0.05 < min(agreement) < max(agreement) < 0.95


def test_at_p_0_it_is_a_linear_layer_and_at_p_1_nothing_is_left():
    x, w, b = arrays(0, 4, 5, 3)
    y, mask = ops.drop_connect_forward(x, w, b, p=0.0, key=KEY)
    assert_close64(y, x @ w.T + b)
    y, mask = ops.drop_connect_forward(x, w, b, p=1.0, key=KEY)
    assert not y.any()
    assert not mask.any()


# The mean and the variance over masks


def over_all_masks(x, w, b, p):
    """Mean and variance of every sum, over all 2^(D+1) masks of its weights, each with its probability."""
    parts = np.concatenate([x[:, None, :] * w, np.broadcast_to(b[:, None], (len(x), len(w), 1))], axis=2)
    mean, square = np.zeros(parts.shape[:2]), np.zeros(parts.shape[:2])
    for kept in itertools.product([0, 1], repeat=parts.shape[2]):
        probability = math.prod(1 - p if k else p for k in kept)
        u = parts @ np.array(kept, dtype=float)
        mean, square = mean + probability * u, square + probability * u**2
    return mean, square - mean**2


@given(rates, seeds)
def test_mean_and_variance_are_those_over_all_masks(p, seed):
    x, w, b = arrays(seed, 3, 4, 2)
    mean, variance = over_all_masks(x, w, b, p)
    y = ops.drop_connect_inference_forward(x, w, b, p=p, z=(0.0, 1.0, -2.0))
    assert_close64(y[0], mean)
    np.testing.assert_allclose((y[1] - y[0]) ** 2, variance, rtol=1e-7, atol=1e-12)
    assert_close64(y[2] - y[0], -2 * (y[1] - y[0]))


def test_many_masks_have_that_mean_and_variance():
    count, p = 20_000, 0.3
    x, w, b = arrays(3, 1, 6, 3)
    u, _ = ops.drop_connect_forward(np.repeat(x, count, axis=0), w, b, p=p, key=KEY)
    mean, variance = over_all_masks(x, w, b, p)
    assert (np.abs(u.mean(axis=0) - mean[0]) < 4 * np.sqrt(variance[0] / count)).all()
    np.testing.assert_allclose(u.var(axis=0), variance[0], rtol=4 * math.sqrt(2 / count))


@given(sizes.filter(lambda size: size[0] > 0), st.floats(0.05, 0.95), seeds)
def test_backward_of_the_inference_is_the_gradient_of_its_forward(size, p, seed):
    x, w, b = arrays(seed, *size)
    options = {"p": p, "z": (-1.0, 0.3)}
    dy = normal(seed + 3, 2, size[0], size[2])
    dx, dw, db = ops.drop_connect_inference_backward(dy, x, w, b, **options)
    assert_gradient(dx, lambda x: ops.drop_connect_inference_forward(x, w, b, **options), x, dy)
    assert_gradient(dw, lambda w: ops.drop_connect_inference_forward(x, w, b, **options), w, dy)
    assert_gradient(db, lambda b: ops.drop_connect_inference_forward(x, w, b, **options), b, dy)


def test_where_nothing_varies_the_gradient_is_finite():
    x, w = np.zeros((2, 3)), normal(0, 4, 3)
    gradients = ops.drop_connect_inference_backward(np.ones((1, 2, 4)), x, w, None, p=0.5, z=(1.0,))
    assert all(np.isfinite(gradient).all() for gradient in gradients)
    assert_close64(gradients[0], np.broadcast_to(0.5 * w.sum(axis=0), (2, 3)))
