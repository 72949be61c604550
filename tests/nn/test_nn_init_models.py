"""Starting a built model anew: by pattern, by kind of layer, and by what a batch shows."""

import numpy as np
import pytest
from strategies import normal

import minicnn as mc
from minicnn import nn
from minicnn.backend import CounterRng
from minicnn.errors import ArgumentError, DTypeError, ShapeError
from minicnn.nn import init

pytestmark = pytest.mark.usefixtures("backend")


def net(activation=nn.ReLU):
    mc.seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        activation(),
        nn.Residual(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), activation())),
        nn.Flatten(),
        nn.Linear(8 * 36, 20),
        activation(),
        nn.Linear(20, 5),
    )


WEIGHTS = ["0.weight", "3.body.0.weight", "5.weight", "7.weight"]
X = normal(0, 50, 1, 6, 6, dtype=np.float32)


def changed(model, before):
    return [name for name, value in model.state_dict().items() if not np.array_equal(value, before[name])]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, WEIGHTS),
        ({"kind": nn.Conv2d}, WEIGHTS[:2]),
        ({"kind": (nn.Conv2d, nn.Linear)}, WEIGHTS),
        ({"names": "3.*.weight"}, ["3.body.0.weight"]),
        ({"names": "*.bias", "kind": nn.Linear}, ["5.bias", "7.bias"]),
        ({"names": "1.*"}, ["1.weight", "1.bias"]),
    ],
)
def test_what_is_meant_changes_and_nothing_else(options, expected):
    model = net()
    before = model.state_dict()
    assert init.initialise(model, init.constant(0.25), **options) == expected
    assert changed(model, before) == expected
    assert all((model.state_dict()[name] == 0.25).all() for name in expected)


def test_the_scheme_sees_each_shape():
    model = net()
    init.initialise(model, init.orthogonal)
    w = model.state_dict()["5.weight"]
    np.testing.assert_allclose(w @ w.T, np.eye(20), atol=1e-5)


def test_dtype_stays_and_gradients_are_forgotten():
    model = nn.Sequential(nn.Linear(3, 2)).astype(np.float64)
    model.backward(np.ones_like(model(normal(0, 4, 3))))
    init.initialise(model, init.he_normal)
    assert model[0].weight.data.dtype == np.float64
    assert model[0].weight.grad is None
    assert model[0].bias.grad is not None, "the bias was not started anew"


def test_the_same_source_gives_the_same_weights():
    a, b, c = net(), net(), net()
    for model, seed in ((a, 4), (b, 4), (c, 5)):
        init.initialise(model, init.he_normal, rng=CounterRng(seed))
    assert changed(a, b.state_dict()) == []
    assert changed(a, c.state_dict()) == WEIGHTS


def test_by_default_the_process_seed_decides():
    drawn = []
    for _ in range(2):
        model = net()
        init.initialise(model, init.he_normal)
        drawn.append(model.state_dict())
    assert changed(model, drawn[0]) == []


def test_weights_of_one_shape_differ():
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    init.initialise(model, init.he_normal, rng=CounterRng(1))
    assert not np.array_equal(model[0].weight.data, model[1].weight.data)


def test_a_frozen_parameter_stays():
    model = net()
    model[0].weight.frozen = True
    assert init.initialise(model, init.zeros) == WEIGHTS[1:]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"names": "8.weight"},
            r"no parameter called '8.weight' that is not frozen; the model has '0.weight', '0.bias'",
        ),
        ({"kind": nn.Dropout}, "no parameter with two axes or more in layers of that kind"),
    ],
)
def test_a_pattern_that_fits_nothing_is_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        init.initialise(net(), init.zeros, **options)


@pytest.mark.parametrize(
    ("initialiser", "options", "message"),
    [
        (init.he_normal, {"names": "*"}, r"0\.bias: this initialiser needs weights of two or more axes"),
        (
            lambda shape, rng: np.zeros(3),
            {},
            r"0\.weight: the initialiser returned shape \(3,\), expected \(8, 1, 3, 3\)",
        ),
    ],
)
def test_a_wrong_shape_is_refused_and_leaves_the_model_alone(initialiser, options, message):
    model = net()
    before = model.state_dict()
    with pytest.raises(ShapeError, match=message):
        init.initialise(model, initialiser, **options)
    assert changed(model, before) == []


# LSUV


def variances(model, x):
    """Each weighted layer's output variance, by running the chain by hand."""
    found = []
    model.eval()
    for layer in model:
        if isinstance(layer, nn.Residual):
            inner = layer.children()["body"][0](x)
            found.append(inner.var())
        x = layer(x)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            found.append(x.var())
    return found


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
@pytest.mark.parametrize("start", [init.orthogonal, init.normal(std=30.0), None])
def test_lsuv_gives_every_layer_s_outputs_variance_one(activation, start):
    model = net(activation)
    reached = init.lsuv(model, X, init=start)
    assert list(reached) == [name.removesuffix(".weight") for name in WEIGHTS]
    np.testing.assert_allclose(list(reached.values()), variances(model, X), rtol=1e-4)
    np.testing.assert_allclose(list(reached.values()), 1, atol=0.1)


def test_lsuv_only_scales_what_it_is_given():
    model = net()
    before = model.state_dict()
    init.lsuv(model, X, init=None)
    after = model.state_dict()
    assert set(changed(model, before)) <= set(WEIGHTS)
    for name in WEIGHTS:
        factor = after[name] / before[name]
        np.testing.assert_allclose(factor, factor.flat[0], rtol=1e-5)


def test_lsuv_starts_from_orthogonal_weights():
    model = net()
    init.lsuv(model, X)
    w = model.state_dict()["5.weight"]
    product = w @ w.T
    np.testing.assert_allclose(product, product[0, 0] * np.eye(20), atol=1e-4 * product[0, 0])


def test_lsuv_leaves_a_frozen_layer_and_scales_the_one_behind_it():
    model = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    model[0].weight.frozen = True
    before = model.state_dict()
    x = normal(3, 40, 6, dtype=np.float32)
    assert list(init.lsuv(model, x)) == ["1"]
    assert changed(model, before) == ["1.weight"]
    assert abs(float(model(x).var()) - 1) < 0.1


def test_lsuv_stops_after_so_many_steps():
    model = nn.Sequential(nn.Linear(6, 5))
    model[0].bias.data = np.arange(5, dtype=np.float32) * 100  # their variance is no matter of the weights
    calls = []
    model[0].add_hook(lambda layer, x, y: calls.append(1))
    before = model[0].weight.data.copy()
    with pytest.raises(ArgumentError, match="scaling its weights 3 times does not bring its outputs to variance 1"):
        init.lsuv(model, normal(3, 40, 6, dtype=np.float32), init=None, most=3)
    np.testing.assert_array_equal(model[0].weight.data, before)
    assert len(calls) == 1 + 3 + 1, "one to find the layers, one before each scaling, one to see the result"


def test_lsuv_leaves_modes_statistics_and_what_was_saved():
    model = net().train()
    y = model(X)
    dx = model.backward(np.ones_like(y))
    model.zero_grad()
    before, saved = model.state_dict(), model[2]._saved
    init.lsuv(model, X)
    assert all(layer.training for _, layer in model.named_layers())
    assert set(changed(model, before)) == set(WEIGHTS)
    assert model[2]._saved is saved
    assert not any(layer._hooks for _, layer in model.named_layers())
    assert dx.shape == X.shape


def test_lsuv_of_a_layer_alone():
    layer = nn.Linear(6, 5)
    x = normal(3, 40, 6, dtype=np.float32)
    assert list(init.lsuv(layer, x)) == ["Linear(6, 5)"]
    assert abs(float(layer(x).var()) - 1) < 0.1


@pytest.mark.parametrize(
    ("make", "x", "options", "message"),
    [
        (lambda: nn.Sequential(nn.Linear(6, 5)), np.zeros((9, 6), np.float32), {}, r"Linear\(6, 5\): .* variance 0.0"),
        (
            lambda: nn.Sequential(nn.Linear(6, 5)),
            np.full((9, 6), np.inf, np.float32),
            {},
            "have variance nan, which no factor makes 1",
        ),
        (lambda: nn.Sequential(nn.ReLU()), np.ones((9, 6), np.float32), {}, "this model runs no layer with such"),
        (
            lambda: nn.Sequential(nn.Linear(6, 5)),
            np.ones((9, 6), np.float32),
            {"most": 0},
            "most must be a whole number",
        ),
        (lambda: nn.Linear(6, 5), np.ones((9, 6), np.float32), {"tolerance": 0.0}, "tolerance must be above 0, not 0"),
    ],
)
def test_lsuv_refuses_what_it_cannot_scale(make, x, options, message):
    with pytest.raises(ArgumentError, match=message):
        init.lsuv(make(), x, **options)


def test_lsuv_takes_inputs_as_the_model_does():
    with pytest.raises(DTypeError, match="x is float64 but the weights are float32"):
        init.lsuv(nn.Linear(6, 5), normal(0, 9, 6))


def test_lsuv_says_which_layer_no_factor_helps_and_leaves_its_weights():
    layer = nn.DropConnect(64, 64, 0.5, activation=nn.Tanh())
    model = nn.Sequential(layer, nn.Linear(64, 10))
    with pytest.raises(ArgumentError, match="does not bring its outputs to variance 1"):
        nn.init.lsuv(model, np.random.default_rng(0).normal(size=(100, 64)).astype(np.float32))
    assert abs(layer.weight.data).max() < 2
