"""The records of a search: what is on disk, going on after a kill, and folders that hold something else."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.errors import ArgumentError, CheckpointError, OutputError
from minicnn.recipes import choice, grid_search, loguniform, random_search, successive_halving


@pytest.fixture(scope="module")
def few():
    digits = data.load("digits")
    return digits.train.subset(np.arange(40)), digits.validation.subset(np.arange(30))


SPACE = {"lr": loguniform(1e-3, 1e-1), "optimizer": choice(optim.Adam, optim.SGD)}


@pytest.fixture
def make(tmp_path):
    """Builds a small network, and notes in a file that it was asked to."""

    def make(*, lr, optimizer=optim.Adam):
        with open(tmp_path / "log", "a") as file:
            print(lr, file=file)
        if lr > 1:
            raise RuntimeError("too fast")
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        return mc.Trainer(model, optimizer=optimizer(model.parameters(), lr=lr))

    return make


@pytest.fixture
def runs(tmp_path):
    """Count how often `make` has run."""
    return lambda: len((tmp_path / "log").read_text().splitlines())


def numbers(result):
    return [
        (each.number, each.settings, each.status, each.seeds, each.scores, each.measures, each.error)
        for each in result.trials
    ]


def test_each_trial_has_a_record_that_anybody_can_read(few, make, tmp_path):
    result = random_search(make, SPACE, few, trials=3, folder=tmp_path / "runs" / "search")
    folder = tmp_path / "runs" / "search"
    assert sorted(os.listdir(folder)) == ["search.json", *(f"trial-000{number}.json" for number in range(3))]
    for trial in result.trials:
        record = json.loads((folder / f"trial-000{trial.number}.json").read_text())
        assert record["settings"]["lr"] == trial.settings["lr"]
        assert record["settings"]["optimizer"] == trial.settings["optimizer"].__name__
        assert (record["score"], record["status"], record["seeds"]) == (trial.score, "done", list(trial.seeds))
    plan = json.loads((folder / "search.json").read_text())
    assert plan["space"] == [["lr", "loguniform(0.001, 0.1)"], ["optimizer", "choice(Adam, SGD)"]]


def test_what_is_done_is_not_repeated_failures_and_openings_included(few, make, runs, tmp_path):
    space, digits = {"lr": [0.1, 7.0, 0.01]}, data.load("digits")

    def opening(*, lr):
        digits.test.open("a look")
        return make(lr=lr)

    with pytest.warns(UserWarning, match="opened 3 times"):
        first = grid_search(opening, space, few, folder=tmp_path / "runs")
    with pytest.warns(UserWarning, match="opened 3 times"):
        second = grid_search(opening, space, few, folder=tmp_path / "runs")
    assert runs() == 3
    assert numbers(first) == numbers(second)
    assert first.table() == second.table()
    assert second.test_set_openings == ["a look"] * 3


def test_a_random_search_may_grow(few, make, runs, tmp_path):
    random_search(make, SPACE, few, trials=2, folder=tmp_path / "runs")
    grown = random_search(make, SPACE, few, trials=5, folder=tmp_path / "runs")
    assert runs() == 5
    assert numbers(grown) == numbers(random_search(make, SPACE, few, trials=5))
    with pytest.raises(ArgumentError, match=r"trials was 5, and is 2 \(more trials than before are fine, fewer"):
        random_search(make, SPACE, few, trials=2, folder=tmp_path / "runs")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "seed was 0, and is 1; choose another folder"),
        ({"epochs": 2}, "epochs was 1, and is 2"),
        ({"batch_size": 8}, "batch_size was 32, and is 8"),
        ({"monitor": "val_loss"}, "monitor was val_accuracy, and is val_loss; mode was max, and is min"),
        ({"at": "best"}, "at was last, and is best"),
        ({"repeats": 2}, "repeats was 1, and is 2"),
        ({"space": {"lr": loguniform(1e-3, 1)}}, r"space was .*loguniform\(0.001, 0.1\).* and is .*\(0.001, 1.0\)"),
        ({"epochs": 2, "seed": 3}, "seed was 0, and is 3; epochs was 1, and is 2"),
    ],
)
def test_another_search_is_refused_and_the_folder_stays_as_it_was(few, make, runs, tmp_path, change, words):
    arguments = {"space": SPACE, "trials": 1, "folder": tmp_path / "runs"}
    random_search(make, data=few, **arguments)
    before = (tmp_path / "runs" / "search.json").read_bytes()
    with pytest.raises(ArgumentError, match=f"runs holds another search: .*{words}"):
        random_search(make, data=few, **{**arguments, **change})
    assert (tmp_path / "runs" / "search.json").read_bytes() == before
    assert runs() == 1


def test_another_kind_of_search_and_other_data_are_refused(few, make, tmp_path):
    train, validation = few
    random_search(make, SPACE, few, trials=2, folder=tmp_path / "runs")
    with pytest.raises(ArgumentError, match="search was random_search, and is successive_halving"):
        successive_halving(make, SPACE, few, trials=2, epochs=1, folder=tmp_path / "runs")
    changed = data.ArrayDataset(train.x, np.roll(train.y, 1))
    with pytest.raises(ArgumentError, match=r"train was 40 examples, check sum .*, and is 40 examples, check sum"):
        random_search(make, SPACE, (changed, validation), trials=2, folder=tmp_path / "runs")
    with pytest.raises(ArgumentError, match=r"validation was 30 examples.* and is 20 examples"):
        random_search(make, SPACE, (train, validation.subset(np.arange(20))), trials=2, folder=tmp_path / "runs")


def test_if_all_failed_it_says_that_the_folder_knows(few, make, tmp_path):
    for _ in range(2):
        with pytest.raises(ArgumentError, match=r"all 1 trials failed.*runs keeps that: mend it, and choose another"):
            grid_search(make, {"lr": [7.0]}, few, folder=tmp_path / "runs")


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"number": 0}'])
def test_a_damaged_record_is_named(few, make, tmp_path, text):
    random_search(make, SPACE, few, trials=2, folder=tmp_path)
    (tmp_path / "trial-0001.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"trial-0001\.json is damaged .*delete it, and the trial is run again"):
        random_search(make, SPACE, few, trials=2, folder=tmp_path)
    (tmp_path / "trial-0001.json").unlink()
    random_search(make, SPACE, few, trials=2, folder=tmp_path)


def test_a_record_in_the_wrong_place_and_a_damaged_plan(few, make, tmp_path):
    random_search(make, SPACE, few, trials=2, folder=tmp_path)
    (tmp_path / "trial-0001.json").write_bytes((tmp_path / "trial-0000.json").read_bytes())
    with pytest.raises(CheckpointError, match=r"trial-0001\.json is the record of another trial"):
        random_search(make, SPACE, few, trials=2, folder=tmp_path)
    for text, words in (("{", "search.json is damaged"), ("{}", "search.json is that of another version of minicnn")):
        (tmp_path / "search.json").write_text(text)
        with pytest.raises(CheckpointError, match=f"{words}.*choose another folder"):
            random_search(make, SPACE, few, trials=2, folder=tmp_path)


def test_a_folder_that_cannot_be_written(few, make, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to the folder"):
        random_search(make, SPACE, few, trials=2, folder=tmp_path / "file" / "runs")
    assert not (tmp_path / "log").exists()


SEARCH = """
import sys, time
import numpy as np
import minicnn as mc
from minicnn import nn, optim
from minicnn.recipes import loguniform, random_search

folder, log, pause = sys.argv[1] or None, sys.argv[2], float(sys.argv[3])
rng = np.random.default_rng(0)
few = [(rng.normal(size=(count, 64)).astype(np.float32), rng.integers(0, 10, count)) for count in (40, 30)]

def make(*, lr):
    with open(log, "a") as file:
        print(lr, file=file)
    time.sleep(pause)
    model = nn.Sequential(nn.Linear(64, 10))
    return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr))

with mc.use_backend("numpy"):
    result = random_search(make, {"lr": loguniform(1e-3, 1e-1)}, tuple(few), trials=20, folder=folder)
for trial in result.ranked:
    print(trial.number, trial.seed, trial.settings, trial.measures)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
def test_killed_twice_it_repeats_nothing_and_ends_the_same(tmp_path):
    def start(folder, log, pause):
        command = [sys.executable, "-c", SEARCH, str(folder), str(tmp_path / log), str(pause)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def lines(log):
        return (tmp_path / log).read_text().splitlines() if (tmp_path / log).exists() else []

    folder, done = tmp_path / "runs", []
    for number, count in enumerate((5, 6)):
        process = start(folder, f"log{number}", 0.05)
        while len(lines(f"log{number}")) < count:
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        done.append({json.loads(file.read_text())["settings"]["lr"] for file in folder.glob("trial-*.json")})
        assert len(done[-1]) < 20
    process, whole = start(folder, "log2", 0), start("", "whole", 0)
    (there, errors), (wanted, _) = process.communicate(), whole.communicate()
    assert errors == ""
    assert there == wanted
    assert len(there.splitlines()) == 20
    logs = [[float(line) for line in lines(f"log{number}")] for number in range(3)]
    assert not done[0] & set(logs[1] + logs[2]), "trials that were done were run again"
    assert not done[1] & set(logs[2])
    assert 4 <= len(done[0]) < len(done[1])
    assert 20 <= sum(map(len, logs)) <= 22, "only a trial that a kill interrupted is run again"
