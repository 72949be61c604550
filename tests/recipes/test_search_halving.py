"""Successive halving: the rungs of the paper, the right survivors, and trainings that go on and never begin anew."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.errors import ArgumentError
from minicnn.recipes import Trial, loguniform, random_search, successive_halving
from minicnn.recipes.search import rungs_of
from minicnn.recipes.search.searches import survivors
from minicnn.train import Callback


@pytest.fixture(scope="module")
def few():
    digits = data.load("digits")
    return digits.train.subset(np.arange(60)), digits.validation.subset(np.arange(40))


def make(*, lr):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.2), nn.Linear(144, 10))
    return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr))


SPACE = {"lr": loguniform(1e-4, 1)}


class TestRungs:
    @pytest.mark.parametrize(
        ("arguments", "rungs"),
        [
            ((16, 8, 2), [(16, 1), (8, 2), (4, 4), (2, 8)]),
            ((27, 9, 3), [(27, 1), (9, 3), (3, 9)]),
            ((16, 16, 2), [(16, 2), (8, 4), (4, 8), (2, 16)]),
            ((10, 10, 3), [(10, 1), (3, 3), (1, 10)]),
            ((64, 4, 2), [(64, 1), (32, 2), (16, 4)]),
            ((5, 1, 2), [(5, 1)]),
            ((1, 6, 2), [(1, 6)]),
            ((2, 6, 4), [(2, 6)]),
        ],
    )
    def test_by_hand(self, arguments, rungs):
        assert rungs_of(*arguments) == rungs

    def test_a_rung_costs_about_as_much_as_any_other_if_each_were_trained_anew(self):
        """The paper's budget B is shared equally by the ceil(log2 n) rungs: |S_k| r_k = B / ceil(log2 n)."""
        for trials in (4, 8, 32, 64):
            rungs = rungs_of(trials, trials // 2, 2)
            assert len(rungs) == np.ceil(np.log2(trials))
            assert {size * length for size, length in rungs} == {trials}


def test_survivors_are_chosen_by_the_score_of_that_rung_whatever_a_record_says_of_later_ones():
    rungs = [(0.5, 0.1), (0.4, 0.9), (), (0.6,), (0.5,)]
    trials = [Trial(n, {}, (n,), score=each[-1] if each else np.nan, rungs=each) for n, each in enumerate(rungs)]
    assert survivors(trials, 1, 2, small_is_good=False) == [0, 3], "of equal ones, the first"
    assert survivors(trials, 1, 3, small_is_good=True) == [0, 1, 4]
    assert survivors(trials, 2, 1, small_is_good=True) == [0]
    assert survivors(trials, 1, 9, small_is_good=True) == [0, 1, 3, 4], "without those that failed before"


class Noting(Callback):
    """Writes each epoch that was trained into a file."""

    def __init__(self, file):
        self.file = file

    def on_epoch_end(self, epoch, logs):
        with open(self.file, "a") as file:
            print(self.trainer.optimizer.lr, epoch, file=file)


def epochs_in(file):
    pairs = [line.split() for line in file.read_text().splitlines()]
    lrs = list(dict.fromkeys(lr for lr, _ in pairs))
    return {float(lr): [int(epoch) for other, epoch in pairs if other == lr] for lr in lrs}


@pytest.mark.parametrize(("monitor", "jobs"), [("val_accuracy", 1), ("val_loss", 2)])
def test_the_better_ones_go_on_and_no_epoch_is_trained_twice(few, tmp_path, monitor, jobs):
    """Against what full trainings of all settings say, whose first epochs are the same to the bit."""
    result = successive_halving(
        make, SPACE, few, trials=8, epochs=4, monitor=monitor, jobs=jobs, callbacks=[Noting(tmp_path / "epochs")]
    )
    sign = 1 if monitor == "val_loss" else -1
    courses = {}
    for trial in result.trials:
        with mc.backend.seeded(trial.seed):
            courses[trial.number] = make(**trial.settings).fit(few[0], validation=few[1], epochs=4, verbose=False).rows
    racing, wanted = list(range(8)), {}
    for size, epochs in ((8, 1), (4, 2), (2, 4)):
        racing = (
            sorted(racing, key=lambda number: (sign * wanted[number][monitor], number))[:size] if wanted else racing
        )
        wanted |= {number: courses[number][epochs - 1] for number in racing}
    assert [trial.measures for trial in result.trials] == [wanted[number] for number in range(8)]
    assert result.best.number == min(racing, key=lambda number: (sign * wanted[number][monitor], number))
    assert result.best.rungs == tuple(courses[result.best.number][epoch - 1][monitor] for epoch in (1, 2, 4))
    trained = epochs_in(tmp_path / "epochs")
    assert {
        trial.settings["lr"]: list(range(1, 1 + int(trial.measures["epoch"]))) for trial in result.trials
    } == trained


def test_settings_and_seeds_are_those_of_random_search(few):
    halving = successive_halving(make, SPACE, few, trials=3, epochs=2, seed=4)
    random = random_search(make, SPACE, few, trials=3, epochs=2, seed=4)
    assert [(t.settings, t.seeds) for t in halving.trials] == [(t.settings, t.seeds) for t in random.trials]
    assert halving.best.measures == random.trials[halving.best.number].measures


def test_the_best_is_of_the_last_rung_even_where_a_trial_that_left_early_looked_better(few):
    class Falling(Callback):
        def on_epoch_end(self, epoch, logs):
            self.trainer.history.rows[-1]["val_accuracy"] = self.trainer.optimizer.lr / 1e3**epoch

    result = successive_halving(make, SPACE, few, trials=4, epochs=2, callbacks=[Falling()])
    assert result.best.score < max(trial.score for trial in result.trials)
    assert result.best.settings["lr"] == max(trial.settings["lr"] for trial in result.trials)
    assert [len(trial.rungs) for trial in result.ranked] == [2, 2, 1, 1]
    assert result.table().splitlines()[0].split() == ["trial", "lr", "val_accuracy", "rungs", "epoch", "seconds"]
    labels = [c.get_label() for c in result.plot().axes[0].collections]
    assert labels == ["left out at a lower rung", "in the last rung", "the best"]


def test_repeats_have_checkpoints_of_their_own(few, tmp_path):
    result = successive_halving(make, SPACE, few, trials=2, epochs=2, factor=2, repeats=2, folder=tmp_path)
    assert len(set(result.best.scores)) > 0
    assert len(list(tmp_path.glob("trial-*-*/checkpoint.npz"))) == 4
    for seed, score in zip(result.best.seeds, result.best.scores, strict=True):
        with mc.backend.seeded(seed):
            history = make(**result.best.settings).fit(few[0], validation=few[1], epochs=2, verbose=False)
        assert history["val_accuracy"][-1] == score


class Failing(Callback):
    """Ends a training badly in one epoch of the settings that `when` says."""

    def __init__(self, epoch, when):
        self.epoch, self.when = epoch, when

    def on_epoch_end(self, epoch, logs):
        if epoch == self.epoch and self.when(self.trainer.optimizer.lr):
            raise RuntimeError("power cut")


def test_trials_that_fail_leave_the_race_and_others_take_their_places(few):
    lrs = sorted(trial.settings["lr"] for trial in random_search(make, SPACE, few, trials=4).trials)
    result = successive_halving(
        make, SPACE, few, trials=4, epochs=2, callbacks=[Failing(1, lambda lr: lr in lrs[:2])], monitor="loss"
    )
    assert [trial.settings["lr"] in lrs[:2] for trial in result.trials] == [trial.failed for trial in result.trials]
    assert {len(trial.rungs) for trial in result.trials if not trial.failed} == {2}
    later = successive_halving(make, SPACE, few, trials=4, epochs=2, callbacks=[Failing(2, lambda lr: True)])
    assert sorted((trial.status, len(trial.rungs)) for trial in later.trials) == [("done", 1)] * 2 + [("failed", 1)] * 2
    assert not later.best.failed


def test_all_failed(few):
    with pytest.raises(ArgumentError, match="all 4 trials failed; the first one: RuntimeError: power cut"):
        successive_halving(make, SPACE, few, trials=4, epochs=2, callbacks=[Failing(1, lambda lr: True)])


class Interrupting(Callback):
    """Ctrl-C after so many epochs in all."""

    def __init__(self, file, after):
        self.file, self.after = file, after

    def on_epoch_end(self, epoch, logs):
        if len(self.file.read_text().splitlines()) == self.after:
            raise KeyboardInterrupt


@pytest.mark.parametrize("after", [1, 9, 13])
def test_interrupted_and_called_again_it_ends_the_same(few, tmp_path, after):
    def search(folder, *callbacks):
        return successive_halving(make, SPACE, few, trials=8, epochs=4, folder=folder, callbacks=callbacks)

    log = tmp_path / "epochs"
    with pytest.raises(KeyboardInterrupt) as interrupt:
        search(tmp_path / "runs", Noting(log), Interrupting(log, after))
    assert any("the same search goes on from them" in note for note in interrupt.value.__notes__)
    result, whole = search(tmp_path / "runs", Noting(log)), search(None)
    assert [(t.settings, t.measures, t.rungs) for t in result.trials] == [
        (t.settings, t.measures, t.rungs) for t in whole.trials
    ]
    assert result.best.number == whole.best.number
    twice = sum(len(epochs) - len(set(epochs)) for epochs in epochs_in(log).values())
    assert twice == 1, "only the epoch that was interrupted before its checkpoint"
    before = log.read_text()
    search(tmp_path / "runs", Noting(log))
    assert log.read_text() == before, "nothing was left to do"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"factor": 1}, "factor must be a whole number of at least 2, not 1"),
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"epochs": 0}, "epochs must be a whole number of at least 1"),
        ({"space": {**SPACE, "epochs": [1, 2]}}, "successive_halving decides on the epochs itself"),
    ],
)
def test_refusals(few, options, words):
    with pytest.raises(ArgumentError, match=words):
        successive_halving(make, **{"space": SPACE, "data": few, **options})
