"""The card of a training says what was done, and nothing else."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, optim
from minicnn.train import Callback
from minicnn.train.card import Card


def test_everything_the_course_asks_for_is_there(new_trainer, few, sealed):
    trainer = new_trainer(seed=7, regularisers=[optim.L2(1e-3)], clip_norm=2.0, optimizer=optim.AdamW)
    trainer.fit(few, validation=few.subset(np.arange(12)), epochs=2, batch_size=16)
    trainer.evaluate(sealed)
    card = trainer.card()
    assert card["input"] == "1 x 8 x 8, float32, from 0 to 1"
    assert card["output"] == "10, for the classes 0, 1, 2, 3, 4, 5, 6, 7, 8, 9"
    assert card["data"] == "40 examples to train on, 12 to validate, 20 to test"
    assert card["cost function"] == "CrossEntropyLoss()"
    assert card["optimiser"] == "AdamW(lr=0.01, betas=(0.9, 0.999), eps=1e-08, weight_decay=0.01)"
    assert card["steps"] == "6, in 2 epochs of 3 batches"
    assert card["batch size"] == "16"
    assert card["dropout and relatives"] == "Dropout(0.3) at 5"
    assert card["normalisation"] == "BatchNorm2d(4) at 1"
    assert card["other regularisers"] == "L2(0.001), weight decay 0.01, gradients clipped to length 2"
    assert card["parameters"] == f"{40 + 8 + 650}"
    assert card["seed"] == "7"
    assert card["result"].startswith(f"after epoch 2: loss {trainer.history['loss'][-1]:.4g}")
    assert card["test set"] == "opened 1 time: evaluated after epoch 2"


def test_before_fit_it_says_what_it_does_not_know(new_trainer):
    card = new_trainer().card()
    unknown = {name for name, value in card.items() if value == "not known before fit"}
    assert unknown == {"input", "output", "data", "steps", "batch size", "augmentation", "callbacks"}
    assert (card["result"], card["test set"]) == ("none yet", "not opened")


def test_a_schedule_does_not_hide_the_rate_that_it_began_with(new_trainer, few):
    trainer = new_trainer(schedule=optim.Step(1), lr=0.5)
    trainer.fit(few, epochs=3)
    assert trainer.optimizer.lr == pytest.approx(0.005)
    assert trainer.card()["optimiser"].startswith("Adam(lr=0.5,")
    assert trainer.card()["schedule"] == "Step(per='epoch', step_size=1, gamma=0.1)"


def test_settings_of_groups_are_told_apart(new_trainer):
    model = new_trainer().model
    groups = [{"params": model[0].parameters(), "lr": 1e-4}, {"params": model[6].parameters()}]
    shown = mc.Trainer(model, optimizer=optim.SGD(groups, lr=0.1, momentum=0.9)).card()["optimiser"]
    assert shown == "SGD(momentum=0.9, nesterov=False, weight_decay=0) with groups lr=0.0001; lr=0.1".replace(
        "0.0)", "0)"
    )


def test_frozen_parameters_and_an_early_end_are_told(new_trainer, few):
    class Enough(Callback):
        def on_epoch_end(self, epoch, logs):
            self.trainer.stop("enough")

    trainer = new_trainer()
    for parameter in trainer.model[0].parameters():
        parameter.frozen = True
    trainer.fit(few, epochs=5, callbacks=[Enough()])
    card = trainer.card()
    assert card["parameters"] == "698, of which 40 are frozen"
    assert card["steps"] == "2, in 1 epoch of 2 batches; stopped early: enough"
    assert card["callbacks"] == "Enough"


def test_a_resumed_run_counts_all_its_steps(new_trainer, few, tmp_path):
    new_trainer().fit(few, epochs=1, out=tmp_path)
    resumed = new_trainer()
    resumed.fit(few, epochs=3, out=tmp_path, resume=True)
    assert resumed.card()["steps"] == "6, in 3 epochs of 2 batches"


def test_targets_that_are_no_classes_are_described_by_their_shape(few):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    trainer = mc.Trainer(model, loss=nn.MSELoss())
    trainer.fit((few.x, few.y[:, None].astype(np.float32)), epochs=1)
    assert trainer.card()["output"] == "1, for targets of 1, float32"


def test_drawing_a_card_changes_nothing(new_trainer, few, state_of):
    trainer = new_trainer()
    trainer.fit(few, epochs=1)
    trainer.model.train()
    before = state_of(trainer)
    trainer.card()
    assert state_of(trainer) == before
    assert trainer.model.training


def test_it_prints_as_a_table_and_goes_into_a_report(new_trainer, few):
    card = Card({"a": "1", "longer": "x | y"})
    assert str(card) == "a       1\nlonger  x | y"
    assert card.to_markdown().splitlines()[1:] == ["|---|---|", "| a | 1 |", "| longer | x \\| y |"]
