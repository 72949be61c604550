"""What flows through a network: against chains run by hand, PyTorch's gradients, and cases with known answers."""

import importlib.util

import numpy as np
import pytest
from strategies import normal

import minicnn as mc
from minicnn import nn
from minicnn.analyse import ActivationStatistics, activation_statistics, plot_activations
from minicnn.analyse.activations import STEEPEST
from minicnn.errors import ArgumentError, DataError


@pytest.fixture(autouse=True)
def plain_bodies():
    """No kernels have to be loaded for what is measured here."""
    with mc.use_backend("numpy"):
        yield


X = normal(0, 60, 1, 6, 6, dtype=np.float32)
Y = np.arange(60) % 5


def net():
    mc.seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 5)
    )


def test_each_layer_is_measured_in_the_order_of_running():
    model = net().eval()
    found = activation_statistics(model, X)
    x = X
    for row, (name, layer) in zip(found, model.layers.items(), strict=True):
        x = layer(x)
        assert (row.name, row.layer, row.shape) == (name, repr(layer), x.shape[1:])
        assert row.mean == pytest.approx(x.mean(dtype=np.float64), abs=1e-6)
        assert row.std == pytest.approx(x.std(dtype=np.float64), rel=1e-5)
        assert (row.gradient, row.weight_gradient) == (None, None)


def test_layers_inside_of_containers_have_entries_and_containers_none():
    model = nn.Sequential(nn.Residual(nn.Sequential(nn.Linear(6, 6), nn.Tanh())), nn.Linear(6, 2))
    assert [row.name for row in activation_statistics(model, normal(0, 9, 6))] == [
        "0.body.0",
        "0.body.1",
        "0.shortcut",
        "1",
    ]


@pytest.mark.skipif(not importlib.util.find_spec("torch"), reason="PyTorch is not installed")
@pytest.mark.parametrize("own_loss", [False, True])
def test_gradients_are_those_of_pytorch(own_loss):
    import torch

    mc.seed(1)
    model = nn.Sequential(nn.Linear(8, 7), nn.Tanh(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5)).astype(np.float64)
    theirs = torch.nn.Sequential(
        torch.nn.Linear(8, 7), torch.nn.Tanh(), torch.nn.Linear(7, 6), torch.nn.ReLU(), torch.nn.Linear(6, 5)
    ).double()
    theirs.load_state_dict({name: torch.as_tensor(value) for name, value in model.state_dict().items()})
    x, target = normal(0, 30, 8), normal(1, 30, 5) if own_loss else np.arange(30) % 5
    found = activation_statistics(model, x, target, loss=nn.MSELoss() if own_loss else None)
    outputs, value = [], torch.as_tensor(x)
    for layer in theirs:
        value = layer(value)
        value.retain_grad()
        outputs.append(value)
    loss = torch.nn.MSELoss() if own_loss else torch.nn.CrossEntropyLoss()
    loss(value, torch.as_tensor(target)).backward()
    for row, output, layer in zip(found, outputs, theirs, strict=True):
        assert row.gradient == pytest.approx(float(output.grad.std(correction=0)), rel=1e-9)
        if hasattr(layer, "weight"):
            assert row.weight_gradient == pytest.approx(float(layer.weight.grad.std(correction=0)), rel=1e-9)
        else:
            assert row.weight_gradient is None


def activated(activation, values):
    """The entry of an activation for inputs (N, units)."""
    (row,) = activation_statistics(activation, np.asarray(values, dtype=np.float64))
    return row


def test_a_dead_relu_is_counted():
    values = [[-1.0, 2, -3, 1], [-2, -1, -4, 3]]
    row = activated(nn.ReLU(), values)
    assert (row.saturated, row.dead) == (5 / 8, 2 / 4)


def test_a_channel_is_dead_only_if_it_is_so_everywhere():
    values = -np.ones((2, 4, 3, 3))
    values[1, 0, 2, 2] = 1
    assert activated(nn.ReLU(), values).dead == 3 / 4


@pytest.mark.parametrize(
    ("activation", "border"),
    [
        (nn.Sigmoid(), np.log((1 + np.sqrt(0.95)) / (1 - np.sqrt(0.95)))),  # y (1 - y) = 0.05 / 4
        (nn.Tanh(), np.arctanh(np.sqrt(0.95))),  # 1 - y^2 = 0.05
    ],
)
def test_saturation_begins_at_a_twentieth_of_the_steepest_slope(activation, border):
    inside, outside = 0.999 * border, 1.001 * border
    row = activated(activation, [[inside, outside, -inside, -outside]])
    assert row.saturated == row.dead == 0.5


@pytest.mark.parametrize("kind", STEEPEST, ids=lambda kind: kind.__name__)
def test_the_steepest_slope_is_that(kind):
    x = np.linspace(-30, 30, 60_001)
    y = kind().forward(x[None])[0]
    assert STEEPEST[kind] == pytest.approx((np.diff(y) / np.diff(x)).max(), rel=1e-3)


def test_layers_that_are_no_activations_have_no_shares():
    found = activation_statistics(net(), X)
    assert [row.layer for row in found if row.saturated is None] == [
        row.layer for row in found if row.layer != "ReLU()"
    ]
    assert [row.layer for row in found.activations()] == ["ReLU()"]
    assert [row.name for row in found.of("Linear", "Conv2d")] == ["0", "5"]


@pytest.mark.usefixtures("backend")
def test_everything_is_as_before():
    model = net().train()
    model.backward(np.ones_like(model(X)))
    state = model.state_dict()
    gradients = {name: p.grad for name, p in model.named_parameters().items()}
    saved, step = model[5]._saved, model[4].rng.step
    first = activation_statistics(model, X, Y)
    assert activation_statistics(model, X, Y) == first, "the same random numbers"
    model.zero_grad()
    alone = activation_statistics(model, X, Y)
    assert [row.weight_gradient for row in alone] == [row.weight_gradient for row in first], "older gradients count not"
    for name, p in model.named_parameters().items():
        p.grad = gradients[name]
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[name])
    assert all(p.grad is gradients[name] for name, p in model.named_parameters().items())
    assert (model[5]._saved is saved, model[4].rng.step) == (True, step)
    assert all(layer.training and not layer._hooks for _, layer in model.named_layers())
    assert not any("backward" in vars(layer) for _, layer in model.named_layers())


def test_everything_is_as_before_after_an_error_too():
    model = net()
    with pytest.raises(ValueError, match="labels"):
        activation_statistics(model, X, Y + 50)
    assert not any(layer._hooks or "backward" in vars(layer) for _, layer in model.named_layers())
    assert model[4].rng.step == 0


def test_the_mode_decides_what_batch_norm_does():
    model = net()
    x = 9 * X + 3
    training, evaluation = activation_statistics(model.train(), x)[1], activation_statistics(model.eval(), x)[1]
    assert training.std == pytest.approx(1, abs=1e-3)
    assert evaluation.std > 3


def test_numbers_that_are_not_finite_are_shown_and_not_drawn():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    model[0].weight.data = np.full((4, 3), 3e38, dtype=np.float32)
    found = activation_statistics(model, np.ones((5, 3)))
    assert np.isinf(found[0].mean)
    assert "inf" in str(found)
    plot_activations(found)


def test_the_table_has_a_line_a_layer():
    lines = str(activation_statistics(net(), X, Y)).splitlines()
    assert lines[0].split() == ["layer", "output", "mean", "std", "saturated", "dead", "dL/dy", "std", "dL/dW", "std"]
    assert len(lines) == 2 + 6
    assert "%" in lines[4]
    assert "%" not in lines[2]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((X,), {"loss": nn.MSELoss()}, ArgumentError, "a loss needs a target"),
        ((X[:0],), {}, DataError, "x is empty"),
        ((X, Y), {"loss": nn.MSELoss}, ArgumentError, "loss is the class MSELoss; build one"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        activation_statistics(net(), *arguments, **options)


def test_a_model_that_is_none_is_refused():
    with pytest.raises(ArgumentError, match="model must be a Layer"):
        activation_statistics(X, X)


# Figures


def drawn(figure):
    return [axes for axes in figure.axes if axes.axison]


def test_a_panel_for_every_activation_with_its_spread():
    found = activation_statistics(net(), X)
    (axes,) = drawn(plot_activations(found))
    assert axes.get_title().startswith(f"2: std {found[2].std:.2g}, ")
    heights = np.array([patch.get_height() for patch in axes.patches])
    zeros = (found[2].sample == 0).mean()
    assert heights.sum() + zeros == pytest.approx(1, abs=0.01), "but for the thousandth beyond the axis"


def test_without_activations_every_layer_is_drawn():
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    assert len(drawn(plot_activations(activation_statistics(model, X)))) == 2


def test_one_deep_model_takes_several_rows_with_one_scale():
    model = nn.Sequential(
        *(layer for _ in range(7) for layer in (nn.Linear(6, 6, init=nn.init.normal(0.2)), nn.Tanh()))
    )
    axes = drawn(plot_activations(activation_statistics(model, normal(0, 50, 6, dtype=np.float32))))
    assert len(axes) == 7
    assert len({a.get_xlim() for a in axes}) == 1
    assert len({round(a.get_position().y0, 3) for a in axes}) == 2


def test_several_models_have_a_row_each():
    few, many = activation_statistics(net(), X), activation_statistics(nn.Sequential(nn.Tanh(), nn.ReLU()), X)
    figure = plot_activations({"first": few, "second": many[:1]})
    assert [axes.get_ylabel() for axes in drawn(figure)] == ["first", "second"]
    assert len(drawn(plot_activations({"first": few, "second": many}))) == 3


@pytest.mark.parametrize("nothing", [ActivationStatistics(), {}, {"a": ActivationStatistics()}])
def test_nothing_to_draw_is_refused(nothing):
    with pytest.raises(ArgumentError, match="no layer to draw"):
        plot_activations(nothing)


def test_the_sample_of_a_histogram_sees_every_channel():
    x = np.random.default_rng(0).normal(size=(2000, 100)).astype(np.float32)
    layer = nn.Linear(100, 100)
    layer.weight.data[:] = np.eye(100, dtype=np.float32)
    layer.bias.data[np.arange(100) % 10 != 0] = -1e3  # nine units in ten are dead
    row = activation_statistics(nn.Sequential(layer, nn.ReLU()), x).of("ReLU")[0]
    assert (row.sample == 0).mean() == pytest.approx(0.95, abs=0.02)
