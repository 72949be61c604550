"""The engine on MNIST: real images, a network with more than 400,000 weights."""

import os

import pytest

import minicnn as mc
from minicnn import data, models, optim

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("MINICNN_DATA" not in os.environ, reason="MINICNN_DATA does not name a folder with mnist/"),
]


def test_lenet_reads_97_percent_after_five_epochs():
    """Seed 2: the accuracy on 1,000 images varies with the split; benchmarks/mnist_accuracy.py shows by how much."""
    splits = data.normalise(data.load("mnist", seed=2))
    mc.seed(2)
    model = models.create("lenet", input_shape=(1, 28, 28), classes=10)
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=1e-3))
    trainer.fit(splits.train, validation=splits.validation, epochs=5, batch_size=128)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (8000, 1000, 1000)
    assert trainer.evaluate(splits.test)["accuracy"] >= 0.97
