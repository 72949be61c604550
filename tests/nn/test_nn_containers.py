"""Sequential, Residual and Concat: what they hold, and how gradients go through them."""

import numpy as np
import pytest
from hypothesis import given
from oracles import assert_close64, assert_gradient, assert_layer_is_torch64, needs_torch, torch
from strategies import normal, seeds

from minicnn import nn
from minicnn.errors import ArgumentError, ShapeError

if torch is not None:
    from oracles import TorchConcat, TorchResidual

T = torch.nn if torch is not None else None

pytestmark = pytest.mark.usefixtures("backend")


def small_net(n):
    """The same network from minicnn's layers or from PyTorch's; each kind of container in it, nested."""
    residual, concat = (nn.Residual, nn.Concat) if n is nn else (TorchResidual, TorchConcat)
    join = (lambda *branches: concat(*branches)) if n is nn else (lambda *branches: concat(branches))
    return n.Sequential(
        n.Conv2d(2, 4, 3, padding=1),
        n.BatchNorm2d(4),
        n.Tanh(),
        residual(n.Sequential(n.Conv2d(4, 4, 3, padding=1), n.Sigmoid()), n.Conv2d(4, 4, 1)),
        join(n.Identity(), n.Sequential(n.Conv2d(4, 3, 1), n.Tanh()), n.Conv2d(4, 1, 3, padding=1)),
        residual(n.Conv2d(8, 8, 1)),
        n.AvgPool2d(2),
        n.Flatten(),
        n.Linear(32, 3),
    )


@needs_torch
@given(seeds)
def test_nested_containers_are_pytorchs(seed):
    assert_layer_is_torch64(small_net(nn), small_net(T), normal(seed, 3, 2, 4, 5))


@needs_torch
def test_a_nested_models_state_has_pytorchs_names_in_pytorchs_order():
    assert list(small_net(nn).state_dict()) == list(small_net(T).state_dict())


@needs_torch
def test_a_nested_models_parameters_have_pytorchs_names_in_pytorchs_order():
    names = [name for name, _ in small_net(T).named_parameters()]
    assert list(small_net(nn).named_parameters()) == names
    assert small_net(nn).parameters().names == names


# Sequential


@pytest.fixture
def layers():
    return nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)


def test_layers_are_found_by_number_and_by_name(layers):
    model = nn.Sequential({"first": layers[0], "act": layers[1], "last": layers[2]})
    assert model[0] is model["first"] is layers[0]
    assert model[-1] is model["last"] is layers[2]
    assert len(model) == 3
    assert list(model) == list(layers)


def test_layers_without_names_are_numbered(layers):
    model = nn.Sequential(*layers)
    assert model["2"] is layers[2]
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_named_layers_name_the_parameters(layers):
    model = nn.Sequential({"first": layers[0], "last": layers[2]})
    assert list(model.state_dict()) == ["first.weight", "first.bias", "last.weight", "last.bias"]


def test_a_slice_is_a_sequential_of_the_same_layers_under_the_same_names(layers):
    part = nn.Sequential(*layers)[1:]
    assert isinstance(part, nn.Sequential)
    assert list(part) == list(layers[1:])
    assert list(part.children()) == ["1", "2"]


def test_a_number_beyond_the_end_is_an_index_error(layers):
    with pytest.raises(IndexError):
        nn.Sequential(*layers)[3]


def test_an_unknown_name_is_a_key_error(layers):
    with pytest.raises(KeyError):
        nn.Sequential(*layers)["act"]


def test_append_takes_the_next_number(layers):
    model = nn.Sequential(*layers[:2])
    assert model.append(layers[2]) is model
    assert model["2"] is layers[2]
    assert list(model) == list(layers)


def test_append_does_not_take_a_number_that_is_a_name_already(layers):
    model = nn.Sequential({"1": layers[0]}).append(layers[2])
    assert list(model) == [layers[0], layers[2]]


def test_forward_runs_in_order_and_backward_in_reverse():
    order = []

    class Step(nn.Layer):
        def __init__(self, name):
            self.name = name

        def forward(self, x):
            order.append(f"forward {self.name}")
            return x

        def backward(self, dy):
            order.append(f"backward {self.name}")
            return dy

    model = nn.Sequential(Step("a"), Step("b"))
    model(np.ones(1))
    model.backward(np.ones(1))
    assert order == ["forward a", "forward b", "backward b", "backward a"]


def test_an_empty_sequential_is_the_identity():
    x = np.ones(2)
    assert nn.Sequential()(x) is x
    assert nn.Sequential().backward(x) is x


def test_an_error_says_in_which_layer_it_was(layers):
    model = nn.Sequential({"body": nn.Sequential(*layers)})
    with pytest.raises(ShapeError) as caught:
        model(np.ones((2, 5), dtype=np.float32))
    assert caught.value.__notes__ == ["(in layer '0' of Sequential)", "(in layer 'body' of Sequential)"]


CONTAINERS = pytest.mark.parametrize("container", [nn.Sequential, nn.Concat])


@CONTAINERS
def test_a_layer_object_that_comes_twice_is_refused(container):
    layer = nn.ReLU()
    with pytest.raises(ArgumentError, match="one layer object stands in two places"):
        container(layer, nn.Tanh(), layer)


@CONTAINERS
def test_a_layer_object_that_comes_again_further_inside_is_refused(container):
    layer = nn.ReLU()
    with pytest.raises(ArgumentError, match="one layer object stands in two places"):
        container(layer, nn.Sequential(nn.Tanh(), layer))


def test_a_residual_of_one_layer_with_itself_is_refused():
    layer = nn.ReLU()
    with pytest.raises(ArgumentError, match="one layer object stands in two places"):
        nn.Residual(nn.Sequential(nn.Linear(3, 3), layer), layer)


def test_appending_a_layer_that_is_there_is_refused_and_changes_nothing(layers):
    model = nn.Sequential(*layers)
    with pytest.raises(ArgumentError, match="two places"):
        model.append(layers[0])
    assert len(model) == 3


@CONTAINERS
def test_a_class_in_the_place_of_a_layer_is_answered_with_how_to_build_one(container):
    with pytest.raises(ArgumentError, match=r"layer '1' is the class ReLU; build one: ReLU\(\)"):
        container(nn.Tanh(), nn.ReLU)


@CONTAINERS
def test_something_that_is_no_layer_is_refused(container):
    with pytest.raises(ArgumentError, match="layer '0' is a int, not a Layer"):
        container(3)


@CONTAINERS
@pytest.mark.parametrize("name", ["", "a.b"])
def test_a_name_that_dotted_names_could_not_hold_is_refused(container, name):
    with pytest.raises(ArgumentError, match="may not be empty or contain a dot"):
        container({name: nn.ReLU()})


# Residual


def test_a_residual_adds_body_and_input():
    x = normal(0, 2, 3)
    assert_close64(nn.Residual(nn.Tanh())(x), np.tanh(x) + x)


def test_a_residuals_gradients_add():
    x, dy = normal(0, 2, 3), normal(1, 2, 3)
    layer = nn.Residual(nn.Tanh(), nn.Sigmoid())
    layer(x)
    assert_gradient(layer.backward(dy), layer.forward, x, dy)


def test_a_residual_of_two_shapes_is_refused():
    layer = nn.Residual(nn.Conv2d(2, 4, 3, padding=1))
    with pytest.raises(ShapeError, match=r"body gives \(1, 4, 5, 5\) and the shortcut \(1, 2, 5, 5\)"):
        layer(np.ones((1, 2, 5, 5), dtype=np.float32))


# Concat


def test_concat_joins_channels_in_the_branches_order():
    x = normal(0, 2, 3, 4, 5)
    y = nn.Concat(nn.Identity(), nn.Tanh())(x)
    assert_close64(y, np.concatenate([x, np.tanh(x)], axis=1))


def test_concat_gives_each_branch_its_own_channels_of_the_gradient():
    seen = []

    class Look(nn.Layer):
        def __init__(self, channels):
            self.channels = channels

        def forward(self, x):
            return np.repeat(x, self.channels, axis=1)

        def backward(self, dy):
            seen.append(dy[0, :, 0, 0].tolist())
            return dy.sum(axis=1, keepdims=True)

    layer = nn.Concat(Look(1), Look(3), Look(2))
    layer(np.ones((1, 1, 1, 1)))
    dx = layer.backward(np.arange(6.0).reshape(1, 6, 1, 1))
    assert seen == [[0], [1, 2, 3], [4, 5]]
    assert dx.item() == 15


def test_concat_takes_branches_one_by_one_in_a_list_or_with_names():
    a, b = nn.ReLU(), nn.Tanh()
    assert nn.Concat(a, b).children() == nn.Concat([a, b]).children() == {"0": a, "1": b}
    assert nn.Concat({"left": a, "right": b}).children() == {"left": a, "right": b}


def test_concat_of_vectors_joins_features():
    layer = nn.Concat(nn.Linear(3, 2), nn.Linear(3, 4)).astype(np.float64)
    x, dy = normal(0, 2, 3), normal(1, 2, 6)
    assert layer(x).shape == (2, 6)
    assert_gradient(layer.backward(dy), layer.forward, x, dy)


def test_concat_of_branches_that_differ_in_size_is_refused():
    layer = nn.Concat(nn.Identity(), nn.MaxPool2d(2))
    with pytest.raises(ShapeError, match=r"may differ in channels alone; they are \(1, 1, 4, 4\), \(1, 1, 2, 2\)"):
        layer(np.ones((1, 1, 4, 4), dtype=np.float32))
