"""LayerNorm and GroupNorm against PyTorch, and what they promise of one example and of a batch."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracles import assert_close32, assert_layer_is_torch64, needs_torch, tensor, torch
from strategies import normal, seeds

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError, DTypeError, ShapeError

T = torch.nn if torch is not None else None
lengths = st.integers(1, 4)


def randomised(module, seed):
    """Give a module a scale and a shift that are not 1 and 0, where it has some."""
    for i, parameter in enumerate(module.parameters()):
        parameter.data.copy_(tensor(normal(seed + i, *parameter.shape)))
    return module


@needs_torch
@example((0, 3), (2,), True, True, 1)
@example((2,), (1,), True, True, 1)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=2).map(tuple),
    st.lists(lengths, min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.booleans(),
    seeds,
)
def test_layer_norm_is_pytorchs(others, own, affine, bias, seed):
    layer = nn.LayerNorm(own, 0.01, affine, bias)
    module = randomised(T.LayerNorm(own, 0.01, affine, bias), seed)
    assert_layer_is_torch64(layer, module, normal(seed, *others, *own))


@needs_torch
@given(st.integers(0, 3), lengths, lengths, st.lists(lengths, max_size=2).map(tuple), st.booleans(), seeds)
def test_group_norm_is_pytorchs(n, groups, each, rest, affine, seed):
    rest = (2, *rest)[: len(rest)] or (() if each > 1 else (2,))  # PyTorch refuses groups of one number
    layer = nn.GroupNorm(groups, groups * each, 0.01, affine)
    module = randomised(T.GroupNorm(groups, groups * each, 0.01, affine), seed)
    assert_layer_is_torch64(layer, module, normal(seed, n, groups * each, *rest))


@needs_torch
@pytest.mark.parametrize(("name", "arguments"), [("LayerNorm", ((4, 5),)), ("GroupNorm", (2, 6))])
def test_float32_stays_float32(name, arguments):
    layer, module = getattr(nn, name)(*arguments), randomised(getattr(T, name)(*arguments), 0)
    layer.load_state_dict(module.state_dict())
    x = normal(0, 3, 6, 4, 5, dtype=np.float32)
    y = layer(x)
    assert_close32(y, module.double()(tensor(x)), 8 + 8 * np.abs(y))
    arrays = [layer.backward(y), *(parameter.grad for parameter in layer.parameters())]
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("layer", [nn.LayerNorm((2, 3)), nn.GroupNorm(2, 4)], ids=repr)
def test_an_example_is_normalised_whatever_the_batch(layer):
    x = 3 * normal(0, 5, 4, 2, 3, dtype=np.float32) + 7
    y = layer(x)
    np.testing.assert_array_equal(layer(x[:1]), y[:1])
    np.testing.assert_array_equal(layer.eval()(x), layer.train()(x))
    together = y.reshape(5, -1, 6) if isinstance(layer, nn.LayerNorm) else y.reshape(5, 2, 12)
    np.testing.assert_allclose(together.mean(axis=2), 0, atol=1e-5)
    np.testing.assert_allclose(together.var(axis=2), 1, atol=1e-3)


def test_as_many_groups_as_channels_treat_each_channel_by_itself():
    x = normal(0, 3, 4, 5, 6)
    one = nn.GroupNorm(4, 4).astype(np.float64)
    other = x.copy()
    other[:, 1] += 100 * normal(1, 3, 5, 6)
    np.testing.assert_array_equal(one(x)[:, [0, 2, 3]], one(other)[:, [0, 2, 3]])


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.LayerNorm(4), (3, 5, 4)),
        (nn.LayerNorm((3, 4)), (2, 3, 4)),
        (nn.LayerNorm(4, elementwise_affine=False), (3, 4)),
        (nn.GroupNorm(2, 4), (3, 4, 3, 2)),
        (nn.GroupNorm(1, 3, affine=False), (3, 3, 4)),
    ],
    ids=repr,
)
def test_the_gradient_check_passes(layer, shape):
    report = mc.gradcheck(layer, normal(0, *shape))
    assert report.ok, report


@pytest.mark.parametrize(
    ("layer", "x", "error", "message"),
    [
        (nn.LayerNorm(4), (3, 5), ShapeError, r"LayerNorm\(4\): x has shape \(3, 5\), expected \(N, ..., 4\)"),
        (nn.LayerNorm(4), (4,), ShapeError, r"x has shape \(4,\), expected \(N, ..., 4\)"),
        (nn.LayerNorm((2, 4)), (3, 4, 2), ShapeError, r"LayerNorm\(\(2, 4\)\): .*expected \(N, ..., 2, 4\)"),
        (nn.GroupNorm(2, 4), (3, 2, 5), ShapeError, r"GroupNorm\(2, 4\): x has 2 channels, expected 4"),
        (nn.GroupNorm(2, 4), (4,), ShapeError, r"expected \(N, features\) or"),
    ],
)
def test_other_shapes_are_refused(layer, x, error, message):
    with pytest.raises(error, match=message):
        layer(np.zeros(x, dtype=np.float32))


def test_bad_arguments_are_refused():
    for make, message in (
        (lambda: nn.LayerNorm(0), "LayerNorm: normalized_shape must be a whole number of at least 1, not 0"),
        (lambda: nn.LayerNorm(()), "normalized_shape must name one axis or more"),
        (lambda: nn.LayerNorm(3, eps=0), "LayerNorm: eps must be positive, not 0"),
        (lambda: nn.GroupNorm(2, 3), "GroupNorm: 3 channels do not divide into 2 groups"),
        (lambda: nn.GroupNorm(0, 4), "num_groups must be a whole number of at least 1"),
        (lambda: nn.GroupNorm(2, 4, float("nan")), "GroupNorm: eps must be positive, not nan"),
    ):
        with pytest.raises(ArgumentError, match=message):
            make()
    with pytest.raises(DTypeError, match="x is float64 but the weights are float32"):
        nn.LayerNorm(3)(np.zeros((2, 3)))


def test_names_of_options_show():
    assert repr(nn.LayerNorm((2, 3), 0.1, bias=False)) == "LayerNorm((2, 3), eps=0.1, bias=False)"
    assert repr(nn.LayerNorm(3, elementwise_affine=False)) == "LayerNorm(3, elementwise_affine=False)"
    assert repr(nn.GroupNorm(2, 4, affine=False)) == "GroupNorm(2, 4, affine=False)"
    assert "LayerNorm(5)" in str(nn.Sequential(nn.LayerNorm(5), nn.Linear(5, 2)).summary((5,)))


def test_scales_and_shifts_are_no_weights():
    model = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.LayerNorm((2, 4, 4)), nn.Flatten(), nn.Linear(32, 3))
    assert nn.init.initialise(model, nn.init.he_normal) == ["0.weight", "3.weight"]
    assert list(nn.init.lsuv(model, normal(1, 50, 1, 4, 4, dtype=np.float32))) == ["0", "3"]
    assert (model[1].weight.data == 1).all()
