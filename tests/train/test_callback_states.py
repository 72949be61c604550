"""Callbacks that remember something: checkpoints keep it, and a resumed run goes on with it."""

import json

import numpy as np
import pytest

from minicnn.errors import CheckpointWarning
from minicnn.train import Callback, load_checkpoint
from minicnn.train.checkpoint import read_checkpoint


class Remembering(Callback):
    """Adds up the losses of all batches, in an array and in a list."""

    def __init__(self):
        self.total, self.epochs = np.zeros(2), []

    def on_batch_end(self, batch, logs):
        self.total = self.total + np.array([logs["loss"], 1])

    def on_epoch_end(self, epoch, logs):
        self.epochs.append(epoch)

    def state_dict(self):
        return {"total": self.total, "epochs": list(self.epochs)}

    def load_state_dict(self, state):
        self.total, self.epochs = state["total"], state["epochs"]


class Stopping(Callback):
    """Fails within an epoch, when the callbacks before it have seen a batch more."""

    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch, batch) == (1, 2):
            raise RuntimeError("out of power")


def run(trainer, few, out, *callbacks, epochs=3, **options):
    return trainer.fit(few, epochs=epochs, batch_size=10, out=out, resume=True, callbacks=callbacks, **options)


def test_a_resumed_run_goes_on_with_what_its_callbacks_remember(new_trainer, few, tmp_path):
    whole, before, after = Remembering(), Remembering(), Remembering()
    run(new_trainer(), few, tmp_path / "whole", whole)
    with pytest.raises(RuntimeError, match="out of power"):
        run(new_trainer(), few, tmp_path / "parts", before, Stopping())
    assert before.total[1] == 6
    run(new_trainer(), few, tmp_path / "parts", after)
    np.testing.assert_array_equal(after.total, whole.total, strict=True)
    assert after.epochs == whole.epochs == [1, 2, 3]
    assert (tmp_path / "parts" / "checkpoint.npz").read_bytes() == (tmp_path / "whole" / "checkpoint.npz").read_bytes()


def test_two_of_a_class_are_told_apart_by_their_order(new_trainer, few, tmp_path):
    first, second = Remembering(), Remembering()
    second.total = np.array([100.0, 100.0])
    run(new_trainer(), few, tmp_path, first, second, epochs=1)
    one, other = Remembering(), Remembering()
    load_checkpoint(new_trainer(), tmp_path / "checkpoint.npz", callbacks=[one, Callback(), other])
    np.testing.assert_array_equal(one.total, first.total)
    np.testing.assert_array_equal(other.total, second.total)


def test_arrays_are_arrays_in_the_file_and_the_rest_is_json(new_trainer, few, tmp_path):
    run(new_trainer(), few, tmp_path, Remembering(), Callback(), epochs=1)
    with np.load(tmp_path / "checkpoint.npz", allow_pickle=False) as file:
        assert file["callback/Remembering/total"].shape == (2,)
        assert json.loads(str(file["meta"]))["callbacks"] == {"Remembering": {"epochs": [1]}}


def test_a_training_that_looks_at_the_state_alone_needs_no_callbacks(new_trainer, few, tmp_path):
    run(new_trainer(), few, tmp_path, Remembering(), epochs=1)
    trainer = new_trainer()
    load_checkpoint(trainer, tmp_path / "checkpoint.npz")
    assert trainer.epoch == 1


def test_opening_the_test_set_leaves_the_states_in_the_file(new_trainer, few, sealed, tmp_path):
    trainer = new_trainer()
    run(trainer, few, tmp_path, Remembering(), epochs=1)
    before, _ = read_checkpoint(tmp_path / "checkpoint.npz")
    trainer.evaluate(sealed)
    after, meta = read_checkpoint(tmp_path / "checkpoint.npz")
    np.testing.assert_array_equal(after["callback/Remembering/total"], before["callback/Remembering/total"])
    assert meta["callbacks"] == {"Remembering": {"epochs": [1]}}


def test_callbacks_may_be_left_out_or_added_and_a_warning_says_so(new_trainer, few, tmp_path):
    run(new_trainer(), few, tmp_path, Remembering(), epochs=1)
    with pytest.warns(CheckpointWarning, match="goes on without 'Remembering', whose state is in the file"):
        run(new_trainer(), few, tmp_path, epochs=2)
    added = Remembering()
    with pytest.warns(CheckpointWarning, match="begins anew with 'Remembering'"):
        run(new_trainer(), few, tmp_path, added, epochs=3)
    assert added.epochs == [3]
    one, other = Remembering(), Remembering()
    with pytest.warns(CheckpointWarning, match=r"begins anew with 'Remembering\.2'; it will not end as"):
        run(new_trainer(), few, tmp_path, one, other, epochs=4)
    assert (one.epochs, other.epochs) == ([3, 4], [4])
