"""Gradient clipping on its own."""

import numpy as np
import pytest

from minicnn import optim
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter


def with_gradients(*grads):
    parameters = [Parameter(np.zeros(len(grad), dtype=np.float32)) for grad in grads]
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = np.array(grad, dtype=np.float32)
    return parameters


def test_all_gradients_are_scaled_by_one_factor_to_the_length_asked_for():
    a, b = with_gradients([3.0], [0.0, 4.0])
    assert optim.clip_grad_norm([a, b], 1.0) == pytest.approx(5.0)
    np.testing.assert_allclose(np.concatenate([a.grad, b.grad]), [0.6, 0.0, 0.8], rtol=1e-5)


def test_short_gradients_stay_as_they_are():
    (a,) = with_gradients([3.0, 4.0])
    optim.clip_grad_norm([a], 10.0)
    assert a.grad.tolist() == [3.0, 4.0]


def test_the_array_that_held_the_gradient_is_not_written_to():
    (a,) = with_gradients([3.0, 4.0])
    before = a.grad
    optim.clip_grad_norm([a], 1.0)
    assert before.tolist() == [3.0, 4.0]


def test_parameters_without_gradient_are_passed_over():
    (a,) = with_gradients([3.0, 4.0])
    optim.clip_grad_norm([Parameter(np.zeros(2)), a], 1.0)
    np.testing.assert_allclose(a.grad, [0.6, 0.8], rtol=1e-5)


def test_without_any_gradient_the_length_is_0():
    assert optim.clip_grad_norm([Parameter(np.zeros(2))], 1.0) == 0


def test_a_length_that_is_a_numpy_number_does_not_change_the_dtype():
    (a,) = with_gradients([3.0, 4.0])
    optim.clip_grad_norm([a], np.float64(1.0))
    assert a.grad.dtype == np.float32


@pytest.mark.parametrize("max_norm", [0, -1.0, float("nan")])
def test_a_length_that_is_not_positive_is_refused(max_norm):
    with pytest.raises(ArgumentError, match="max_norm must be above 0"):
        optim.clip_grad_norm(with_gradients([1.0]), max_norm)


def test_gradients_whose_squares_overflow_keep_their_direction():
    parameter = Parameter(np.zeros(2, dtype=np.float32))
    parameter.add_grad(np.array([3e30, 4e30], dtype=np.float32))
    length = optim.clip_grad_norm([parameter], 1.0)
    np.testing.assert_allclose(length, 5e30, rtol=1e-6)
    np.testing.assert_allclose(parameter.grad, [0.6, 0.8], rtol=1e-6)


def test_gradients_of_zero_stay_zero():
    parameter = Parameter(np.zeros(2, dtype=np.float32))
    parameter.add_grad(np.zeros(2, dtype=np.float32))
    assert optim.clip_grad_norm([parameter], 1.0) == 0
    assert (parameter.grad == 0).all()
