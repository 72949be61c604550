"""The known networks: their shapes and sizes, worked out by hand."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import models, nn
from minicnn.errors import ArgumentError

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32)]

# Convolutions: in * out * 3 * 3 weights (+ out biases in lenet). Batch norm: 2 a channel. Linear: in * out + out.
PARAMETERS = {
    ("basic", (1, 8, 8)): 144 + 32 + 4608 + 64 + (32 * 2 * 2 * 10 + 10),
    ("basic", (1, 28, 28)): 144 + 32 + 4608 + 64 + (32 * 7 * 7 * 10 + 10),
    ("basic", (3, 32, 32)): 432 + 32 + 4608 + 64 + (32 * 8 * 8 * 10 + 10),
    ("lenet", (1, 8, 8)): 320 + 18496 + (64 * 2 * 2 * 128 + 128) + 1290,
    ("lenet", (1, 28, 28)): 320 + 18496 + (64 * 7 * 7 * 128 + 128) + 1290,
    ("lenet", (3, 32, 32)): 896 + 18496 + (64 * 8 * 8 * 128 + 128) + 1290,
}


@pytest.mark.parametrize(("name", "shape"), PARAMETERS)
def test_it_has_as_many_parameters_as_worked_out_by_hand(name, shape):
    model = models.create(name, input_shape=shape, classes=10)
    assert sum(parameter.data.size for parameter in model.parameters()) == PARAMETERS[name, shape]


@pytest.mark.parametrize("name", models.MODELS)
@pytest.mark.parametrize("shape", [*SHAPES, (2, 9, 14)])
def test_images_become_one_score_a_class_and_gradients_come_back(name, shape):
    model = models.create(name, input_shape=shape, classes=7)
    x = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    y = model(x)
    assert (y.shape, y.dtype) == ((4, 7), np.float32)
    assert model.backward(np.ones_like(y)).shape == x.shape
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_lenet_for_mnist_is_the_benchmarks():
    kinds = [type(layer).__name__ for layer in models.create("lenet", input_shape=(1, 28, 28), classes=10)]
    assert " ".join(kinds) == "Conv2d ReLU MaxPool2d Conv2d ReLU MaxPool2d Flatten Linear ReLU Dropout Linear"


def test_the_same_seed_builds_the_same_network():
    def built(seed):
        mc.seed(seed)
        return models.create("basic", input_shape=(1, 8, 8), classes=10).state_dict()

    assert all((built(4)[name] == value).all() for name, value in built(4).items())
    assert (built(4)["0.weight"] != built(5)["0.weight"]).any()


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ArgumentError, match="no model 'alexnet'; the models are 'basic', 'lenet'"):
        models.create("alexnet", input_shape=(1, 8, 8), classes=10)


@pytest.mark.parametrize("name", models.MODELS)
def test_an_image_too_small_for_the_network_is_refused(name):
    with pytest.raises(ArgumentError, match="sides of at least 4 pixels"):
        models.create(name, input_shape=(1, 3, 3), classes=10)


def test_create_gives_a_chain_that_can_be_taken_apart():
    assert isinstance(models.create("basic", input_shape=(1, 8, 8), classes=10)[:4], nn.Sequential)
