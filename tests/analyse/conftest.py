import numpy as np
import pytest

import minicnn as mc
from minicnn import data, nn


@pytest.fixture(scope="session")
def digits():
    return data.normalise(data.load("digits"))


@pytest.fixture(scope="session")
def trained(digits):
    """A network that has learned to read digits, in float64, so that finite differences can check it."""
    mc.seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(72, 10),
    )
    mc.Trainer(model).fit(digits.train, epochs=3, batch_size=64, verbose=False)
    return model.astype(np.float64)


@pytest.fixture
def images(digits):
    return digits.validation.x[:4].astype(np.float64)
