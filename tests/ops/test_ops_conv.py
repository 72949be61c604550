"""im2col, col2im and convolution against PyTorch, plain loops and finite differences."""

import numpy as np
import pytest
from hypothesis import example, given
from oracles import (
    assert_close32,
    assert_close64,
    assert_gradient,
    naive_conv2d,
    needs_torch,
    pads_of,
    tensor,
    torch,
    torch_gradients,
    torch_pad,
)
from strategies import ConvCase, conv_cases, normal

from minicnn import ops
from minicnn.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")

STRIDE_BEYOND_KERNEL = ConvCase(2, 1, 1, (7, 5), (2, 1), (4, 3), (1, 0), (1, 1), 1, seed=1)
SAME_WITH_STRIDE = ConvCase(2, 2, 3, (6, 5), (3, 4), (2, 3), "same", (2, 1), 1, seed=1)
DEPTHWISE = ConvCase(2, 3, 6, (5, 7), (3, 2), (2, 1), 1, (1, 2), 3, seed=1)
EMPTY_BATCH = ConvCase(0, 2, 4, (4, 5), (3, 3), (1, 1), 1, (1, 1), 2, seed=1)


def pads(case):
    return pads_of(case.padding, case.size, case.kernel, case.stride, case.dilation)


def torch_windows(case):
    return {"kernel_size": case.kernel, "stride": case.stride, "dilation": case.dilation}


def torch_conv2d(case):
    def conv2d(x, w, b):
        return torch.nn.functional.conv2d(
            torch_pad(x, pads(case)), w, b, stride=case.stride, dilation=case.dilation, groups=case.groups
        )

    return conv2d


# Unfolding


@needs_torch
@given(conv_cases(min_batch=1))
def test_im2col_is_unfold(case):
    x = case.x()
    want = torch.nn.functional.unfold(torch_pad(tensor(x), pads(case)), **torch_windows(case))
    np.testing.assert_array_equal(ops.im2col(x, **case.windows), want)


@needs_torch
@given(conv_cases(min_batch=1))
def test_col2im_is_fold(case):
    cols = np.random.default_rng(case.seed).standard_normal(ops.im2col(case.x(), **case.windows).shape)
    (top, bottom), (left, right) = pads(case)
    h, w = case.size
    image = torch.nn.functional.fold(tensor(cols), (top + h + bottom, left + w + right), **torch_windows(case))
    got = ops.col2im(cols, shape=case.x().shape, **case.windows)
    assert_close64(got, image[:, :, top : top + h, left : left + w])


@given(conv_cases())
def test_col2im_is_the_adjoint_of_im2col(case):
    x = case.x()
    unfolded = ops.im2col(x, **case.windows)
    cols = np.random.default_rng(case.seed).standard_normal(unfolded.shape)
    folded = ops.col2im(cols, shape=x.shape, **case.windows)
    assert folded.shape == x.shape
    np.testing.assert_allclose((unfolded * cols).sum(), (x * folded).sum(), rtol=1e-10, atol=1e-10)


# Convolution


@needs_torch
@example(STRIDE_BEYOND_KERNEL)
@example(SAME_WITH_STRIDE)
@example(DEPTHWISE)
@example(EMPTY_BATCH)
@given(conv_cases())
def test_float64_is_pytorchs_to_nine_digits(case):
    inputs = x, w, b = case.x(), case.w(), case.b()
    y = ops.conv2d_forward(x, w, b, **case.options)
    dy = normal(case.seed + 3, *y.shape)
    want, gradients = torch_gradients(torch_conv2d(case), inputs, dy)
    assert_close64(y, want)
    for got, gradient in zip(ops.conv2d_backward(dy, x, w, **case.options), gradients, strict=True):
        assert_close64(got, gradient)


@needs_torch
@example(STRIDE_BEYOND_KERNEL)
@example(SAME_WITH_STRIDE)
@example(DEPTHWISE)
@given(conv_cases())
def test_float32_is_within_the_rounding_of_its_sums(case):
    inputs = x, w, b = case.x(np.float32), case.w(np.float32), case.b(np.float32)
    y = ops.conv2d_forward(x, w, b, **case.options)
    dy = normal(case.seed + 3, *y.shape, dtype=np.float32)
    want, gradients = torch_gradients(torch_conv2d(case), inputs, dy)
    size, sizes = torch_gradients(torch_conv2d(case), map(np.abs, inputs), np.abs(dy))
    assert_close32(y, want, size)
    for got, *oracle in zip(ops.conv2d_backward(dy, x, w, **case.options), gradients, sizes, strict=True):
        assert_close32(got, *oracle)


@example(STRIDE_BEYOND_KERNEL)
@example(SAME_WITH_STRIDE)
@example(DEPTHWISE)
@given(conv_cases(largest_kernel=3, extra=3))
def test_forward_is_the_naive_loop(case):
    x, w, b = case.x(), case.w(), case.b()
    want = naive_conv2d(x, w, b, stride=case.stride, pads=pads(case), dilation=case.dilation, groups=case.groups)
    assert_close64(ops.conv2d_forward(x, w, b, **case.options), want)


@given(conv_cases(paddings=("same",)))
def test_same_gives_one_output_a_stride(case):
    y = ops.conv2d_forward(case.x(), case.w(), None, **case.options)
    assert y.shape[2:] == tuple(-(-length // s) for length, s in zip(case.size, case.stride, strict=True))


def test_the_odd_pixel_of_same_padding_goes_last():
    x = np.ones((1, 1, 2, 3))
    y = ops.conv2d_forward(x, np.ones((1, 1, 2, 2)), None, padding="same")
    assert y[0, 0].tolist() == [[4, 4, 2], [2, 2, 1]]


@example(STRIDE_BEYOND_KERNEL)
@example(SAME_WITH_STRIDE)
@example(DEPTHWISE)
@given(conv_cases(min_batch=1, largest_kernel=2, extra=2))
def test_backward_is_the_gradient_of_forward(case):
    x, w, b = case.x(), case.w(), case.b()
    dy = normal(case.seed + 3, *ops.conv2d_forward(x, w, b, **case.options).shape)
    dx, dw, db = ops.conv2d_backward(dy, x, w, **case.options)
    assert_gradient(dx, lambda x: ops.conv2d_forward(x, w, b, **case.options), x, dy)
    assert_gradient(dw, lambda w: ops.conv2d_forward(x, w, b, **case.options), w, dy)
    assert_gradient(db, lambda b: ops.conv2d_forward(x, w, b, **case.options), b, dy)


@given(conv_cases())
def test_without_dx_the_other_gradients_are_the_same(case):
    x, w = case.x(), case.w()
    dy = normal(case.seed, *ops.conv2d_forward(x, w, None, **case.options).shape)
    _, dw, db = ops.conv2d_backward(dy, x, w, **case.options)
    nothing, same_dw, same_db = ops.conv2d_backward(dy, x, w, **case.options, need_dx=False)
    assert nothing is None
    assert_close64(same_dw, dw)
    assert_close64(same_db, db)


def test_no_bias_is_a_bias_of_zero():
    x, w = normal(0, 2, 3, 5, 4), normal(1, 2, 3, 2, 3)
    assert_close64(ops.conv2d_forward(x, w, None), ops.conv2d_forward(x, w, np.zeros(2)))


def test_the_kernel_is_not_flipped():
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    w = np.array([[[[1.0, 10.0], [100.0, 1000.0]]]])
    assert ops.conv2d_forward(x, w, None).item() == 3210


# What does not fit


@pytest.mark.parametrize(
    ("x", "w", "b", "groups", "message"),
    [
        ((3, 5, 5), (2, 3, 3, 3), None, 1, r"x must be \(N, C, H, W\)"),
        ((1, 3, 5, 5), (2, 3, 3), None, 1, r"w is \(2, 3, 3\)"),
        ((1, 2, 5, 5), (2, 3, 3, 3), None, 1, "x has 2 channels"),
        ((1, 3, 5, 5), (2, 3, 3, 3), None, 2, "2 group"),
        ((1, 4, 5, 5), (3, 2, 3, 3), None, 2, "3 kernels cannot be cut into 2"),
        ((1, 3, 5, 5), (2, 3, 3, 3), (3,), 1, r"b must have one entry a kernel, \(2,\), not \(3,\)"),
        ((1, 3, 2, 5), (2, 3, 3, 3), None, 1, "window of 3 x 3 pixels does not fit into an image of 2 x 5"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x, w, b, groups, message):
    with pytest.raises(ShapeError, match=message):
        ops.conv2d_forward(np.ones(x), np.ones(w), None if b is None else np.ones(b), groups=groups)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"stride": 0}, "stride must be at least 1, not 0"),
        ({"stride": (1, -1)}, "stride must be at least 1"),
        ({"stride": 1.5}, "stride must be a whole number or a pair"),
        ({"dilation": 0}, "dilation must be at least 1"),
        ({"dilation": (1, 1, 1)}, "dilation must be a whole number or a pair"),
        ({"padding": -1}, "padding must be at least 0"),
        ({"padding": "full"}, "'full'"),
    ],
)
def test_options_without_meaning_are_refused(option, message):
    with pytest.raises(ArgumentError, match=message):
        ops.conv2d_forward(np.ones((1, 1, 5, 5)), np.ones((1, 1, 3, 3)), None, **option)
