"""The event files, read back by TensorBoard's own loader."""

import sys

import numpy as np
import pytest

from minicnn import optim
from minicnn.errors import ArgumentError, DependencyError
from minicnn.train import Callback, TensorBoard
from minicnn.train.tensorboard import grid

tensorboardx = pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="tensorboard is not installed"
)


def read(folder):
    return accumulator.EventAccumulator(str(folder), size_guidance={"scalars": 0, "histograms": 0}).Reload()


def scalars(events, tag):
    return {event.step: event.value for event in events.Scalars(tag)}


class Losses(Callback):
    """What the training step itself says of each batch."""

    def on_train_begin(self):
        self.seen = []
        step = self.trainer.train_step

        def noting(*args, **options):
            loss, prediction = step(*args, **options)
            self.seen.append(float(loss))
            return loss, prediction

        self.trainer.train_step = noting


def test_every_measure_of_every_epoch_is_there(new_trainer, few, tmp_path):
    trainer = new_trainer()
    history = trainer.fit(few, validation=few.subset(np.arange(9)), epochs=3, callbacks=[TensorBoard(tmp_path)])
    train, validation = read(tmp_path / "train"), read(tmp_path / "validation")
    for name in ("loss", "accuracy", "lr"):
        want = dict(zip(history.epoch, history[name], strict=True))
        assert scalars(train, f"epoch_{name}") == pytest.approx(want, rel=1e-6)
    for name in ("loss", "accuracy"):
        want = dict(zip(history.epoch, history[f"val_{name}"], strict=True))
        assert scalars(validation, f"epoch_{name}") == pytest.approx(want, rel=1e-6)


@pytest.mark.parametrize("update_freq", [1, 2, 3, "epoch"])
def test_steps_are_written_as_often_as_asked(new_trainer, few, tmp_path, update_freq):
    losses = Losses()
    new_trainer().fit(few, epochs=2, batch_size=9, callbacks=[losses, TensorBoard(tmp_path, update_freq=update_freq)])
    events = read(tmp_path / "train")
    if update_freq == "epoch":
        assert "batch_loss" not in events.Tags()["scalars"]
    else:
        want = {step: losses.seen[step - 1] for step in range(1, 11, update_freq)}
        assert scalars(events, "batch_loss") == pytest.approx(want, rel=1e-5)


def test_the_learning_rate_of_each_step_is_there(new_trainer, few, tmp_path):
    trainer = new_trainer(schedule=optim.Exponential(0.5, per="batch"), lr=0.4)
    trainer.fit(few, epochs=1, batch_size=10, callbacks=[TensorBoard(tmp_path)])
    assert scalars(read(tmp_path / "train"), "batch_lr") == pytest.approx({1: 0.4, 2: 0.2, 3: 0.1, 4: 0.05})


def test_histograms_are_of_the_weights_and_their_gradients(new_trainer, few, tmp_path):
    trainer = new_trainer()
    trainer.fit(few, epochs=4, callbacks=[TensorBoard(tmp_path, histogram_freq=2)])
    events = read(tmp_path / "train")
    names = trainer.model.named_parameters()
    assert set(events.Tags()["histograms"]) == {f"{what}/{n}" for what in ("weights", "gradients") for n in names}
    weights = events.Histograms("weights/6.weight")
    assert [event.step for event in weights] == [2, 4]
    values = names["6.weight"].data
    assert weights[-1].histogram_value.num == values.size
    assert weights[-1].histogram_value.min == pytest.approx(values.min())
    assert weights[-1].histogram_value.sum == pytest.approx(values.sum(), rel=1e-4, abs=1e-4)
    gradient = names["6.weight"].grad
    assert events.Histograms("gradients/6.weight")[-1].histogram_value.max == pytest.approx(gradient.max())


def test_images_texts_and_choices_are_there(new_trainer, few, tmp_path):
    trainer = new_trainer(optimizer=optim.AdamW)
    trainer.fit(few, validation=few, epochs=1, callbacks=[TensorBoard(tmp_path, write_images=True)])
    events = read(tmp_path / "train")
    assert set(events.Tags()["images"]) == {"training_images", "filters_of_the_first_convolution"}
    card = events.Tensors("card/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "| optimiser | AdamW(lr=0.01" in card
    assert "Conv2d(1, 4, 3, padding=1)" in events.Tensors("model/text_summary")[0].tensor_proto.string_val[0].decode()
    plugins = events.summary_metadata
    assert b"weight_decay" in plugins["_hparams_/session_start_info"].plugin_data.content
    assert scalars(events, "final_val_loss") == pytest.approx({1: trainer.history["val_loss"][-1]}, rel=1e-6)


def test_a_resumed_run_hides_the_steps_that_are_done_again(new_trainer, few, tmp_path):
    class KilledError(Exception):
        pass

    class Kill(Callback):
        def on_batch_end(self, batch, logs):
            if self.trainer.pace.steps == 7:
                raise KilledError

    for callbacks in ([Kill()], []):
        try:
            new_trainer().fit(
                few,
                epochs=2,
                batch_size=8,
                out=tmp_path / "run",
                resume=True,
                callbacks=[TensorBoard(tmp_path / "logs"), *callbacks],
            )
        except KilledError:
            continue
    once = new_trainer()
    once.fit(few, epochs=2, batch_size=8, callbacks=[TensorBoard(tmp_path / "once")])
    resumed = read(tmp_path / "logs" / "train").Scalars("batch_loss")
    want = read(tmp_path / "once" / "train").Scalars("batch_loss")
    assert [(event.step, event.value) for event in resumed] == [(event.step, event.value) for event in want]


def test_a_grid_shows_every_image_stretched_alike():
    images = np.arange(3, dtype=np.float32)[:, None, None, None] * np.ones((3, 1, 30, 30), dtype=np.float32)
    sheet = grid(images)
    assert sheet.shape == (3, 64, 64)
    assert [sheet[0, 5, 5], sheet[0, 5, 40], sheet[0, 40, 5], sheet[0, 40, 40]] == [0, 0.5, 1, 0.5]
    assert grid(np.random.default_rng(0).random((2, 5, 3, 3))).min() == 0


def test_without_tensorboardx_it_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(DependencyError, match=r"pip install 'minicnn\[tensorboard\]'"):
        TensorBoard(tmp_path)


@pytest.mark.parametrize("options", [{"update_freq": "step"}, {"update_freq": 0}, {"histogram_freq": -1}])
def test_bad_arguments_are_refused(options, tmp_path):
    with pytest.raises(ArgumentError, match=next(iter(options))):
        TensorBoard(tmp_path, **options)
