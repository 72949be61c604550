"""Early stopping: when it stops, which weights it gives back, and that a resumed run does the same."""

import math
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import needs_torch, torch

from minicnn.errors import ArgumentError, CheckpointWarning, NonFiniteError
from minicnn.train import Callback, EarlyStopping
from minicnn.train.checkpoint import read_checkpoint
from minicnn.train.early_stopping import look_back


class Weights(Callback):
    """Takes down the model's state after each epoch; may do something after one of them."""

    def __init__(self, at=None, do=None):
        self.after, self.at, self.do = {}, at, do

    def on_epoch_end(self, epoch, logs):
        self.after[epoch] = state_of_model(self.trainer)
        if epoch == self.at:
            self.do()


class InterruptIn(Callback):
    """Press Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_end(self, batch, logs):
        if self.trainer.epoch + 1 == self.epoch:
            signal.raise_signal(signal.SIGINT)


def state_of_model(trainer):
    return {name: value.tobytes() for name, value in trainer.model.state_dict().items()}


def scripted(trainer, scores, name="score"):
    """Let a measure take these values, one an epoch, whatever the model does."""
    trainer.metrics = {name: lambda prediction, target: scores[trainer.epoch]}
    return trainer


def fit(trainer, few, *callbacks, epochs=20, **options):
    return trainer.fit(few, epochs=epochs, batch_size=20, callbacks=callbacks, **options)


SCORES = [0.1, 0.4, 0.3, 0.6, 0.5, 0.6, 0.2, 0.55, 0.9]  # with patience 3 it stops after epoch 7; the best is epoch 4


class TestCounting:
    VALUES = st.lists(st.floats(-1, 1) | st.just(math.nan) | st.sampled_from([0.5, 0.5001]), max_size=40)

    @needs_torch
    @pytest.mark.parametrize(("mode", "sign"), [("min", -1), ("max", 1)])
    @given(values=VALUES, min_delta=st.sampled_from([0.0, 1e-3, 0.2]))
    def test_waits_as_pytorchs_plateau_does(self, mode, sign, values, min_delta):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
        theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, mode, patience=1000, threshold=min_delta, threshold_mode="abs"
        )
        for value in values:
            theirs.step(value)
        look = look_back(values, sign=sign, min_delta=min_delta, baseline=None)
        assert look.wait == theirs.num_bad_epochs

    @given(values=VALUES, min_delta=st.sampled_from([0.0, 0.2]))
    def test_the_best_is_the_first_of_the_best_values_whatever_counts_as_an_improvement(self, values, min_delta):
        for sign, arg in ((-1, np.nanargmin), (1, np.nanargmax)):
            look = look_back(values, sign=sign, min_delta=min_delta, baseline=None)
            if all(math.isnan(value) for value in values):
                assert (look.best, look.at) == (None, None)
            else:
                assert (look.best, look.at) == (values[arg(values)], arg(values))

    @pytest.mark.parametrize("sign", [-1, 1])
    def test_an_infinity_is_no_best(self, sign):
        look = look_back([math.inf, -math.inf, math.nan, 3.0], sign=sign, min_delta=0.0, baseline=None)
        assert (look.best, look.at, look.wait) == (3.0, 3, 0)

    def test_below_the_baseline_nothing_counts_as_an_improvement(self):
        look = look_back([0.1, 0.2, 0.3], sign=1, min_delta=0.0, baseline=0.25)
        assert (look.at, look.wait) == (2, 0)
        assert look_back([0.1, 0.2, 0.3], sign=1, min_delta=0.0, baseline=0.35).wait == 3
        assert look_back([0.9, 0.8], sign=-1, min_delta=0.0, baseline=0.85).wait == 0


class TestStopping:
    def test_it_stops_and_the_model_has_the_weights_and_buffers_of_the_best_epoch(self, new_trainer, few):
        trainer, weights, stopping = scripted(new_trainer(), SCORES), Weights(), EarlyStopping("score", patience=3)
        fit(trainer, few, weights, stopping)
        assert trainer.epoch == 7
        assert trainer.stop_reason == "score has not improved for 3 epochs; the best is 0.6, in epoch 4"
        assert (stopping.best, stopping.best_epoch, stopping.wait) == (0.6, 4, 3)
        assert state_of_model(trainer) == weights.after[4] != weights.after[7]
        assert any("running_mean" in name for name in weights.after[4])

    def test_the_best_weights_come_back_when_the_epochs_run_out_too(self, new_trainer, few):
        trainer, weights = scripted(new_trainer(), SCORES), Weights()
        fit(trainer, few, weights, EarlyStopping("score", patience=3), epochs=5)
        assert (trainer.epoch, trainer.stop_reason) == (5, None)
        assert state_of_model(trainer) == weights.after[4]

    def test_and_after_an_interruption(self, new_trainer, few):
        trainer, weights = scripted(new_trainer(), SCORES), Weights()
        with pytest.raises(KeyboardInterrupt):
            fit(trainer, few, weights, EarlyStopping("score", patience=3), InterruptIn(6))
        assert trainer.stop_reason == "interrupted"
        assert state_of_model(trainer) == weights.after[4]

    def test_and_after_an_error(self, new_trainer, few):
        trainer = scripted(new_trainer(), SCORES)
        weights = Weights(5, lambda: trainer.model[6].weight.data.fill(np.nan))
        with pytest.raises(NonFiniteError):
            fit(trainer, few, weights, EarlyStopping("score", patience=3))
        assert state_of_model(trainer) == weights.after[4]

    def test_or_stay_those_of_the_last_epoch_if_that_is_asked_for(self, new_trainer, few):
        trainer, weights = scripted(new_trainer(), SCORES), Weights()
        fit(trainer, few, weights, EarlyStopping("score", patience=3, restore_best_weights=False))
        assert state_of_model(trainer) == weights.after[7]

    def test_a_fit_interrupted_in_its_first_epoch_does_not_bring_back_those_of_an_earlier_one(self, new_trainer, few):
        trainer, weights, stopping = scripted(new_trainer(), SCORES), Weights(), EarlyStopping("score", patience=3)
        fit(trainer, few, weights, stopping)
        with pytest.raises(KeyboardInterrupt):
            fit(trainer, few, stopping, InterruptIn(8))
        assert stopping.best_epoch is None
        assert state_of_model(trainer) != weights.after[4]

    @pytest.mark.parametrize(
        ("monitor", "mode", "epoch"),
        [("score", "auto", 4), ("score", "max", 4), ("score", "min", 1), ("error", "auto", 1), ("error", "max", 4)],
    )
    def test_what_is_better_is_read_off_the_name_or_said(self, new_trainer, few, monitor, mode, epoch):
        stopping = EarlyStopping(monitor, mode=mode, patience=3)
        fit(scripted(new_trainer(), SCORES, monitor), few, stopping)
        assert stopping.best_epoch == epoch

    def test_a_loss_becomes_small(self, new_trainer, few):
        trainer, stopping = new_trainer(lr=0.1), EarlyStopping("loss", patience=2)
        losses = fit(trainer, few, stopping, epochs=6)["loss"]
        assert stopping.best == min(losses)
        assert stopping.best_epoch == losses.index(min(losses)) + 1

    def test_a_measure_that_stays_nan_stops_it_and_leaves_the_weights(self, new_trainer, few):
        trainer, weights = scripted(new_trainer(), [math.nan] * 20), Weights()
        fit(trainer, few, weights, EarlyStopping("score", patience=2))
        assert trainer.stop_reason == "score has not improved for 2 epochs; there was no finite value"
        assert state_of_model(trainer) == weights.after[2]

    def test_a_second_fit_begins_anew(self, new_trainer, few):
        """With other data or a thawed network, old values say nothing; nor may the old weights come back."""
        trainer, stopping = scripted(new_trainer(), [0.9, *SCORES]), EarlyStopping("score", patience=3)
        weights = Weights()
        fit(trainer, few, stopping, epochs=1)
        fit(trainer, few, weights, stopping)
        assert (trainer.epoch, stopping.best_epoch) == (8, 5)
        assert state_of_model(trainer) == weights.after[5]

    def test_one_callback_may_serve_two_trainers_in_turn(self, new_trainer, few):
        stopping = EarlyStopping("score", patience=3)
        fit(scripted(new_trainer(), SCORES), few, stopping)
        other, weights = scripted(new_trainer(seed=1), SCORES[3:]), Weights()
        fit(other, few, weights, stopping)
        assert stopping.best_epoch == 1
        assert state_of_model(other) == weights.after[1]


class TestRefused:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"patience": 0}, "patience must be a whole number of at least 1, not 0"),
            ({"patience": 2.5}, "patience must be a whole number of at least 1, not 2.5"),
            ({"mode": "maximum"}, "mode must be 'auto', 'min' or 'max', not 'maximum'"),
            ({"min_delta": -0.1}, "min_delta must be at least 0, not -0.1"),
            ({"min_delta": math.nan}, "min_delta must be at least 0, not nan"),
            ({"baseline": math.inf}, "baseline must be a number, not inf"),
            ({"monitor": None}, "monitor must be the name of a measure, not None"),
        ],
    )
    def test_arguments_without_sense(self, options, words):
        with pytest.raises(ArgumentError, match=words):
            EarlyStopping(**options)

    def test_an_unknown_measure_before_anything_is_trained(self, new_trainer, few):
        trainer = new_trainer()
        with pytest.raises(ArgumentError, match="no 'val_acc' to monitor; there are 'loss', 'accuracy', 'lr'"):
            fit(trainer, few, EarlyStopping("val_acc"))
        assert trainer.epoch == 0

    def test_a_measure_of_validation_without_validation_data(self, new_trainer, few):
        with pytest.raises(ArgumentError, match=r"no 'val_loss' to monitor: it needs fit\(\.\.\., validation="):
            fit(new_trainer(), few, EarlyStopping())


class TestResumed:
    """The folder holds the last epoch to go on from, and the best weights; killed or not, it ends the same."""

    EPOCHS = 20

    def run(self, new_trainer, few, out, *callbacks, epochs=EPOCHS, patience=3, scores=SCORES):
        trainer, stopping = scripted(new_trainer(), scores), EarlyStopping("score", patience=patience)
        fit(trainer, few, stopping, *callbacks, epochs=epochs, out=out, resume=True)
        return trainer, stopping

    @staticmethod
    def contents(folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def test_checkpoint_holds_the_last_epoch_and_best_npz_what_the_model_has(self, new_trainer, few, tmp_path):
        weights = Weights()
        trainer, _ = self.run(new_trainer, few, tmp_path, weights)
        for name, epoch in (("checkpoint.npz", 7), ("best.npz", 4)):
            arrays, meta = read_checkpoint(tmp_path / name)
            assert meta["epoch"] == epoch
            model = {key.removeprefix("model/"): a.tobytes() for key, a in arrays.items() if key.startswith("model/")}
            assert model == weights.after[epoch]
        assert state_of_model(trainer) == weights.after[4]

    @pytest.mark.parametrize("epoch", [1, 3, 5, 7])
    def test_a_run_killed_in_an_epoch_ends_with_the_same_bytes(self, new_trainer, few, tmp_path, epoch):
        whole, _ = self.run(new_trainer, few, tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            self.run(new_trainer, few, tmp_path / "parts", InterruptIn(epoch))
        resumed, stopping = self.run(new_trainer, few, tmp_path / "parts")
        assert self.contents(tmp_path / "parts") == self.contents(tmp_path / "whole")
        assert (resumed.epoch, stopping.best_epoch, resumed.stop_reason) == (7, 4, whole.stop_reason)
        assert state_of_model(resumed) == state_of_model(whole)

    def test_a_run_that_had_stopped_is_not_trained_further_and_has_its_best_weights(self, new_trainer, few, tmp_path):
        whole, _ = self.run(new_trainer, few, tmp_path)
        before = self.contents(tmp_path)
        again, _ = self.run(new_trainer, few, tmp_path)
        assert (again.epoch, again.stop_reason) == (7, whole.stop_reason)
        assert state_of_model(again) == state_of_model(whole)
        assert self.contents(tmp_path) == before

    def test_with_more_patience_it_goes_on_from_the_last_epoch(self, new_trainer, few, tmp_path):
        self.run(new_trainer, few, tmp_path / "impatient")
        more, stopping = self.run(new_trainer, few, tmp_path / "impatient", epochs=9, patience=6)
        whole, _ = self.run(new_trainer, few, tmp_path / "whole", epochs=9, patience=6)
        assert stopping.best_epoch == 9
        assert state_of_model(more) == state_of_model(whole)

    def test_a_second_fit_in_the_folder_is_resumed_as_one_that_began_there(self, new_trainer, few, tmp_path):
        scores = [0.9, *SCORES]

        def second(out, *callbacks):
            trainer = scripted(new_trainer(), scores)
            fit(trainer, few, EarlyStopping("score"), epochs=1, out=out)
            fit(trainer, few, EarlyStopping("score", patience=3), *callbacks, out=out)
            return trainer

        whole = second(tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            second(tmp_path / "parts", InterruptIn(4))
        resumed, stopping = self.run(new_trainer, few, tmp_path / "parts", scores=scores)
        assert (resumed.epoch, stopping.best_epoch) == (whole.epoch, 5)
        assert state_of_model(resumed) == state_of_model(whole)

    def test_nothing_of_it_stays_in_the_folder_s_later_trainings(self, new_trainer, few, tmp_path):
        trainer, _ = self.run(new_trainer, few, tmp_path)
        trainer.metrics = {}
        fit(trainer, few, epochs=1)
        arrays, meta = read_checkpoint(tmp_path / "checkpoint.npz")
        assert (meta["epoch"], meta["callbacks"]) == (8, {})
        assert not any(name.startswith("callbacks/") for name in arrays)

    def test_a_run_may_go_on_to_keep_the_last_weights(self, new_trainer, few, tmp_path):
        self.run(new_trainer, few, tmp_path, epochs=5)
        trainer, weights = scripted(new_trainer(), SCORES), Weights()
        stopping = EarlyStopping("score", patience=3, restore_best_weights=False)
        fit(trainer, few, weights, stopping, out=tmp_path, resume=True)
        assert (trainer.epoch, stopping.best_epoch) == (7, 4)
        assert state_of_model(trainer) == weights.after[7]

    def test_a_run_goes_on_without_the_callback(self, new_trainer, few, tmp_path):
        self.run(new_trainer, few, tmp_path, epochs=3)
        trainer = scripted(new_trainer(), SCORES)
        with pytest.warns(CheckpointWarning, match="goes on without 'EarlyStopping'"):
            fit(trainer, few, epochs=5, out=tmp_path, resume=True)
        assert trainer.epoch == 5
