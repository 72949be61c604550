"""Transposed convolution against PyTorch, as the adjoint of convolution, and against plain loops."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from oracles import assert_close32, assert_close64, assert_gradient, needs_torch, torch, torch_gradients
from strategies import normal, pairs, seeds

from minicnn import ops
from minicnn.errors import ArgumentError, ShapeError
from minicnn.kernels.numba import conv_transpose

pytestmark = pytest.mark.usefixtures("backend")


def arrays(case, dtype=np.float64):
    """x, w and b of (n, c, f, size, kernel, options, seed)."""
    n, c, f, size, kernel, options, seed = case
    w = normal(seed + 1, c, f // options.get("groups", 1), *kernel, dtype=dtype)
    return normal(seed, n, c, *size, dtype=dtype), w, normal(seed + 2, f, dtype=dtype)


@st.composite
def cases(draw, *, least=0):
    groups, stride = draw(st.integers(1, 3)), draw(pairs(1, 4))
    kernel, padding, dilation = draw(pairs(1, 4)), draw(pairs(0, 2)), draw(pairs(1, 3))
    options = {
        "stride": stride,
        "padding": padding,
        "output_padding": tuple(draw(st.integers(0, s - 1)) for s in stride),
        "dilation": dilation,
        "groups": groups,
    }
    size = draw(pairs(1, 5))
    out = [(h - 1) * s - 2 * p + d * (k - 1) + e + 1 for h, s, p, d, k, e in zip(
        size, stride, padding, dilation, kernel, options["output_padding"], strict=True)]  # fmt: skip
    assume(min(out) > 0)
    c, f = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2))
    return draw(st.integers(least, 3)), c, f, size, kernel, options, draw(seeds)


U_NET = (2, 4, 3, (3, 4), (2, 2), {"stride": (2, 2)}, 1)
OVERLAPPING = (2, 3, 2, (4, 3), (3, 4), {"stride": (2, 1), "padding": (1, 2), "output_padding": (1, 0)}, 1)
GAPS = (2, 3, 2, (4, 3), (1, 2), {"stride": (3, 4), "output_padding": (2, 3)}, 1)
MORE_PADDING_THAN_KERNEL = (2, 3, 2, (6, 7), (2, 1), {"padding": (2, 1)}, 1)
GROUPS = (2, 4, 6, (3, 3), (3, 2), {"stride": (2, 2), "dilation": (2, 1), "groups": 2}, 1)
EMPTY_BATCH = (0, 2, 3, (3, 4), (2, 2), {"stride": (2, 2)}, 1)
MANY_CHANNELS = (2, 17, 16, (9, 11), (3, 3), {"padding": (1, 1)}, 1)


def torch_op(case):
    return lambda x, w, b: torch.nn.functional.conv_transpose2d(x, w, b, **case[5])


def examples(test):
    for case in (U_NET, OVERLAPPING, GAPS, MORE_PADDING_THAN_KERNEL, GROUPS, EMPTY_BATCH, MANY_CHANNELS):
        test = example(case)(test)
    return test


@needs_torch
@examples
@given(cases())
def test_float64_is_pytorchs(case):
    x, w, b = arrays(case)
    y = ops.conv_transpose2d_forward(x, w, b, **case[5])
    dy = normal(case[6] + 3, *y.shape)
    want, gradients = torch_gradients(torch_op(case), (x, w, b), dy)
    assert_close64(y, want, 1e-10)
    for got, gradient in zip(ops.conv_transpose2d_backward(dy, x, w, **case[5]), gradients, strict=True):
        assert_close64(got, gradient, 1e-10)


@needs_torch
@examples
@given(cases(least=1))
def test_float32_is_within_the_rounding_of_its_sums(case):
    inputs = x, w, b = arrays(case, np.float32)
    y = ops.conv_transpose2d_forward(x, w, b, **case[5])
    dy = normal(case[6] + 3, *y.shape, dtype=np.float32)
    want, gradients = torch_gradients(torch_op(case), inputs, dy)
    size, sizes = torch_gradients(torch_op(case), map(np.abs, inputs), np.abs(dy))
    factor = 32 if case is MANY_CHANNELS else 8  # Winograd's transforms round a few times more
    assert_close32(y, want, size, factor)
    for got, *oracle in zip(ops.conv_transpose2d_backward(dy, x, w, **case[5]), gradients, sizes, strict=True):
        assert_close32(got, *oracle, factor)


@examples
@given(cases(least=1))
def test_it_is_the_adjoint_of_convolution(case):
    """<conv2d(a), x> = <a, conv_transpose2d(x)> for any a, with the same weights and options."""
    x, w, _ = arrays(case)
    y = ops.conv_transpose2d_forward(x, w, None, **case[5])
    a = normal(case[6] + 4, *y.shape)
    convolved = ops.conv2d_forward(a, w, None, **{k: v for k, v in case[5].items() if k != "output_padding"})
    assert convolved.shape == x.shape
    np.testing.assert_allclose((convolved * x).sum(), (a * y).sum(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("case", [U_NET, OVERLAPPING, GAPS, GROUPS])
def test_backward_is_the_gradient_of_forward(case):
    x, w, b = arrays(case)
    dy = normal(5, *ops.conv_transpose2d_forward(x, w, b, **case[5]).shape)
    dx, dw, db = ops.conv_transpose2d_backward(dy, x, w, **case[5])
    assert_gradient(dx, lambda x: ops.conv_transpose2d_forward(x, w, b, **case[5]), x, dy)
    assert_gradient(dw, lambda w: ops.conv_transpose2d_forward(x, w, b, **case[5]), w, dy)
    assert_gradient(db, lambda b: ops.conv_transpose2d_forward(x, w, b, **case[5]), b, dy)


def test_without_dx_the_other_gradients_are_the_same():
    x, w, b = arrays(OVERLAPPING)
    dy = normal(5, *ops.conv_transpose2d_forward(x, w, b, **OVERLAPPING[5]).shape)
    _, dw, db = ops.conv_transpose2d_backward(dy, x, w, **OVERLAPPING[5])
    nothing, same_dw, same_db = ops.conv_transpose2d_backward(dy, x, w, **OVERLAPPING[5], need_dx=False)
    assert nothing is None
    np.testing.assert_array_equal(same_dw, dw)
    np.testing.assert_array_equal(same_db, db)


def test_each_pixel_puts_its_kernel_down_unturned():
    x = np.array([[[[1.0, 10.0]]]])
    w = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    y = ops.conv_transpose2d_forward(x, w, None, stride=2)
    assert y.tolist() == [[[[1, 2, 10, 20], [3, 4, 30, 40]]]]


def test_pixels_that_no_kernel_reaches_are_the_bias():
    y = ops.conv_transpose2d_forward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 1, 1)), np.array([0.5]), stride=2)
    assert y.tolist() == [[[[1.5, 0.5, 1.5], [0.5, 0.5, 0.5], [1.5, 0.5, 1.5]]]]


def test_the_numba_kernel_leaves_no_single_group_to_the_body(monkeypatch, backend):
    if backend == "numpy":
        pytest.skip("there is no kernel")
    monkeypatch.setattr(conv_transpose, "plain_body", lambda name: pytest.fail)
    for case in (U_NET, OVERLAPPING, GAPS, MORE_PADDING_THAN_KERNEL, MANY_CHANNELS):
        ops.conv_transpose2d_forward(*arrays(case), **case[5])


@pytest.mark.parametrize(
    ("x", "w", "b", "options", "error", "message"),
    [
        ((3, 5, 5), (3, 2, 3, 3), None, {}, ShapeError, r"x must be \(N, C, h, w\)"),
        ((1, 3, 5, 5), (2, 3, 3, 3), None, {}, ShapeError, "x has 3 channels, but w is for 2"),
        ((1, 3, 5, 5), (3, 2, 3, 3), None, {"groups": 2}, ShapeError, "3 channels cannot be cut into 2 equal groups"),
        ((1, 3, 5, 5), (3, 2, 3, 3), (3,), {}, ShapeError, r"b must have one entry an output channel, \(2,\)"),
        (
            (1, 3, 2, 5),
            (3, 2, 3, 3),
            None,
            {"padding": 2},
            ShapeError,
            "2 x 5 pixels would become 0 x 3 .*padding",
        ),
        ((1, 3, 0, 5), (3, 2, 3, 3), None, {}, ShapeError, "0 x 5 pixels would become"),
        ((1, 3, 5, 5), (3, 2, 3, 3), None, {"stride": 2, "output_padding": 2}, ArgumentError, "less than the stride"),
        ((1, 3, 5, 5), (3, 2, 3, 3), None, {"stride": 0}, ArgumentError, "stride must be at least 1"),
        ((1, 3, 5, 5), (3, 2, 3, 3), None, {"padding": "same"}, ArgumentError, "padding must be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused(x, w, b, options, error, message):
    with pytest.raises(error, match=message):
        ops.conv_transpose2d_forward(np.ones(x), np.ones(w), None if b is None else np.ones(b), **options)
