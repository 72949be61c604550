"""Pooling of regions against PyTorch's max over slices, region by region and bin by bin."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import needs_torch, torch, torch_gradients
from strategies import normal, pairs, seeds

from minicnn import ops
from minicnn.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")


def nearest(value):
    """The nearest whole number, halves away from zero: C's round."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def by_hand(rois, output_size, scale):
    """Fast R-CNN's pooling, with PyTorch's max."""
    oh, ow = output_size

    def pool(x):
        h, w = x.shape[2:]
        regions = []
        for image, *corners in rois.tolist():
            x1, y1, x2, y2 = (nearest(corner * scale) for corner in corners)
            high, wide = y2 - y1 + 1, x2 - x1 + 1
            bins = []
            for i in range(oh):
                top, bottom = y1 + math.floor(i * high / oh), y1 + -(-(i + 1) * high // oh)
                for j in range(ow):
                    left, right = x1 + math.floor(j * wide / ow), x1 + -(-(j + 1) * wide // ow)
                    part = x[int(image), :, max(top, 0) : max(min(bottom, h), 0), max(left, 0) : max(min(right, w), 0)]
                    empty = 0 in part.shape
                    bins.append(x.new_zeros(x.shape[1]) if empty else part.flatten(1).max(dim=1).values)
            regions.append(torch.stack(bins, dim=1).reshape(x.shape[1], oh, ow))
        return torch.stack(regions) + 0 * x.sum()  # which a gradient can go back through, though all bins be empty

    return pool


def distinct(seed, *shape):
    """Numbers of which no two are equal."""
    return np.random.default_rng(seed).permutation(math.prod(shape)).reshape(shape) - math.prod(shape) / 2 + 0.25


@st.composite
def regions(draw, images):
    scale = draw(st.sampled_from([1.0, 0.5, 0.25, 1 / 16]))
    count, rows = draw(st.integers(1, 4)), []
    corner, length = st.integers(-6, 12).map(lambda i: i / 2 / scale), st.integers(0, 14).map(lambda i: i / 2 / scale)
    for _ in range(count):
        x1, y1 = draw(corner), draw(corner)
        rows.append([draw(st.integers(0, images - 1)), x1, y1, x1 + draw(length), y1 + draw(length)])
    return np.array(rows, dtype=np.float64).reshape(count, 5), scale


@needs_torch
@given(st.data(), pairs(1, 4), pairs(1, 7), seeds)
def test_values_and_gradients_are_those_of_torch_max_over_slices(data, output_size, size, seed):
    x = distinct(seed, 2, 3, *size)
    rois, scale = data.draw(regions(2))
    y, argmax = ops.roi_max_pool2d_forward(x, rois, output_size=output_size, spatial_scale=scale)
    dy = normal(seed, *y.shape)
    want, (want_dx,) = torch_gradients(by_hand(rois, output_size, scale), [x], dy)
    np.testing.assert_array_equal(y, want.detach())
    dx = ops.roi_max_pool2d_backward(dy, argmax, rois, shape=x.shape)
    np.testing.assert_allclose(dx, want_dx, rtol=0, atol=1e-12)


def test_of_no_regions_nothing_comes():
    x, none = np.ones((2, 3, 4, 4), dtype=np.float32), np.zeros((0, 5))
    y, argmax = ops.roi_max_pool2d_forward(x, none, output_size=(2, 3))
    assert y.shape == argmax.shape == (0, 3, 2, 3)
    dx = ops.roi_max_pool2d_backward(y, argmax, none, shape=x.shape)
    assert dx.dtype == np.float32
    np.testing.assert_array_equal(dx, np.zeros_like(x))


@given(st.data(), pairs(1, 3), seeds)
def test_argmax_says_where_each_maximum_is_and_minus_one_where_a_bin_is_empty(data, output_size, seed):
    x = np.random.default_rng(seed).integers(-1, 2, (2, 2, 5, 4)).astype(np.float32)  # many are equal
    x[np.random.default_rng(seed).random(x.shape) < 0.1] = np.nan
    rois, scale = data.draw(regions(2))
    y, argmax = ops.roi_max_pool2d_forward(x, rois, output_size=output_size, spatial_scale=scale)
    assert y.dtype == np.float32
    planes = x[rois[:, 0].astype(int)].reshape(len(rois), 2, 20)
    found = np.take_along_axis(planes, np.maximum(argmax, 0).reshape(len(rois), 2, -1), axis=2).reshape(y.shape)
    np.testing.assert_array_equal(y, np.where(argmax < 0, 0, found))


def test_the_first_of_equal_maxima_wins_row_by_row_and_a_nan_is_the_largest():
    x = np.array([[[[0.0, 1.0], [1.0, 1.0]]]])
    rois = np.array([[0.0, 0, 0, 1, 1]])
    assert ops.roi_max_pool2d_forward(x, rois, output_size=1)[1].item() == 1
    x[0, 0, 1, 0] = np.nan
    y, argmax = ops.roi_max_pool2d_forward(x, rois, output_size=1)
    assert np.isnan(y).all()
    assert argmax.item() == 2


def test_minus_infinity_stays_inside_its_region():
    x = np.full((1, 1, 4, 4), -np.inf)
    y, argmax = ops.roi_max_pool2d_forward(x, np.array([[0.0, 2, 2, 3, 3]]), output_size=1)
    assert y.item() == -np.inf
    assert argmax.item() == 2 * 4 + 2


def test_both_ends_of_a_region_belong_to_it_and_halves_are_rounded_away_from_zero():
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    corner = [ops.roi_max_pool2d_forward(x, np.array([[0, 0, 0, e, e]]), output_size=1)[0].item() for e in (0, 1, 1.4)]
    assert corner == [0, 5, 5]
    assert ops.roi_max_pool2d_forward(x, np.array([[0, 0, 0, 1.5, 0.5]]), output_size=1)[0].item() == 6
    # from -0.5, rounded to -1, the middle bins are rows 0 and columns 0
    assert ops.roi_max_pool2d_forward(x, np.array([[0, -0.5, -0.5, 1, 1]]), output_size=3)[0].tolist() == [
        [[[0, 0, 0], [0, 0, 1], [0, 4, 5]]]
    ]


def test_regions_of_one_image_that_share_a_pixel_add_their_gradients():
    x = np.zeros((2, 1, 3, 3))
    x[1, 0, 1, 1] = 5
    rois = np.array([[1, 0, 0, 2, 2], [1, 1, 1, 2, 2], [0, 0, 0, 2, 2]])  # whole numbers will do
    _, argmax = ops.roi_max_pool2d_forward(x, rois, output_size=1)
    dx = ops.roi_max_pool2d_backward(np.array([1.0, 2.0, 4.0]).reshape(3, 1, 1, 1), argmax, rois, shape=x.shape)
    assert dx[1, 0].tolist() == [[0, 0, 0], [0, 3, 0], [0, 0, 0]]
    assert dx[0, 0].tolist() == [[4, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    ("rois", "error", "message"),
    [
        ([[0, 0, 0, 1, 1], [2, 0, 0, 1, 1]], ShapeError, r"rois\[1\] = \[2.0, 0.0.* is not there; the batch has 2"),
        ([[-1, 0, 0, 1, 1]], ShapeError, r"rois\[0\] = .*not there"),
        ([[0.5, 0, 0, 1, 1]], ShapeError, r"rois\[0\] = .*not there"),
        ([[0, 0, 0, 1, 1], [0, 3, 0, 2, 1]], ArgumentError, r"rois\[1\] = \[0.0, 3.0, 0.0, 2.0, 1.0\] ends before"),
        ([[0, 0, 3, 2, 1]], ArgumentError, "ends before it begins"),
        ([[0, 0, np.nan, 2, 1]], ArgumentError, r"rois\[0\] = .*nan.*is not finite"),
        ([[np.nan, 0, 0, 2, 1]], ArgumentError, "is not finite"),
        ([[0, 0, 0, np.inf, 1]], ArgumentError, "is not finite"),
        ([[0, 0, 0, 1e300, 1]], ArgumentError, "further than 2147483648 pixels away"),
        ([[0, 0, 1, 1]], ShapeError, r"rois \(R, 5\), rows of \(image, x1, y1, x2, y2\); .*rois are \(1, 4\)"),
    ],
)
def test_regions_that_cannot_be_are_refused(rois, error, message):
    with pytest.raises(error, match=message):
        ops.roi_max_pool2d_forward(np.ones((2, 1, 4, 4)), np.array(rois, dtype=np.float64), output_size=2)


@pytest.mark.parametrize("option", [{"output_size": 0}, {"output_size": 2, "spatial_scale": 0.0}])
def test_options_without_meaning_are_refused(option):
    with pytest.raises(ArgumentError, match=r"(output_size|spatial_scale) must be"):
        ops.roi_max_pool2d_forward(np.ones((2, 1, 4, 4)), np.array([[0.0, 0, 0, 1, 1]]), **option)
