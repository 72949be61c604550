"""Regularisers against PyTorch and finite differences, and L2 next to weight decay."""

import numpy as np
import pytest
from gpu import strict_cupy
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_gradient, needs_torch, tensor, torch
from strategies import normal, seeds

import minicnn as mc
from minicnn import nn, optim
from minicnn.backend import to_backend, to_host, use_backend
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter

ALL = {"only": lambda name, parameter: True}


def some_parameters(seed=0, dtype=np.float64):
    """Weights and biases of a convolution and a linear layer, with gradients."""
    shapes = {"conv.weight": (4, 3, 2, 2), "conv.bias": (4,), "linear.weight": (5, 4), "linear.bias": (5,)}
    parameters = {}
    for step, (name, shape) in enumerate(shapes.items()):
        parameters[name] = Parameter(normal(seed + step, *shape, dtype=dtype))
        parameters[name].grad = normal(seed + 10 + step, *shape, dtype=dtype)
    return parameters


def values(parameters):
    return {name: parameter.data.copy() for name, parameter in parameters.items()}


def gradients(parameters):
    return {name: None if p.grad is None else p.grad.copy() for name, p in parameters.items()}


# Penalties and their gradients


@needs_torch
@pytest.mark.parametrize(
    ("regulariser", "formula"),
    [
        (optim.L2(0.3, **ALL), lambda w: 0.3 / 2 * (w**2).sum()),
        (optim.L1(0.3, **ALL), lambda w: 0.3 * w.abs().sum()),
    ],
    ids=["L2", "L1"],
)
@given(seed=seeds)
def test_penalty_and_gradient_are_pytorchs_of_the_same_formula(regulariser, formula, seed):
    parameters = some_parameters(seed)
    parameters["linear.weight"].data[0, 0] = 0  # the kink of L1
    twins = {name: tensor(parameter.data, grad=True) for name, parameter in parameters.items()}
    want = sum(formula(w) for w in twins.values())
    want.backward()
    before = gradients(parameters)
    penalty = regulariser.penalty(parameters)
    assert penalty.shape == ()
    assert_close64(penalty, want)
    regulariser.add_gradients(parameters)
    for name, parameter in parameters.items():
        assert_close64(parameter.grad, before[name] + twins[name].grad.numpy())


@pytest.mark.parametrize("kind", [optim.L1, optim.L2])
def test_what_is_added_is_the_gradient_of_the_penalty(kind):
    regulariser, w = kind(0.7), normal(0, 4, 3)
    parameter = Parameter(w)
    parameter.grad = np.zeros_like(w)
    regulariser.add_gradients({"w": parameter})
    assert_gradient(parameter.grad, lambda w: regulariser.penalty({"w": Parameter(w)}), w, 1.0)


@pytest.mark.parametrize("regulariser", [optim.L2(0.1), optim.L1(0.1), optim.MaxNorm(0.5)], ids=repr)
def test_biases_are_left_out_unless_asked_for(regulariser):
    parameters = some_parameters()
    before, before_gradients = values(parameters), gradients(parameters)
    regulariser.add_gradients(parameters)
    regulariser.project(parameters)
    is_moved = {
        name: (before[name] != p.data).any() or (before_gradients[name] != p.grad).any()
        for name, p in parameters.items()
    }
    assert is_moved == {"conv.weight": True, "conv.bias": False, "linear.weight": True, "linear.bias": False}
    assert list(regulariser.chosen(parameters)) == ["conv.weight", "linear.weight"]


def test_a_penalty_counts_frozen_weights_too():
    parameters = some_parameters()
    want = optim.L2(0.1).penalty(parameters)
    parameters["conv.weight"].frozen = True
    assert optim.L2(0.1).penalty(parameters) == want


def test_only_chooses_by_name_or_by_what_the_parameter_is():
    parameters = some_parameters()
    by_name = optim.L2(2, only=lambda name, parameter: name.startswith("linear"))
    by_size = optim.L2(2, only=lambda name, parameter: parameter.data.size < 5)
    squares = {name: (w**2).sum() for name, w in values(parameters).items()}
    assert_close64(by_name.penalty(parameters), squares["linear.weight"] + squares["linear.bias"])
    assert_close64(by_size.penalty(parameters), squares["conv.bias"])


@pytest.mark.parametrize("regulariser", [optim.L2(0.1, **ALL), optim.L1(0.1, **ALL), optim.MaxNorm(0.1, **ALL)])
def test_frozen_parameters_and_those_without_gradient_get_none(regulariser):
    parameters = some_parameters()
    parameters["conv.weight"].frozen = True
    parameters["linear.bias"].grad = None
    before, before_gradients = values(parameters), gradients(parameters)
    regulariser.add_gradients(parameters)
    np.testing.assert_array_equal(parameters["conv.weight"].grad, before_gradients["conv.weight"])
    assert parameters["linear.bias"].grad is None
    regulariser.project(parameters)
    np.testing.assert_array_equal(parameters["conv.weight"].data, before["conv.weight"])


@pytest.mark.parametrize("regulariser", [optim.L2(0.1), optim.L1(np.float64(0.1)), optim.MaxNorm(np.float64(0.1))])
def test_float32_stays_float32_and_arrays_are_not_written_to(regulariser):
    parameters = some_parameters(dtype=np.float32)
    for parameter in parameters.values():
        parameter.data.flags.writeable = parameter.grad.flags.writeable = False
    assert regulariser.penalty(parameters).dtype == np.float32
    regulariser.add_gradients(parameters)
    regulariser.project(parameters)
    assert (
        {p.data.dtype for p in parameters.values()} == {p.grad.dtype for p in parameters.values()} == {np.dtype("f4")}
    )


# Max-norm


@given(seeds, st.floats(0.1, 5))
def test_no_unit_is_longer_than_the_limit_and_directions_stay(seed, limit):
    parameters = some_parameters(seed)
    before = values(parameters)
    optim.MaxNorm(limit, **ALL).project(parameters)
    for name, parameter in parameters.items():
        for unit, old in zip(parameter.data, before[name], strict=True):
            length = np.sqrt((old**2).sum())
            assert_close64(unit, old * min(1, limit / length), 1e-14)
            if length <= limit * (1 - 1e-12):
                np.testing.assert_array_equal(unit, old)


@needs_torch
def test_rows_and_filters_are_shortened_as_pytorchs_renorm_does():
    parameters = some_parameters()
    before = values(parameters)
    optim.MaxNorm(0.8).project(parameters)
    for name in ("conv.weight", "linear.weight"):
        want = torch.renorm(tensor(before[name]), p=2, dim=0, maxnorm=0.8)
        np.testing.assert_allclose(parameters[name].data, want, rtol=1e-6)  # renorm adds 1e-7 to the norm


def test_a_unit_of_zeros_stays_and_a_second_projection_changes_nothing():
    w = normal(0, 4, 3)
    w[1] = 0
    parameters = {"w": Parameter(w)}
    optim.MaxNorm(0.5).project(parameters)
    once = parameters["w"].data
    assert (once[1] == 0).all()
    optim.MaxNorm(0.5).project(parameters)
    np.testing.assert_allclose(parameters["w"].data, once, rtol=4 * np.finfo(float).eps)


def test_max_norm_has_no_penalty_and_no_gradient():
    parameters = some_parameters()
    before = gradients(parameters)
    optim.MaxNorm(0.1).add_gradients(parameters)
    for name, parameter in parameters.items():
        np.testing.assert_array_equal(parameter.grad, before[name])
    penalty = optim.MaxNorm(0.1).penalty(parameters)
    assert penalty.shape == ()
    assert penalty == 0


def test_penalties_do_not_project():
    for regulariser in (optim.L1(1.0), optim.L2(1.0)):
        parameters = some_parameters()
        before = values(parameters)
        regulariser.project(parameters)
        for name, parameter in parameters.items():
            assert parameter.data is not before[name]
            np.testing.assert_array_equal(parameter.data, before[name])


# L2 and weight decay


def steps(optimizer_of, *, l2=0.0, decay=0.0, count=30, grads=None):
    """Weights after some steps with given gradients, and L2 (a penalty) or decay (w = (1 - lr * decay) * w)."""
    parameters = {"w": Parameter(np.linspace(-1, 1, 12).reshape(3, 4))}
    optimizer = optimizer_of(parameters)
    for step in range(count):
        w = parameters["w"]
        w.grad = normal(step, 3, 4) if grads is None else grads(step)
        if l2:
            optim.L2(l2).add_gradients(parameters)
        if decay:
            w.data = (1 - optimizer.lr * decay) * w.data
        optimizer.step()
    return parameters["w"].data


def sgd(parameters):
    return optim.SGD(parameters, lr=0.1)


def adam(parameters):
    return optim.Adam(parameters, lr=0.01)


def test_for_sgd_an_l2_penalty_is_weight_decay():
    assert_close64(steps(sgd, l2=0.2), steps(sgd, decay=0.2), 1e-14)
    assert abs(steps(sgd, l2=0.2) - steps(sgd)).max() > 0.1, "the penalty hardly did anything: this says little"


def test_for_adam_an_l2_penalty_is_not_weight_decay():
    # Gradients that go up and down about zero, a hundred times larger in the second half of the columns.
    size = np.array([0.1, 0.1, 10, 10])

    def grads(step):
        return (-1) ** step * size * np.ones((3, 1))

    without = steps(adam, count=200, grads=grads)
    decayed = steps(adam, decay=0.3, count=200, grads=grads) / without
    penalised = steps(adam, l2=0.3, count=200, grads=grads) / without
    np.testing.assert_allclose(decayed, (1 - 0.01 * 0.3) ** 200, rtol=0.05)  # all weights by the same factor
    small, large = abs(penalised[:, :2]), penalised[:, 2:]
    assert (small < decayed[:, :2] / 2).all(), "where gradients are small, the penalty is divided by little"
    assert (large > 0.9).all(), "where gradients are large, the penalty hardly pulls"


@pytest.mark.parametrize("kind", [optim.SGD, optim.Adam])
def test_the_optimizers_weight_decay_is_an_l2_penalty_of_all_parameters(kind):
    results = []
    for weight_decay, regulariser in ((0.2, None), (0.0, optim.L2(0.2, **ALL))):
        parameters = some_parameters()
        optimizer = kind(parameters, lr=0.05, weight_decay=weight_decay)
        for step in range(10):
            for name, parameter in some_parameters(step).items():
                parameters[name].grad = parameter.grad
            if regulariser:
                regulariser.add_gradients(parameters)
            optimizer.step()
        results.append(values(parameters))
    for name, want in results[0].items():
        assert_close64(results[1][name], want, 1e-12)


# In a training


def trained(regulariser):
    """A linear model that was trained with a regulariser, on data of which two inputs in twenty matter."""
    mc.seed(0)
    x = normal(0, 200, 20)
    y = x[:, :2] @ np.array([[1.0], [-2.0]])
    model = nn.Sequential(nn.Linear(20, 1)).astype(np.float64)
    loss, optimizer = nn.MSELoss(), optim.SGD(model.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss.forward(model(x), y)
        model.backward(loss.backward())
        regulariser.add_gradients(optimizer.parameters)
        optimizer.step()
        regulariser.project(optimizer.parameters)
    return model.parameters()[0].data[0]


def test_l1_puts_out_what_does_not_matter_and_l2_and_max_norm_make_all_smaller():
    free, sparse = trained(optim.L2(0.0)), trained(optim.L1(0.1))
    ridge, short = trained(optim.L2(1.0)), trained(optim.MaxNorm(1.0))
    np.testing.assert_allclose(free[:2], [1, -2], rtol=1e-3)
    np.testing.assert_allclose(sparse[:2], [0.95, -1.95], atol=0.02)  # each smaller by strength / (2 * variance)
    assert abs(sparse[2:]).max() < 2 * 0.05 * 0.1, "two steps of lr * strength"
    assert np.linalg.norm(ridge) < 0.8 * np.linalg.norm(free)
    np.testing.assert_allclose(np.linalg.norm(short), 1, rtol=1e-12)


# On a device, and what is refused


@pytest.mark.parametrize("regulariser", [optim.L2(0.1), optim.L1(0.1), optim.MaxNorm(0.5)], ids=repr)
def test_on_a_device_it_is_the_same_and_waits_for_nothing(regulariser):
    want = some_parameters(dtype=np.float32)
    want_penalty = regulariser.penalty(want)
    regulariser.add_gradients(want)
    regulariser.project(want)
    with strict_cupy.installed(), use_backend("cupy"):
        got = some_parameters(dtype=np.float32)
        for parameter in got.values():
            parameter.grad = to_backend(parameter.grad, "cupy")
        with strict_cupy.forbidding("sync", "h2d", "d2h"):
            penalty = regulariser.penalty(got)
            regulariser.add_gradients(got)
            regulariser.project(got)
        np.testing.assert_allclose(to_host(penalty), want_penalty, rtol=1e-6)
        for name, parameter in got.items():
            np.testing.assert_allclose(to_host(parameter.data), want[name].data, rtol=1e-6)
            np.testing.assert_allclose(to_host(parameter.grad), want[name].grad, rtol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: optim.L2(-1), "L2: strength must be at least 0, not -1"),
        (lambda: optim.L1(float("nan")), "L1: strength must be at least 0, not nan"),
        (lambda: optim.L2(float("inf")), "not inf"),
        (lambda: optim.MaxNorm(0), "MaxNorm: limit must be above 0, not 0"),
    ],
)
def test_an_argument_without_meaning_is_refused_at_once(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize(
    ("regulariser", "method"),
    [
        (optim.L2(0.1), "penalty"),
        (optim.L1(0.1), "penalty"),
        (optim.MaxNorm(0.1), "penalty"),
        (optim.L2(0.1), "add_gradients"),
        (optim.L1(0.1), "add_gradients"),
        (optim.MaxNorm(0.1), "project"),
    ],
)
def test_parameters_without_names_are_refused(regulariser, method):
    with pytest.raises(ArgumentError, match=r"from model\.named_parameters\(\) or optimizer\.parameters, not a list"):
        getattr(regulariser, method)([Parameter(np.ones((2, 2)))])


def test_a_choice_of_nothing_is_refused():
    nothing = optim.L2(0.1, only=lambda name, parameter: name == "linear.weigth")
    with pytest.raises(ArgumentError, match=r"none of the parameters is chosen; there are 'conv\.weight', 'conv"):
        nothing.add_gradients(some_parameters())
    with pytest.raises(ArgumentError, match="none of the parameters is chosen; there are none"):
        optim.MaxNorm(1).penalty({})
