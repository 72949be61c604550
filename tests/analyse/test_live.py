"""Curves that grow while a network trains: in a notebook, in a window and in a file, and the choice between them."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest
from matplotlib import image, pyplot
from matplotlib.backend_bases import FigureManagerBase
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import minicnn as mc
from minicnn import nn
from minicnn.analyse import LivePlot, live
from minicnn.errors import ArgumentError, OutputError
from minicnn.train import Callback


@pytest.fixture
def train(digits):
    """Return a function that trains on thirty digits for some epochs, as often as it is called."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    trainer = mc.Trainer(model)
    few, others = digits.train.subset(np.arange(30)), digits.validation.subset(np.arange(10))

    def fit(*callbacks, epochs=2, **options):
        trainer.fit(few, validation=others, epochs=epochs, callbacks=callbacks, verbose=False, **options)
        return trainer

    return fit


@pytest.fixture
def drawings(monkeypatch):
    """Note how many epochs each drawing has, and its options; draw nothing, which is quicker."""
    noted = []

    def plot_history(history, **options):
        noted.append((len(history), options))
        return Figure((0.1, 0.1))

    monkeypatch.setattr(live, "plot_history", plot_history)
    monkeypatch.setattr(live, "draw_history", lambda figure, history, **options: plot_history(history, **options))
    return noted


class Contents(Callback):
    """What is in a file when the next callback hears of the end of an epoch."""

    def __init__(self, path):
        self.path, self.seen = path, []

    def on_epoch_end(self, epoch, logs):
        self.seen.append(self.path.read_bytes())


class TestFile:
    def test_it_is_written_anew_after_every_epoch(self, train, tmp_path):
        plot = LivePlot(tmp_path / "new" / "curves.png")
        contents = Contents(plot.path)
        train(plot, contents)
        assert plot.place == "file"
        assert len(set(contents.seen)) == 2
        assert image.imread(plot.path).shape == (480, 1248, 4)  # two panels
        assert [path.name for path in plot.path.parent.iterdir()] == ["curves.png"]

    def test_units_and_smoothing_are_passed_on(self, train, tmp_path, drawings):
        options = {"units": {"loss": "nats"}, "smoothing": 0.5}
        train(LivePlot(tmp_path / "curves.png", **options))
        assert drawings == [(1, options), (2, options)]

    def test_it_is_of_the_kind_that_its_name_says(self, train, tmp_path, drawings):
        train(LivePlot(tmp_path / "curves.svg"), LivePlot(tmp_path / "curves"), epochs=1)
        assert "<svg" in (tmp_path / "curves.svg").read_text()
        assert (tmp_path / "curves").read_bytes().startswith(b"\x89PNG")

    def test_only_every_so_many_epochs_are_drawn_and_the_last(self, train, tmp_path, drawings):
        train(LivePlot(tmp_path / "curves.png", every=2), epochs=5)
        assert [epochs for epochs, _ in drawings] == [2, 4, 5]

    def test_a_training_that_goes_on_shows_at_once_what_was_before(self, train, tmp_path, drawings):
        plot = LivePlot(tmp_path / "curves.png")
        train(plot, epochs=2)
        train(plot, epochs=1)
        assert [epochs for epochs, _ in drawings] == [1, 2, 2, 3]

    def test_a_folder_that_cannot_be_written_to_is_refused_before_training(self, train, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="cannot write to the folder"):
            train(LivePlot(tmp_path / "file" / "curves.png"))


class FakeOutput:
    """A cell's output: what was shown in it, one after the other."""

    def __init__(self, image):
        self.images = [image]

    def update(self, image):
        self.images.append(image)


class TestNotebook:
    @pytest.fixture
    def outputs(self, monkeypatch):
        shown = []

        def display(image, *, display_id):
            assert display_id is True
            shown.append(FakeOutput(image))
            return shown[-1]

        ipython, module = types.ModuleType("IPython"), types.ModuleType("IPython.display")
        ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
        module.display, module.Image = display, lambda data, format: (format, data)
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", module)
        return shown

    def test_each_figure_replaces_the_one_before(self, train, tmp_path, outputs):
        plot = LivePlot(tmp_path / "curves.png")
        train(plot, epochs=2)
        assert plot.place == "notebook"
        assert len(outputs) == 1
        assert len(set(outputs[0].images)) == 2
        assert all(form == "png" and data.startswith(b"\x89PNG") for form, data in outputs[0].images)
        assert list(tmp_path.iterdir()) == []

    def test_another_training_has_an_output_of_its_own(self, train, outputs, drawings):
        plot = LivePlot()
        train(plot, epochs=1)
        train(plot, epochs=1)
        assert [len(output.images) for output in outputs] == [1, 2]

    @pytest.mark.parametrize("shell", [None, types.SimpleNamespace()], ids=["no shell", "in a terminal"])
    def test_ipython_without_a_notebook_is_none(self, train, tmp_path, outputs, drawings, monkeypatch, shell):
        monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: shell)
        plot = LivePlot(tmp_path / "curves.png")
        train(plot)
        assert (plot.place, outputs) == ("file", [])


class FakeWindow(FigureManagerBase):
    """A window that notes what happens to it."""

    def __init__(self, canvas, num):
        super().__init__(canvas, num)
        self.shown = 0

    def show(self):
        self.shown += 1


class FakeCanvas(FigureCanvasAgg):
    manager_class = FakeWindow

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.drawn, self.answered = [], 0

    def draw(self):
        super().draw()
        self.drawn.append(len(self.figure.axes))

    def flush_events(self):
        self.answered += 1


class TestWindow:
    @pytest.fixture(autouse=True)
    def back_end(self, monkeypatch):
        """Give matplotlib a back end with windows, which nobody sees."""
        module = types.ModuleType("fake_windows")
        module.FigureCanvas, module.FigureManager = FakeCanvas, FakeWindow
        monkeypatch.setitem(sys.modules, "fake_windows", module)
        before = pyplot.get_backend()
        pyplot.switch_backend("module://fake_windows")
        yield
        pyplot.close("all")
        pyplot.switch_backend(before)

    def test_one_window_is_drawn_anew_after_every_epoch(self, train, tmp_path):
        plot = LivePlot(tmp_path / "curves.png")
        train(plot)
        assert plot.place == "window"
        assert len(pyplot.get_fignums()) == 1
        window = pyplot.gcf().canvas
        assert window.manager.shown == 1
        assert window.drawn == [2, 2]
        assert window.answered >= 2
        assert window.figure.axes[0].get_lines()[0].get_xdata().tolist() == [1, 2]
        assert list(tmp_path.iterdir()) == []

    def test_it_answers_during_the_epochs(self, train, monkeypatch, drawings):
        monkeypatch.setattr(live, "PATIENCE", 0.0)
        train(LivePlot(), epochs=1, batch_size=3)
        assert pyplot.gcf().canvas.answered == 11  # in ten batches, and once drawn

    def test_closing_it_does_not_end_the_training(self, train, drawings):
        class Close(Callback):
            def on_epoch_end(self, epoch, logs):
                if epoch == 2:
                    pyplot.close("all")

        trainer = train(Close(), plot := LivePlot(), epochs=4)
        assert trainer.epoch == 4
        assert [epochs for epochs, _ in drawings] == [1]
        train(plot, epochs=1)
        assert len(pyplot.get_fignums()) == 1, "the next training opens another one"

    def test_a_toolkit_without_a_display_gives_a_file(self, train, tmp_path, monkeypatch, drawings):
        def fail(*arguments, **options):
            raise RuntimeError("no display")

        monkeypatch.setattr(pyplot, "figure", fail)
        plot = LivePlot(tmp_path / "curves.png")
        train(plot)
        assert plot.place == "file"
        assert plot.path.exists()


def test_a_process_without_display_falls_back_to_the_file(tmp_path):
    """matplotlib chooses its back end itself here, as it does for everybody who has set nothing."""
    code = "from minicnn.analyse import LivePlot; plot = LivePlot('curves.png'); print(plot.open(), plot)"
    environment = {n: v for n, v in os.environ.items() if n not in ("DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "file LivePlot('curves.png')\n", done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 1}, "smoothing must be a number from 0 .* below 1, not 1"),
        ({"smoothing": "much"}, "smoothing must be a number"),
        ({"every": 0}, "every must be a whole number of at least 1, not 0"),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ArgumentError, match=message):
        LivePlot(**options)
