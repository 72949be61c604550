"""A run that was stopped goes on as if it never had been."""

import json
import signal

import numpy as np
import pytest

from minicnn.errors import CheckpointError
from minicnn.train import Callback

EPOCHS = 4
FILES = ["best.npz", "checkpoint.npz", "history.csv"]


class InterruptAt(Callback):
    """Press Ctrl-C at one moment."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch

    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch + 1, batch) == (self.epoch, self.batch):
            signal.raise_signal(signal.SIGINT)


def run(trainer, few, out, *callbacks, epochs=EPOCHS, resume=True):
    return trainer.fit(few, validation=few, epochs=epochs, batch_size=10, out=out, resume=resume, callbacks=callbacks)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def uninterrupted(new_trainer, few, tmp_path):
    """The files of a run that nobody stopped."""
    run(new_trainer(), few, tmp_path / "uninterrupted")
    return contents(tmp_path / "uninterrupted")


def test_a_run_leaves_checkpoint_best_weights_and_history(uninterrupted):
    assert sorted(uninterrupted) == FILES


def test_history_csv_has_a_row_an_epoch(uninterrupted):
    lines = uninterrupted["history.csv"].decode().splitlines()
    assert lines[0] == "epoch,loss,accuracy,val_loss,val_accuracy,lr"
    assert [line.split(",")[0] for line in lines[1:]] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("stop_at", [1, 2, 3])
def test_a_run_in_two_parts_ends_with_the_same_bytes(new_trainer, few, tmp_path, uninterrupted, stop_at):
    run(new_trainer(), few, tmp_path / "run", epochs=stop_at)
    run(new_trainer(), few, tmp_path / "run")
    assert contents(tmp_path / "run") == uninterrupted


@pytest.mark.parametrize(("epoch", "batch"), [(1, 1), (1, 4), (2, 2), (4, 3)])
def test_a_run_interrupted_within_an_epoch_ends_with_the_same_bytes(
    new_trainer, few, tmp_path, uninterrupted, epoch, batch
):
    with pytest.raises(KeyboardInterrupt):
        run(new_trainer(), few, tmp_path / "run", InterruptAt(epoch, batch))
    run(new_trainer(), few, tmp_path / "run")
    assert contents(tmp_path / "run") == uninterrupted


def test_the_trainer_that_was_interrupted_may_go_on_itself(new_trainer, few, tmp_path, uninterrupted):
    trainer = new_trainer()
    with pytest.raises(KeyboardInterrupt):
        run(trainer, few, tmp_path / "run", InterruptAt(3, 2))
    run(trainer, few, tmp_path / "run")
    assert contents(tmp_path / "run") == uninterrupted


def test_everything_comes_from_the_checkpoint_even_if_the_seed_is_another(new_trainer, few, tmp_path, uninterrupted):
    run(new_trainer(), few, tmp_path / "run", epochs=2)
    run(new_trainer(seed=77, lr=0.5), few, tmp_path / "run")
    assert contents(tmp_path / "run") == uninterrupted


def test_an_interruption_in_the_first_epoch_keeps_the_state_before_it(new_trainer, few, tmp_path, uninterrupted):
    with pytest.raises(KeyboardInterrupt):
        run(new_trainer(), few, tmp_path / "run", InterruptAt(1, 2))
    run(new_trainer(seed=77, lr=0.5), few, tmp_path / "run")
    assert contents(tmp_path / "run") == uninterrupted


def test_resume_counts_epochs_in_all(new_trainer, few, tmp_path):
    run(new_trainer(), few, tmp_path, epochs=2)
    assert run(new_trainer(), few, tmp_path, epochs=3).epoch == [1, 2, 3]


def test_a_finished_run_is_not_trained_further(new_trainer, few, tmp_path, uninterrupted):
    history = run(new_trainer(), few, tmp_path / "uninterrupted")
    assert history.epoch == [1, 2, 3, 4]
    assert contents(tmp_path / "uninterrupted") == uninterrupted


def test_resume_begins_anew_where_there_is_nothing(new_trainer, few, tmp_path):
    assert run(new_trainer(), few, tmp_path / "new", epochs=1).epoch == [1]


def test_a_second_fit_of_the_same_trainer_goes_on_in_its_folder(new_trainer, few, tmp_path, uninterrupted):
    trainer = new_trainer()
    run(trainer, few, tmp_path / "run", epochs=1, resume=False)
    run(trainer, few, tmp_path / "run", epochs=3, resume=False)
    assert contents(tmp_path / "run") == uninterrupted


class TestNothingIsLost:
    """A folder that was refused stays as it is, whatever the trainer does next."""

    def test_a_new_training_does_not_overwrite_a_run(self, new_trainer, few, tmp_path, uninterrupted):
        with pytest.raises(CheckpointError, match=r"checkpoint\.npz exists: resume=True goes on from it"):
            run(new_trainer(seed=5), few, tmp_path / "uninterrupted", resume=False)
        assert contents(tmp_path / "uninterrupted") == uninterrupted

    def test_nor_does_a_training_that_began_elsewhere(self, new_trainer, few, tmp_path, uninterrupted):
        trainer = new_trainer(seed=5)
        trainer.fit(few)
        with pytest.raises(CheckpointError, match=r"checkpoint\.npz exists"):
            run(trainer, few, tmp_path / "uninterrupted", resume=False)
        assert contents(tmp_path / "uninterrupted") == uninterrupted

    def test_evaluating_after_a_refusal_does_not_write_there(self, new_trainer, few, sealed, tmp_path, uninterrupted):
        trainer = new_trainer(seed=5)
        with pytest.raises(CheckpointError):
            run(trainer, few, tmp_path / "uninterrupted", resume=False)
        trainer.evaluate(sealed)
        assert contents(tmp_path / "uninterrupted") == uninterrupted

    def test_a_damaged_checkpoint_is_refused_and_kept(self, new_trainer, few, sealed, tmp_path, uninterrupted):
        path = tmp_path / "uninterrupted" / "checkpoint.npz"
        path.write_bytes(half := uninterrupted["checkpoint.npz"][:2000])
        trainer = new_trainer()
        with pytest.raises(CheckpointError, match="damaged"):
            run(trainer, few, tmp_path / "uninterrupted")
        trainer.evaluate(sealed)
        assert path.read_bytes() == half

    def test_evaluating_after_an_interruption_keeps_the_state_to_go_on_from(
        self, new_trainer, few, sealed, tmp_path, uninterrupted
    ):
        """The weights are then those of the middle of an epoch; the checkpoint has to stay that of the epoch before."""
        trainer = new_trainer()
        with pytest.raises(KeyboardInterrupt):
            run(trainer, few, tmp_path / "run", InterruptAt(3, 2))
        trainer.evaluate(sealed)
        resumed = new_trainer()
        run(resumed, few, tmp_path / "run")
        assert contents(tmp_path / "run")["history.csv"] == uninterrupted["history.csv"]
        assert len(resumed.test_set_openings) == 1


def test_the_openings_of_the_test_set_are_in_the_file(new_trainer, few, sealed, tmp_path):
    trainer = new_trainer()
    run(trainer, few, tmp_path, epochs=1)
    trainer.evaluate(sealed)
    with np.load(tmp_path / "checkpoint.npz") as file:
        assert json.loads(str(file["meta"]))["test_set_openings"] == ["evaluated after epoch 1"]


class HalveTheRate(Callback):
    """A schedule: what it changes at the end of an epoch has to be in that epoch's checkpoint."""

    def on_epoch_end(self, epoch, logs):
        self.trainer.optimizer.lr /= 2


@pytest.mark.parametrize("stop_at", [1, 3])
def test_a_run_with_a_schedule_ends_with_the_same_bytes(new_trainer, few, tmp_path, stop_at):
    run(new_trainer(), few, tmp_path / "whole", HalveTheRate())
    run(new_trainer(), few, tmp_path / "parts", HalveTheRate(), epochs=stop_at)
    run(new_trainer(), few, tmp_path / "parts", HalveTheRate())
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_a_run_does_not_go_on_with_another_batch_size_or_other_data(new_trainer, few, tmp_path):
    new_trainer().fit(few, epochs=1, batch_size=10, out=tmp_path)
    with pytest.raises(CheckpointError, match="batch_size 10, this training has 20"):
        new_trainer().fit(few, epochs=2, batch_size=20, out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="examples 40, this training has 30"):
        new_trainer().fit(few.subset(range(30)), epochs=2, batch_size=10, out=tmp_path, resume=True)


def test_a_run_with_its_folder_written_in_two_ways_is_one_run(new_trainer, few, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer = new_trainer()
    trainer.fit(few, epochs=1, out="run")
    trainer.fit(few, epochs=1, out=tmp_path / "run")
    assert trainer.epoch == 2
