"""What every layer inherits: parameters, state, modes, moves, hooks, and the order of forward and backward."""

import importlib.util

import numpy as np
import pytest
from oracles import assert_close64
from strategies import normal

from minicnn import nn
from minicnn.backend import CounterRng
from minicnn.errors import BackendError, BackwardError, CheckpointError, DTypeError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")

X = normal(0, 5, 3, dtype=np.float32)


def net():
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))


def run(model, x=X):
    """Forward and backward once, with a gradient of ones."""
    return model.backward(np.ones_like(model(x)))


# Parameters and gradients


def test_gradients_of_two_backward_passes_add():
    model = nn.Linear(3, 2).astype(np.float64)
    for x in (normal(0, 4, 3), normal(1, 4, 3)):
        run(model, x)
    assert_close64(model.weight.grad, np.tile((normal(0, 4, 3) + normal(1, 4, 3)).sum(0), (2, 1)))
    assert_close64(model.bias.grad, np.full(2, 8.0))


def test_zero_grad_forgets_the_gradients_of_the_whole_tree():
    model = net()
    run(model)
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_frozen_parameter_gets_no_gradient_and_the_others_do():
    model = net()
    model[0].weight.frozen = True
    run(model)
    assert model[0].weight.grad is None
    assert model[0].bias.grad is not None


def test_gradients_go_through_a_frozen_layer():
    free, frozen = nn.Linear(3, 2), nn.Linear(3, 2)
    frozen.load_state_dict(free.state_dict())
    frozen.weight.frozen = frozen.bias.frozen = True
    np.testing.assert_array_equal(run(frozen), run(free))


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ShapeError, match=r"gradient of shape \(3,\) for a parameter of shape \(2,\)"):
        nn.Parameter(np.ones(2)).add_grad(np.ones(3))


def test_adding_a_gradient_does_not_write_to_the_one_before():
    parameter, first = nn.Parameter(np.zeros(2)), np.ones(2)
    parameter.add_grad(first)
    parameter.add_grad(np.ones(2))
    assert first.tolist() == [1, 1]
    assert parameter.grad.tolist() == [2, 2]


def test_a_parameter_shared_by_two_layers_counts_once_and_collects_both_gradients():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    assert model.parameters().names == ["0.weight"]
    assert len(model.parameters()) == 1
    assert model.summary((3,)).parameters == 9
    x, dy, w = normal(0, 2, 3), normal(1, 2, 3), model.astype(np.float64)[0].weight.data
    model(x)
    model.backward(dy)
    assert_close64(model[0].weight.grad, (dy @ w).T @ x + dy.T @ (x @ w.T))


def test_parameters_come_in_the_order_of_construction_with_their_names():
    model = net()
    assert model.parameters().names == ["0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"]
    assert list(model.parameters())[4] is model[4].weight


def test_layers_in_a_list_are_found():
    class Several(nn.Layer):
        def __init__(self):
            self.blocks = [nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)]

    assert Several().parameters().names == ["blocks.0.weight", "blocks.1.weight"]


def test_buffers_and_random_streams_are_no_parameters():
    model = net()
    assert list(model.named_buffers()) == ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert model.named_rngs() == {"3.rng": model[3].rng}
    assert isinstance(model[3].rng, CounterRng)


def test_parameters_are_shown_without_their_numbers():
    parameter = nn.Linear(3, 2).weight
    assert repr(parameter) == "Parameter(shape=(2, 3), dtype=float32)"
    parameter.frozen = True
    assert repr(parameter) == "Parameter(shape=(2, 3), dtype=float32, frozen)"


# State


def test_a_loaded_state_makes_the_same_model():
    a, b = net(), net()
    run(a)
    assert not np.array_equal(a.eval()(X), b.eval()(X))
    assert b.load_state_dict(a.state_dict()) == ([], [])
    np.testing.assert_array_equal(a(X), b(X))


def test_a_state_is_a_copy():
    model = nn.Linear(3, 2)
    state = model.state_dict()
    state["weight"][:] = 9
    assert not (model.weight.data == 9).any()
    model.load_state_dict(state)
    state["weight"][:] = 5
    assert (model.weight.data == 9).all()


def test_loading_keeps_the_models_dtype():
    model = nn.Linear(3, 2)
    model.load_state_dict({name: value.astype(np.float64) for name, value in model.state_dict().items()})
    assert model.weight.data.dtype == np.float32


def broken_state(model, change):
    state = {name: value + 1 for name, value in model.state_dict().items()}
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: (s.pop("4.bias"), s.pop("0.bias")), r"missing: '0\.bias', '4\.bias'"),
        (lambda s: s.update(extra=np.ones(1)), r"not in this model: 'extra'"),
        (lambda s: s.update({"4.bias": np.ones(3)}), r"'4\.bias' is \(3,\), the model's is \(2,\)"),
        (lambda s: s.update({"4.bias": np.ones(3), "x": 1, "y": 2}), r"shape: '4\.bias'.*not in this model: 'x', 'y'"),
        (lambda s: s.update({"4.bias": np.array(["a", "b"])}), r"4\.bias"),
    ],
    ids=["missing", "unexpected", "shape", "several", "no numbers"],
)
def test_a_state_that_does_not_fit_is_refused_and_the_model_stays(change, message):
    model = net()
    before = model.state_dict()
    with pytest.raises(CheckpointError, match=message):
        model.load_state_dict(broken_state(model, change))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_not_strict_takes_what_fits_and_reports_the_rest():
    model = nn.Linear(3, 2)
    missing, unexpected = model.load_state_dict({"weight": np.ones((2, 3)), "extra": np.ones(1)}, strict=False)
    assert (missing, unexpected) == (["bias"], ["extra"])
    assert (model.weight.data == 1).all()
    assert (model.bias.data == 0).all()


def test_not_strict_still_refuses_another_shape():
    with pytest.raises(CheckpointError, match="another shape"):
        nn.Linear(3, 2).load_state_dict({"weight": np.ones((2, 4))}, strict=False)


# Modes


def test_train_and_eval_set_the_whole_tree():
    model = nn.Sequential(nn.Residual(net()), nn.Concat(nn.Dropout()))
    assert model.eval() is model
    assert not any(layer.training for _, layer in model.named_layers())
    assert model.train() is model
    assert all(layer.training for _, layer in model.named_layers())


def test_evaluating_restores_each_layers_own_mode():
    model = net()
    model[1].eval()
    with nn.evaluating(model):
        assert not model[3].training
    assert [layer.training for layer in model] == [True, False, True, True, True]


def test_evaluating_restores_after_an_exception():
    model = net()
    with pytest.raises(KeyError), nn.evaluating(model):
        raise KeyError
    assert model[3].training


def test_evaluation_is_not_random_and_changes_no_state():
    model = net().eval()
    before = model.state_dict()
    np.testing.assert_array_equal(model(X), model(X))
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


# Dropout as a layer


def test_dropout_in_evaluation_passes_on_both_ways():
    layer = nn.Dropout(0.5).eval()
    assert layer(X) is X
    assert layer.backward(X) is X


def test_dropout_lets_gradients_through_where_it_let_numbers_through():
    layer = nn.Dropout(0.5)
    y = layer(np.ones((20, 20)))
    np.testing.assert_array_equal(layer.backward(np.ones((20, 20))), y)
    assert set(np.unique(y)) == {0, 2}


def test_dropout_draws_another_mask_each_time_and_repeats_from_the_same_step():
    layer = nn.Dropout(0.5)
    x = np.ones((20, 20), dtype=np.float32)
    first, second = layer(x), layer(x)
    assert not np.array_equal(first, second)
    layer.rng.step = 0
    np.testing.assert_array_equal(layer(x), first)


def test_two_dropouts_draw_different_masks():
    x = np.ones((20, 20), dtype=np.float32)
    assert not np.array_equal(nn.Dropout(0.5)(x), nn.Dropout(0.5)(x))


def test_dropout_at_p_0_and_p_1():
    assert nn.Dropout(0)(X) is X
    assert not nn.Dropout(1)(X).any()


# Conversions


def test_astype_turns_parameters_gradients_and_buffers_but_not_counters():
    model = net()
    run(model)
    assert model.astype(np.float64) is model
    for parameter in model.parameters():
        assert parameter.data.dtype == parameter.grad.dtype == np.float64
    assert model[1].running_var.data.dtype == np.float64
    assert model[1].num_batches_tracked.data.dtype == np.int64
    assert model(X.astype(np.float64)).dtype == np.float64


@pytest.mark.parametrize("dtype", [np.float16, int, bool, complex])
def test_other_types_are_refused(dtype):
    with pytest.raises(DTypeError, match="float32 or float64, not in"):
        net().astype(dtype)


def test_moving_to_the_host_keeps_the_numbers():
    model = net()
    before = model.state_dict()
    assert model.to("numpy") is model
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_moving_to_an_unknown_backend_is_refused():
    with pytest.raises(BackendError, match="no backend 'cuda'"):
        net().to("cuda")


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_moving_to_cupy_without_cupy_says_which_command_installs_it():
    with pytest.raises(BackendError, match="pip install"):
        net().to("cupy")


@pytest.mark.parametrize("convert", [lambda m: m.astype(np.float64), lambda m: m.to("numpy")])
def test_what_a_forward_pass_kept_does_not_survive_a_conversion(convert):
    model = net()
    model(X)
    convert(model)
    with pytest.raises(BackwardError):
        model.backward(np.ones((5, 2)))


# Hooks


def test_a_hook_sees_layer_input_and_output_until_it_is_taken_off():
    layer, seen = nn.ReLU(), []
    remove = layer.add_hook(lambda *values: seen.append(values))
    y = layer(X)
    remove()
    layer(X)
    assert len(seen) == 1
    assert seen[0][0] is layer
    assert seen[0][1] is X
    assert seen[0][2] is y


def test_hooks_are_one_layers_own():
    seen, other = [], nn.ReLU()
    nn.ReLU().add_hook(lambda *values: seen.append(values))
    other(X)
    assert seen == []


def test_a_hook_added_twice_is_called_once_more_after_one_removal():
    layer, seen = nn.ReLU(), []

    def hook(layer, x, y):
        seen.append(y)

    layer.add_hook(hook)
    layer.add_hook(hook)()
    layer(X)
    assert len(seen) == 1


# backward before forward

LAYERS = [
    nn.Linear(3, 2),
    nn.Conv2d(1, 1, 3),
    nn.BatchNorm1d(3),
    nn.BatchNorm2d(3),
    nn.LayerNorm(3),
    nn.GroupNorm(1, 3),
    nn.LSTM(3, 2),
    nn.SimpleRNN(3, 2),
    nn.Embedding(3, 2),
    nn.TimeDistributed(nn.ReLU()),
    nn.SqueezeExcitation(3),
    nn.MaxPool2d(2),
    nn.AvgPool2d(2),
    nn.GlobalAvgPool2d(),
    nn.Flatten(),
    nn.Dropout(0.5),
    nn.DropConnect(3, 2),
    nn.FractionalMaxPool2d(2, output_ratio=0.7),
    nn.StochasticDepth(nn.Identity()),
    nn.ReLU(),
    nn.LeakyReLU(),
    nn.ELU(),
    nn.SELU(),
    nn.GELU(),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Softplus(),
]


@pytest.mark.parametrize("layer", [*LAYERS, nn.Concat(nn.ReLU())], ids=repr)
def test_backward_before_forward_is_an_error_that_names_the_layer(layer):
    with pytest.raises(BackwardError) as caught:
        layer.backward(np.ones((1, 1, 1, 1), dtype=np.float32))
    assert repr(layer) in str(caught.value)
    assert "backward was called before forward" in str(caught.value)


def test_a_losss_backward_before_forward_is_an_error_that_names_the_loss():
    with pytest.raises(BackwardError, match=r"CrossEntropyLoss\(\): backward was called before forward"):
        nn.CrossEntropyLoss().backward()


@pytest.mark.parametrize("method", ["forward", "backward"])
def test_a_layer_without_a_pass_says_so(method):
    class Half(nn.Layer):
        pass

    with pytest.raises(NotImplementedError, match=f"Half has no {method} pass yet"):
        getattr(Half(), method)(X)


def test_forward_alone_changes_neither_parameters_nor_gradients():
    model = net()
    before = {name: p.data.copy() for name, p in model.named_parameters().items()}
    model(X)
    for name, parameter in model.named_parameters().items():
        np.testing.assert_array_equal(parameter.data, before[name])
        assert parameter.grad is None


def test_what_is_called_beside_x_reaches_forward():
    class Windowed(nn.Layer):
        def forward(self, x, start, stop):
            return x[:, start:stop]

    assert Windowed()(np.arange(8.0).reshape(2, 4), 1, 3).tolist() == [[1, 2], [5, 6]]


def test_whole_numbers_may_become_floating_point():
    class Table(nn.Layer):
        def forward(self, x):
            return np.linspace(0, 1, 5)[x]

    assert Table()(np.array([4, 0])).tolist() == [1.0, 0.0]
