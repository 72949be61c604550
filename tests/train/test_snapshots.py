"""Snapshots: the weights at the ends of cycles, kept through interruptions."""

import numpy as np
import pytest

from minicnn import optim
from minicnn.errors import ArgumentError
from minicnn.train import Callback, Snapshots


class Weights(Callback):
    """Writes down the state of the model after every epoch."""

    def __init__(self):
        self.after = {}

    def on_epoch_end(self, epoch, logs):
        self.after[epoch] = self.trainer.model.state_dict()


def fit(trainer, few, *callbacks, epochs=5, **options):
    trainer.fit(few, epochs=epochs, batch_size=15, callbacks=callbacks, **options)


def test_the_weights_at_the_end_of_each_cycle(new_trainer, few):
    trainer, seen, snapshots = new_trainer(), Weights(), Snapshots(every=2)
    fit(trainer, few, seen, snapshots)
    assert snapshots.epochs == [2, 4]
    for epoch, model in zip(snapshots.epochs, snapshots.models, strict=True):
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(value, seen.after[epoch][name], strict=True)


def test_models_are_copies(new_trainer, few):
    trainer, snapshots = new_trainer(), Snapshots(every=1)
    fit(trainer, few, snapshots, epochs=2)
    before = trainer.predict(few.x)
    for model in snapshots.models:
        model[6].weight.data = model[6].weight.data * 0
    np.testing.assert_array_equal(trainer.predict(few.x), before)
    assert snapshots.models[0][6].weight.data.any()


def test_before_the_first_cycle_there_are_none():
    assert Snapshots(every=3).models == []


def test_a_resumed_run_has_the_snapshots_of_its_first_part(new_trainer, few, tmp_path):
    whole, part, rest = (Snapshots(every=1) for _ in range(3))
    fit(new_trainer(), few, whole, epochs=11, out=tmp_path / "whole", resume=True)
    fit(new_trainer(), few, part, epochs=3, out=tmp_path / "parts", resume=True)
    fit(new_trainer(seed=4), few, rest, epochs=11, out=tmp_path / "parts", resume=True)
    assert rest.epochs == list(range(1, 12))  # 1 and 11 begin alike
    for one, other in zip(rest.models, whole.models, strict=True):
        for name, value in one.state_dict().items():
            np.testing.assert_array_equal(value, other.state_dict()[name], strict=True)


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (optim.CosineWarmRestarts(T_0=3), r"every=2 is not where .* T_0=3, T_mult=1; use CosineWarmRestarts\(T_0=2"),
        (optim.CosineWarmRestarts(T_0=2, T_mult=2), "T_0=2, T_mult=2"),
        (optim.CosineWarmRestarts(T_0=2, per="batch"), r"T_0=2, T_mult=1; use .*\(T_0=6, per='batch'\)"),
    ],
)
def test_a_schedule_with_other_cycles_is_refused_before_the_training(new_trainer, few, schedule, words):
    trainer = new_trainer(schedule=schedule)
    with pytest.raises(ArgumentError, match=words):
        fit(trainer, few, Snapshots(every=2))
    assert trainer.epoch == 0


@pytest.mark.parametrize("schedule", [optim.CosineWarmRestarts(T_0=2), optim.CosineWarmRestarts(T_0=6, per="batch")])
def test_a_schedule_with_the_same_cycles_has_its_lowest_rate_there(new_trainer, few, schedule):
    rates = {}

    class Rates(Callback):
        def on_batch_end(self, batch, logs):
            rates.setdefault(self.trainer.epoch + 1, []).append(self.trainer.optimizer.lr)

    snapshots = Snapshots(every=2)
    fit(new_trainer(schedule=schedule), few, snapshots, Rates(), epochs=4)
    for epoch in snapshots.epochs:
        assert rates[epoch][-1] == min(rate for rates_there in rates.values() for rate in rates_there)


def test_snapshots_of_another_training_are_not_added_to(new_trainer, few):
    snapshots = Snapshots(every=1)
    fit(new_trainer(), few, snapshots, epochs=2)
    with pytest.raises(ArgumentError, match="taken after epoch 2, but this training has done 0; each training needs"):
        fit(new_trainer(), few, snapshots)
    assert len(snapshots.epochs) == 2


@pytest.mark.parametrize("every", [0, 1.5, "two"])
def test_an_every_that_makes_no_sense(every):
    with pytest.raises(ArgumentError, match="Snapshots: every must be a whole number of at least 1"):
        Snapshots(every)
