"""Searches: each trial is the training that one would do by hand, whatever ran before it and in whichever process."""

import csv
import io
import warnings

import joblib
import numpy as np
import pytest
import threadpoolctl

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.data import ArrayDataset
from minicnn.errors import ArgumentError, DataError
from minicnn.recipes import choice, grid_search, integers, loguniform, random_search, uniform
from minicnn.train import Callback

SPACE = {"lr": loguniform(1e-3, 1e-1), "width": choice(4, 6)}


@pytest.fixture(scope="module")
def splits():
    """Eighty digits to learn from, forty to validate, forty under a seal."""
    digits = data.load("digits")
    whole = ArrayDataset(digits.train.x[:160], digits.train.y[:160])
    return data.split(whole, validation=40, test=40, stratify=False)


@pytest.fixture
def few(splits):
    return splits.train, splits.validation


def make(*, lr=0.01, width=4):
    model = nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(9 * width, 10)
    )
    return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr))


def by_hand(trial, few, *, epochs=1, batch_size=32):
    mc.seed(trial.seed)
    train, validation = few
    return make(**trial.settings).fit(train, validation=validation, epochs=epochs, batch_size=batch_size, verbose=False)


def numbers(result):
    return [
        (trial.number, trial.settings, trial.status, trial.seeds, trial.scores, trial.measures)
        for trial in result.trials
    ]


class TestTrials:
    def test_each_is_make_and_fit_under_its_seed(self, few):
        result = random_search(make, SPACE, few, trials=4, epochs=2, batch_size=16)
        for trial in result.trials:
            row = by_hand(trial, few, epochs=2, batch_size=16).rows[-1]
            assert trial.measures == row
            assert trial.score == row["val_accuracy"]
        assert len({trial.seed for trial in result.trials}) == 4
        assert result.best.score == max(trial.score for trial in result.trials)

    def test_five_trials_are_the_first_of_ten_and_another_seed_gives_others(self, few):
        five, ten, other = (
            random_search(make, SPACE, few, trials=count, seed=seed) for count, seed in ((3, 4), (5, 4), (3, 5))
        )
        assert numbers(five) == numbers(ten)[:3]
        assert not {trial.settings["lr"] for trial in five.trials} & {trial.settings["lr"] for trial in other.trials}

    def test_a_grid_has_all_combinations_in_the_order_of_nested_loops(self, few):
        result = grid_search(make, {"lr": [1e-3, 1e-2], "width": [4, 6]}, few)
        assert [tuple(trial.settings.values()) for trial in result.trials] == [
            (1e-3, 4), (1e-3, 6), (1e-2, 4), (1e-2, 6)
        ]  # fmt: skip

    def test_epochs_and_batch_size_go_to_fit(self, few):
        result = grid_search(make, {"epochs": [1, 3], "batch_size": [8, 40]}, few, epochs=7)
        assert [trial.measures["epoch"] for trial in result.trials] == [1, 1, 3, 3]
        last = result.trials[2]
        mc.seed(last.seed)
        history = make().fit(few[0], validation=few[1], epochs=3, batch_size=8, verbose=False)
        assert last.measures == history.rows[-1]

    def test_repeats_are_trainings_under_further_seeds_and_the_score_is_their_mean(self, few):
        once, thrice = (
            random_search(make, SPACE, few, trials=2, repeats=count, monitor="val_loss") for count in (1, 3)
        )
        for one, three in zip(once.trials, thrice.trials, strict=True):
            assert (one.seed, one.score) == (three.seed, three.scores[0])
            assert len(set(three.scores)) == 3
            np.testing.assert_allclose(three.score, np.mean(three.scores), rtol=1e-12)
            assert three.measures["val_loss"] == three.score

    def test_callbacks_are_copied_for_each_training(self, few):
        class Counting(Callback):
            epochs = 0

            def on_epoch_end(self, epoch, logs):
                self.epochs += 1
                if self.epochs == 2:
                    self.trainer.stop("two")

        counting = Counting()
        result = random_search(make, SPACE, few, trials=2, epochs=5, callbacks=[counting])
        assert [trial.measures["epoch"] for trial in result.trials] == [2, 2]
        assert counting.epochs == 0

    def test_the_search_leaves_seed_and_threads_and_backend_as_they_were(self, few):
        mc.seed(3)
        wanted = [mc.backend.default_rng() for _ in range(3)]
        mc.seed(3)
        first = mc.backend.default_rng()
        threads, blas = mc.get_num_threads(), threadpoolctl.threadpool_info()
        mc.set_num_threads(5)
        with mc.use_backend("numpy"):
            random_search(make, SPACE, few, trials=1)
            assert mc.get_backend() == "numpy"
        assert mc.get_num_threads() == 5
        mc.set_num_threads(threads)
        assert threadpoolctl.threadpool_info() == blas
        assert [first, mc.backend.default_rng(), mc.backend.default_rng()] == wanted


class Scripted(Callback):
    """Overwrites what was measured by a given course of the loss."""

    def __init__(self, *course):
        self.course = course

    def on_epoch_end(self, epoch, logs):
        self.trainer.history.rows[-1]["val_loss"] = self.course[epoch - 1]
        self.trainer.history.rows[-1]["val_accuracy"] = self.course[epoch - 1]


class TestScores:
    @pytest.mark.parametrize(
        ("options", "score", "epoch"),
        [
            ({"monitor": "val_loss"}, 0.5, 4),
            ({"monitor": "val_loss", "at": "best"}, 0.2, 2),
            ({"monitor": "val_accuracy", "at": "best"}, 0.9, 1),
            ({"monitor": "val_accuracy", "at": "best", "mode": "min"}, 0.2, 2),
            ({"monitor": "val_loss", "at": "best", "mode": "max"}, 0.9, 1),
        ],
    )
    def test_the_last_or_the_best_epoch(self, few, options, score, epoch):
        trial = random_search(
            make, SPACE, few, trials=1, epochs=4, callbacks=[Scripted(0.9, 0.2, 0.2, 0.5)], **options
        ).best
        assert (trial.score, trial.measures["epoch"]) == (score, epoch)

    def test_small_losses_are_good_and_the_first_of_equal_ones_is_the_best(self, few):
        result = grid_search(make, {"lr": [1e-4, 1e-2, 1e-1]}, few, epochs=2, monitor="val_loss")
        assert result.best.score == min(trial.score for trial in result.trials)
        assert result.best.number != 0
        same = grid_search(make, {"lr": [1e-3, 1e-2]}, few, callbacks=[Scripted(0.5)])
        assert same.best.number == 0

    def test_a_score_that_is_no_number_is_a_failure(self, few):
        def sometimes(*, lr, course):
            trainer = make(lr=lr)
            trainer.metrics["course"] = lambda prediction, target: course
            return trainer

        result = grid_search(sometimes, {"lr": [0.01], "course": [float("nan"), 0.3]}, few, monitor="val_course")
        assert [trial.status for trial in result.trials] == ["failed", "done"]
        assert result.trials[0].error == "NonFiniteError: val_course is nan in epoch 1"
        assert result.best.number == 1


class TestFailures:
    @staticmethod
    def fragile(*, lr):
        if lr > 1:
            raise RuntimeError("too fast")
        return make(lr=lr)

    def test_a_failed_trial_is_recorded_and_the_search_goes_on(self, few):
        result = grid_search(self.fragile, {"lr": [7.0, 0.01, 5.0]}, few)
        assert [trial.status for trial in result.trials] == ["failed", "done", "failed"]
        assert result.trials[0].error.startswith("RuntimeError: too fast (in fragile, test_search.py, line ")
        assert np.isnan(result.trials[0].score)
        assert result.best.number == 1
        assert [trial.number for trial in result.ranked] == [1, 0, 2]
        assert "best of 3 trials (2 failed): lr=0.01" in str(result)
        assert "failed" in result.table()
        assert "too fast" in result.table()

    def test_a_nan_in_training_is_a_failure_with_the_layer_s_name(self, few):
        def bursting(*, lr):
            trainer = make()
            trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=lr)
            return trainer

        result = grid_search(bursting, {"lr": [1e30, 0.01]}, few, epochs=2)
        assert result.trials[0].error.startswith("NonFiniteError: epoch 1, batch 2")

    def test_if_all_fail_the_first_one_s_error_is_raised(self, few):
        with pytest.raises(ArgumentError, match="all 2 trials failed; the first one: RuntimeError: too fast"):
            grid_search(self.fragile, {"lr": [7.0, 5.0]}, few)

    def test_something_else_than_a_trainer(self, few):
        with pytest.raises(ArgumentError, match="what make returns must be a Trainer, not 3"):
            grid_search(lambda lr: 3, {"lr": [7.0, 5.0]}, few)


class TestTheTestSet:
    def test_it_is_counted_from_the_search_on(self, splits):
        splits.test.open("before the search")
        result = random_search(make, SPACE, splits, trials=2)
        assert result.test_set_openings == []
        assert "the test set was opened 0 times" in str(result)
        make().evaluate(splits.test)
        assert result.test_set_openings == ["evaluated after epoch 0"]
        assert "the test set was opened 1 time" in str(result)

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_opening_it_in_a_trial_is_warned_of_in_whatever_process(self, splits, jobs):
        def cheating(*, lr):
            trainer = make(lr=lr)
            splits.test.open(f"for {lr}")
            return trainer

        with pytest.warns(UserWarning, match=r"a test set was opened 2 times during the search \(for 0.01\)") as seen:
            result = grid_search(cheating, {"lr": [0.01, 0.1]}, splits, jobs=jobs)
        assert seen[0].filename == __file__
        assert result.test_set_openings == ["for 0.01", "for 0.1"]

    def test_trials_do_not_get_it(self, splits):
        with pytest.raises(DataError, match=r"a sealed test set is for evaluate\(\), not for validation data"):
            random_search(make, SPACE, (splits.train, splits.test))
        with pytest.raises(DataError, match=r"a sealed test set is for evaluate\(\), not for training data"):
            random_search(make, SPACE, (splits.test, splits.validation))


class TestInOtherProcesses:
    def test_two_jobs_give_the_same_bits_as_one(self, few):
        options = {"trials": 5, "epochs": 2, "repeats": 2}
        assert numbers(random_search(make, SPACE, few, jobs=2, **options)) == numbers(
            random_search(make, SPACE, few, jobs=1, **options)
        )

    def test_backend_and_threads_are_those_asked_for(self, few):
        def looking(*, lr):
            blas = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
            seen = {"backend": mc.get_backend() == "numpy", "threads": mc.get_num_threads(), "blas": max(blas)}
            trainer = make(lr=lr)
            for name, value in seen.items():
                trainer.metrics[name] = lambda prediction, target, value=value: float(value)
            return trainer

        with mc.use_backend("numpy"):
            for jobs in (1, 2):
                for trial in grid_search(looking, {"lr": [0.1, 0.01]}, few, jobs=jobs, threads=2).trials:
                    assert [trial.measures[name] for name in ("backend", "threads", "blas")] == [1, 2, 2]

    def test_large_arrays_which_joblib_shares_through_files(self):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(1200, 1, 16, 16)).astype(np.float32), rng.integers(0, 10, 1200)
        assert x.nbytes > 2**20

        def small(*, lr):
            model = nn.Sequential(nn.MaxPool2d(4), nn.Flatten(), nn.Linear(16, 10))
            return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=lr))

        one, two = (
            grid_search(small, {"lr": [0.1, 0.01]}, ((x, y), (x, y)), jobs=jobs, batch_size=200) for jobs in (1, 2)
        )
        assert numbers(one) == numbers(two)

    def test_threads_of_one_process_do_not_mix_up_their_seeds(self, few):
        with joblib.parallel_config("threading"):
            threads = random_search(make, SPACE, few, trials=6, jobs=3)
        assert numbers(threads) == numbers(random_search(make, SPACE, few, trials=6))

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore")  # dask's own
    def test_workers_of_a_dask_cluster(self, few, tmp_path, monkeypatch):
        distributed = pytest.importorskip(
            "dask.distributed", reason="dask is not installed: pip install 'dask[distributed]'"
        )
        monkeypatch.chdir(tmp_path)
        where = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "local_directory": str(tmp_path)}
        with distributed.LocalCluster(**where) as cluster, distributed.Client(cluster), joblib.parallel_config("dask"):
            there = random_search(make, SPACE, few, trials=4, jobs=-1, folder=tmp_path / "search")
        assert numbers(there) == numbers(random_search(make, SPACE, few, trials=4))
        assert len(list((tmp_path / "search").glob("trial-*.json"))) == 4


class TestReading:
    @pytest.fixture
    def result(self, few):
        return grid_search(make, {"lr": [1e-4, 1e-2], "width": [4, 6]}, few, epochs=3, monitor="val_loss")

    def test_the_table_has_a_line_each_the_best_first(self, result):
        head, *lines = result.table().splitlines()
        assert head.split() == ["trial", "lr", "width", "val_loss", "epoch", "seconds"]
        scores = [float(line.split()[3]) for line in lines]
        assert scores == sorted(scores)
        assert [int(line.split()[0]) for line in lines] == [trial.number for trial in result.ranked]
        assert len(set(map(len, [head, *lines]))) == 1, "columns are aligned"
        assert [line.split() for line in result.table(limit=2).splitlines()] == [
            row.split() for row in [head, *lines[:2]]
        ]
        assert str(result).startswith(result.table())

    def test_csv_has_exact_numbers_in_the_order_of_trials(self, result):
        rows = list(csv.DictReader(io.StringIO(result.to_csv())))
        assert [int(row["trial"]) for row in rows] == [0, 1, 2, 3]
        assert [float(row["val_loss"]) for row in rows] == [trial.score for trial in result.trials]
        assert [int(row["seed"]) for row in rows] == [trial.seed for trial in result.trials]
        assert {row["status"] for row in rows} == {"done"}

    def test_spread_is_shown_where_there_are_repeats(self, few):
        result = grid_search(make, {"lr": [1e-2]}, few, repeats=3, monitor="val_loss")
        (row,) = csv.DictReader(io.StringIO(result.to_csv()))
        assert float(row["lowest"]) == min(result.best.scores) < float(row["highest"]) == max(result.best.scores)

    def test_the_figure_has_a_panel_for_each_setting(self, few):
        def fragile(*, lr, p, n, kind):
            if n == 3:
                raise ValueError("three")
            return make(lr=lr)

        space = {"lr": loguniform(1e-3, 1), "p": uniform(0, 1), "n": integers(1, 4), "kind": choice("a", nn.ReLU)}
        result = random_search(fragile, {**space, "batch_size": [40]}, few, trials=8)
        panels = result.plot().axes
        assert [axes.get_xlabel() for axes in panels] == ["lr", "p", "n", "kind", "batch_size"]
        assert [axes.get_xscale() for axes in panels] == ["log", "linear", "linear", "linear", "linear"]
        assert [label.get_text() for label in panels[3].get_xticklabels()] == ["a", "ReLU"]
        points = {c.get_label(): c.get_offsets() for c in panels[0].collections}
        done = [trial for trial in result.trials if not trial.failed]
        failed = [trial for trial in result.trials if trial.failed]
        assert done
        assert failed
        np.testing.assert_allclose(points["a trial"], [(trial.settings["lr"], trial.score) for trial in done])
        np.testing.assert_allclose(points["failed"][:, 0], [trial.settings["lr"] for trial in failed])
        np.testing.assert_allclose(points["the best"], [(result.best.settings["lr"], result.best.score)])
        low, high = panels[0].get_xlim()
        assert low < 1e-3
        assert high > 1, "failed trials far away would be off the panel"


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"trials": 0}, "trials must be a whole number of at least 1, not 0"),
            ({"trials": 2.5}, "trials must be a whole number"),
            ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
            ({"batch_size": 0}, "batch_size must be a whole number"),
            ({"repeats": 0}, "repeats must be a whole number"),
            ({"threads": 0}, "threads must be a whole number"),
            ({"jobs": 0}, "jobs must be a whole number"),
            ({"jobs": -2}, "jobs must be a whole number"),
            ({"seed": -1}, "seed must be a whole number"),
            ({"mode": "maximum"}, "mode must be 'auto', 'min' or 'max', not 'maximum'"),
            ({"at": "first"}, "at must be 'last' or 'best', not 'first'"),
            ({"callbacks": [Callback]}, "callback is the class Callback; build one"),
            ({"monitor": "acc"}, "^monitor 'acc' is not measured; there are 'loss', 'accuracy', 'val_loss', 'val_a"),
        ],
    )  # fmt: skip
    def test_arguments(self, few, options, words, monkeypatch):
        trained = []
        monkeypatch.setattr(mc.Trainer, "fit", lambda *_, **__: trained.append(1))
        with pytest.raises(ArgumentError, match=words):
            random_search(make, SPACE, few, **options)
        assert trained == []

    @pytest.mark.parametrize(
        ("space", "function", "words"),
        [
            ({"lr": [1], "widht": [2]}, make, "make does not take 'widht' of the space; it takes 'lr', 'width'"),
            ({"lr": [1]}, lambda lr, depth: None, "make needs 'depth' too, which the space does not give it$"),
            ({"epochs": [1]}, lambda epochs: None, "make needs 'epochs' too.*'batch_size' go to fit and not to make"),
            ({"lr": [1]}, "make", "make must be a function of the settings that returns a Trainer, not 'make'"),
            ({}, make, "the space must be a dict"),
        ],
    )
    def test_a_space_that_does_not_fit(self, few, space, function, words):
        with pytest.raises(ArgumentError, match=words):
            grid_search(function, space, few)

    def test_a_make_that_takes_anything(self, few):
        assert grid_search(lambda **settings: make(**settings), {"lr": [0.1]}, few).best.settings == {"lr": 0.1}

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            (None, r"data must be Splits or a pair \(train, validation\), not NoneType"),
            ((np.zeros((9, 1, 8, 8)), np.zeros(9)), "the training data: expected an ArrayDataset or a pair"),
        ],
    )
    def test_data_that_are_none(self, given, words):
        with pytest.raises(DataError, match=words):
            random_search(make, SPACE, given)

    def test_a_seal_outside_a_search_is_not_warned_of(self, splits):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            splits.test.open("why not")
            random_search(make, SPACE, splits, trials=1)


def test_settings_for_fit_are_told_apart_from_those_for_make(few):
    result = grid_search(make, {"lr": [0.01], "batch_size": [16, 32]}, few, epochs=1)
    assert result.best.make_settings == {"lr": 0.01}
    assert result.best.fit_settings == {"batch_size": result.best.settings["batch_size"]}
