"""A small training: forty digits, and a network with everything that has a state."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.data import ArrayDataset, SealedDataset


@pytest.fixture(scope="session")
def digits():
    return data.load("digits")


@pytest.fixture
def few(digits):
    """Forty examples."""
    return digits.train.subset(np.arange(40))


@pytest.fixture
def sealed(digits):
    """Twenty examples under a fresh seal."""
    return SealedDataset(ArrayDataset(digits.validation.x[:20], digits.validation.y[:20]))


@pytest.fixture
def new_trainer():
    """Build the same trainer every time: batch norm has buffers, dropout a random counter, Adam moments."""

    def build(*, seed=0, optimizer=optim.Adam, lr=0.01, **options):
        mc.seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64, 10),
        )
        return mc.Trainer(model, optimizer=optimizer(model.parameters(), lr=lr), **options)

    return build


@pytest.fixture
def state_of():
    """Return everything that a training consists of, in a form that can be compared."""

    def state(trainer):
        return {
            "model": {name: value.tobytes() for name, value in trainer.model.state_dict().items()},
            "optimizer": {
                name: {what: np.asarray(value).tobytes() for what, value in slots.items()}
                for name, slots in trainer.optimizer.state_dict()["memory"].items()
            },
            "hyperparameters": trainer.optimizer.state_dict()["hyperparameters"],
            "rngs": {name: (rng.seed, rng.stream, rng.step) for name, rng in trainer.rngs().items()},
            "epoch": trainer.epoch,
            "history": trainer.history.rows,
            "openings": list(trainer.test_set_openings),
        }

    return state
