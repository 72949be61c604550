"""Activations against PyTorch and finite differences, at ordinary and at extreme numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close32, assert_close64, assert_gradient, needs_torch, torch, torch_gradients
from strategies import seeds, spread

from minicnn import ops

F = torch.nn.functional if torch is not None else None

# name: (keywords, whether the backward takes the output, PyTorch's function)
ACTIVATIONS = {
    "relu": ({}, True, lambda x: F.relu(x)),
    "leaky_relu": ({"slope": 0.2}, False, lambda x: F.leaky_relu(x, 0.2)),
    "elu": ({"alpha": 1.5}, False, lambda x: F.elu(x, 1.5)),
    "selu": ({}, False, lambda x: F.selu(x)),
    "gelu": ({}, False, lambda x: F.gelu(x)),
    "silu": ({}, False, lambda x: F.silu(x)),
    "sigmoid": ({}, True, lambda x: torch.sigmoid(x)),
    "tanh": ({}, True, lambda x: torch.tanh(x)),
    "softplus": ({"beta": 2.0, "threshold": 3.0}, False, lambda x: F.softplus(x, 2.0, 3.0)),
}
EXTREME = [-1e4, -100.0, -30.0, -1.0, -1e-4, -0.0, 0.0, 1e-4, 1.0, 30.0, 100.0, 1e4]

pytestmark = [pytest.mark.usefixtures("backend"), pytest.mark.parametrize("name", ACTIVATIONS)]

shapes = st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple)


def run(name, x, dy):
    """Output and gradient."""
    options, takes_output, _ = ACTIVATIONS[name]
    y = getattr(ops, f"{name}_forward")(x, **options)
    return y, getattr(ops, f"{name}_backward")(dy, y if takes_output else x, **options)


@needs_torch
@given(shapes, seeds)
def test_float64_is_pytorchs_to_nine_digits(name, shape, seed):
    x, dy = np.random.default_rng(seed).normal(scale=3, size=(2, *shape))
    x[np.random.default_rng(seed).random(shape) < 0.2] = 0
    y, dx = run(name, x, dy)
    want, (want_dx,) = torch_gradients(ACTIVATIONS[name][2], [x], dy)
    assert_close64(y, want)
    assert_close64(dx, want_dx)


@needs_torch
@given(shapes, seeds)
def test_float32_is_rounded_in_the_last_digits_only(name, shape, seed):
    x, dy = np.random.default_rng(seed).normal(scale=3, size=(2, *shape)).astype(np.float32)
    y, dx = run(name, x, dy)
    want, (want_dx,) = torch_gradients(ACTIVATIONS[name][2], [x], dy)
    assert_close32(y, want, 1 + np.abs(x))
    assert_close32(dx, want_dx, np.abs(dy) * (1 + np.abs(x)))


@needs_torch
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_numbers_give_pytorchs_values_without_warnings(name, dtype):
    x = np.array(EXTREME, dtype=dtype)
    y, dx = run(name, x, np.ones_like(x))
    want, (want_dx,) = torch_gradients(ACTIVATIONS[name][2], [x], np.ones_like(x))
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(y, want.detach(), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(dx, want_dx, rtol=tolerance, atol=tolerance)


@given(shapes, seeds)
def test_backward_is_the_gradient_of_forward(name, shape, seed):
    x = spread(seed, *shape)
    dy = np.random.default_rng(seed).standard_normal(shape)
    _, dx = run(name, x, dy)
    assert_gradient(dx, lambda x: run(name, x, dy)[0], x, dy)


def test_the_default_options_are_pytorchs(name):
    if torch is None:
        pytest.skip("PyTorch (pip install torch==2.13.0) is not installed")
    x = np.linspace(-3, 30, 200)
    assert_close64(getattr(ops, f"{name}_forward")(x), getattr(torch.nn.functional, name)(torch.tensor(x)))


def test_a_nan_stays_a_nan(name):
    y, _ = run(name, np.array([np.nan, 1.0]), np.ones(2))
    assert np.isnan(y).tolist() == [True, False]
