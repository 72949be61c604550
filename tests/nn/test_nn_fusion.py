"""Layers that run as one step: the same numbers, and nobody can tell from outside.

Everything is held against the same layers run one by one, in a loop of its own here.
"""

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn import nn, ops
from minicnn.backend import use_backend
from minicnn.errors import ArgumentError
from minicnn.nn.containers import ResidualReLU
from minicnn.nn.fusion import STEPS, BatchNormReLU, ConvReLU, ConvReLUMaxPool

pytest.importorskip("numba", reason="Numba is not installed")
EPS = np.finfo(np.float32).eps


@pytest.fixture(autouse=True)
def _numba():
    with mc.use_backend("numba"):
        yield


def network(channels=3, *, stride=1, padding=1, pool=2):
    """All three kinds of steps, and ReLU after something else."""
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=stride, padding=padding), nn.ReLU(), nn.MaxPool2d(pool),
        nn.Conv2d(16, 17, 3, padding=1, bias=False), nn.BatchNorm2d(17), nn.ReLU(),
        nn.Conv2d(17, 20, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.ReLU(),
    )  # fmt: skip


def kinds(model):
    return [type(step) for _, step in model._plan.steps if step]


def one_by_one(model, x, dy=None):
    """Output, gradient of the input, and gradients of the parameters, layer by layer."""
    model = copy.deepcopy(model)
    model.zero_grad()
    for layer in model:
        x = layer(x)
    if dy is None:
        return x
    for layer in reversed(list(model)):
        dy = layer.backward(dy)
    return x, dy, {name: p.grad for name, p in model.named_parameters().items()}, model.state_dict()


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=200 * EPS * max(1, np.abs(want).max(initial=0)))


@given(
    n=st.integers(1, 3),
    side=st.sampled_from([(8, 8), (13, 13), (7, 9)]),
    channels=st.sampled_from([1, 3, 16]),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1, "same"]),
    pool=st.sampled_from([2, 3, (1, 2)]),
    training=st.booleans(),
)
def test_a_network_of_steps_is_that_of_its_layers(n, side, channels, stride, padding, pool, training):
    model = network(channels, stride=stride, padding=padding, pool=pool).train(training)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, channels, *side)).astype(np.float32)
    try:
        want_y = one_by_one(model, x)
    except mc.errors.ShapeError:
        return  # pooling finds no room
    dy = rng.normal(size=want_y.shape).astype(np.float32)
    want_y, want_dx, want_gradients, want_state = one_by_one(model, x, dy)
    y = model(x)
    close(y, want_y)
    assert kinds(model) == [ConvReLUMaxPool, BatchNormReLU, ConvReLU]
    close(model.backward(dy), want_dx)
    for name, parameter in model.named_parameters().items():
        close(parameter.grad, want_gradients[name])
    for name, value in model.state_dict().items():
        close(value, want_state[name])


def test_after_a_fused_pass_each_layer_can_go_back_alone():
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    y = model(x)
    dy = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    _, want_dx, want_gradients, _ = one_by_one(model, x, dy)
    model.zero_grad()
    for layer in reversed(list(model)):
        dy = layer.backward(dy)
    close(dy, want_dx)
    for name, parameter in model.named_parameters().items():
        close(parameter.grad, want_gradients[name])


def test_layers_that_were_run_by_hand_since_are_the_ones_that_go_back():
    model, rng = network(), np.random.default_rng(0)
    first, second = rng.normal(size=(2, 2, 3, 8, 8)).astype(np.float32)
    y = model(first)
    dy = rng.normal(size=y.shape).astype(np.float32)
    _, want_dx, _, _ = one_by_one(model, second, dy)
    x = second
    for layer in model:
        x = layer(x)
    close(model.backward(dy), want_dx)


def test_two_backward_passes_add_up():
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    y = model(x)
    once = model.backward(np.ones_like(y))
    gradients = {name: p.grad.copy() for name, p in model.named_parameters().items()}
    np.testing.assert_array_equal(model.backward(np.ones_like(y)), once)
    for name, parameter in model.named_parameters().items():
        close(parameter.grad, 2 * gradients[name])


def test_a_hook_sees_what_it_would_have_seen():
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    want, seen = [], []
    y = x
    for layer in copy.deepcopy(model):
        y = layer(y)
        want.append(y)
    for layer in model:
        layer.add_hook(lambda layer, x, y: seen.append(y))
    model(x)
    assert kinds(model) == []
    for got, wanted in zip(seen, want, strict=True):
        close(got, wanted)


def test_a_hook_on_one_layer_leaves_the_other_steps_alone():
    model, x = network(), np.ones((2, 3, 8, 8), dtype=np.float32)
    remove = model[1].add_hook(lambda layer, x, y: None)
    model(x)
    assert kinds(model) == [BatchNormReLU, ConvReLU]
    remove()
    model(x)
    assert kinds(model) == [ConvReLUMaxPool, BatchNormReLU, ConvReLU]


@pytest.mark.parametrize(("name", "calls"), [
    ("conv2d_forward", 3), ("relu_forward", 4), ("max_pool2d_forward", 1), ("batch_norm_forward", 1), ("im2col", 3),
])  # fmt: skip
def test_a_plugged_operation_is_called_for_every_layer_that_has_it(name, calls):
    model, x, called = network(), np.ones((2, 3, 8, 8), dtype=np.float32), []
    body = getattr(ops, name).body

    def mine(*args, **options):
        called.append(name)
        return body(*args, **options)

    with mc.plug(**{name: mine}):
        model(x)
    assert len(called) == calls


@pytest.mark.parametrize(("name", "calls"), [
    ("conv2d_backward", 3), ("relu_backward", 4), ("max_pool2d_backward", 1), ("batch_norm_backward", 1), ("col2im", 3),
])  # fmt: skip
@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_plugged_gradient_is_called_on_arrays_of_the_layers_shapes(name, calls, from_the_start):
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    body, shapes = getattr(ops, name).body, []

    def mine(first, *args, **options):
        shapes.append(first.shape)
        return body(first, *args, **options)

    with mc.plug(**({name: mine} if from_the_start else {})):
        y = model(x)
    with mc.plug(**{name: mine}):
        model.backward(np.ones_like(y))
    assert len(shapes) == calls
    if name == "relu_backward":
        assert shapes[-1] == (2, 16, 8, 8), "the first ReLU's own shape, not that behind the pooling"


def test_a_layer_that_is_not_as_it_was_written_runs_alone(monkeypatch):
    class Mine(nn.ReLU):
        pass

    x = np.ones((2, 3, 8, 8), dtype=np.float32)
    by_subclass = nn.Sequential(nn.Conv2d(3, 4, 3), Mine())
    by_instance = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    by_instance[1].forward = lambda x: x
    for model in (by_subclass, by_instance):
        model(x)
        assert kinds(model) == []
    monkeypatch.setattr(nn.ReLU, "forward", lambda self, x: x)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    assert model(x).min() < 0
    assert kinds(model) == []


def test_the_plain_backend_runs_layer_by_layer():
    model = network()
    with mc.use_backend("numpy"):
        model(np.ones((2, 3, 8, 8), dtype=np.float32))
    assert kinds(model) == []


def test_an_error_names_the_layer_that_it_would_have_named():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.MaxPool2d(9))
    with pytest.raises(mc.errors.ShapeError, match=r"MaxPool2d\(9\).*does not fit") as caught:
        model(np.ones((1, 3, 8, 8), dtype=np.float32))
    assert caught.value.__notes__ == ["(in layer '2' of Sequential)"]
    assert caught.value.__context__ is None, "it is said twice"
    with pytest.raises(mc.errors.ShapeError, match=r"Conv2d\(3, 4, 3\): x has 2 channels"):
        model(np.ones((1, 2, 8, 8), dtype=np.float32))


def test_frozen_weights_stay_without_gradient():
    model, x = network(), np.ones((2, 3, 8, 8), dtype=np.float32)
    model[0].weight.frozen = True
    model.backward(np.ones_like(model(x)))
    assert model[0].weight.grad is None
    assert model[0].bias.grad is not None


def test_moving_a_model_forgets_how_it_went_forwards():
    model, x = network(), np.ones((2, 3, 8, 8), dtype=np.float32)
    y = model(x)
    model.astype(np.float64)
    with pytest.raises(mc.errors.BackwardError):
        model.backward(y.astype(np.float64))


def test_what_goes_into_the_pooling_is_never_kept():
    """The largest array of the network, the convolution's output, is in nobody's memory after the forward pass."""
    model = nn.Sequential(nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    x = np.ones((4, 1, 32, 32), dtype=np.float32)
    y = model(x)
    argmax, shape = model[2].saved
    assert shape == (4, 64, 32, 32)
    assert argmax.nbytes == y.size
    assert model[1]._saved.__class__.__name__ == "Deferred"
    np.testing.assert_array_equal(model[1].saved, ops.relu_forward(model[0](x)))


def test_what_a_layer_remembers_does_not_change_with_the_weights():
    """Optimizers write to the weights where they lie."""
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    want = one_by_one(model[:2], x)
    model(x)
    model[0].weight.data += 1
    model[0].bias.data += 1
    close(model[1].saved, want)


def test_a_model_can_be_pickled_and_copied_between_forward_and_backward():
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    dy = np.ones_like(model(x))
    others = pickle.loads(pickle.dumps(model)), copy.deepcopy(model)
    want = model.backward(dy)
    for other in others:
        np.testing.assert_array_equal(other.backward(dy), want)
        close(other[1].saved, one_by_one(model[:2], x))


def test_layers_in_another_order_run_in_that_order():
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    model = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
    model(x)
    model.layers = dict(reversed(model.layers.items()))
    close(model(x), one_by_one(model, x))


def test_a_layer_that_was_added_since_goes_back_too():
    model, x = network()[:3], np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    model(x)
    model.append(nn.Flatten())
    for layer in model:
        x = layer(x)
    assert model.backward(np.ones_like(x)).shape == (2, 3, 8, 8)


def test_a_backward_pass_that_was_replaced_since_is_called():
    model, x = network(), np.ones((2, 3, 8, 8), dtype=np.float32)
    y, called = model(x), []
    model[1].backward = lambda dy: called.append(dy.shape) or dy
    model.backward(np.ones_like(y))
    assert called == [(2, 16, 8, 8)]


def test_a_kernel_of_another_size_is_seen():
    layer = nn.Conv2d(3, 4, 3, padding="same")
    x = np.ones((1, 3, 8, 8), dtype=np.float32)
    layer(x)
    layer.kernel_size, layer.weight = (5, 5), nn.Parameter(np.ones((4, 3, 5, 5), dtype=np.float32))
    assert layer(x).shape == (1, 4, 8, 8)
    layer.stride = (2, 2)
    assert layer(x).shape == (1, 4, 4, 4)


def test_another_backend_between_forward_and_backward_changes_rounding_alone():
    model, x = network(), np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    dy = np.ones_like(model(x))
    _, want_dx, _, _ = one_by_one(model, x, dy)
    with mc.use_backend("numpy"):
        close(model.backward(dy), want_dx)


# Residual blocks


def block(channels=3, shortcut=None):
    body = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU())
    return nn.Residual(body, shortcut)


def residual_network():
    """Blocks with both kinds of shortcut, one with nothing behind it."""
    return nn.Sequential(
        block(), nn.ReLU(),
        block(shortcut=nn.Conv2d(3, 3, 1)), nn.ReLU(),
        block(),
    )  # fmt: skip


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sum_and_its_relu_are_one_step(training, dtype):
    model, rng = residual_network().astype(dtype).train(training), np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 2, 3, 7, 5)).astype(dtype)
    want_y, want_dx, want_gradients, want_state = one_by_one(model, x, dy)
    y = model(x)
    assert kinds(model) == [ResidualReLU, ResidualReLU]
    assert y.dtype == dtype
    close(y, want_y)
    close(model.backward(dy), want_dx)
    for name, parameter in model.named_parameters().items():
        close(parameter.grad, want_gradients[name])
    for name, value in model.state_dict().items():
        close(value, want_state[name])


def test_after_a_sum_with_relu_each_layer_can_go_back_alone():
    model, rng = residual_network(), np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 2, 3, 7, 5)).astype(np.float32)
    _, want_dx, want_gradients, _ = one_by_one(model, x, dy)
    model(x)
    for layer in reversed(list(model)):
        dy = layer.backward(dy)
    close(dy, want_dx)
    for name, parameter in model.named_parameters().items():
        close(parameter.grad, want_gradients[name])


def test_a_block_that_was_run_by_hand_since_is_the_one_that_goes_back():
    model, rng = residual_network(), np.random.default_rng(0)
    first, second, dy = rng.normal(size=(3, 2, 3, 7, 5)).astype(np.float32)
    _, want_dx, _, _ = one_by_one(model, second, dy)
    model(first)
    x = second
    for layer in model:
        x = layer(x)
    close(model.backward(dy), want_dx)


def test_hooks_on_a_block_or_its_relu_see_what_they_would_have_seen_and_those_inside_do_not_matter():
    model, x = residual_network(), np.random.default_rng(0).normal(size=(2, 3, 7, 5)).astype(np.float32)
    want = copy.deepcopy(model[0])(x)
    seen = []
    removers = [layer.add_hook(lambda layer, x, y: seen.append(y)) for layer in (model[0], model[3])]
    model(x)
    assert kinds(model) == []
    close(seen[0], want)
    assert seen[0].min() < 0 <= seen[1].min()
    for remove in removers:
        remove()
    model[0].body[0].add_hook(lambda layer, x, y: seen.append(y))
    model(x)
    assert kinds(model) == [ResidualReLU, ResidualReLU]
    assert len(seen) == 3


@pytest.mark.parametrize("name", ["relu_forward", "relu_backward"])
def test_a_plugged_relu_is_called_behind_a_block_too(name):
    model, x, called = residual_network(), np.ones((2, 3, 7, 5), dtype=np.float32), []
    body = getattr(ops, name).body
    y = model(x)
    with mc.plug(**{name: lambda *args: called.append(name) or body(*args)}):
        if name == "relu_forward":
            model(x)
        else:
            model.backward(np.ones_like(y))
    assert len(called) == 2 + 3, "two behind blocks, three within"


def test_a_subclass_of_a_block_runs_as_it_was_written():
    model = nn.Sequential(nn.StochasticDepth(nn.Conv2d(3, 3, 1), survival=0.0), nn.ReLU())
    x = np.random.default_rng(0).normal(size=(1, 3, 2, 2)).astype(np.float32)
    np.testing.assert_array_equal(model(x), np.maximum(x, 0))
    assert kinds(model) == []


def test_an_error_within_a_block_is_said_once_and_with_its_place():
    model = nn.Sequential(nn.Residual(nn.Conv2d(3, 4, 3, padding=1)), nn.ReLU())
    with pytest.raises(mc.errors.ShapeError, match="they must agree to be added") as caught:
        model(np.ones((1, 3, 4, 4), dtype=np.float32))
    assert caught.value.__notes__ == ["(in layer '0' of Sequential)"]
    assert caught.value.__context__ is None


def test_a_residual_model_can_be_pickled_between_forward_and_backward():
    model, x = residual_network(), np.random.default_rng(0).normal(size=(2, 3, 7, 5)).astype(np.float32)
    dy = np.ones_like(model(x))
    other = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(other.backward(dy), model.backward(dy))


def test_longer_steps_come_first():
    lengths = [len(step.kinds) for step in STEPS]
    assert lengths == sorted(lengths, reverse=True)
    assert {ConvReLUMaxPool, ConvReLU, BatchNormReLU, ResidualReLU} <= set(STEPS)


def test_what_fails_within_a_residual_step_is_not_tried_again():
    class Failing(nn.Layer):
        calls = 0

        def forward(self, x):
            Failing.calls += 1
            raise ArgumentError("no")

    layer = Failing()
    for _ in range(4):
        layer = nn.Sequential(nn.Residual(layer), nn.ReLU())
    with use_backend("numba"), pytest.raises(ArgumentError) as told:
        layer(np.ones((1, 2, 3, 3), dtype=np.float32))
    assert Failing.calls == 1
    assert told.value.__notes__.count("(in layer '0' of Sequential)") == 4
