"""Upsampling, adaptive average pooling and unpooling against PyTorch."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import assert_close32, assert_close64, assert_gradient, needs_torch, tensor, torch, torch_gradients
from strategies import PoolCase, normal, pairs, pool_cases, seeds, spread

from minicnn import ops
from minicnn.errors import ArgumentError

pytestmark = pytest.mark.usefixtures("backend")

shapes = st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6))
RESIZING = {
    "nearest": (ops.upsample_nearest_forward, ops.upsample_nearest_backward, "size"),
    "bilinear": (ops.upsample_bilinear_forward, ops.upsample_bilinear_backward, "size"),
    "adaptive": (ops.adaptive_avg_pool2d_forward, ops.adaptive_avg_pool2d_backward, "output_size"),
}
every_way = pytest.mark.parametrize("way", RESIZING)


def torch_resize(way, size):
    if way == "adaptive":
        return lambda x: torch.nn.functional.adaptive_avg_pool2d(x, size)
    options = {"align_corners": False} if way == "bilinear" else {}
    return lambda x: torch.nn.functional.interpolate(x, size, mode=way, **options)


@needs_torch
@every_way
@example((2, 3, 5, 4), (10, 8), 0)
@example((2, 3, 5, 4), (3, 7), 0)
@example((2, 1, 1, 6), (4, 1), 0)
@given(shapes, pairs(1, 12), seeds)
def test_float64_is_pytorchs(way, shape, size, seed):
    forward, backward, name = RESIZING[way]
    x = normal(seed, *shape)
    y = forward(x, **{name: size})
    dy = normal(seed + 1, *y.shape)
    if len(x) == 0:  # which PyTorch refuses in some of these
        assert y.shape == (*shape[:2], *size)
        assert backward(dy, shape=shape).shape == shape
        return
    want, (want_dx,) = torch_gradients(torch_resize(way, size), [x], dy)
    assert_close64(y, want, 1e-10)
    assert_close64(backward(dy, shape=shape), want_dx, 1e-10)


@needs_torch
@every_way
@pytest.mark.parametrize("size", [(10, 8), (3, 7)])
def test_float32_is_within_the_rounding_of_its_sums(way, size):
    forward, backward, name = RESIZING[way]
    x, dy = normal(1, 2, 3, 5, 4, dtype=np.float32), normal(2, 2, 3, *size, dtype=np.float32)
    want, (want_dx,) = torch_gradients(torch_resize(way, size), [x], dy)
    length, (length_dx,) = torch_gradients(torch_resize(way, size), [np.abs(x)], np.abs(dy))
    assert_close32(forward(x, **{name: size}), want, length)
    assert_close32(backward(dy, shape=x.shape), want_dx, length_dx)


@every_way
@pytest.mark.parametrize("size", [(8, 6), (5, 7), (2, 3)])
def test_backward_is_the_gradient_of_forward(way, size):
    forward, backward, name = RESIZING[way]
    x, dy = normal(1, 2, 2, 4, 3), normal(2, 2, 2, *size)
    assert_gradient(backward(dy, shape=x.shape), lambda x: forward(x, **{name: size}), x, dy)


def test_nearest_pixels_are_compared_in_whole_numbers():
    """i * (26 / 46) is a little below 13 for i = 23, so that floating point would show pixel 12."""
    x = np.arange(26.0).reshape(1, 1, 26, 1)
    y = ops.upsample_nearest_forward(x, size=(46, 1))
    assert y.reshape(-1).tolist() == [i * 26 // 46 for i in range(46)]
    assert ops.upsample_nearest_backward(y, shape=x.shape)[0, 0, 13, 0] == 2 * 13


def test_bilinear_goes_straight_from_centre_to_centre_and_stays_level_at_the_edge():
    y = ops.upsample_bilinear_forward(np.array([[[[0.0, 4.0]]]]), size=(1, 4))
    assert y.tolist() == [[[[0, 1, 3, 4]]]]


def test_an_infinity_reaches_its_neighbours_alone():
    x = np.zeros((1, 1, 4, 4))
    x[0, 0, 0, 0] = np.inf
    for way in ("nearest", "bilinear"):
        with np.errstate(invalid="ignore"):  # between infinity and infinity
            y = RESIZING[way][0](x, size=(8, 8))
        assert np.isfinite(y[0, 0, 4:, 4:]).all(), way


@every_way
def test_a_size_without_meaning_is_refused(way):
    with pytest.raises(ArgumentError, match="size must be at least 1"):
        RESIZING[way][0](np.ones((1, 1, 3, 3)), **{RESIZING[way][2]: (0, 2)})


# Unpooling


OVERLAPPING = PoolCase(2, 2, (7, 6), (3, 2), (1, 2), (1, 0), seed=1)
OF_FIVE = PoolCase(2, 3, (5, 7), (2, 2), None, 0, seed=1)


@needs_torch
@example(OF_FIVE)
@given(pool_cases(min_batch=1, paddings=("number",)))
def test_unpooling_is_pytorchs_where_windows_do_not_overlap(case):
    if case.stride is not None and (case.stride[0] < case.kernel[0] or case.stride[1] < case.kernel[1]):
        return
    image = spread(case.seed, *case.shape)
    pooled, argmax = ops.max_pool2d_forward(image, **case.options)
    x = normal(case.seed, *pooled.shape)
    _, indices = torch.nn.functional.max_pool2d(
        tensor(image), case.kernel, case.stride, case.padding, return_indices=True
    )

    def unpool(x):
        flat = torch.zeros(*case.shape[:2], case.size[0] * case.size[1], dtype=torch.float64)
        return flat.scatter(2, indices.flatten(2), x.flatten(2)).reshape(case.shape)

    dy = normal(case.seed + 1, *case.shape)
    want, (want_dx,) = torch_gradients(unpool, [x], dy)
    np.testing.assert_array_equal(ops.max_unpool2d_forward(x, argmax, shape=case.shape, **case.options), want.detach())
    np.testing.assert_array_equal(ops.max_unpool2d_backward(dy, argmax, **case.options), want_dx)


@example(OVERLAPPING)
@given(pool_cases())
def test_unpooling_backward_is_the_adjoint_of_forward(case):
    image = spread(case.seed, *case.shape)
    pooled, argmax = ops.max_pool2d_forward(image, **case.options)
    x, dy = normal(case.seed, *pooled.shape), normal(case.seed + 1, *case.shape)
    y = ops.max_unpool2d_forward(x, argmax, shape=case.shape, **case.options)
    dx = ops.max_unpool2d_backward(dy, argmax, **case.options)
    np.testing.assert_allclose((y * dy).sum(), (x * dx).sum(), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(ops.max_unpool2d_backward(image, argmax, **case.options), pooled)


def test_pooling_what_was_unpooled_gives_it_back():
    image, kernel = spread(0, 2, 3, 6, 8), (2, 4)
    pooled, argmax = ops.max_pool2d_forward(image, kernel=kernel)
    x = np.abs(normal(1, *pooled.shape))
    y = ops.max_unpool2d_forward(x, argmax, shape=image.shape, kernel=kernel)
    again, _ = ops.max_pool2d_forward(y, kernel=kernel)
    np.testing.assert_array_equal(again, x)


def test_windows_that_share_a_maximum_add():
    image = np.array([[[[0.0, 9.0, 0.0]]]])
    _, argmax = ops.max_pool2d_forward(image, kernel=(1, 2), stride=1)
    y = ops.max_unpool2d_forward(np.array([[[[2.0, 3.0]]]]), argmax, shape=image.shape, kernel=(1, 2), stride=1)
    assert y.tolist() == [[[[0, 5, 0]]]]


def test_whole_numbers_have_means_and_values_between():
    x = np.array([[[[0, 100]]]])
    assert ops.upsample_bilinear_forward(x, size=(1, 4)).ravel().tolist() == [0, 25, 75, 100]
    assert ops.adaptive_avg_pool2d_forward(x, output_size=1).item() == 50
