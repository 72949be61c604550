"""Optimizers and gradient clipping against PyTorch's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import needs_torch, torch

from minicnn import optim
from minicnn.nn import Parameter

pytestmark = needs_torch

STEPS = 50
CASES = {
    "SGD": (optim.SGD, {"lr": 0.1}),
    "SGD momentum": (optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    "SGD nesterov": (optim.SGD, {"lr": 0.05, "momentum": 0.8, "nesterov": True}),
    "SGD weight decay": (optim.SGD, {"lr": 0.1, "weight_decay": 0.1}),
    "SGD all": (
        optim.SGD,
        {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.02},
    ),
    "Adam": (optim.Adam, {"lr": 0.01}),
    "Adam betas": (optim.Adam, {"lr": 0.01, "betas": (0.5, 0.8)}),
    "Adam eps": (optim.Adam, {"lr": 0.05, "eps": 0.1}),
    "Adam weight decay": (optim.Adam, {"lr": 0.01, "weight_decay": 0.1}),
    "AdamW": (optim.AdamW, {"lr": 0.01}),
    "AdamW all": (optim.AdamW, {"lr": 0.02, "betas": (0.8, 0.9), "eps": 0.01, "weight_decay": 0.5}),
    "AdaGrad": (optim.AdaGrad, {"lr": 0.05}),
    "AdaGrad all": (
        optim.AdaGrad,
        {"lr": 0.1, "lr_decay": 0.05, "weight_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 0.01},
    ),
    "RMSprop": (optim.RMSprop, {"lr": 0.01}),
    "RMSprop alpha": (optim.RMSprop, {"lr": 0.01, "alpha": 0.5, "eps": 0.01}),
    "RMSprop momentum": (optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1}),
    "RMSprop centered": (optim.RMSprop, {"lr": 0.01, "centered": True, "eps": 1e-2}),
    "RMSprop all": (
        optim.RMSprop,
        {"lr": 0.01, "alpha": 0.9, "eps": 1e-2, "weight_decay": 0.02, "momentum": 0.5, "centered": True},
    ),
}
THEIR_NAMES = {"AdaGrad": "Adagrad"}


@pytest.fixture(autouse=True)
def _one_thread():
    """On arrays this small PyTorch's threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fifty_steps(kind, options, dtype, *, groups=None):
    """Parameters before and after the same gradients: {name: (before, ours, PyTorch's)}.

    groups : a function of the list of parameters that returns what both optimizers are given
    """
    torch.manual_seed(1)
    twin = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    twin = twin.to(torch.from_numpy(np.zeros(0, dtype)).dtype)
    start = {name: weight.detach().numpy().copy() for name, weight in twin.named_parameters()}
    parameters = {name: Parameter(weight.copy()) for name, weight in start.items()}
    ours, theirs = parameters, twin.parameters()
    if groups is not None:
        ours, theirs = groups(list(parameters.values())), groups(list(theirs))
    optimizer = kind(ours, **options)
    their_optimizer = getattr(torch.optim, THEIR_NAMES.get(kind.__name__, kind.__name__))(theirs, **options)
    x, y = torch.randn(20, 4).to(dtype=twin[0].weight.dtype), torch.randint(0, 3, (20,))
    for _ in range(STEPS):
        twin.zero_grad()
        torch.nn.functional.cross_entropy(twin(x), y).backward()
        for name, weight in twin.named_parameters():
            parameters[name].grad = weight.grad.numpy().copy()
        their_optimizer.step()
        optimizer.step()
    return {
        name: (start[name], parameters[name].data, weight.detach().numpy()) for name, weight in twin.named_parameters()
    }


def assert_same(results):
    for name, (before, ours, theirs) in results.items():
        tolerance = 1e-6 if ours.dtype == np.float32 else 1e-10
        np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance, err_msg=name)
        assert ours.dtype == before.dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES.keys())
def test_fifty_steps_with_the_same_gradients_end_where_pytorchs_do(kind, options, dtype, backend):
    results = fifty_steps(kind, options, dtype)
    assert_same(results)
    for name, (before, ours, _) in results.items():
        assert abs(ours - before).max() > 0.01, f"{name} hardly moved: this says little"


def rates(largest):
    return st.floats(largest / 100, largest)


SHARES = st.floats(0, 0.99)
DECAYS = st.floats(0, 0.1)  # much larger ones throw weights over 0 and back, and rounding errors grow with every step
EPS = st.sampled_from([1e-8, 1e-3, 0.1])
BETAS = st.tuples(SHARES, st.floats(0.5, 0.999))
DRAWN = {
    optim.SGD: {"lr": rates(0.2), "momentum": st.floats(0.1, 0.9), "nesterov": st.booleans(), "weight_decay": DECAYS},
    optim.Adam: {"lr": rates(0.1), "betas": BETAS, "eps": EPS, "weight_decay": DECAYS},
    optim.AdamW: {"lr": rates(0.1), "betas": BETAS, "eps": EPS, "weight_decay": DECAYS},
    optim.AdaGrad: {
        "lr": rates(0.2),
        "lr_decay": SHARES,
        "weight_decay": DECAYS,
        "initial_accumulator_value": SHARES,
        "eps": st.sampled_from([1e-10, 1e-3]),
    },
    optim.RMSprop: {
        # `centered` divides by a variance. Where that is almost 0 only rounding is left of it, or in PyTorch a NaN.
        "lr": st.floats(0.005, 0.05),
        "alpha": st.floats(0.5, 0.99),
        "eps": st.sampled_from([1e-2, 0.1]),
        "weight_decay": DECAYS,
        "momentum": st.floats(0, 0.9),
        "centered": st.booleans(),
    },
}


ALWAYS = {optim.RMSprop: ("eps",)}
NOT_FOR_GROUPS = ("nesterov", "initial_accumulator_value")


def some_of(kind, drawn):
    always = {name: values for name, values in drawn.items() if name in ALWAYS.get(kind, ())}
    return st.fixed_dictionaries(always, optional={n: values for n, values in drawn.items() if n not in always})


@pytest.mark.parametrize("kind", DRAWN)
@given(data=st.data())
def test_any_options_in_any_combination_are_pytorchs(kind, data):
    options = data.draw(some_of(kind, DRAWN[kind]))
    if kind is optim.SGD and "momentum" not in options:
        options.pop("nesterov", None)
    assert_same(fifty_steps(kind, options, np.float64))


@pytest.mark.parametrize("kind", DRAWN)
@given(data=st.data())
def test_groups_with_settings_of_their_own_are_pytorchs(kind, data):
    """But for the accumulator's start: there PyTorch takes no notice of what a group says."""
    drawn = {name: values for name, values in DRAWN[kind].items() if name not in NOT_FOR_GROUPS}
    own = [data.draw(some_of(kind, drawn)) for _ in range(2)]
    options = data.draw(st.fixed_dictionaries({"lr": drawn["lr"]}))
    cut = data.draw(st.integers(1, 3))

    def groups(parameters):
        return [{"params": parameters[:cut], **own[0]}, {"params": iter(parameters[cut:]), **own[1]}]

    assert_same(fifty_steps(kind, options, np.float64, groups=groups))


def test_defaults_are_pytorchs():
    for kind in DRAWN:
        theirs = getattr(torch.optim, THEIR_NAMES.get(kind.__name__, kind.__name__))(
            [torch.nn.Parameter(torch.ones(1))]
        )
        ours = kind([Parameter(np.ones(1))])
        for name, value in ours.settings(ours.param_groups[0]).items():
            assert value == theirs.defaults[name], (kind, name)


@pytest.mark.parametrize("max_norm", [0.01, 1.0, 5.0, 1e6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_clipping_is_pytorchs(max_norm, dtype):
    rng = np.random.default_rng(0)
    grads = [rng.normal(size=shape).astype(dtype) for shape in [(3, 4), (5,), (2, 2, 3, 3)]]
    ours = [Parameter(np.zeros_like(grad)) for grad in grads]
    theirs = [torch.nn.Parameter(torch.zeros(grad.shape, dtype=torch.from_numpy(grad).dtype)) for grad in grads]
    for parameter, twin, grad in zip(ours, theirs, grads, strict=True):
        parameter.grad, twin.grad = grad.copy(), torch.from_numpy(grad.copy())
    length = optim.clip_grad_norm(ours, max_norm)
    np.testing.assert_allclose(length, torch.nn.utils.clip_grad_norm_(theirs, max_norm), rtol=1e-6)
    for parameter, twin in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(parameter.grad, twin.grad.numpy(), rtol=1e-6)
        assert parameter.grad.dtype == dtype
