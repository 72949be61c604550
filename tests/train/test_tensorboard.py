"""The event files, read back by TensorBoard's own loader."""

import json
import re
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from itertools import pairwise

import numpy as np
import pytest
from browser import chromium

from minicnn import optim
from minicnn.errors import ArgumentError, DependencyError
from minicnn.train import Callback, TensorBoard
from minicnn.train.tensorboard import buckets, grid

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
        by_step = {2 * epoch: value for epoch, value in want.items()}  # forty images in batches of 32
        assert scalars(validation, f"evaluation_{name}_vs_iterations") == pytest.approx(by_step, rel=1e-6)


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_buckets_count_every_number_once(dtype):
    values = np.random.default_rng(0).normal(2, 3, size=(40, 25)).astype(dtype)
    found = buckets(values)
    edges = np.linspace(values.min(), values.max(), 31)
    want = [np.sum((values >= low) & (values < high)) for low, high in pairwise(edges)]
    want[-1] += 1  # the greatest
    assert sum(found["bucket_counts"]) == found["num"] == 1000
    assert np.abs(np.subtract(found["bucket_counts"], want)).sum() <= 2  # edges are rounded
    np.testing.assert_allclose(found["bucket_limits"], edges[1:], rtol=1e-5, atol=1e-6)
    assert (found["min"], found["max"]) == (values.min(), values.max())
    exact = values.astype(np.float64)
    assert (found["sum"], found["sum_squares"]) == pytest.approx((exact.sum(), (exact**2).sum()))


def test_buckets_of_equal_numbers_are_one():
    found = buckets(np.full((3, 2), -1.5, dtype=np.float32))
    assert (found["bucket_limits"], found["bucket_counts"], found["min"], found["max"]) == ([-1.5], [6], -1.5, -1.5)


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
                validation=few.subset(np.arange(9)),
                epochs=2,
                batch_size=8,
                out=tmp_path / "run",
                resume=True,
                callbacks=[TensorBoard(tmp_path / "logs", histogram_freq=1, write_images=True), *callbacks],
            )
        except KilledError:
            continue
    once = new_trainer()
    once.fit(
        few,
        validation=few.subset(np.arange(9)),
        epochs=2,
        batch_size=8,
        callbacks=[TensorBoard(tmp_path / "once", histogram_freq=1)],
    )
    for run in ("train", "validation"):
        resumed, want = read(tmp_path / "logs" / run), read(tmp_path / "once" / run)
        assert resumed.Tags()["scalars"] == want.Tags()["scalars"]
        for tag in want.Tags()["scalars"]:
            if tag.startswith("final_"):
                continue  # the training that failed came to an end, too
            assert [(e.step, e.value) for e in resumed.Scalars(tag)] == [(e.step, e.value) for e in want.Scalars(tag)]
        for tag in want.Tags()["histograms"]:
            steps = [event.step for event in resumed.Histograms(tag)]
            assert steps == [event.step for event in want.Histograms(tag)] == [1, 2]


class TestInTheBrowser:
    """What TensorBoard itself shows of the files, while they are being written."""

    @pytest.fixture
    def serve(self):
        """Return a function that starts TensorBoard on a folder and returns the page's address."""
        program = shutil.which("tensorboard", path=sysconfig.get_path("scripts")) or shutil.which("tensorboard")
        if program is None:
            pytest.skip("the command tensorboard is not installed")
        started = []

        def start(folder):
            command = [program, "--logdir", folder, "--host", "localhost", "--port", "0", "--load_fast=false"]
            process = subprocess.Popen(
                [*command, "--reload_interval", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
            )
            started.append(process)
            for line in process.stderr:
                if found := re.search(r"http://\S+:\d+/", line):
                    return found[0]
            raise AssertionError("tensorboard ended before it had an address")

        yield start
        for process in started:
            process.terminate()
            process.communicate(timeout=10)

    @pytest.fixture
    def browser(self):
        with chromium(1400, 1000) as driver:
            yield driver

    @pytest.mark.slow
    def test_both_runs_are_there_before_the_training_ends(self, new_trainer, few, tmp_path, serve, browser):
        shown = {"train", "validation", "epoch_accuracy", "epoch_loss", "epoch_lr"}

        class Look(Callback):
            """Open the page after the second epoch of three, and note what is on it."""

            def on_epoch_end(self, epoch, logs):
                if epoch == 2:
                    address = serve(tmp_path)
                    self.tags = wait_for(lambda: tags_by_run(address), lambda tags: "epoch_loss" in tags["validation"])
                    browser.get(f"{address}#scalars&tagFilter=epoch")
                    self.words = wait_for(lambda: page_text(browser).split(), lambda words: shown <= set(words))
                    browser.save_screenshot(str(tmp_path / "page.png"))  # to look at

        look = Look()
        new_trainer().fit(few, validation=few, epochs=3, callbacks=[TensorBoard(tmp_path, histogram_freq=1), look])
        assert set(look.words) >= shown
        assert {"epoch_loss", "epoch_accuracy", "epoch_lr", "batch_loss", "batch_lr"} <= set(look.tags["train"])
        assert {"epoch_loss", "epoch_accuracy", "evaluation_loss_vs_iterations"} <= set(look.tags["validation"])


def tags_by_run(address):
    with urllib.request.urlopen(f"{address}data/plugin/scalars/tags", timeout=10) as answer:
        return {"train": {}, "validation": {}} | json.load(answer)


def page_text(browser):
    """Return what is on the page, in the shadow trees of its elements, too."""
    return browser.execute_script("""
        const texts = [];
        const visit = node => {
            if (node.nodeType === Node.TEXT_NODE) texts.push(node.textContent);
            if (node.shadowRoot) visit(node.shadowRoot);
            if (!["SCRIPT", "STYLE"].includes(node.nodeName)) node.childNodes.forEach(visit);
        };
        visit(document.body);
        return texts.join(" ");
    """)


def wait_for(get, is_there, *, seconds=30):
    """Ask until what was asked for is there; return it."""
    end = time.monotonic() + seconds
    while not is_there(value := get()):
        assert time.monotonic() < end, f"after {seconds} s there was only {value!r}"
        time.sleep(0.2)
    return value


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


@pytest.mark.parametrize(
    "values",
    [
        np.float32(1) + np.arange(4, dtype=np.float32) * np.finfo(np.float32).eps,
        np.array([1.0, np.nan, 3.0, np.inf]),
        np.array([np.nan]),
        np.zeros(0),
        np.array([0.0, 5e-324]),
    ],
    ids=["close together", "not finite", "nothing finite", "empty", "denormal"],
)
def test_no_weights_end_a_training_by_their_histogram(values):
    found = buckets(values)
    assert found["min"] <= found["max"]
    assert sum(found["bucket_counts"]) == found["num"]
