"""One step of training against PyTorch's."""

import numpy as np
import pytest
from oracles import needs_torch, torch

import minicnn as mc
from minicnn import models, nn, optim

pytestmark = needs_torch


def lenets():
    """Build the lenet without its dropout twice, in float64 and with the same weights: ours and PyTorch's."""
    mc.seed(0)
    layers = models.create("lenet", input_shape=(1, 8, 8), classes=10)
    ours = nn.Sequential(*[layer for layer in layers if not isinstance(layer, nn.Dropout)]).astype(np.float64)
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 32, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(32, 64, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(256, 128),
        torch.nn.ReLU(),
        torch.nn.Linear(128, 10),
    ).double()
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize(
    ("kind", "options"),
    [(optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}), (optim.Adam, {"lr": 1e-3})],
    ids=["SGD", "Adam"],
)
def test_one_training_step_gives_pytorchs_weights(digits, kind, options):
    model, twin = lenets()
    x, y = digits.train.x[:32].astype(np.float64), digits.train.y[:32]
    before = model.state_dict()
    loss, prediction = mc.Trainer(model, optimizer=kind(model.parameters(), **options)).train_step(x, y)

    optimizer = getattr(torch.optim, kind.__name__)(twin.parameters(), **options)
    their_prediction = twin(torch.from_numpy(x))
    their_loss = torch.nn.functional.cross_entropy(their_prediction, torch.from_numpy(y))
    their_loss.backward()
    optimizer.step()

    np.testing.assert_allclose(loss, their_loss.item(), rtol=1e-12)
    np.testing.assert_allclose(prediction, their_prediction.detach(), rtol=1e-9, atol=1e-12)
    after = model.state_dict()
    for name, expected in twin.state_dict().items():
        np.testing.assert_allclose(after[name], expected, rtol=1e-9, atol=1e-12, err_msg=name)
        assert (after[name] != before[name]).any()
