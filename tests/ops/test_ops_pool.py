"""Pooling against PyTorch, plain loops and finite differences."""

import numpy as np
import pytest
from hypothesis import example, given
from oracles import (
    assert_close32,
    assert_close64,
    assert_gradient,
    naive_avg_pool2d,
    naive_max_pool2d,
    needs_torch,
    pads_of,
    tensor,
    torch,
    torch_gradients,
    torch_pad,
)
from strategies import PoolCase, normal, pairs, pool_cases, seeds, spread

from minicnn import ops
from minicnn.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")

OVERLAPPING = PoolCase(2, 2, (7, 6), (3, 2), (1, 2), (1, 0), seed=1)
STRIDE_BEYOND_KERNEL = PoolCase(2, 1, (9, 8), (2, 1), (4, 3), 0, seed=1)
SAME_WITH_STRIDE = PoolCase(2, 1, (5, 6), (3, 4), (2, 3), "same", seed=1)


def pads(case):
    return pads_of(case.padding, case.size, case.kernel, case.steps)


def naive(case):
    return {"kernel": case.kernel, "stride": case.steps, "pads": pads(case)}


def torch_pool(case, pool, value):
    return lambda x: pool(torch_pad(x, pads(case), value), case.kernel, case.steps)


def torch_max_pool(case):
    return torch_pool(case, torch.nn.functional.max_pool2d, -torch.inf)


def torch_avg_pool(case):
    return torch_pool(case, torch.nn.functional.avg_pool2d, 0.0)


# Maximum


@needs_torch
@example(OVERLAPPING)
@example(STRIDE_BEYOND_KERNEL)
@example(SAME_WITH_STRIDE)
@given(pool_cases())
def test_max_pool_is_pytorchs(case):
    x = spread(case.seed, *case.shape)
    y, argmax = ops.max_pool2d_forward(x, **case.options)
    dy = normal(case.seed, *y.shape)
    want, (want_dx,) = torch_gradients(torch_max_pool(case), [x], dy)
    assert_close64(y, want)
    assert_close64(ops.max_pool2d_backward(dy, argmax, shape=x.shape, **case.options), want_dx)


@example(OVERLAPPING)
@example(SAME_WITH_STRIDE)
@given(pool_cases(min_batch=1))
def test_max_pool_is_the_naive_loop_and_the_first_of_ties_wins(case):
    x = np.random.default_rng(case.seed).integers(-1, 2, case.shape).astype(float)
    y, argmax = ops.max_pool2d_forward(x, **case.options)
    want_y, want_argmax = naive_max_pool2d(x, **naive(case))
    np.testing.assert_array_equal(y, want_y)
    np.testing.assert_array_equal(argmax, want_argmax)


@given(pool_cases(min_batch=1, extra=2))
def test_max_pool_backward_is_the_gradient_of_forward(case):
    x = spread(case.seed, *case.shape)
    y, argmax = ops.max_pool2d_forward(x, **case.options)
    dy = normal(case.seed, *y.shape)
    dx = ops.max_pool2d_backward(dy, argmax, shape=x.shape, **case.options)
    assert_gradient(dx, lambda x: ops.max_pool2d_forward(x, **case.options)[0], x, dy)


def test_argmax_counts_the_windows_pixels_row_by_row():
    x = np.zeros((1, 1, 2, 6))
    x[0, 0, 1, 0] = x[0, 0, 0, 5] = 1
    _, argmax = ops.max_pool2d_forward(x, kernel=(2, 3))
    assert argmax.tolist() == [[[[3, 2]]]]
    assert argmax.dtype.kind in "iu"


def test_argmax_of_a_large_window_does_not_overflow():
    x = np.zeros((1, 1, 20, 20))
    x[0, 0, 19, 19] = 1
    _, argmax = ops.max_pool2d_forward(x, kernel=20)
    assert argmax.item() == 399


def test_equal_maxima_give_all_the_gradient_to_the_first():
    x = np.ones((1, 1, 2, 2))
    _, argmax = ops.max_pool2d_forward(x, kernel=2)
    dx = ops.max_pool2d_backward(np.full((1, 1, 1, 1), 5.0), argmax, shape=x.shape, kernel=2)
    assert dx.tolist() == [[[[5, 0], [0, 0]]]]


def test_overlapping_windows_add_their_gradients():
    x = np.array([[[[0.0, 9.0, 0.0]]]])
    _, argmax = ops.max_pool2d_forward(x, kernel=(1, 2), stride=1)
    dx = ops.max_pool2d_backward(np.array([[[[2.0, 3.0]]]]), argmax, shape=x.shape, kernel=(1, 2), stride=1)
    assert dx.tolist() == [[[[0, 5, 0]]]]


@needs_torch
@given(pool_cases(min_batch=1))
def test_a_nan_is_the_maximum_where_pytorch_says_so(case):
    x = spread(case.seed, *case.shape)
    x[np.random.default_rng(case.seed).random(case.shape) < 0.2] = np.nan
    y, argmax = ops.max_pool2d_forward(x, **case.options)
    dy = normal(case.seed, *y.shape)
    want, (want_dx,) = torch_gradients(torch_max_pool(case), [x], dy)
    np.testing.assert_array_equal(y, want.detach())
    assert_close64(ops.max_pool2d_backward(dy, argmax, shape=x.shape, **case.options), want_dx)


def test_padding_never_wins_though_all_numbers_are_negative():
    y, _ = ops.max_pool2d_forward(np.full((1, 1, 2, 2), -5.0), kernel=2, stride=1, padding=1)
    assert (y == -5).all()


def test_padding_never_wins_though_all_numbers_are_minus_infinity():
    x = np.full((1, 1, 2, 2), -np.inf)
    y, argmax = ops.max_pool2d_forward(x, kernel=2, stride=2, padding=1)
    dx = ops.max_pool2d_backward(np.ones_like(y), argmax, shape=x.shape, kernel=2, stride=2, padding=1)
    assert dx.tolist() == [[[[1, 1], [1, 1]]]]


def test_float32_maxima_are_exact():
    x = normal(0, 2, 3, 7, 8, dtype=np.float32)
    y, _ = ops.max_pool2d_forward(x, kernel=3, stride=2, padding=1)
    wide, _ = ops.max_pool2d_forward(x.astype(np.float64), kernel=3, stride=2, padding=1)
    np.testing.assert_array_equal(y, wide)


# Mean


@needs_torch
@example(OVERLAPPING)
@example(STRIDE_BEYOND_KERNEL)
@example(SAME_WITH_STRIDE)
@given(pool_cases())
def test_avg_pool_is_pytorchs(case):
    x = normal(case.seed, *case.shape)
    y = ops.avg_pool2d_forward(x, **case.options)
    dy = normal(case.seed + 1, *y.shape)
    want, (want_dx,) = torch_gradients(torch_avg_pool(case), [x], dy)
    assert_close64(y, want)
    assert_close64(ops.avg_pool2d_backward(dy, shape=x.shape, **case.options), want_dx)


@needs_torch
@given(pool_cases())
def test_avg_pool_in_float32_is_within_the_rounding_of_its_sums(case):
    x = normal(case.seed, *case.shape, dtype=np.float32)
    y = ops.avg_pool2d_forward(x, **case.options)
    dy = normal(case.seed + 1, *y.shape, dtype=np.float32)
    want, (want_dx,) = torch_gradients(torch_avg_pool(case), [x], dy)
    size, (size_dx,) = torch_gradients(torch_avg_pool(case), [np.abs(x)], np.abs(dy))
    assert_close32(y, want, size)
    assert_close32(ops.avg_pool2d_backward(dy, shape=x.shape, **case.options), want_dx, size_dx)


@given(pool_cases(min_batch=1))
def test_avg_pool_is_the_naive_loop(case):
    x = normal(case.seed, *case.shape)
    assert_close64(ops.avg_pool2d_forward(x, **case.options), naive_avg_pool2d(x, **naive(case)))


@given(pool_cases(min_batch=1, extra=2))
def test_avg_pool_backward_is_the_gradient_of_forward(case):
    x = normal(case.seed, *case.shape)
    dy = normal(case.seed + 1, *ops.avg_pool2d_forward(x, **case.options).shape)
    dx = ops.avg_pool2d_backward(dy, shape=x.shape, **case.options)
    assert_gradient(dx, lambda x: ops.avg_pool2d_forward(x, **case.options), x, dy)


# Mean of everything


@given(pairs(0, 3), pairs(1, 4), seeds)
def test_global_avg_pool_is_the_mean_of_each_channel(batch_and_channels, size, seed):
    x = normal(seed, *batch_and_channels, *size)
    want = np.array([[channel.mean() for channel in image] for image in x]).reshape(batch_and_channels)
    assert_close64(ops.global_avg_pool2d_forward(x), want)


@given(pairs(1, 3), pairs(1, 4), seeds)
def test_global_avg_pool_backward_is_the_gradient_of_forward(batch_and_channels, size, seed):
    x, dy = normal(seed, *batch_and_channels, *size), normal(seed + 1, *batch_and_channels)
    dx = ops.global_avg_pool2d_backward(dy, shape=x.shape)
    assert_gradient(dx, ops.global_avg_pool2d_forward, x, dy)


@needs_torch
def test_global_avg_pool_is_pytorchs():
    x = normal(0, 2, 3, 5, 4)
    assert_close64(ops.global_avg_pool2d_forward(x), torch.nn.functional.adaptive_avg_pool2d(tensor(x), 1)[..., 0, 0])


# What does not fit


@pytest.mark.parametrize("forward", [ops.max_pool2d_forward, ops.avg_pool2d_forward])
def test_a_window_larger_than_the_image_is_refused(forward):
    with pytest.raises(ShapeError, match="window of 3 x 3 pixels does not fit into an image of 2 x 4"):
        forward(np.ones((1, 1, 2, 4)), kernel=3)


@pytest.mark.parametrize("forward", [ops.max_pool2d_forward, ops.avg_pool2d_forward])
@pytest.mark.parametrize("padding", [2, (2, 1), (1, 2)])
def test_padding_of_more_than_half_the_kernel_is_refused(forward, padding):
    with pytest.raises(ArgumentError, match="more than half of the pooling kernel"):
        forward(np.ones((1, 1, 5, 5)), kernel=3, padding=padding)


@pytest.mark.parametrize("forward", [ops.max_pool2d_forward, ops.avg_pool2d_forward])
@pytest.mark.parametrize("option", [{"kernel": 0}, {"kernel": 2, "stride": 0}, {"kernel": 2, "padding": -1}])
def test_options_without_meaning_are_refused(forward, option):
    with pytest.raises(ArgumentError, match="must be at least"):
        forward(np.ones((1, 1, 5, 5)), **option)
