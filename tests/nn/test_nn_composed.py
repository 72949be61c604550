"""Layers that are made of others: SeparableConv2d, SqueezeExcitation and TimeDistributed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_layer_is_torch64, needs_torch, torch
from strategies import normal, pairs, seeds

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError, ShapeError

T = torch.nn if torch is not None else None


def torch_separable(channels, out, kernel, stride, padding, dilation, bias):
    along = T.Conv2d(channels, channels, kernel, stride, padding, dilation, channels, bias=False)
    module = T.Sequential()
    module.add_module("depthwise", along)
    module.add_module("pointwise", T.Conv2d(channels, out, 1, bias=bias))
    return module


@needs_torch
@given(st.integers(0, 3), pairs(1, 4), pairs(1, 3), pairs(1, 2), pairs(0, 2), pairs(1, 2), st.booleans(), seeds)
def test_separable_convolution_is_pytorchs_two(n, channels, kernel, stride, padding, dilation, bias, seed):
    arguments = (*channels, kernel, stride, padding, dilation, bias)
    x = normal(seed, n, channels[0], 7, 6)
    assert_layer_is_torch64(nn.SeparableConv2d(*arguments), torch_separable(*arguments), x)


def test_separable_convolution_has_two_weights_and_one_bias():
    layer = nn.SeparableConv2d(8, 16, 3, padding="same")
    assert {name: value.shape for name, value in layer.state_dict().items()} == {
        "depthwise.weight": (8, 1, 3, 3),
        "pointwise.weight": (16, 8, 1, 1),
        "pointwise.bias": (16,),
    }
    rows = layer.summary((8, 10, 12)).rows
    assert [row.multiply_adds for row in rows] == [8 * 9 * 120, 8 * 16 * 120]
    assert layer.depthwise is layer["depthwise"]
    assert "groups=8" in repr(layer)
    report = mc.gradcheck(layer, normal(0, 2, 8, 4, 5), entries=40)
    assert report.ok, report


class TorchSqueezeExcitation(torch.nn.Module if torch is not None else object):
    """The scale of each channel, from what the image shows on average."""

    def __init__(self, channels, hidden):
        super().__init__()
        self.gate = T.Module()
        self.gate.fc1, self.gate.fc2 = T.Linear(channels, hidden), T.Linear(hidden, channels)

    def forward(self, x):
        z = x.mean(dim=(2, 3))
        return x * torch.sigmoid(self.gate.fc2(torch.relu(self.gate.fc1(z))))[:, :, None, None]


@needs_torch
@given(st.integers(0, 3), st.integers(1, 9), st.integers(1, 4), pairs(1, 4), seeds)
def test_squeeze_and_excitation_is_pytorchs(n, channels, reduction, size, seed):
    module = TorchSqueezeExcitation(channels, max(1, channels // reduction))
    assert_layer_is_torch64(nn.SqueezeExcitation(channels, reduction), module, normal(seed, n, channels, *size))


def test_squeeze_and_excitation_scales_channels_between_0_and_1():
    x = normal(0, 3, 8, 4, 5)
    y = nn.SqueezeExcitation(8, 2).astype(np.float64)(x)
    s = y / x
    np.testing.assert_allclose(s, np.broadcast_to(s[:, :, :1, :1], s.shape), rtol=1e-12)
    assert ((s > 0) & (s < 1)).all()
    assert np.ptp(s[:, :, 0, 0], axis=0).min() > 0, "other images, other scales"


def test_squeeze_and_excitation_in_float32_and_in_a_summary():
    layer = nn.SqueezeExcitation(32)
    y = layer(normal(0, 2, 32, 3, 3, dtype=np.float32))
    assert y.dtype == layer.backward(y).dtype == np.float32
    assert layer.gate["fc1"].out_features == 2
    assert "GlobalAvgPool2d()" in str(nn.Sequential(nn.Conv2d(1, 32, 3), layer).summary((1, 8, 8)))
    report = mc.gradcheck(nn.SqueezeExcitation(4, 2), normal(0, 3, 4, 3, 2))
    assert report.ok, report


def test_squeeze_and_excitation_refuses_other_images():
    with pytest.raises(ShapeError, match=r"SqueezeExcitation\(8, reduction=16\): x has 4 channels, expected 8"):
        nn.SqueezeExcitation(8)(np.zeros((2, 4, 3, 3), dtype=np.float32))
    with pytest.raises(ArgumentError, match="SqueezeExcitation: reduction must be"):
        nn.SqueezeExcitation(8, 0)


# TimeDistributed


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.Linear(3, 2), (4, 5, 3)),
        (lambda: nn.Conv2d(2, 3, 2), (2, 3, 2, 4, 5)),
        (lambda: nn.Sequential(nn.Conv2d(2, 3, 2), nn.ReLU(), nn.GlobalAvgPool2d()), (2, 3, 2, 4, 5)),
        (lambda: nn.Linear(3, 2), (4, 1, 3)),
        (lambda: nn.Linear(3, 2), (0, 5, 3)),
    ],
)
def test_each_step_is_as_the_layer_makes_it_alone(make, shape):
    layer = make().astype(np.float64)
    distributed, x = nn.TimeDistributed(layer), normal(0, *shape)
    y = distributed(x)
    dy = normal(1, *y.shape)
    dx = distributed.backward(dy)
    got = {name: parameter.grad for name, parameter in layer.named_parameters().items()}
    layer.zero_grad()
    for t in range(shape[1]):
        assert_close64(y[:, t], layer(x[:, t]), 1e-13)
        assert_close64(dx[:, t], layer.backward(dy[:, t]), 1e-13)
    for name, parameter in layer.named_parameters().items():
        assert_close64(got[name], parameter.grad, 1e-12)


def test_time_distributed_in_float32_by_differences_and_in_a_summary():
    layer = nn.TimeDistributed(nn.Linear(3, 2))
    y = layer(normal(0, 2, 4, 3, dtype=np.float32))
    assert y.dtype == layer.backward(y).dtype == np.float32
    assert list(layer.state_dict()) == ["layer.weight", "layer.bias"]
    report = mc.gradcheck(layer, normal(0, 2, 4, 3))
    assert report.ok, report
    summary = nn.Sequential(layer, nn.LSTM(2, 4)).summary((4, 3))
    assert [row.multiply_adds for row in summary.rows] == [4 * 6, 4 * 16 * (2 + 4)]


def test_time_distributed_leaves_out_the_gradient_that_nobody_needs():
    model = nn.Sequential(nn.TimeDistributed(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())), nn.LSTM(8, 3))
    y = model(normal(0, 2, 3, 1, 4, 4, dtype=np.float32))
    with nn.without_input_gradient(model):
        assert model.backward(y) is None
        assert not model[0].layer[0].need_dx
    assert model[0].layer[0].weight.grad.any()


def test_films_are_trained():
    """Does a spot move to the right or to the left? No single frame says."""
    rng = np.random.default_rng(0)
    x = np.zeros((128, 4, 1, 8, 8), dtype=np.float32)
    y = rng.integers(0, 2, 128)
    for film, label in zip(x, y, strict=True):
        row, start = rng.integers(0, 8), rng.integers(0, 5)
        for t in range(4):
            film[t, 0, row, start + (t if label else 3 - t)] = 1
    frame = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 16))
    model = nn.Sequential(nn.TimeDistributed(frame), nn.LSTM(16, 16), nn.Linear(16, 2))
    trainer = mc.Trainer(model, optimizer=mc.optim.Adam(model.parameters(), lr=0.01), clip_norm=1.0)
    trainer.fit((x, y), epochs=12, batch_size=32, verbose=False)
    assert trainer.evaluate((x, y))["accuracy"] > 0.9


def test_time_distributed_refuses_what_has_no_steps():
    with pytest.raises(ShapeError, match=r"x has shape \(3,\), expected \(N, T, ...\): sequences, steps"):
        nn.TimeDistributed(nn.Linear(3, 2))(np.zeros(3, dtype=np.float32))
    with pytest.raises(ArgumentError, match="TimeDistributed: layer is the class ReLU; build one"):
        nn.TimeDistributed(nn.ReLU)

    class Sum(nn.Layer):
        def forward(self, x):
            return x.sum(axis=0, keepdims=True)

    with pytest.raises(ShapeError, match=r"the layer made \(1, 3\) of 8 steps; it must give one output for each"):
        nn.TimeDistributed(Sum())(np.zeros((2, 4, 3), dtype=np.float32))
    with pytest.raises(ShapeError, match="x has 3 features, expected 5") as caught:
        nn.TimeDistributed(nn.Linear(5, 2))(np.zeros((2, 4, 3), dtype=np.float32))
    assert "(in layer 'layer' of TimeDistributed)" in str(caught.value.__notes__)
