"""Pretrained networks: made once, kept, read again, and made anew where what was kept is no use."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, models
from minicnn.errors import ArgumentError, DataError
from minicnn.recipes import pretrained
from minicnn.recipes.pretrained import RECIPES, cache_folder
from minicnn.train import load_weights

NAME = "digits-lenet"
MODULE = sys.modules["minicnn.recipes.pretrained"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache folder of the test's own, and a recipe that takes a tenth of a second."""
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path))
    monkeypatch.setitem(RECIPES, NAME, replace(RECIPES[NAME], epochs=2))
    return tmp_path / "pretrained"


@pytest.fixture
def trained(monkeypatch):
    """Count how often a network is trained."""
    calls = []
    train = MODULE._train
    monkeypatch.setattr(MODULE, "_train", lambda *arguments: calls.append(1) or train(*arguments))
    return calls


def bits(one):
    return {name: value.tobytes() for name, value in one.model.state_dict().items()}


def test_the_second_time_it_is_read_and_is_the_same(trained, capsys):
    first = pretrained(NAME)
    assert "digits-lenet is trained, once on this machine" in capsys.readouterr().err
    second = pretrained(NAME)
    assert capsys.readouterr().err == ""
    assert len(trained) == 1
    assert bits(first) == bits(second)
    assert first.card == second.card
    np.testing.assert_array_equal(first.normaliser.mean, second.normaliser.mean)


def test_the_card_says_what_the_network_does(home):
    one = pretrained(NAME, verbose=False)
    splits = data.load("digits")
    validation = mc.Trainer(one.model).evaluate((one.normaliser(splits.validation.x), splits.validation.y))
    assert validation == pytest.approx(one.card["validation"], rel=1e-4)
    assert one.card["validation"]["accuracy"] > 0.8
    assert one.classes == tuple("0123456789")
    assert one.card["images"] == len(splits.train)
    assert one.card["recipe"]["epochs"] == 2
    assert splits.test.seal.openings == []
    assert json.loads((home / f"{NAME}.json").read_text()) == one.card
    assert sorted(path.name for path in home.iterdir()) == [f"{NAME}.json", f"{NAME}.npz"]


def test_the_pixels_mean_and_spread_are_those_of_the_training_set():
    one, train = pretrained(NAME, verbose=False), data.load("digits").train.x.astype(np.float64)
    np.testing.assert_allclose(one.normaliser.mean, [train.mean()])
    np.testing.assert_allclose(one.normaliser.std, [train.std()])


def test_the_full_recipe_is_a_good_network(monkeypatch):
    monkeypatch.setitem(RECIPES, NAME, replace(RECIPES[NAME], epochs=10))
    assert pretrained(NAME, verbose=False).card["validation"]["accuracy"] > 0.95


def test_neither_making_nor_reading_it_disturbs_the_caller_s_randomness(home):
    after = []
    for seed in (5, 5, 6):
        if seed == 6:
            (home / f"{NAME}.npz").unlink()  # it is trained again
        mc.seed(seed)
        one = pretrained(NAME, verbose=False)
        (rng,) = one.model.named_rngs().values()
        after.append((rng.seed, rng.stream, rng.step, mc.backend.default_rng(), bits(one)))
    assert after[0] == after[1]
    assert after[2][:2] == (6, after[0][1])
    assert after[2][4] == after[0][4], "the weights are the recipe's, whatever the caller's seed"


def test_other_functions_read_the_weights_too(home):
    one = pretrained(NAME, verbose=False)
    model = models.create("lenet", (1, 8, 8), 10)
    load_weights(model, home / f"{NAME}.npz")
    assert np.array_equal(model[0].weight.data, one.model[0].weight.data)


def empty(file):
    file.write_bytes(b"")


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-1000])


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def forget_the_card(file):
    arrays = dict(np.load(file))
    np.savez(file, **{**arrays, "meta": np.array('{"format": 1}')})


def lose_an_array(file):
    arrays = dict(np.load(file))
    del arrays["model/0.weight"]
    np.savez(file, **arrays)


@pytest.mark.parametrize("damage", [empty, cut_off, flip_a_bit, forget_the_card, lose_an_array])
def test_a_damaged_file_is_made_anew(home, damage, trained, capsys):
    want = bits(pretrained(NAME))
    damage(home / f"{NAME}.npz")
    again = pretrained(NAME)
    assert "digits-lenet.npz is damaged" in capsys.readouterr().err
    assert bits(again) == want
    pretrained(NAME)
    assert len(trained) == 2


def test_what_another_recipe_made_is_made_anew(monkeypatch, trained):
    pretrained(NAME, verbose=False)
    monkeypatch.setitem(RECIPES, NAME, replace(RECIPES[NAME], lr=1e-3))
    assert pretrained(NAME, verbose=False).card["recipe"]["lr"] == 1e-3
    assert len(trained) == 2


def test_without_a_folder_it_warns_and_works(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("MINICNN_HOME", str(tmp_path / "file"))
    with pytest.warns(
        UserWarning, match="cannot keep the pretrained network .* set the environment variable MINICNN_HOME"
    ):
        assert pretrained(NAME, verbose=False).card["images"] == 1257


def test_unknown_names_list_those_there_are():
    with pytest.raises(ArgumentError, match="no pretrained network 'vgg'; there are 'digits-lenet', 'mnist-lenet'"):
        pretrained("vgg")


def test_missing_data_are_an_error_that_says_where_they_go(monkeypatch, tmp_path):
    monkeypatch.setenv("MINICNN_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"mnist is neither in .* nor in .*train-images-idx3-ubyte"):
        pretrained("mnist-lenet", verbose=False)


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("MINICNN_HOME", "~/somewhere")
    assert cache_folder() == Path.home() / "somewhere"
    monkeypatch.delenv("MINICNN_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/else")
    monkeypatch.setattr(sys, "platform", "linux")
    assert cache_folder() == Path("/somewhere/else/minicnn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "minicnn"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "minicnn"
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    assert cache_folder() == Path("/local/minicnn")
