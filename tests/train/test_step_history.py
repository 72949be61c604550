"""The history by the step, against the losses that a trainer's own steps return."""

import numpy as np
import pytest

from minicnn import nn
from minicnn.errors import ArgumentError
from minicnn.train import Callback, StepHistory


class Stopping(Callback):
    """Fails within the second epoch."""

    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch, batch) == (1, 2):
            raise RuntimeError("out of power")


def fit(trainer, few, *callbacks, **options):
    return trainer.fit(few, batch_size=15, callbacks=callbacks, verbose=False, **{"epochs": 2, **options})


@pytest.fixture
def noted(monkeypatch):
    """What the loss gave of each batch, and how large the batch was."""
    seen, forward = [], nn.CrossEntropyLoss.forward

    def noting(self, prediction, target):
        loss = forward(self, prediction, target)
        seen.append((float(loss), len(target)))
        return loss

    monkeypatch.setattr(nn.CrossEntropyLoss, "forward", noting)
    return seen


def test_each_step_has_the_loss_of_its_batch(new_trainer, few, noted):
    steps = StepHistory()
    fit(new_trainer(), few, steps)
    assert steps.step == [1, 2, 3, 4, 5, 6]
    assert steps.ends == {1: 3, 2: 6}
    assert [size for _, size in noted] == [15, 15, 10] * 2
    np.testing.assert_allclose(steps["loss"], [loss for loss, _ in noted], rtol=1e-6)
    assert sorted(steps.names) == ["accuracy", "loss"]


def test_several_steps_together_have_their_mean_and_an_epoch_ends_a_stretch(new_trainer, few, noted):
    steps = StepHistory(every=2)
    fit(new_trainer(), few, steps)
    assert steps.step == [2, 3, 4, 6]
    losses = [loss for loss, _ in noted]
    means = [np.mean(losses[:2]), losses[2], losses[3], (15 * losses[4] + 10 * losses[5]) / 25]
    np.testing.assert_allclose(steps["loss"], means, rtol=1e-6)


def test_a_resumed_run_has_the_steps_of_one_that_was_never_stopped(new_trainer, few, tmp_path):
    whole, before, after = StepHistory(), StepHistory(), StepHistory()
    fit(new_trainer(), few, whole, out=tmp_path / "whole", resume=True)
    with pytest.raises(RuntimeError, match="out of power"):
        fit(new_trainer(), few, before, Stopping(), out=tmp_path / "parts", resume=True)
    fit(new_trainer(), few, after, out=tmp_path / "parts", resume=True)
    assert (after.step, after.ends, after["loss"]) == (whole.step, whole.ends, whole["loss"])


def test_a_second_fit_goes_on_and_another_training_begins_anew(new_trainer, few):
    steps, trainer = StepHistory(), new_trainer()
    fit(trainer, few, steps, epochs=1)
    fit(trainer, few, steps, epochs=1)
    assert (len(steps), steps.ends) == (6, {1: 3, 2: 6})
    fit(new_trainer(), few, steps, epochs=1)
    assert (len(steps), steps.ends) == (3, {1: 3})


def test_what_was_not_measured_is_said():
    with pytest.raises(ArgumentError, match="'recall' was not measured at the steps"):
        StepHistory()["recall"]
    with pytest.raises(ArgumentError, match="every"):
        StepHistory(every=0)


class Interrupting(Callback):
    """Ctrl-C within the second epoch."""

    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch, batch) == (1, 2):
            raise KeyboardInterrupt


def test_after_an_interruption_the_training_goes_on_with_what_was_whole(new_trainer, few):
    steps, trainer = StepHistory(), new_trainer()
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, few, steps, Interrupting())
    fit(trainer, few, steps, epochs=1)
    assert (steps.step, steps.ends) == ([1, 2, 3, 4, 5, 6], {1: 3, 2: 6})
    assert len(steps["loss"]) == 6


def test_two_trainings_are_not_mixed(new_trainer, few):
    steps, other = StepHistory(), new_trainer()
    fit(new_trainer(), few, steps, epochs=1)
    fit(other, few, epochs=1)
    fit(other, few, steps, epochs=1)
    assert (steps.step, steps.ends) == ([4, 5, 6], {2: 6})


def test_a_measure_may_go_between_two_fits(new_trainer, few):
    steps, trainer = StepHistory(), new_trainer()
    fit(trainer, few, steps, epochs=1)
    trainer.metrics = {}
    fit(trainer, few, steps, epochs=1)
    assert [len(steps[name]) for name in ("loss", "accuracy")] == [6, 6]
    assert np.isnan(steps["accuracy"][3:]).all()
