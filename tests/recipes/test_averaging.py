"""Averages over chance: right means, the right layers random, and nothing else changed."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax
from strategies import normal

import minicnn as mc
from minicnn import nn, optim
from minicnn.backend import CounterRng, Key
from minicnn.data import ArrayDataset
from minicnn.errors import ArgumentError, DataError, ShapeError
from minicnn.ops import random_uniform
from minicnn.recipes import Averaged, predict_averaged

X, Y = normal(0, 30, 6, dtype=np.float32), np.arange(30) % 3


def network(*extra):
    mc.seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.4), *extra, nn.Linear(16, 3))


def shaken(x, y, *, key):
    """Inputs times a random number from 0.5 to 1.5 each."""
    return x * (0.5 + random_uniform(key, shape=(len(x), 1))).astype(x.dtype), y


class Doubled(nn.Layer):
    """y = 2 x in training, x in evaluation."""

    def forward(self, x):
        return 2 * x if self.training else x

    def backward(self, dy):
        return dy


def test_the_mean_over_many_masks_is_that_over_all_masks():
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 2))
    x = normal(1, 4, 3, dtype=np.float32)
    masks = np.array([[a, b, c] for a in (0, 2) for b in (0, 2) for c in (0, 2)], dtype=np.float32)
    outputs = np.stack([(x * mask) @ model[1].weight.data.T for mask in masks])
    for use_softmax, want in ((True, softmax(outputs, axis=2)), (False, outputs)):
        got = predict_averaged(model, x, samples=800, softmax=use_softmax)
        error = 4.5 * want.std(axis=0) / np.sqrt(800)
        assert (np.abs(got.mean - want.mean(axis=0)) < error + 1e-6).all()
        np.testing.assert_allclose(got.std, want.std(axis=0), rtol=0.15, atol=1e-6)
        assert got.samples.shape == (800, 4, 2)


def test_layers_that_draw_do_so_and_all_others_evaluate():
    """Without chance (p = 0) every draw is what evaluation says, though the model is in training mode."""
    model = network(Doubled(), nn.StochasticDepth(nn.Sequential(nn.Linear(16, 16), Doubled()), survival=1.0))
    model[3].p = 0.0
    model.train()
    got = predict_averaged(model, X, samples=3, softmax=False)
    model.eval()
    np.testing.assert_allclose(got.mean, model(X), rtol=1e-5, atol=1e-6)
    assert (got.samples == got.samples[0]).all()


@pytest.mark.parametrize("training", [False, True])
def test_modes_counters_and_buffers_are_left_as_they_were(training):
    model = network(nn.DropConnect(16, 16))
    model.train(training)
    model[0].training = not training
    model[3].rng.step = 7
    before = model.state_dict(), [layer.training for _, layer in model.named_layers()]
    rngs = [(rng.seed, rng.stream, rng.step) for rng in model.named_rngs().values()]
    predict_averaged(model, X, samples=2, augment=shaken)
    assert [(rng.seed, rng.stream, rng.step) for rng in model.named_rngs().values()] == rngs
    assert [layer.training for _, layer in model.named_layers()] == before[1]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[0][name])


def test_they_are_left_so_even_after_an_error():
    model = network()
    rngs = [(rng.seed, rng.step) for rng in model.named_rngs().values()]
    with pytest.raises(ShapeError):
        predict_averaged(model, X[:, :5])
    assert [(rng.seed, rng.step) for rng in model.named_rngs().values()] == rngs
    assert all(layer.training for _, layer in model.named_layers())


def test_a_training_goes_on_as_if_nothing_had_been():
    states = []
    for asked in (False, True):
        mc.seed(1)
        model = network(nn.DropConnect(16, 16))
        trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters()))
        for _ in range(2):
            trainer.fit((X, Y), epochs=1, batch_size=8, verbose=False)
            if asked:
                predict_averaged(model, X, samples=3)
        states.append(model.state_dict())
    for name, value in states[0].items():
        np.testing.assert_array_equal(states[1][name], value)


def test_the_seed_decides_and_no_draw_is_that_of_another_or_of_the_training():
    model = network()
    first = predict_averaged(model, X, samples=4, seed=3)
    np.testing.assert_array_equal(predict_averaged(model, X, samples=4, seed=3).samples, first.samples)
    assert not np.array_equal(predict_averaged(model, X, samples=4, seed=4).samples, first.samples)
    assert len({draw.tobytes() for draw in first.samples}) == 4
    model[3].rng = CounterRng(3, model[3].rng.stream)
    for _, layer in model.named_layers():
        layer.training = layer.draws()
    trained = {softmax(model(X), axis=1).astype(np.float32).tobytes() for _ in range(4)}
    assert not trained & {draw.tobytes() for draw in first.samples}


def test_augmentation_alone_is_the_mean_over_views():
    model = nn.Sequential(nn.Linear(6, 3))
    got = predict_averaged(model, X, samples=5, augment=shaken, seed=2, softmax=False)
    assert len({draw.tobytes() for draw in got.samples}) == 5
    w = model[0].weight.data
    for number, draw in enumerate(got.samples):
        factor = (draw / (X @ w.T))[:, :1]  # a linear model shows by how much its inputs were multiplied
        want = 0.5 + random_uniform(Key(2, 2**32 - 1, number << 32), shape=(30, 1))
        np.testing.assert_allclose(factor, want, rtol=1e-3)


def test_views_of_different_batches_are_drawn_apart():
    same = np.ones((4, 6), dtype=np.float32)
    got = predict_averaged(nn.Sequential(nn.Linear(6, 3)), same, samples=1, augment=shaken, batch_size=1, softmax=False)
    assert len(np.unique(got.samples[0, :, 0])) == 4


def test_entropies_are_scipy_s():
    got = predict_averaged(network(), X, samples=6)
    assert isinstance(got, Averaged)
    np.testing.assert_allclose(got.mean.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(got.entropy, stats.entropy(got.mean, axis=1), rtol=1e-4)
    within = stats.entropy(got.samples, axis=2).mean(axis=0)
    np.testing.assert_allclose(got.disagreement, stats.entropy(got.mean, axis=1) - within, atol=1e-5)
    assert repr(got) == "Averaged(6 draws of probabilities (30, 3))"


def test_entropy_of_certainty_is_0_and_draws_that_agree_disagree_by_0():
    p = np.array([[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
    same = Averaged(np.stack([p, p]), True)
    np.testing.assert_allclose(same.entropy, [0, stats.entropy(p[1])])
    np.testing.assert_allclose(same.disagreement, 0, atol=1e-12)
    apart = Averaged(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]), True)
    np.testing.assert_allclose(apart.disagreement, np.log(2))
    np.testing.assert_allclose(apart.std, [[0.5, 0.5]])


def test_pixels_are_classified_one_by_one():
    model = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(2, 3, 1))
    got = predict_averaged(model, normal(0, 4, 2, 5, 5, dtype=np.float32), samples=3)
    assert got.mean.shape == (4, 3, 5, 5)
    assert got.entropy.shape == got.disagreement.shape == (4, 5, 5)
    np.testing.assert_allclose(got.entropy, stats.entropy(got.mean, axis=1), rtol=1e-4)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: predict_averaged(nn.Linear(6, 3), X), ArgumentError, "nothing is random here.*Dropout.*no augment"),
        (lambda: predict_averaged(network(), X, samples=0), ArgumentError, "samples must be a whole number"),
        (lambda: predict_averaged(network(), X, batch_size=0), ArgumentError, "batch_size must be a whole number"),
        (lambda: predict_averaged(network(), X, seed=-1), ArgumentError, "seed must be a whole number"),
        (lambda: predict_averaged(network(), X, augment=3), ArgumentError, "augment must be a function.*not 3"),
        (lambda: predict_averaged(network(), ArrayDataset(X, Y)), DataError, "takes inputs, not a data set"),
        (lambda: predict_averaged(network(), X[:0]), DataError, "x is empty"),
        (lambda: predict_averaged(nn.Linear, X), ArgumentError, "model is the class Linear"),
        (
            lambda: predict_averaged(network(), X, augment=lambda x, y, key: (x[1:], y)),
            ShapeError,
            "returned images of shape .*, expected 30 of them",
        ),
        (
            lambda: predict_averaged(network(), X, augment=lambda x, y, key: x),
            ShapeError,
            r"must return images and targets, a pair \(x, y\)",
        ),
        (
            lambda: predict_averaged(nn.Sequential(nn.Dropout(0.5), nn.Linear(6, 1)), X),
            ArgumentError,
            r"\(30, 1\) are no scores of classes.*softmax=False",
        ),
        (lambda: predict_averaged(network(), X, softmax=False).entropy, ArgumentError, "these are raw outputs"),
    ],
)
def test_what_makes_no_sense_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_layers_that_were_built_under_two_seeds_draw_apart():
    layers = []
    for seed in (0, 1):
        mc.seed(seed)
        layers.append(nn.StochasticDepth(nn.Linear(2, 2, init=nn.init.constant(1.0)), survival=0.5))
    found = predict_averaged(nn.Sequential(*layers), np.ones((1, 2), dtype=np.float32), samples=200, softmax=False)
    assert set(found.samples[:, 0, 0].round().astype(int)) == {1, 3, 9}  # both left out, one of them, neither
