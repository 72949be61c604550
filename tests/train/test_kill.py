"""Real processes, really killed: kill -9 and Ctrl-C at random moments, then resumed."""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with"),
]

EPOCHS, BATCHES = 18, 8  # eight kills, none after more than two epochs, cannot outlast the training

TRAINING = f"""
import signal, sys, time
import numpy as np
import minicnn as mc
from minicnn import data, models
from minicnn.train import Callback, EarlyStopping

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
folder, pause = sys.argv[1], float(sys.argv[2])

class Tell(Callback):
    def on_batch_end(self, batch, logs):
        print("batch", self.trainer.epoch + 1, batch, flush=True)
        time.sleep(pause)

mc.seed(3)
digits = data.load("digits")
train, validation = (part.subset(np.arange(16 * {BATCHES})) for part in (digits.train, digits.validation))
model = models.create("basic", input_shape=(1, 8, 8), classes=10)
mc.Trainer(model).fit(
    train, validation=validation, epochs={EPOCHS}, batch_size=16, out=folder, resume=True,
    callbacks=[Tell(), EarlyStopping(patience={EPOCHS})],
)
"""


def start(folder, pause=0.01):
    command = [sys.executable, "-c", TRAINING, str(folder), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(folder):
    process = start(folder, pause=0)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, "")


def end_after(process, count, end):
    """Send a signal when the process has told so many batches; return the number of the last batch, and its stderr."""
    lines = [process.stdout.readline() for _ in range(count)]
    end(process)
    rest, errors = process.communicate()
    return int((lines + rest.splitlines())[-1].split()[-1]), errors


def epochs_in(checkpoint):
    with np.load(checkpoint, allow_pickle=False) as file:
        return json.loads(str(file["meta"]))["epoch"]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    finish(folder)
    return folder


def test_killed_eight_times_and_resumed_it_ends_with_the_same_bytes(tmp_path, uninterrupted):
    chance = random.Random(8)
    epochs, within_an_epoch = [], 0
    for _ in range(8):
        process = start(tmp_path)

        def kill(process):
            time.sleep(chance.uniform(0, 0.015))
            process.kill()

        last, _ = end_after(process, chance.randint(1, 2 * BATCHES), kill)
        assert process.returncode == -signal.SIGKILL
        epochs.append(epochs_in(tmp_path / "checkpoint.npz"))
        within_an_epoch += last < BATCHES
    finish(tmp_path)
    for name in ("checkpoint.npz", "best.npz", "history.csv"):
        assert (tmp_path / name).read_bytes() == (uninterrupted / name).read_bytes(), f"{name}, killed after {epochs}"
    assert epochs == sorted(epochs)
    assert len(set(epochs)) >= 3, f"the kills were not spread over the training: {epochs}"
    assert within_an_epoch >= 3


SAVING = """
import sys
import numpy as np
import minicnn as mc
from minicnn import nn
from minicnn.train import save_checkpoint

trainers = [mc.Trainer(nn.Sequential(nn.Linear(300, 300))) for _ in range(2)]
for trainer, epoch in zip(trainers, (1, 2)):
    trainer.epoch = epoch
    trainer.model[0].weight.data[...] = epoch
save_checkpoint(trainers[0], sys.argv[1])
print("saved", flush=True)
while True:
    for trainer in trainers:
        save_checkpoint(trainer, sys.argv[1])
"""


def test_a_checkpoint_being_written_when_killed_is_the_old_one_or_the_new_one(tmp_path):
    path, chance = tmp_path / "checkpoint.npz", random.Random(1)
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", SAVING, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        process.communicate()
        with np.load(path, allow_pickle=False) as file:
            epoch = json.loads(str(file["meta"]))["epoch"]
            np.testing.assert_array_equal(file["model/0.weight"], epoch)


def test_ctrl_c_keeps_the_checkpoint_says_how_to_resume_and_resuming_works(tmp_path, uninterrupted):
    process = start(tmp_path)
    _, errors = end_after(process, 2 * BATCHES + 3, lambda process: process.send_signal(signal.SIGINT))
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert f"fit(..., out='{tmp_path}', resume=True) goes on from it" in errors
    assert epochs_in(tmp_path / "checkpoint.npz") >= 2
    finish(tmp_path)
    assert (tmp_path / "checkpoint.npz").read_bytes() == (uninterrupted / "checkpoint.npz").read_bytes()
