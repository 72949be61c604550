"""Frozen batch norm is in evaluation at all times: the features below a new head stay what they were."""

import numpy as np
import pytest
from oracles import assert_close64, needs_torch, torch
from strategies import normal

import minicnn as mc
from minicnn import nn

pytestmark = pytest.mark.usefixtures("backend")

X = normal(0, 6, 3, 4, 4)


def norm(**frozen):
    """A layer that has seen some data, in training mode."""
    layer = nn.BatchNorm2d(3).astype(np.float64)
    for seed in range(3):
        layer(normal(seed, 6, 3, 4, 4) * 2 + 1)
    layer.weight.data, layer.bias.data = normal(8, 3), normal(9, 3)
    for name, value in frozen.items():
        getattr(layer, name).frozen = value
    return layer


def test_its_running_statistics_stay():
    layer = norm(weight=True, bias=True)
    before = layer.state_dict()
    layer(X)
    assert {name: value.tobytes() for name, value in layer.state_dict().items()} == {
        name: value.tobytes() for name, value in before.items()
    }


def test_it_gives_in_training_what_it_gives_in_evaluation():
    layer = norm(weight=True, bias=True)
    y = layer(X)
    np.testing.assert_array_equal(y, layer.eval()(X))
    assert abs(y - norm()(X)).max() > 0.1


@pytest.mark.parametrize("frozen", [{"weight": True}, {"bias": True}])
def test_one_that_is_trained_in_part_follows_the_batches(frozen):
    layer, free = norm(**frozen), norm()
    np.testing.assert_array_equal(layer(X), free(X))
    np.testing.assert_array_equal(layer.running_mean.data, free.running_mean.data)
    assert layer.num_batches_tracked.data == 4


@needs_torch
def test_its_input_gradient_is_pytorch_s_of_evaluation():
    layer = norm(weight=True, bias=True)
    module = torch.nn.BatchNorm2d(3).double()
    module.load_state_dict({name: torch.as_tensor(value) for name, value in layer.state_dict().items()})
    x, dy = torch.tensor(X, requires_grad=True), normal(5, *X.shape)
    want = module.eval()(x)
    want.backward(torch.tensor(dy))
    assert_close64(layer(X), want)
    assert_close64(layer.backward(dy), x.grad)
    assert layer.weight.grad is None
    assert layer.bias.grad is None


def test_with_relu_behind_it_too():
    mc.seed(0)
    model = nn.Sequential(nn.Conv2d(3, 3, 3), norm(weight=True, bias=True).astype(np.float32), nn.ReLU())
    x, dy = X.astype(np.float32), normal(5, 6, 3, 2, 2, dtype=np.float32)
    y, dx = model(x), model.backward(dy)
    np.testing.assert_array_equal(y, model.eval()(x))
    np.testing.assert_allclose(dx, model.backward(dy), rtol=1e-6)
    assert model[1].num_batches_tracked.data == 3


def test_one_batch_of_one_pixel_is_enough_for_it():
    norm(weight=True, bias=True)(X[:1, :, :1, :1])
