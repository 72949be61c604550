"""Models whose weights are not drawn."""

import threading

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn


def network():
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(0.5), nn.Flatten(), nn.DropConnect(8, 3), nn.Linear(3, 2))


def test_weights_are_zeros_under_the_same_names_and_shapes():
    with nn.init.undrawn():
        model = network()
    drawn = network()
    assert {name: value.shape for name, value in model.state_dict().items()} == {
        name: value.shape for name, value in drawn.state_dict().items()
    }
    weights = [parameter.data for parameter in model.parameters()]
    assert {weight.dtype for weight in weights} == {np.dtype(np.float32)}
    assert not any(weight.any() for weight in weights)
    assert drawn[0].weight.data.any()


def test_other_sources_of_randomness_are_those_of_a_model_that_was_drawn():
    def streams(draw):
        mc.seed(3)
        if draw:
            model = network()
        else:
            with nn.init.undrawn():
                model = network()
        return [(rng.seed, rng.stream) for rng in model.named_rngs().values()]

    assert streams(True) == streams(False)
    assert len(streams(True)) == 2


def test_it_ends_with_the_block_even_by_an_error_and_holds_in_its_thread_alone():
    with pytest.raises(ZeroDivisionError), nn.init.undrawn():
        raise ZeroDivisionError
    assert nn.Linear(3, 4).weight.data.any()
    made = []
    with nn.init.undrawn():
        thread = threading.Thread(target=lambda: made.append(nn.Linear(3, 4)))
        thread.start()
        thread.join()
    assert made[0].weight.data.any()
