"""How weights start: their spread, their orthogonality, and that they repeat."""

import importlib.util
import math

import numpy as np
import pytest
import scipy.stats

import minicnn as mc
from minicnn import nn
from minicnn.backend import CounterRng
from minicnn.errors import ArgumentError, ShapeError
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


# Distributions that are made to order


def made(init, shape=(100, 200)):
    return init(shape, CounterRng(seed=1))


MADE = {
    "normal": (init.normal(0.3, 2.0), scipy.stats.norm(2.0, 0.3)),
    "uniform": (init.uniform(-3, 5), scipy.stats.uniform(-3, 8)),
    "truncated": (init.truncated_normal(0.5, 1.0), scipy.stats.truncnorm(-2, 2, loc=1.0, scale=0.5)),
    "truncated closely": (init.truncated_normal(2.0, cut=0.7), scipy.stats.truncnorm(-0.7, 0.7, scale=2.0)),
    "scaled": (init.scaled(init.uniform(0, 1), -4), scipy.stats.uniform(-4, 4)),
}


@pytest.mark.parametrize(("initialiser", "distribution"), MADE.values(), ids=MADE)
def test_a_distribution_is_the_one_asked_for(initialiser, distribution):
    w = made(initialiser)
    assert scipy.stats.kstest(w.ravel(), distribution.cdf).pvalue > 0.001
    np.testing.assert_array_equal(w, made(initialiser))


def test_nothing_lies_beyond_the_cut():
    w = made(init.truncated_normal(0.5, 1.0, cut=1.5))
    assert 0.749 < np.abs(w - 1).max() <= 0.75


def test_zeros_are_zeros():
    assert (init.zeros((2, 3), CounterRng()) == 0).all()


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["normal", "uniform", "truncated_normal"])
def test_variance_scaling_has_the_variance_scale_over_fan(mode, distribution):
    w = made(init.variance_scaling(1.7, mode, distribution), SHAPE)
    fan = {"fan_in": FAN_IN, "fan_out": FAN_OUT, "fan_avg": (FAN_IN + FAN_OUT) / 2}[mode]
    deviation = math.sqrt(1.7 / fan)
    cut = 2 / 0.8796256610342398  # the standard deviation of the normal distribution cut at 2, as Keras has it
    expected = {
        "normal": scipy.stats.norm(),
        "uniform": scipy.stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
        "truncated_normal": scipy.stats.truncnorm(-2, 2, scale=cut / 2),
    }[distribution]
    assert expected.std() == pytest.approx(1, abs=1e-9)
    assert abs(w.std() / deviation - 1) < 0.02
    assert scipy.stats.kstest(w.ravel() / deviation, expected.cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("special", "general"),
    [
        (init.he_normal, init.variance_scaling(2)),
        (init.he_uniform, init.variance_scaling(2, "fan_in", "uniform")),
        (init.xavier_normal, init.variance_scaling(1, "fan_avg")),
        (init.xavier_uniform, init.variance_scaling(1, "fan_avg", "uniform")),
        (init.lecun_normal, init.variance_scaling()),
    ],
)
def test_the_named_schemes_are_special_cases(special, general):
    np.testing.assert_allclose(made(special, SHAPE), made(general, SHAPE), rtol=1e-14)


def test_gains_of_rectifiers_keep_the_mean_square():
    z = np.linspace(-12, 12, 240_001)
    weight = np.exp(-z * z / 2) / math.sqrt(2 * math.pi) * (z[1] - z[0])
    for name, slope in (("relu", None), ("leaky_relu", None), ("leaky_relu", 0.3), ("linear", None)):
        below = {"relu": 0, "leaky_relu": 0.01 if slope is None else slope, "linear": 1}[name]
        mean_square = (weight * np.where(z > 0, z, below * z) ** 2).sum()
        assert init.calculate_gain(name, slope) == pytest.approx(1 / math.sqrt(mean_square), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: init.normal(-1.0), "std must be at least 0, not -1"),
        (lambda: init.normal(math.nan), "std must be at least 0, not nan"),
        (lambda: init.normal(1.0, math.inf), "mean must be finite, not inf"),
        (lambda: init.uniform(2, 1), "low must be at most high.*not 2 and 1"),
        (lambda: init.uniform(0, math.inf), "both finite, not 0 and inf"),
        (lambda: init.truncated_normal(math.inf), "std must be at least 0, not inf"),
        (lambda: init.truncated_normal(cut=0), "cut must be at least 0.1 standard deviations, not 0"),
        (lambda: init.variance_scaling(0), "scale must be above 0, not 0"),
        (lambda: init.variance_scaling(1, "in"), "mode must be one of 'fan_in', 'fan_out', 'fan_avg', not 'in'"),
        (lambda: init.variance_scaling(1, "fan_in", "cauchy"), "distribution must be one of 'normal'.*not 'cauchy'"),
        (lambda: init.calculate_gain("swish"), "nonlinearity must be one of 'linear'.*not 'swish'"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
class TestPyTorch:
    """The distributions of torch.nn.init, drawn from and compared with by the two-sample Kolmogorov-Smirnov test."""

    @pytest.mark.parametrize(
        ("ours", "theirs"),
        [
            (init.he_normal, lambda t, w: t.kaiming_normal_(w)),
            (init.he_uniform, lambda t, w: t.kaiming_uniform_(w)),
            (
                init.variance_scaling(init.calculate_gain("tanh") ** 2, "fan_out"),
                lambda t, w: t.kaiming_normal_(w, mode="fan_out", nonlinearity="tanh"),
            ),
            (init.xavier_normal, lambda t, w: t.xavier_normal_(w)),
            (
                init.scaled(init.xavier_uniform, init.calculate_gain("relu")),
                lambda t, w: t.xavier_uniform_(w, gain=t.calculate_gain("relu")),
            ),
            (init.truncated_normal(0.02), lambda t, w: t.trunc_normal_(w, std=0.02, a=-0.04, b=0.04)),
            (init.normal(0.3, -1), lambda t, w: t.normal_(w, -1, 0.3)),
            (init.uniform(-2, 3), lambda t, w: t.uniform_(w, -2, 3)),
        ],
    )
    def test_distributions_are_alike(self, ours, theirs):
        import torch

        torch.manual_seed(0)
        w = torch.empty(SHAPE, dtype=torch.float64)
        theirs(torch.nn.init, w)
        assert scipy.stats.ks_2samp(made(ours, SHAPE).ravel(), w.numpy().ravel()).pvalue > 0.001

    @pytest.mark.parametrize(
        ("name", "param"),
        [*((name, None) for name in ("linear", "sigmoid", "tanh", "relu", "selu", "leaky_relu")), ("leaky_relu", 0.2)],
    )
    def test_gains_are_equal(self, name, param):
        import torch

        assert init.calculate_gain(name, param) == pytest.approx(torch.nn.init.calculate_gain(name, param), rel=1e-15)


# Layers


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
