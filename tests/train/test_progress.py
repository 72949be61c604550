"""The progress bar: there on a terminal, silent everywhere else."""

import os
import re
import subprocess
import sys

import pytest

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


def test_lines_for_pipes_show_epoch_and_measures(new_trainer, few, capsys):
    new_trainer().fit(few, validation=few, epochs=2, callbacks=[EpochLines()])
    number = r"\d\.\d{4}"
    line = rf"epoch 2/2  loss {number} accuracy {number} val_loss {number} val_accuracy {number}"
    assert re.fullmatch(line, capsys.readouterr().out.splitlines()[1])
