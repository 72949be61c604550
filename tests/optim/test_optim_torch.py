"""Optimizers and gradient clipping against PyTorch's."""

import numpy as np
import pytest
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
}


@pytest.fixture(autouse=True)
def _one_thread():
    """On arrays this small PyTorch's threads mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "options"), CASES.values(), ids=CASES.keys())
def test_fifty_steps_with_the_same_gradients_end_where_pytorchs_do(kind, options, dtype):
    torch.manual_seed(1)
    twin = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Tanh(), torch.nn.Linear(6, 3))
    twin = twin.to(torch.from_numpy(np.zeros(0, dtype)).dtype)
    start = {name: weight.detach().numpy().copy() for name, weight in twin.named_parameters()}
    parameters = {name: Parameter(weight.copy()) for name, weight in start.items()}
    optimizer = kind(parameters, **options)
    their_optimizer = getattr(torch.optim, kind.__name__)(twin.parameters(), **options)
    x, y = torch.randn(20, 4).to(dtype=twin[0].weight.dtype), torch.randint(0, 3, (20,))
    for _ in range(STEPS):
        twin.zero_grad()
        torch.nn.functional.cross_entropy(twin(x), y).backward()
        for name, weight in twin.named_parameters():
            parameters[name].grad = weight.grad.numpy().copy()
        their_optimizer.step()
        optimizer.step()
    for name, weight in twin.named_parameters():
        np.testing.assert_allclose(parameters[name].data, weight.detach(), rtol=1e-6, atol=1e-6, err_msg=name)
        assert abs(parameters[name].data - start[name]).max() > 0.01, f"{name} hardly moved: this says little"


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
