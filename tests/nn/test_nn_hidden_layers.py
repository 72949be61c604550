"""What hangs on a layer is found wherever it hangs, or it is said that it will not be."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError


class Nested(nn.Layer):
    def __init__(self):
        self.blocks = [[nn.Linear(2, 2)], {"a": (nn.Linear(2, 3, bias=False),)}]

    def forward(self, x):
        return self.blocks[1]["a"][0](self.blocks[0][0](x))

    def backward(self, dy):
        return self.blocks[0][0].backward(self.blocks[1]["a"][0].backward(dy))


def test_layers_in_lists_of_lists_are_found():
    model = Nested()
    assert list(model.named_parameters()) == ["blocks.0.0.weight", "blocks.0.0.bias", "blocks.1.a.0.weight"]
    assert mc.gradcheck(model.astype(np.float64), np.random.default_rng(0).normal(size=(3, 2))).ok


@pytest.mark.parametrize("value", [nn.Linear(2, 2), nn.Parameter(np.ones(2)), mc.backend.CounterRng()], ids=repr)
def test_what_would_neither_be_trained_nor_saved_is_refused(value):
    class Secretive(nn.Layer):
        def __init__(self):
            self._inner = value

    with pytest.raises(ArgumentError, match=r"Secretive\._inner would be neither trained nor saved.*call it inner"):
        Secretive().parameters()


def test_a_chain_with_a_backward_of_its_own_gets_all_gradients_in_training():
    class Scaled(nn.Sequential):
        def forward(self, x):
            return super().forward(x / 16)

        def backward(self, dy):
            return super().backward(dy) / 16

    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    mc.Trainer(Scaled(nn.Linear(4, 3))).fit((x, np.arange(8) % 3), epochs=1, verbose=False)


def test_an_activation_that_stands_elsewhere_too_is_not_confused():
    relu = nn.ReLU()
    model = nn.Sequential(nn.DropConnect(4, 5, 0.0, activation=relu), nn.Linear(5, 5), relu).astype(np.float64)
    assert mc.gradcheck(model, np.random.default_rng(0).normal(size=(3, 4))).ok


def test_joining_nothing_is_refused():
    with pytest.raises(ArgumentError, match="was given none"):
        nn.Concat()
