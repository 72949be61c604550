"""The shortcut that pads with zeros, against PyTorch's slices and padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import needs_torch, tensor, torch
from strategies import channels_last, contiguous, normal, seeds

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")
SIDES = st.integers(1, 6)


@needs_torch
@given(seeds, st.integers(0, 3), st.integers(1, 4), st.integers(0, 4), SIDES, SIDES, st.sampled_from([1, 2, (3, 1)]))
def test_it_is_slices_and_padding(seed, n, channels, more, height, width, stride):
    layer = nn.ZeroPadShortcut(channels, channels + more, stride)
    vertical, horizontal = stride if isinstance(stride, tuple) else (stride, stride)
    x = tensor(normal(seed, n, channels, height, width), grad=True)
    want = torch.nn.functional.pad(x[:, :, ::vertical, ::horizontal], (0, 0, 0, 0, 0, more))
    y = layer(x.detach().numpy())
    np.testing.assert_array_equal(y, want.detach().numpy())
    dy = normal(seed + 1, *y.shape)
    want.backward(tensor(dy))
    np.testing.assert_array_equal(layer.backward(dy), x.grad.numpy())


@pytest.mark.parametrize("order", [contiguous, channels_last])
def test_it_keeps_dtype_and_memory_order_and_leaves_its_input_alone(order):
    layer, x = nn.ZeroPadShortcut(3, 5, 2), order(normal(0, 2, 3, 6, 4, dtype=np.float32))
    x.flags.writeable = False
    y = layer(x)
    dy = order(np.ones_like(y))
    dy.flags.writeable = False
    for result in (y, layer.backward(dy)):
        assert result.dtype == np.float32
        assert (result if order is contiguous else result.transpose(0, 2, 3, 1)).flags.c_contiguous


def test_a_residual_network_goes_by_it_and_passes_gradcheck():
    body = nn.Sequential(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.Tanh())
    report = mc.gradcheck(nn.Residual(body, nn.ZeroPadShortcut(2, 4, 2)), normal(0, 2, 2, 5, 4))
    assert report.ok, report


def test_a_summary_sees_every_second_pixel():
    assert "ZeroPadShortcut(2, 3, stride=2)" in str(nn.Sequential(nn.ZeroPadShortcut(2, 3, 2)).summary((2, 6, 6)))
    assert repr(nn.ZeroPadShortcut(2, 3)) == "ZeroPadShortcut(2, 3)"


def test_what_makes_no_sense_is_refused():
    with pytest.raises(ArgumentError, match="zeros can only add channels, not make 3 of 4"):
        nn.ZeroPadShortcut(4, 3)
    with pytest.raises(ArgumentError, match="ZeroPadShortcut: in_channels must be a whole number of at least 1, not 0"):
        nn.ZeroPadShortcut(0, 3)
    with pytest.raises(ShapeError, match=r"ZeroPadShortcut\(2, 3\): x has 4 channels, expected 2"):
        nn.ZeroPadShortcut(2, 3)(np.zeros((1, 4, 3, 3)))
