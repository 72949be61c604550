"""Batch normalisation against PyTorch and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close32, assert_close64, assert_gradient, needs_torch, tensor, torch, torch_gradients
from strategies import normal, seeds

from minicnn import ops

pytestmark = pytest.mark.usefixtures("backend")

shapes = (
    st.tuples(st.integers(3, 6), st.integers(1, 3))
    | st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(3, 5))
    | st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(3, 4))
)
EPS = 1e-3


def arrays(shape, seed, dtype=np.float64):
    """x with a mean and a variance of its own a channel, gamma, beta, dy"""
    c = shape[1]
    per_channel = (1, c, *[1] * (len(shape) - 2))
    x = normal(seed, *shape) * (1 + np.arange(c)).reshape(per_channel) + normal(seed + 4, *per_channel)
    return [a.astype(dtype) for a in (x, normal(seed + 1, c), normal(seed + 2, c), normal(seed + 3, *shape))]


def statistics(seed, c):
    return normal(seed + 5, c), np.exp(normal(seed + 6, c))


def torch_batch_norm(x, gamma, beta):
    return torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True, eps=EPS)


@needs_torch
@given(shapes, seeds)
def test_training_is_pytorchs(shape, seed):
    x, gamma, beta, dy = arrays(shape, seed)
    y, mean, inv_std = ops.batch_norm_forward(x, gamma, beta, eps=EPS)
    want, gradients = torch_gradients(torch_batch_norm, (x, gamma, beta), dy)
    assert_close64(y, want)
    for got, gradient in zip(ops.batch_norm_backward(dy, x, gamma, mean, inv_std), gradients, strict=True):
        assert_close64(got, gradient)


@given(shapes, seeds)
def test_the_statistics_are_the_channels_mean_and_biased_deviation(shape, seed):
    x, gamma, beta, _ = arrays(shape, seed)
    _, mean, inv_std = ops.batch_norm_forward(x, gamma, beta, eps=EPS)
    channels = [x[:, c].ravel() for c in range(shape[1])]
    assert_close64(mean, np.array([channel.mean() for channel in channels]))
    assert_close64(inv_std, np.array([1 / np.sqrt(channel.var() + EPS) for channel in channels]))


@given(shapes, seeds)
def test_training_backward_is_the_gradient_of_forward(shape, seed):
    x, gamma, beta, dy = arrays(shape, seed)
    _, mean, inv_std = ops.batch_norm_forward(x, gamma, beta, eps=0.1)
    dx, dgamma, dbeta = ops.batch_norm_backward(dy, x, gamma, mean, inv_std)
    assert_gradient(dx, lambda x: ops.batch_norm_forward(x, gamma, beta, eps=0.1)[0], x, dy)
    assert_gradient(dgamma, lambda gamma: ops.batch_norm_forward(x, gamma, beta, eps=0.1)[0], gamma, dy)
    assert_gradient(dbeta, lambda beta: ops.batch_norm_forward(x, gamma, beta, eps=0.1)[0], beta, dy)


@needs_torch
@given(shapes, seeds)
def test_inference_is_pytorchs(shape, seed):
    x, gamma, beta, dy = arrays(shape, seed)
    mean, inv_std = statistics(seed, shape[1])
    var = 1 / inv_std**2 - EPS

    def batch_norm(x, gamma, beta):
        return torch.nn.functional.batch_norm(x, tensor(mean), tensor(var), gamma, beta, training=False, eps=EPS)

    want, gradients = torch_gradients(batch_norm, (x, gamma, beta), dy)
    assert_close64(ops.batch_norm_inference_forward(x, gamma, beta, mean, inv_std), want)
    backward = ops.batch_norm_inference_backward(dy, x, gamma, mean, inv_std)
    for got, gradient in zip(backward, gradients, strict=True):
        assert_close64(got, gradient)


@given(shapes, seeds)
def test_inference_backward_is_the_gradient_of_forward(shape, seed):
    x, gamma, beta, dy = arrays(shape, seed)
    given_statistics = statistics(seed, shape[1])
    forward = ops.batch_norm_inference_forward
    dx, dgamma, dbeta = ops.batch_norm_inference_backward(dy, x, gamma, *given_statistics)
    assert_gradient(dx, lambda x: forward(x, gamma, beta, *given_statistics), x, dy)
    assert_gradient(dgamma, lambda gamma: forward(x, gamma, beta, *given_statistics), gamma, dy)
    assert_gradient(dbeta, lambda beta: forward(x, gamma, beta, *given_statistics), beta, dy)


@needs_torch
@given(shapes, seeds)
def test_float32_is_within_the_rounding_of_its_terms(shape, seed):
    x, gamma, beta, dy = arrays(shape, seed, np.float32)
    y, mean, inv_std = ops.batch_norm_forward(x, gamma, beta, eps=EPS)
    want, gradients = torch_gradients(torch_batch_norm, (x, gamma, beta), dy)
    per_channel = (-1, *[1] * (x.ndim - 2))
    axes = (0, *range(2, x.ndim))
    scale = np.abs(gamma * inv_std).reshape(per_channel).astype(np.float64)
    reach = np.abs(x).max(axis=axes, keepdims=True) * inv_std.reshape(per_channel)  # |x_hat|, had it not been centred
    assert_close32(y, want, (1 + reach) ** 2 * np.abs(gamma).reshape(per_channel) + np.abs(beta).reshape(per_channel))
    dx, dgamma, dbeta = ops.batch_norm_backward(dy, x, gamma, mean, inv_std)
    assert_close32(dx, gradients[0], scale * np.abs(dy).max() * (1 + reach) ** 3)
    assert_close32(dgamma, gradients[1], (np.abs(dy) * (1 + reach) ** 2).sum(axis=axes))
    assert_close32(dbeta, gradients[2], np.abs(dy).sum(axis=axes))


def test_a_large_mean_does_not_spoil_the_variance():
    x = (normal(0, 50, 1) + 1e4).astype(np.float32)
    _, _, inv_std = ops.batch_norm_forward(x, np.ones(1, np.float32), np.zeros(1, np.float32))
    np.testing.assert_allclose(inv_std, 1 / np.sqrt(x.astype(np.float64).var() + 1e-5), rtol=1e-3)


def test_a_constant_channel_becomes_beta():
    y, *_ = ops.batch_norm_forward(np.full((4, 1), 3.0), np.ones(1), np.full(1, 7.0))
    assert (y == 7).all()
