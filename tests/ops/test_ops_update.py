"""The optimizers' steps against PyTorch's, over 50 steps with every combination of options."""

import itertools

import numpy as np
import pytest
from oracles import needs_torch, torch
from strategies import normal

from minicnn import ops

pytestmark = [pytest.mark.usefixtures("backend"), needs_torch]

STEPS = 50
SHAPE = (3, 4)


def gradients():
    return [normal(step, *SHAPE) + 0.3 for step in range(STEPS)]


def torch_path(build):
    """The weights after every step of a PyTorch optimizer that is given our gradients."""
    w = torch.tensor(normal(99, *SHAPE), requires_grad=True)
    optimizer = build([w])
    for gradient in gradients():
        w.grad = torch.tensor(gradient)
        optimizer.step()
        yield w.detach().numpy()


@pytest.mark.parametrize(
    ("momentum", "nesterov", "weight_decay"),
    [(m, n, d) for m, n, d in itertools.product([0.0, 0.9], [False, True], [0.0, 0.1]) if m or not n],
)
def test_sgd_is_pytorchs(momentum, nesterov, weight_decay):
    options = {"lr": 0.05, "momentum": momentum, "nesterov": nesterov, "weight_decay": weight_decay}
    w, velocity = normal(99, *SHAPE), np.zeros(SHAPE)
    for dw, want in zip(gradients(), torch_path(lambda ws: torch.optim.SGD(ws, **options)), strict=True):
        w, velocity = ops.sgd_update(w, dw, velocity, **options)
        np.testing.assert_allclose(w, want, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("betas", "eps", "weight_decay"), [*itertools.product([(0.9, 0.999), (0.5, 0.7)], [1e-8, 0.1], [0.0, 0.1])]
)
def test_adam_is_pytorchs(betas, eps, weight_decay):
    w, m, v = normal(99, *SHAPE), np.zeros(SHAPE), np.zeros(SHAPE)
    path = torch_path(lambda ws: torch.optim.Adam(ws, lr=0.05, betas=betas, eps=eps, weight_decay=weight_decay))
    for step, (dw, want) in enumerate(zip(gradients(), path, strict=True), start=1):
        w, m, v = ops.adam_update(
            w, dw, m, v, step=step, lr=0.05, beta1=betas[0], beta2=betas[1], eps=eps, weight_decay=weight_decay
        )
        np.testing.assert_allclose(w, want, rtol=0, atol=1e-6)


def test_adams_defaults_are_pytorchs():
    w, m, v = normal(99, *SHAPE), np.zeros(SHAPE), np.zeros(SHAPE)
    for step, (dw, want) in enumerate(zip(gradients(), torch_path(torch.optim.Adam), strict=True), start=1):
        w, m, v = ops.adam_update(w, dw, m, v, step=step, lr=1e-3)
        np.testing.assert_allclose(w, want, rtol=0, atol=1e-9)
