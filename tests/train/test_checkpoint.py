"""Checkpoints: complete, exact, without pickle, replaced in one step, and refused where they do not fit."""

import contextlib
import errno
import os
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minicnn as mc
from minicnn import nn, optim
from minicnn.errors import ArgumentError, CheckpointError, OutputError
from minicnn.train import load_checkpoint, save_checkpoint
from minicnn.train.checkpoint import load_weights, save_weights


@pytest.fixture
def trained(new_trainer, few, sealed):
    """A trainer with something in every part of its state."""
    trainer = new_trainer()
    trainer.fit(few, validation=few, epochs=2)
    trainer.evaluate(sealed)
    return trainer


@pytest.fixture
def saved(trained, tmp_path):
    path = tmp_path / "checkpoint.npz"
    save_checkpoint(trained, path)
    return path


@pytest.mark.parametrize("optimizer", [optim.Adam, optim.SGD, lambda p, lr: optim.SGD(p, lr, 0.9, nesterov=True)])
def test_loading_brings_back_every_bit(new_trainer, few, sealed, state_of, tmp_path, optimizer):
    trainer, other = new_trainer(optimizer=optimizer), new_trainer(seed=9, lr=0.5, optimizer=optimizer)
    trainer.fit(few, epochs=2)
    trainer.evaluate(sealed)
    save_checkpoint(trainer, tmp_path / "checkpoint.npz")
    load_checkpoint(other, tmp_path / "checkpoint.npz")
    assert state_of(other) == state_of(trainer)


def test_loading_before_the_first_step_forgets_the_optimizers_memory(new_trainer, trained, state_of, tmp_path):
    beginning = new_trainer()
    save_checkpoint(beginning, tmp_path / "checkpoint.npz")
    load_checkpoint(trained, tmp_path / "checkpoint.npz")
    assert state_of(trained) == state_of(beginning)


def test_what_comes_after_loading_is_the_same_to_the_bit(new_trainer, trained, few, saved, state_of):
    other = new_trainer(seed=9)
    load_checkpoint(other, saved)
    for trainer in (trained, other):
        trainer.fit(few, epochs=2)
    assert state_of(other) == state_of(trained)


def test_the_same_state_is_written_as_the_same_bytes(trained, saved, tmp_path):
    save_checkpoint(trained, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == saved.read_bytes()


def test_numpy_reads_all_of_it_without_pickle(trained, saved):
    with np.load(saved, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    assert not any(array.dtype.hasobject for array in arrays.values())
    names = trained.model.state_dict().keys()
    moments = {f"optimizer/{name}/{m}" for name in trained.model.named_parameters() for m in "mv"}
    assert arrays.keys() == {"meta", *moments, *(f"model/{name}" for name in names)}


def test_a_model_may_call_a_parameter_meta_or_file(tmp_path):
    """Such names must not meet those that the file needs for itself."""
    model = nn.Sequential({"file": nn.Linear(2, 2), "meta": nn.Linear(2, 2), "allow_pickle": nn.Linear(2, 2)})
    trainer = mc.Trainer(model)
    save_checkpoint(trainer, tmp_path / "checkpoint.npz")
    load_checkpoint(trainer, tmp_path / "checkpoint.npz")


class TestWeightsAlone:
    def test_they_go_into_a_model(self, new_trainer, trained, tmp_path):
        save_weights(trained, tmp_path / "best.npz")
        other = new_trainer(seed=9)
        load_weights(other.model, tmp_path / "best.npz")
        for name, value in trained.model.state_dict().items():
            np.testing.assert_array_equal(other.model.state_dict()[name], value, strict=True)
        assert other.epoch == 0

    def test_those_of_a_model_alone_are_written_too(self, new_trainer, trained, tmp_path):
        save_weights(trained.model, tmp_path / "model.npz")
        other = new_trainer(seed=9)
        load_weights(other.model, tmp_path / "model.npz")
        for name, value in trained.model.state_dict().items():
            np.testing.assert_array_equal(other.model.state_dict()[name], value, strict=True)

    def test_only_a_model_or_a_trainer_has_weights(self, trained, tmp_path):
        with pytest.raises(ArgumentError, match="model must be a Layer, not "):
            save_weights(trained.model.state_dict(), tmp_path / "model.npz")

    def test_they_can_be_taken_from_a_whole_checkpoint(self, new_trainer, trained, saved):
        other = new_trainer(seed=9)
        load_weights(other.model, saved)
        np.testing.assert_array_equal(other.model[6].weight.data, trained.model[6].weight.data)

    def test_they_are_no_checkpoint_to_go_on_from(self, new_trainer, trained, tmp_path):
        save_weights(trained, tmp_path / "best.npz")
        with pytest.raises(CheckpointError, match="weights alone: a training cannot go on from it"):
            load_checkpoint(new_trainer(), tmp_path / "best.npz")


class TestRefused:
    """Whatever does not fit is refused with words, and the training stays as it was."""

    @pytest.fixture
    def refuses(self, state_of):
        def refuse(trainer, path, words):
            before = state_of(trainer)
            with pytest.raises(CheckpointError, match=words):
                load_checkpoint(trainer, path)
            assert state_of(trainer) == before

        return refuse

    def trainer_of(self, few, *layers):
        trainer = mc.Trainer(nn.Sequential(*layers))
        trainer.fit(few)
        return trainer

    def test_a_model_with_other_layers(self, refuses, few, saved):
        trainer = self.trainer_of(few, nn.Flatten(), nn.Dropout(), nn.Linear(64, 10))
        refuses(trainer, saved, "checkpoint.npz is of another model: it keeps random counters for")

    def test_a_model_with_other_parameters(self, refuses, few, saved):
        layers = [nn.Conv2d(1, 4, 3), nn.ReLU(), nn.ReLU(), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(144, 10)]
        refuses(self.trainer_of(few, *layers), saved, r"is of another model: .* not in this model: '1\.weight'")

    def test_a_model_with_other_shapes(self, refuses, few, saved):
        layers = [nn.Conv2d(1, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        trainer = self.trainer_of(few, *layers, nn.Dropout(), nn.Linear(80, 10))
        refuses(trainer, saved, r"another shape: '0\.weight' is \(4, 1, 3, 3\), the model's is \(5, 1, 3, 3\)")

    def test_another_optimizer(self, refuses, new_trainer, few, saved):
        trainer = new_trainer(optimizer=optim.SGD)
        trainer.fit(few)
        refuses(trainer, saved, "written with the optimizer Adam, this training has SGD")

    def test_an_optimizer_of_other_parameters(self, refuses, new_trainer, trained, few, saved):
        """The model fits and is loaded first; it has to be put back."""
        trainer = new_trainer(seed=3)
        trainer.optimizer = optim.Adam(trainer.model[6].parameters())
        trainer.fit(few)
        refuses(trainer, saved, "optimizer's state has a parameter '0.weight' that this model lacks")

    @pytest.mark.parametrize(
        "content",
        [b"", bytes(4096), b"epoch,loss\n1,0.5\n" * 50, b"PK\x03\x04" + bytes(100), b"\x93NUMPY\x01\x00v\x00"],
        ids=["empty", "zeros", "text", "zip without contents", "a cut .npy"],
    )
    def test_a_file_that_is_none(self, refuses, trained, tmp_path, content):
        path = tmp_path / "checkpoint.npz"
        path.write_bytes(content)
        refuses(trained, path, r"checkpoint.npz is no checkpoint, or it is damaged .* delete it and train anew")

    def test_an_array_or_another_archive(self, refuses, trained, tmp_path):
        np.save(tmp_path / "array.npy", np.zeros(3))
        refuses(trained, tmp_path / "array.npy", "no checkpoint")
        np.savez(tmp_path / "other.npz", x=np.zeros(3))
        refuses(trained, tmp_path / "other.npz", "no checkpoint")

    def test_a_pickle_is_not_even_looked_at(self, refuses, trained, tmp_path):
        touched = tmp_path / "touched"

        class Stranger:
            def __reduce__(self):
                return touched.write_text, ("the stranger's code ran",)

        np.savez(tmp_path / "checkpoint.npz", meta=np.array(Stranger(), dtype=object), allow_pickle=True)
        refuses(trained, tmp_path / "checkpoint.npz", "no checkpoint")
        assert not touched.exists()

    def test_a_folder(self, refuses, trained, tmp_path):
        refuses(trained, tmp_path, "no checkpoint")

    def test_a_missing_file(self, refuses, trained, tmp_path):
        refuses(trained, tmp_path / "nowhere.npz", "there is no checkpoint .*nowhere")

    def test_another_version_of_the_format(self, refuses, trained, saved, monkeypatch):
        monkeypatch.setattr("minicnn.train.checkpoint.FORMAT", 2)
        refuses(trained, saved, "a checkpoint of another version")

    @given(share=st.floats(0, 1, exclude_max=True))
    def test_a_file_cut_anywhere(self, refuses, trained, saved, share):
        content = saved.read_bytes()
        cut = saved.with_name("cut.npz")
        cut.write_bytes(content[: int(share * len(content))])
        refuses(trained, cut, "no checkpoint, or it is damaged")

    @given(data=st.data())
    def test_a_changed_byte_is_noticed_or_means_nothing(self, trained, saved, state_of, data):
        content = bytearray(saved.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        before, changed = state_of(trained), saved.with_name("changed.npz")
        changed.write_bytes(content)
        try:
            load_checkpoint(trained, changed)
        except CheckpointError as error:
            assert "changed.npz" in str(error)  # noqa: PT017
        assert state_of(trained) == before  # the file was written by this very state


def test_a_changed_byte_in_any_entry_of_the_archives_table_is_noticed_or_means_nothing(trained, saved, state_of):
    """The headers hold the rarer ways to break: encryption flags, unknown methods, wrong lengths and names."""
    content, before = saved.read_bytes(), state_of(trained)
    with zipfile.ZipFile(saved) as file:
        start, table = file.infolist()[1].header_offset, file.start_dir
    for place in [*range(start, start + 60), *range(table, table + 60), *range(len(content) - 22, len(content))]:
        for change in (0x01, 0xFF):
            changed = bytearray(content)
            changed[place] ^= change
            saved.write_bytes(changed)
            with contextlib.suppress(CheckpointError):
                load_checkpoint(trained, saved)
            assert state_of(trained) == before


class TestWriting:
    @pytest.mark.parametrize("broken", ["replace", "fsync"])
    def test_a_failure_leaves_the_old_file_and_no_debris(self, trained, saved, few, monkeypatch, broken):
        def fail(*args):
            raise OSError(errno.ENOSPC, "No space left on device")

        content = saved.read_bytes()
        trained.fit(few)
        monkeypatch.setattr(os, broken, fail)
        with pytest.raises(OutputError, match=r"cannot write .*checkpoint\.npz: No space left on device"):
            save_checkpoint(trained, saved)
        assert saved.read_bytes() == content
        assert [path.name for path in saved.parent.iterdir()] == [saved.name]

    def test_a_full_disk_leaves_the_old_file_and_no_debris(self, trained, saved, few):
        resource = pytest.importorskip("resource", reason="this system has no limits on the size of files")
        content = saved.read_bytes()
        trained.fit(few)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) // 2, limits[1]))
        try:
            with pytest.raises(OutputError, match=r"cannot write .*checkpoint\.npz"):
                save_checkpoint(trained, saved)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert saved.read_bytes() == content
        assert [path.name for path in saved.parent.iterdir()] == [saved.name]

    def test_an_interruption_leaves_the_old_file(self, trained, saved, few, monkeypatch):
        def interrupt(*args):
            raise KeyboardInterrupt

        content = saved.read_bytes()
        trained.fit(few)
        monkeypatch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(trained, saved)
        assert saved.read_bytes() == content

    def test_a_folder_below_a_file_is_refused_before_anything_is_trained(self, new_trainer, few, tmp_path, state_of):
        (tmp_path / "file").write_text("in the way")
        trainer = new_trainer()
        before = state_of(trainer)
        for out in (tmp_path / "file" / "run", tmp_path / "file"):
            with pytest.raises(OutputError, match=r"cannot write to the folder .*file.*; choose another one"):
                trainer.fit(few, out=out)
        assert state_of(trainer) == before
        assert (tmp_path / "file").read_text() == "in the way"

    def test_a_folder_that_vanishes_during_the_training_is_told(self, new_trainer, few, tmp_path, monkeypatch):
        out = tmp_path / "run"
        trainer = new_trainer()
        trainer.fit(few, out=out)
        for path in out.iterdir():
            path.unlink()
        out.rmdir()
        with pytest.raises(OutputError, match="cannot write"):
            save_checkpoint(trainer, out / "checkpoint.npz")
