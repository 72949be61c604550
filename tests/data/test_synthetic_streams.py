"""Every generator draws from keys that nothing else draws from."""

import pytest

from minicnn.backend import CounterRng
from minicnn.data.synthetic import (
    CalciumImaging,
    calcium_frames,
    cell_time_lapse,
    shape_scenes,
    skin_lesions,
    tomogram_slices,
)
from minicnn.errors import ArgumentError

GENERATORS = {
    "calcium": lambda seed: calcium_frames(1, CalciumImaging(size=32, neurons=1), frames=2, seed=seed),
    "cells": lambda seed: cell_time_lapse(2, 3, seed=seed),
    "scenes": lambda seed: shape_scenes(2, seed=seed),
    "skin": lambda seed: skin_lesions(2, seed=seed),
    "tomograms": lambda seed: tomogram_slices(1, size=16, seed=seed),
}


def test_no_two_generators_draw_the_same_numbers_nor_those_of_layers(monkeypatch):
    streams = {}
    next_key = CounterRng.next_key
    for name, draw in GENERATORS.items():
        keys = []
        monkeypatch.setattr(CounterRng, "next_key", lambda rng, keys=keys: keys.append(next_key(rng)) or keys[-1])
        draw(7)
        assert {key.seed for key in keys} == {7}
        streams[name] = {key.stream for key in keys}
        assert min(streams[name]) > 10**6, f"{name} draws from a stream that a layer has"
    assert len(set.union(*streams.values())) == sum(map(len, streams.values()))


@pytest.mark.parametrize("draw", GENERATORS.values(), ids=GENERATORS)
@pytest.mark.parametrize("seed", [-1, 2**64, 0.5, "a"])
def test_a_bad_seed_is_refused(draw, seed):
    with pytest.raises(ArgumentError, match="seed must be"):
        draw(seed)
