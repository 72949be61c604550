"""How weights start: their spread, their orthogonality, and that they repeat."""

import math

import numpy as np
import pytest
import scipy.stats

import minicnn as mc
from minicnn import nn
from minicnn.backend import CounterRng
from minicnn.errors import ShapeError
from minicnn.nn import init

SHAPE = (40, 16, 5, 4)
FAN_IN, FAN_OUT = 16 * 20, 40 * 20

VARIANCES = {
    "he_normal": 2 / FAN_IN,
    "he_uniform": 2 / FAN_IN,
    "xavier_normal": 2 / (FAN_IN + FAN_OUT),
    "xavier_uniform": 2 / (FAN_IN + FAN_OUT),
    "lecun_normal": 1 / FAN_IN,
    "lecun_uniform": 1 / FAN_IN,
}


def draw(name, shape=SHAPE):
    return getattr(init, name)(shape, CounterRng(seed=1))


@pytest.mark.parametrize("name", VARIANCES)
def test_the_spread_is_the_published_one(name):
    w = draw(name)
    deviation = math.sqrt(VARIANCES[name])
    standard = "norm" if name.endswith("normal") else scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)).cdf
    assert w.shape == SHAPE
    assert abs(w.std() / deviation - 1) < 0.02
    assert scipy.stats.kstest(w.ravel() / deviation, standard).pvalue > 0.001


@pytest.mark.parametrize("shape", [(6, 10), (10, 6), (8, 8), (4, 2, 3, 3), (30, 2, 3, 2)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape):
    w = draw("orthogonal", shape).reshape(shape[0], -1)
    product = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(product, np.eye(min(w.shape)), atol=1e-12)


def test_orthogonal_matrices_do_not_favour_a_sign():
    corners = [init.orthogonal((3, 3), CounterRng(seed=s))[0, 0] for s in range(400)]
    assert abs(np.mean(corners)) < 4 / math.sqrt(3 * 400)


def test_a_constant_is_everywhere():
    assert (init.constant(0.5)((2, 3), CounterRng()) == 0.5).all()


@pytest.mark.parametrize(("shape", "fans"), [((5, 7), (7, 5)), (SHAPE, (FAN_IN, FAN_OUT)), ((4, 1, 3, 3), (9, 36))])
def test_fans_count_products_in_and_out(shape, fans):
    assert init.fans(shape) == fans


@pytest.mark.parametrize("name", VARIANCES)
def test_a_vector_has_no_fans(name):
    with pytest.raises(ShapeError, match=r"two or more axes.*not shape \(3,\)"):
        draw(name, (3,))


def weights_of(*layers):
    return [layer.weight.data for layer in layers]


def test_the_same_seed_builds_the_same_model():
    mc.seed(5)
    first = weights_of(nn.Conv2d(2, 3, 3), nn.Linear(4, 5))
    mc.seed(5)
    for a, b in zip(first, weights_of(nn.Conv2d(2, 3, 3), nn.Linear(4, 5)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_seed_builds_another_model():
    mc.seed(5)
    (a,) = weights_of(nn.Linear(4, 5))
    mc.seed(6)
    (b,) = weights_of(nn.Linear(4, 5))
    assert not np.array_equal(a, b)


def test_two_layers_start_differently():
    a, b = weights_of(nn.Linear(4, 5), nn.Linear(4, 5))
    assert not np.array_equal(a, b)


def test_a_layer_with_a_source_of_its_own_takes_no_stream():
    a, b = weights_of(nn.Linear(4, 5, rng=CounterRng(7)), nn.Linear(4, 5, rng=CounterRng(7)))
    np.testing.assert_array_equal(a, b)
    assert nn.Dropout(0.5).rng.stream == 0


def test_the_initialiser_of_ones_choice_is_used():
    for layer in (nn.Linear(4, 5, init=init.constant(2)), nn.Conv2d(2, 3, 3, init=init.constant(2))):
        assert (layer.weight.data == 2).all()
        assert (layer.bias.data == 0).all()


def test_he_normal_is_the_default():
    np.testing.assert_array_equal(
        nn.Conv2d(2, 3, 3, rng=CounterRng(1)).weight.data,
        init.he_normal((3, 2, 3, 3), CounterRng(1)).astype(np.float32),
    )


def test_new_parameters_are_float32():
    for layer in (nn.Linear(4, 5), nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)):
        assert {p.data.dtype for p in layer.parameters()} == {np.dtype(np.float32)}


def test_a_batch_norm_starts_as_the_standardisation():
    layer = nn.BatchNorm2d(2)
    assert {name: value.tolist() for name, value in layer.state_dict().items()} == {
        "weight": [1, 1],
        "bias": [0, 0],
        "running_mean": [0, 0],
        "running_var": [1, 1],
        "num_batches_tracked": 0,
    }
