"""Augmentation inside a training: other images every epoch, and the same bits again after an interruption."""

import numpy as np
import pytest

from minicnn import nn
from minicnn.backend import Key
from minicnn.data import augment
from minicnn.errors import ArgumentError
from minicnn.train import Callback


class Watching(augment.Augmentation):
    """Writes down the keys that it was given."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def __call__(self, x, y=None, *, key):
        self.keys.append(tuple(key))
        return super().__call__(x, y, key=key)

    def apply(self, x, y, key):
        return x + np.float32(0.1), y


class PowerCut(Callback):
    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch, batch) == (1, 2):
            raise RuntimeError("power cut")


GENTLE = augment.Compose(augment.Shift(1), augment.Noise(0.1))


def test_every_batch_has_a_key_of_its_own(new_trainer, few):
    watching = Watching()
    trainer = new_trainer()
    trainer.fit(few, epochs=2, batch_size=10, augment=watching)
    seed, stream = trainer.rng.seed, trainer.rng.stream
    assert watching.keys == [Key(seed, stream, epoch + (i << 32)) for epoch in (0, 1) for i in (1, 2, 3, 4)]


def test_validation_and_evaluation_see_the_images_as_they_are(new_trainer, few):
    watching = Watching()
    trainer = new_trainer()
    trainer.fit(few, validation=few.subset(np.arange(12)), epochs=1, batch_size=20, augment=watching)
    trainer.evaluate(few)
    assert len(watching.keys) == 2


def test_a_run_that_was_interrupted_ends_with_the_same_bits(new_trainer, few, tmp_path, state_of):
    whole, parts = new_trainer(), new_trainer()
    whole.fit(few, epochs=3, batch_size=10, augment=GENTLE)
    with pytest.raises(RuntimeError, match="power cut"):
        new_trainer().fit(few, epochs=3, batch_size=10, augment=GENTLE, out=tmp_path, callbacks=[PowerCut()])
    parts.fit(few, epochs=3, batch_size=10, augment=GENTLE, out=tmp_path, resume=True)
    assert state_of(parts) == state_of(whole)
    plain = new_trainer()
    plain.fit(few, epochs=3, batch_size=10)
    assert state_of(plain)["model"] != state_of(whole)["model"]


def test_mixed_labels_are_trained_on_and_their_accuracy_is_measured(new_trainer, few):
    trainer = new_trainer(loss=nn.CrossEntropyLoss(label_smoothing=0.1))
    history = trainer.fit(few, epochs=2, augment=augment.MixUp(0.4, classes=10))
    assert np.isfinite(history["loss"]).all()
    assert 0 <= history["accuracy"][-1] <= 1


def test_the_card_says_what_was_done_to_the_images(new_trainer, few):
    trainer = new_trainer()
    trainer.fit(few, epochs=1, augment=GENTLE)
    assert trainer.card()["augmentation"] == "Compose(Shift(1), Noise(0.1))"


def test_a_class_instead_of_an_augmentation_is_told(new_trainer, few):
    with pytest.raises(ArgumentError, match="augment is the class Shift; build one"):
        new_trainer().fit(few, augment=augment.Shift)
