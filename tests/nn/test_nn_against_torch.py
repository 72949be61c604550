"""Every layer, forward and backward, against the PyTorch module of the same name with the same weights."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import (
    assert_close32,
    assert_close64,
    assert_layer_is_torch32,
    assert_layer_is_torch64,
    needs_torch,
    tensor,
    torch,
)
from strategies import ConvCase, PoolCase, conv_cases, normal, pool_cases, seeds, spread

from minicnn import nn

T = torch.nn if torch is not None else None

pytestmark = [pytest.mark.usefixtures("backend"), needs_torch]

CONV = ConvCase(3, 4, 6, (7, 5), (3, 2), (2, 3), (1, 2), (2, 1), 2, seed=1)
DEPTHWISE = ConvCase(1, 3, 3, (5, 5), (3, 3), (1, 1), 1, (1, 1), 3, seed=1)
STRIDE_BEYOND_KERNEL = ConvCase(2, 1, 1, (7, 5), (2, 1), (4, 3), (1, 0), (1, 1), 1, seed=1)
POOL = PoolCase(2, 2, (7, 6), (3, 2), (1, 2), (1, 0), seed=1)
numbered_or_pairs = ("number", "pair")


def conv_pair(case, bias=True):
    arguments = (case.channels, case.features, case.kernel)
    return nn.Conv2d(*arguments, **case.options, bias=bias), T.Conv2d(*arguments, **case.options, bias=bias)


@example(CONV, True)
@example(DEPTHWISE, False)
@example(STRIDE_BEYOND_KERNEL, True)
@given(conv_cases(paddings=numbered_or_pairs), st.booleans())
def test_conv2d(case, bias):
    assert_layer_is_torch64(*conv_pair(case, bias), case.x())


@example(CONV)
@example(DEPTHWISE)
@given(conv_cases(paddings=numbered_or_pairs))
def test_conv2d_in_float32(case):
    assert_layer_is_torch32(*conv_pair(case), case.x())


@pytest.mark.filterwarnings("ignore:Using padding='same':UserWarning")  # PyTorch on even kernels
@pytest.mark.parametrize("padding", ["same", "valid"])
@given(st.data())
def test_conv2d_with_padding_by_name(padding, data):
    case = data.draw(conv_cases(paddings=("valid",)))
    options = {"padding": padding, "dilation": case.dilation, "groups": case.groups}
    arguments = (case.channels, case.features, case.kernel)
    assert_layer_is_torch64(nn.Conv2d(*arguments, **options), T.Conv2d(*arguments, **options), case.x())


def test_conv2d_takes_its_arguments_in_pytorchs_order():
    arguments = (4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2, False)
    assert_layer_is_torch64(nn.Conv2d(*arguments), T.Conv2d(*arguments), normal(0, 2, 4, 6, 7))


sizes = st.tuples(st.integers(1, 6), st.integers(1, 6))


@given(st.integers(0, 4), sizes, st.booleans(), seeds)
def test_linear(batch, size, bias, seed):
    assert_layer_is_torch64(nn.Linear(*size, bias), T.Linear(*size, bias), normal(seed, batch, size[0]))


@given(st.integers(0, 4), sizes, seeds)
def test_linear_in_float32(batch, size, seed):
    assert_layer_is_torch32(nn.Linear(*size), T.Linear(*size), normal(seed, batch, size[0]))


@example(POOL)
@given(pool_cases(paddings=numbered_or_pairs))
def test_max_pool2d(case):
    arguments = (case.kernel, case.stride, case.padding)
    assert_layer_is_torch64(nn.MaxPool2d(*arguments), T.MaxPool2d(*arguments), spread(case.seed, *case.shape))


@example(POOL)
@given(pool_cases(paddings=numbered_or_pairs))
def test_avg_pool2d(case):
    arguments = (case.kernel, case.stride, case.padding)
    layer, module = nn.AvgPool2d(*arguments), T.AvgPool2d(*arguments)
    assert_layer_is_torch64(layer, module, normal(case.seed, *case.shape))
    assert_layer_is_torch32(layer, module, normal(case.seed, *case.shape))


@given(pool_cases())
def test_global_avg_pool2d(case):
    module = T.Sequential(T.AdaptiveAvgPool2d(1), T.Flatten())
    assert_layer_is_torch64(nn.GlobalAvgPool2d(), module, normal(case.seed, *case.shape))


shapes = st.lists(st.integers(0, 4), min_size=2, max_size=4).map(tuple)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("Identity", ()),
        ("ReLU", ()),
        ("LeakyReLU", ()),
        ("LeakyReLU", (0.3,)),
        ("ELU", ()),
        ("ELU", (0.5,)),
        ("SELU", ()),
        ("GELU", ()),
        ("SiLU", ()),
        ("Sigmoid", ()),
        ("Tanh", ()),
        ("Softplus", ()),
        ("Softplus", (2.0, 1.0)),
    ],
)
@given(shapes, seeds)
def test_activation(name, arguments, shape, seed):
    layer, module = getattr(nn, name)(*arguments), getattr(T, name)(*arguments)
    assert_layer_is_torch64(layer, module, spread(seed, *shape))


@given(st.lists(st.integers(1, 4), min_size=2, max_size=4).map(tuple), seeds)
def test_flatten(shape, seed):
    assert_layer_is_torch64(nn.Flatten(), T.Flatten(), normal(seed, *shape))


# Batch normalisation remembers, so it is followed over several batches

norm_shapes = {
    "BatchNorm1d": st.tuples(st.integers(2, 5), st.integers(1, 3))
    | st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 4)),
    "BatchNorm2d": st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(2, 4)),
}


def randomised(module, seed):
    """Give a batch norm weights and statistics that are not 0 and 1."""
    c = module.num_features
    for i, name in enumerate(["weight", "bias", "running_mean"]):
        getattr(module, name).data.copy_(tensor(normal(seed + i, c)))
    module.running_var.data.copy_(tensor(np.exp(normal(seed + 3, c))))
    return module


@pytest.mark.parametrize("name", norm_shapes)
@pytest.mark.parametrize("momentum", [0.1, 1.0, None])
@given(st.data())
def test_batch_norm_in_training(name, momentum, data):
    shape, seed = data.draw(norm_shapes[name]), data.draw(seeds)
    layer = getattr(nn, name)(shape[1], eps=0.01, momentum=momentum)
    module = randomised(getattr(T, name)(shape[1], eps=0.01, momentum=momentum), seed)
    assert_layer_is_torch64(layer, module, normal(seed, *shape))
    for step in range(1, 4):
        x = 2 * normal(seed + step, *shape) + step
        assert_close64(layer(x), module(tensor(x)))
    assert_same_state(layer, module)


@pytest.mark.parametrize("name", norm_shapes)
@given(st.data())
def test_batch_norm_in_evaluation(name, data):
    shape, seed = data.draw(norm_shapes[name]), data.draw(seeds)
    layer, module = getattr(nn, name)(shape[1]).eval(), randomised(getattr(T, name)(shape[1]), seed).eval()
    assert_layer_is_torch64(layer, module, normal(seed, *shape))
    assert_same_state(layer, module)


def assert_same_state(layer, module):
    state = layer.state_dict()
    assert list(state) == list(module.state_dict())
    for name, value in module.state_dict().items():
        np.testing.assert_allclose(state[name], value, rtol=1e-9, atol=1e-9)


def test_batch_norm_in_float32():
    layer, module = nn.BatchNorm2d(3), randomised(T.BatchNorm2d(3), 0)
    layer.load_state_dict(module.state_dict())
    x = normal(0, 4, 3, 5, 6, dtype=np.float32)
    y = layer(x)
    assert_close32(y, module.double()(tensor(x)), 4 + 4 * np.abs(y))
    assert all(buffer.data.dtype == np.float32 for buffer in [layer.running_mean, layer.running_var])


def test_a_batch_norm_of_an_empty_batch_in_evaluation_is_empty():
    assert nn.BatchNorm2d(3).eval()(np.ones((0, 3, 2, 2), dtype=np.float32)).shape == (0, 3, 2, 2)


# The loss


@pytest.mark.parametrize("weight", [None, [1.0, 0.2, 3.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", [(4, 3), (2, 3, 4, 5)])
def test_cross_entropy_loss(weight, smoothing, shape):
    labels = np.random.default_rng(0).integers(0, 3, (shape[0], *shape[2:]))
    logits = tensor(normal(0, *shape), grad=True)
    oracle = T.CrossEntropyLoss(weight=None if weight is None else tensor(weight), label_smoothing=smoothing)
    want = oracle(logits, torch.tensor(labels))
    want.backward()
    loss = nn.CrossEntropyLoss(weight=weight, label_smoothing=smoothing)
    assert_close64(loss(normal(0, *shape), labels), want)
    assert_close64(loss.backward(), logits.grad)
