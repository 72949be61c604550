"""Callbacks: when they are called, how they stop a training, and that they change nothing."""

import signal

import pytest

from minicnn.errors import ArgumentError
from minicnn.train import Callback, Checkpoint
from minicnn.train.checkpoint import read_checkpoint


class Diary(Callback):
    """Writes down every call, and does something at one of them."""

    def __init__(self, at=None, do=None):
        self.lines, self.at, self.do = [], at, do

    def write(self, line):
        self.lines.append(line)
        if line == self.at:
            self.do(self.trainer)

    def on_train_begin(self):
        self.write("begin")

    def on_epoch_begin(self, epoch):
        self.write(f"epoch {epoch}")

    def on_batch_end(self, batch, logs):
        self.write(f"batch {batch}")

    def on_epoch_end(self, epoch, logs):
        self.write(f"epoch {epoch} done")

    def on_train_end(self):
        self.write("end")


def fit(trainer, few, *callbacks, **options):
    trainer.fit(few, batch_size=20, **{"epochs": 2, "callbacks": callbacks, **options})


def test_calls_come_in_order(new_trainer, few):
    diary = Diary()
    fit(new_trainer(), few, diary)
    assert diary.lines == [
        *("begin", "epoch 1", "batch 1", "batch 2", "epoch 1 done"),
        *("epoch 2", "batch 1", "batch 2", "epoch 2 done", "end"),
    ]


def test_several_callbacks_are_called_in_the_order_given(new_trainer, few):
    calls = []
    one, other = (Diary("epoch 1 done", lambda trainer, name=name: calls.append(name)) for name in ("one", "other"))
    fit(new_trainer(), few, one, other)
    assert calls == ["one", "other"]


def test_logs_are_the_means_so_far_and_at_the_end_those_of_the_epoch(new_trainer, few):
    seen = []

    class Logs(Callback):
        def on_batch_end(self, batch, logs):
            seen.append(dict(logs))

        def on_epoch_end(self, epoch, logs):
            seen.append(dict(logs))
            assert self.trainer.history.rows[-1] == {"epoch": epoch, **logs}

    fit(new_trainer(), few, Logs(), epochs=1, validation=few)
    first, second, end = seen
    assert first["loss"] != second["loss"]
    assert {"loss": end["loss"], "accuracy": end["accuracy"]} == second
    assert set(end) == {"loss", "accuracy", "val_loss", "val_accuracy", "lr"}


def test_an_empty_callback_changes_nothing(new_trainer, few, state_of):
    plain, watched = new_trainer(), new_trainer()
    fit(plain, few)
    fit(watched, few, Callback())
    assert state_of(plain) == state_of(watched)


def test_stop_ends_the_training_after_the_epoch_and_keeps_the_reason(new_trainer, few):
    trainer = new_trainer()
    diary = Diary("batch 1", lambda trainer: trainer.stop("good enough"))
    fit(trainer, few, diary, epochs=10)
    assert diary.lines == ["begin", "epoch 1", "batch 1", "batch 2", "epoch 1 done", "end"]
    assert (trainer.stop_reason, trainer.epoch) == ("good enough", 1)


def test_the_next_fit_forgets_the_reason(new_trainer, few):
    trainer = new_trainer()
    fit(trainer, few, Diary("epoch 1", lambda trainer: trainer.stop("once")))
    fit(trainer, few)
    assert (trainer.stop_reason, trainer.epoch) == (None, 3)


def test_a_training_that_ran_to_its_end_has_no_reason(new_trainer, few):
    trainer = new_trainer()
    fit(trainer, few)
    assert trainer.stop_reason is None


def interrupt(trainer):
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("at", ["epoch 2", "batch 2", "epoch 1 done"])
def test_an_interruption_still_tells_the_callbacks_that_it_is_over(new_trainer, few, at):
    trainer, diary = new_trainer(), Diary(at, interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(trainer, few, diary)
    assert diary.lines[-1] == "end"
    assert trainer.stop_reason == "interrupted"


def test_an_interruption_says_how_to_resume(new_trainer, few, tmp_path):
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(new_trainer(), few, Diary("epoch 2", interrupt), out=tmp_path)
    (note,) = caught.value.__notes__
    assert "The checkpoint after epoch 1 is kept" in note
    assert f"fit(..., out='{tmp_path}', resume=True)" in note


def test_an_interruption_without_a_folder_says_how_to_keep_checkpoints(new_trainer, few):
    with pytest.raises(KeyboardInterrupt) as caught:
        fit(new_trainer(), few, Diary("epoch 2", interrupt))
    assert "Nothing is on disk: fit(..., out=FOLDER)" in caught.value.__notes__[0]


class TestBestWeights:
    """`best.npz` holds the weights of the epoch with the best measure."""

    @staticmethod
    def best_epoch(trainer, few, folder, values, **options):
        """Train with a measure that takes the given values, one an epoch; return the epoch of the best weights."""
        values = iter(values)
        trainer.metrics = {"score": lambda prediction, target: next(values)}
        trainer.fit(few, batch_size=40, epochs=4, callbacks=[Checkpoint(folder, **options)])
        return read_checkpoint(folder / "best.npz")[1]["epoch"]

    def test_of_a_score_the_largest(self, new_trainer, few, tmp_path):
        assert self.best_epoch(new_trainer(), few, tmp_path, [0.1, 0.9, 0.2, 0.8], monitor="score") == 2

    @pytest.mark.parametrize(("mode", "epoch"), [("min", 1), ("max", 2)])
    def test_or_what_is_said(self, new_trainer, few, tmp_path, mode, epoch):
        values = [0.1, 0.9, 0.2, 0.8]
        assert self.best_epoch(new_trainer(), few, tmp_path, values, monitor="score", mode=mode) == epoch

    def test_of_errors_the_smallest(self, new_trainer, few, tmp_path):
        trainer, values = new_trainer(), iter([0.3, 0.1, 0.2])
        trainer.metrics = {"error": lambda prediction, target: next(values)}
        trainer.fit(few, batch_size=40, epochs=3, callbacks=[Checkpoint(tmp_path, monitor="error")])
        assert read_checkpoint(tmp_path / "best.npz")[1]["epoch"] == 2

    def test_a_mode_that_there_is_not(self, tmp_path):
        with pytest.raises(ArgumentError, match="Checkpoint: mode must be 'auto', 'min' or 'max', not 'best'"):
            Checkpoint(tmp_path, mode="best")

    def test_of_equals_the_first(self, new_trainer, few, tmp_path):
        assert self.best_epoch(new_trainer(), few, tmp_path, [0.1, 0.9, 0.9, 0.8], monitor="score") == 2

    def test_of_losses_the_smallest(self, new_trainer, few, tmp_path):
        trainer = new_trainer()
        assert self.best_epoch(trainer, few, tmp_path, [0.1] * 4) == 1 + trainer.history["loss"].index(
            min(trainer.history["loss"])
        )

    def test_of_validation_that_began_later(self, new_trainer, few, tmp_path):
        trainer = new_trainer()
        fit(trainer, few, epochs=1, out=tmp_path / "run")
        (tmp_path / "run" / "best.npz").unlink()
        fit(trainer, few, epochs=1, out=tmp_path / "run", validation=few)
        assert (tmp_path / "run" / "best.npz").exists()

    def test_an_unknown_measure_lists_the_known_ones(self, new_trainer, few, tmp_path):
        with pytest.raises(ArgumentError, match="no 'f1' to monitor; there are 'loss', 'accuracy', 'lr'"):
            fit(new_trainer(), few, Checkpoint(tmp_path, monitor="f1"))
