"""The progress bar: there on a terminal, silent everywhere else."""

import inspect
import os
import re
import subprocess
import sys
import time
import types

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.train import Callback
from minicnn.train.progress import EpochLines

SCRIPT = """
import time
import numpy as np
import minicnn as mc
from minicnn import nn
from minicnn.train import Callback

class Slow(Callback):
    def on_batch_end(self, batch, logs):
        time.sleep(0.06)  # the bar is drawn ten times a second at most

x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
mc.Trainer(nn.Sequential(nn.Linear(4, 3))).fit((x, np.arange(60) % 3), epochs=2, batch_size=10, callbacks=[Slow()])
"""


def on_a_terminal(script, columns=160):
    """Run a script with a terminal for stderr; return what it drew there."""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    termios = pytest.importorskip("termios", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, columns))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        drawn = b""
        while piece := read(ours):
            drawn += piece
    os.close(ours)
    assert process.returncode == 0, drawn.decode()
    return drawn.decode()


def read(terminal):
    try:
        return os.read(terminal, 4096)
    except OSError:  # how Linux says that the other side is closed
        return b""


def test_on_a_terminal_a_bar_shows_epoch_time_left_speed_loss_and_accuracy():
    frames = re.split(r"[\r\n]+", on_a_terminal(SCRIPT))
    bar = r"epoch {}/2 \|{}\| +[\d.]+ images/s \d\d:\d\d left, loss \d\.\d{{4}} accuracy \d\.\d{{4}}"
    for epoch in (1, 2):
        assert any(re.search(bar.format(epoch, "█{10}"), frame) for frame in frames), frames
        assert any(re.search(bar.format(epoch, "█+.? +"), frame) for frame in frames), "nothing was shown on the way"


def test_elsewhere_it_is_silent(new_trainer, few, capfd):
    new_trainer().fit(few, epochs=2)
    assert capfd.readouterr() == ("", "")


def test_a_notebook_has_the_bar_too_and_not_on_red(new_trainer, few, capfd, monkeypatch):
    ipython = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    new_trainer().fit(few, epochs=2)
    shown = capfd.readouterr()
    assert re.search(r"epoch 2/2 \|█{10}\| .* loss \d\.\d{4} accuracy \d\.\d{4}", shown.out)
    assert shown.err == ""


def test_lines_for_pipes_show_epoch_and_measures(new_trainer, few, capsys):
    new_trainer().fit(few, validation=few, epochs=2, callbacks=[EpochLines()])
    number = r"\d\.\d{4}"
    line = rf"epoch 2/2  loss {number} accuracy {number} val_loss {number} val_accuracy {number}"
    assert re.fullmatch(line, capsys.readouterr().out.splitlines()[1])


def compile_for(seconds):
    """Tell Numba's listeners what they hear while it compiles a function that calls another."""
    event = pytest.importorskip("numba.core.event", reason="Numba is not installed")
    with event.trigger_event("numba:compile"), event.trigger_event("numba:compile"):
        time.sleep(seconds)


class Compiles(Callback):
    """Makes Numba compile in the first batch."""

    def on_batch_end(self, batch, logs):
        if batch == 1 and self.trainer.epoch == 0:
            compile_for(0.06)


def fit(callbacks):
    x = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
    trainer = mc.Trainer(nn.Sequential(nn.Linear(4, 3)))
    trainer.fit((x, np.arange(8) % 3), epochs=2, callbacks=callbacks)


def test_lines_say_that_kernels_are_compiled_and_how_long_it_took(capsys):
    with mc.use_backend("numba"):
        fit([EpochLines(), Compiles()])
    first, *epochs = capsys.readouterr().out.splitlines()
    assert first == "compiling kernels for this machine, once ..."
    assert re.search(r"\(compiling took 0\.\d s\)$", epochs[0])
    assert "compiling" not in epochs[1]


def test_the_bar_says_that_kernels_are_compiled():
    source = inspect.getsource(compile_for) + inspect.getsource(Compiles)
    imports = "import time, pytest\nfrom minicnn.train import Callback\n"
    drawn = on_a_terminal(imports + source + SCRIPT.replace("[Slow()]", "[Compiles(), Slow()]"))
    assert "compiling kernels for this machine, once" in drawn


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_after_a_training_nobody_listens_any_more(backend):
    event = pytest.importorskip("numba.core.event", reason="Numba is not installed")
    before = list(event._registered["numba:compile"])

    class Fails(Callback):
        def on_train_begin(self):
            compile_for(0)  # when there is no bar yet
            raise KeyError("on purpose")

    with mc.use_backend(backend):
        fit([EpochLines()])
        with pytest.raises(KeyError, match="on purpose"):
            fit([EpochLines(), Fails()])
    assert list(event._registered["numba:compile"]) == before
