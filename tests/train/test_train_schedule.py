"""Schedules, groups of parameters and regularisers in a training, and resumed to the same bits."""

import json
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, optim
from minicnn.errors import ArgumentError, CheckpointError, NonFiniteError
from minicnn.train import Callback, load_checkpoint, save_checkpoint

BATCHES = 4  # of ten of the forty digits


class Rates(Callback):
    """Note the learning rates of all groups at every step."""

    def on_train_begin(self):
        self.seen = []

    def on_batch_end(self, batch, logs):
        self.seen.append([group["lr"] for group in self.trainer.optimizer.param_groups])


def fit(trainer, few, *, epochs, callbacks=(), **options):
    return trainer.fit(few, validation=few, epochs=epochs, batch_size=10, callbacks=list(callbacks), **options)


class TestRates:
    def test_per_epoch_every_step_of_an_epoch_has_its_rate(self, new_trainer, few):
        rates, schedule = Rates(), optim.Step(1, 0.5)
        fit(new_trainer(lr=0.4, schedule=schedule), few, epochs=3, callbacks=[rates])
        assert rates.seen == [[0.4]] * BATCHES + [[0.2]] * BATCHES + [[0.1]] * BATCHES

    def test_per_batch_every_step_has_its_own(self, new_trainer, few):
        rates, schedule = Rates(), optim.Cosine(2 * BATCHES, per="batch")
        fit(new_trainer(lr=0.4, schedule=schedule), few, epochs=3, callbacks=[rates])
        assert [lr for (lr,) in rates.seen] == [schedule.lr_at(count, 0.4) for count in range(3 * BATCHES)]

    def test_the_history_has_the_rate_at_the_end_of_each_epoch(self, new_trainer, few):
        schedule = optim.Cosine(2 * BATCHES, per="batch")
        history = fit(new_trainer(lr=0.4, schedule=schedule), few, epochs=2)
        assert history["lr"] == [schedule.lr_at(BATCHES - 1, 0.4), schedule.lr_at(2 * BATCHES - 1, 0.4)]
        assert fit(new_trainer(lr=0.4, schedule=optim.Step(1, 0.5)), few, epochs=3)["lr"] == [0.4, 0.2, 0.1]

    def test_a_later_fit_goes_on_counting(self, new_trainer, few):
        trainer = new_trainer(lr=0.4, schedule=optim.Step(1, 0.5))
        assert [fit(trainer, few, epochs=1)["lr"][-1] for _ in range(3)] == [0.4, 0.2, 0.1]

    def test_it_applies_to_every_group_from_its_own_rate(self, new_trainer, few):
        def groups(parameters, lr):
            return optim.Adam([{"params": parameters[:2], "lr": lr / 10}, {"params": parameters[2:]}], lr=lr)

        rates = Rates()
        trainer = new_trainer(lr=0.4, optimizer=groups, schedule=optim.Exponential(0.5))
        history = fit(trainer, few, epochs=2, callbacks=[rates])
        np.testing.assert_allclose(rates.seen[0], [0.04, 0.4])
        np.testing.assert_allclose(rates.seen[-1], [0.02, 0.2])
        np.testing.assert_allclose(history["lr"], [0.04, 0.02])

    def test_one_cycle_moves_the_momentum_against_the_rate(self, new_trainer, few):
        class Settings(Rates):
            def on_batch_end(self, batch, logs):
                self.seen.append((self.trainer.optimizer.lr, self.trainer.optimizer.betas))

        settings = Settings()
        trainer = new_trainer(schedule=optim.OneCycle(0.1, epochs=2, steps_per_epoch=BATCHES))
        fit(trainer, few, epochs=2, callbacks=[settings])
        rates, betas = zip(*settings.seen, strict=True)
        assert max(rates) < 0.1 + 1e-12
        assert {beta2 for _, beta2 in betas} == {0.999}
        highest, lowest = np.argmax(rates), np.argmin(rates)
        assert betas[highest][0] < 0.87 < 0.94 < betas[lowest][0]

    def test_a_step_of_a_loop_of_ones_own_counts(self, new_trainer, few):
        schedule = optim.Exponential(0.5, per="batch")
        trainer = new_trainer(lr=0.4, schedule=schedule)
        for _ in range(3):
            trainer.train_step(few.x, few.y)
        assert (trainer.pace.steps, trainer.optimizer.lr) == (3, 0.1)

    def test_a_step_that_fails_does_not_count(self, few):
        class Broken(nn.Loss):
            def forward(self, prediction, target):
                return np.float32(np.nan)

        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        trainer = mc.Trainer(model, loss=Broken(), metrics={}, schedule=optim.Step(1))
        with pytest.raises(NonFiniteError):
            trainer.train_step(few.x, few.y)
        assert trainer.pace.steps == 0

    def test_an_optimizer_that_was_replaced_starts_the_schedule_from_its_own_rate(self, new_trainer, few):
        trainer = new_trainer(lr=0.4, schedule=optim.Step(1, 0.5))
        fit(trainer, few, epochs=1)
        trainer.optimizer = optim.SGD(trainer.model.parameters(), lr=0.8)
        assert fit(trainer, few, epochs=1)["lr"] == [0.4, 0.4]

    def test_a_plateau_lowers_the_rate_of_the_epoch_after(self, new_trainer, few):
        trainer = new_trainer(lr=0.0, schedule=optim.ReduceOnPlateau(patience=1, factor=0.5, eps=0))
        trainer.optimizer.lr = 1e-12  # nothing improves
        history = fit(trainer, few, epochs=6)
        np.testing.assert_allclose(history["lr"], np.array([1, 1, 1, 0.5, 0.5, 0.25]) * 1e-12)


class TestRefusals:
    def test_a_cycle_shorter_than_the_training_is_refused_before_the_first_step(self, new_trainer, few, state_of):
        trainer = new_trainer(schedule=optim.OneCycle(0.1, total_steps=2 * BATCHES))
        before = state_of(trainer)
        with pytest.raises(ArgumentError, match=r"it is 8 batch\(s\) long \(total_steps\), and batch 12 is asked for"):
            fit(trainer, few, epochs=3)
        assert state_of(trainer) == before
        fit(trainer, few, epochs=2)
        with pytest.raises(ArgumentError, match="batch 12 is asked for"):
            fit(trainer, few, epochs=1)

    def test_a_measure_that_there_will_not_be_is_refused_before_the_first_step(self, new_trainer, few, state_of):
        trainer = new_trainer(schedule=optim.ReduceOnPlateau(monitor="val_f1"))
        before = state_of(trainer)
        words = "no 'val_f1' to monitor; there are 'loss', 'accuracy', 'val_loss', 'val_accuracy'"
        with pytest.raises(ArgumentError, match=words):
            fit(trainer, few, epochs=1)
        trainer = new_trainer(schedule=optim.ReduceOnPlateau(monitor="val_loss"))
        with pytest.raises(ArgumentError, match=r"no 'val_loss' to monitor; there are 'loss', 'accuracy', 'lr'$"):
            trainer.fit(few)
        assert state_of(trainer) == before

    @pytest.mark.parametrize("monitor", ["loss", "accuracy", "val_loss", "val_accuracy", "penalty"])
    def test_every_measure_can_be_monitored(self, new_trainer, few, monitor):
        schedule = optim.ReduceOnPlateau(monitor=monitor)
        fit(new_trainer(schedule=schedule, regularisers=[optim.L1(1e-3)]), few, epochs=1)
        assert schedule.best is not None

    def test_an_optimizer_that_the_schedule_does_not_fit(self, new_trainer, few):
        trainer = new_trainer(optimizer=optim.AdaGrad, schedule=optim.OneCycle(0.1, 100))
        with pytest.raises(ArgumentError, match="no momentum to be moved"):
            fit(trainer, few, epochs=1)

    @pytest.mark.parametrize(
        ("schedule", "words"), [(optim.Cosine, "the class Cosine; build one"), (0.1, "a Schedule")]
    )
    def test_something_that_is_no_schedule(self, new_trainer, schedule, words):
        with pytest.raises(ArgumentError, match=words):
            new_trainer(schedule=schedule)

    @pytest.mark.parametrize(
        ("wrong", "words"), [(optim.L1, "the class L1; build one"), (0.1, "must be a Regulariser")]
    )
    def test_something_that_is_no_regulariser(self, new_trainer, wrong, words):
        with pytest.raises(ArgumentError, match=f"a regulariser .*{words}"):
            new_trainer(regularisers=[wrong])


class TestRegularisers:
    def test_the_loss_in_the_history_stays_the_datas_and_the_penalty_stands_beside_it(self, new_trainer, few):
        strength, model_loss = 1e-3, new_trainer(optimizer=optim.SGD, lr=0.0)
        trainer = new_trainer(optimizer=optim.SGD, lr=0.0, regularisers=[optim.L1(strength)])
        weights = sum(abs(p.data).sum() for p in trainer.model.parameters() if p.data.ndim > 1)
        history, without = fit(trainer, few, epochs=1), fit(model_loss, few, epochs=1)
        assert history["loss"] == without["loss"]
        assert history.names == ["loss", "penalty", "accuracy", "val_loss", "val_accuracy", "lr"]
        np.testing.assert_allclose(history["penalty"], strength * weights, rtol=1e-6)
        assert "penalty" not in without

    def test_l2_is_weight_decay_of_plain_descent(self, few):
        results = []
        for options, decay in (({"regularisers": [optim.L2(0.1, only=lambda *_: True)]}, 0.0), ({}, 0.1)):
            mc.seed(0)
            model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).astype(np.float64)
            optimizer = optim.SGD(model.parameters(), lr=0.1, weight_decay=decay)
            trainer = mc.Trainer(model, optimizer=optimizer, **options)
            for _ in range(5):
                trainer.train_step(few.x.astype(np.float64), few.y)
            results.append(model[1].weight.data)
        np.testing.assert_allclose(*results, rtol=1e-9)

    def test_their_gradients_are_clipped_along_with_the_losss(self, new_trainer, few):
        trainer = new_trainer(optimizer=optim.SGD, lr=1.0, regularisers=[optim.L2(1e3)], clip_norm=0.5)
        before = trainer.model.state_dict()
        trainer.train_step(few.x, few.y)
        after = {name: p.data for name, p in trainer.model.named_parameters().items()}
        moved = np.sqrt(sum(((value - before[name]) ** 2).sum() for name, value in after.items()))
        np.testing.assert_allclose(moved, 0.5, rtol=1e-4)

    def test_limits_hold_after_the_step(self, new_trainer, few):
        trainer = new_trainer(optimizer=optim.SGD, lr=5.0, regularisers=[optim.MaxNorm(0.7)], clip_norm=1.0)
        history = fit(trainer, few, epochs=2)
        norms = np.sqrt((trainer.model[6].weight.data ** 2).sum(axis=1))
        assert norms.max() <= 0.7 * (1 + 1e-6)
        assert norms.max() > 0.69, "nothing was near the limit, so that this says little"
        assert history["penalty"] == [0, 0]

    def test_several_add_up(self, new_trainer, few):
        penalties = []
        for regularisers in ([optim.L1(1e-3)], [optim.L2(1e-2)], [optim.L1(1e-3), optim.L2(1e-2), optim.MaxNorm(9.0)]):
            history = fit(new_trainer(optimizer=optim.SGD, lr=0.0, regularisers=regularisers), few, epochs=1)
            penalties.append(history["penalty"][0])
        np.testing.assert_allclose(penalties[2], penalties[0] + penalties[1], rtol=1e-6)

    def test_they_see_what_the_optimizer_trains_under_the_models_names(self, few):
        seen = []

        class Looking(optim.Regulariser):
            def project(self, parameters):
                seen.append(list(parameters))

        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
        parts = [{"params": model[3].parameters()}, {"params": model[1].parameters()[:1], "lr": 1e-4}]
        trainer = mc.Trainer(model, optimizer=optim.Adam(parts), regularisers=[Looking()])
        trainer.train_step(few.x, few.y)
        assert seen == [["1.weight", "3.weight", "3.bias"]]

    def test_a_penalty_that_is_not_finite_is_told_with_the_parameters_name(self, new_trainer, few):
        trainer = new_trainer(regularisers=[optim.L2(3e38)])
        before = {name: value.tobytes() for name, value in trainer.model.state_dict().items()}
        trainer.model[6].weight.data = trainer.model[6].weight.data + 10
        with pytest.raises(NonFiniteError, match=r"the gradient of '6\.weight' holds NaN or infinity"):
            trainer.train_step(few.x, few.y)
        assert trainer.model.state_dict()["0.weight"].tobytes() == before["0.weight"]


def groups(parameters, lr):
    return optim.AdamW(
        [{"params": parameters[:2], "lr": lr / 10, "betas": (0.8, 0.99)}, {"params": parameters[2:]}], lr=lr
    )


EPOCHS = 5
RUNS = {
    "step": {"schedule": lambda: optim.Step(2, 0.5)},
    "cosine per batch": {"schedule": lambda: optim.Cosine(15, per="batch")},
    "one cycle": {"schedule": lambda: optim.OneCycle(0.02, total_steps=EPOCHS * BATCHES), "optimizer": groups},
    "plateau": {
        "schedule": lambda: optim.ReduceOnPlateau(patience=0, threshold=0.2, monitor="loss"),
        "optimizer": groups,
    },
    "warmup, plateau": {"schedule": lambda: optim.Warmup(1, optim.ReduceOnPlateau(patience=0, threshold=0.2))},
    "groups": {"optimizer": groups, "regularisers": [optim.L1(1e-3), optim.MaxNorm(1.0)]},
    "AdaGrad": {"optimizer": optim.AdaGrad},
    "RMSprop": {"optimizer": lambda p, lr: optim.RMSprop(p, lr, momentum=0.9, centered=True)},
}


class InterruptAt(Callback):
    """Press Ctrl-C at one moment."""

    def __init__(self, epoch, batch):
        self.epoch, self.batch = epoch, batch

    def on_batch_end(self, batch, logs):
        if (self.trainer.epoch + 1, batch) == (self.epoch, self.batch):
            signal.raise_signal(signal.SIGINT)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestResume:
    @pytest.fixture(params=RUNS.values(), ids=RUNS.keys())
    def run(self, request, new_trainer, few):
        def run(out, *callbacks, epochs=EPOCHS, lr=0.01, trainer=None):
            options = dict(request.param)
            if "schedule" in options:
                options["schedule"] = options["schedule"]()
            trainer = trainer or new_trainer(lr=lr, **options)
            fit(trainer, few, epochs=epochs, callbacks=callbacks, out=out, resume=True)
            return trainer

        return run

    def test_a_run_in_two_parts_ends_with_the_same_bytes(self, run, tmp_path):
        run(tmp_path / "whole")
        run(tmp_path / "parts", epochs=3)
        run(tmp_path / "parts", lr=0.5)  # everything comes from the checkpoint
        assert contents(tmp_path / "parts") == contents(tmp_path / "whole")

    def test_a_run_interrupted_within_an_epoch_ends_with_the_same_bytes(self, run, tmp_path):
        run(tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", InterruptAt(2, 2))
        run(tmp_path / "parts", lr=0.5)
        assert contents(tmp_path / "parts") == contents(tmp_path / "whole")

    def test_the_trainer_that_was_interrupted_may_go_on_itself(self, run, tmp_path):
        run(tmp_path / "whole")
        with pytest.raises(KeyboardInterrupt) as caught:
            run(tmp_path / "parts", interrupt := InterruptAt(3, 2))
        assert "resume=True" in caught.value.__notes__[0]
        run(tmp_path / "parts", trainer=interrupt.trainer)
        assert contents(tmp_path / "parts") == contents(tmp_path / "whole")

    def test_a_rate_changed_while_it_runs_is_seen_in_the_history(self, run, tmp_path):
        """The runs above would say little if nothing ever changed."""
        trainer = run(tmp_path)
        if trainer.pace.schedule is not None:
            assert len(set(trainer.history["lr"])) > 1


class TestCheckpoint:
    def test_it_keeps_the_groups_the_schedule_and_the_steps(self, new_trainer, few, tmp_path):
        trainer = new_trainer(optimizer=groups, schedule=optim.ReduceOnPlateau(), lr=0.1)
        fit(trainer, few, epochs=2)
        save_checkpoint(trainer, tmp_path / "checkpoint.npz")
        with np.load(tmp_path / "checkpoint.npz", allow_pickle=False) as file:
            meta = json.loads(str(file["meta"]))
        assert [group["lr"] for group in meta["hyperparameters"]] == [0.1 / 10, 0.1]
        assert [group["params"][0] for group in meta["hyperparameters"]] == ["0.weight", "1.weight"]
        assert meta["pace"]["schedule"] == "ReduceOnPlateau"
        assert meta["pace"]["steps"] == 2 * BATCHES
        assert meta["pace"]["remembers"].keys() == {"best", "reductions", "epochs_without", "epochs_to_cool"}

    @pytest.mark.parametrize(
        ("was", "now", "words"),
        [
            (optim.Cosine(5), None, "written with the schedule Cosine, this training has None"),
            (None, optim.Cosine(5), "written with the schedule None, this training has Cosine"),
            (optim.Step(5), optim.Cosine(5), "written with the schedule Step, this training has Cosine"),
            (
                optim.Warmup(2, optim.Cosine(5)),
                optim.Warmup(2),
                "the schedule Warmup, then Cosine, this training has Warmup$",
            ),
        ],
    )
    def test_another_schedule_is_refused(self, new_trainer, few, state_of, tmp_path, was, now, words):
        trainer, other = new_trainer(schedule=was), new_trainer(schedule=now, seed=1)
        fit(trainer, few, epochs=1)
        save_checkpoint(trainer, tmp_path / "checkpoint.npz")
        before = state_of(other)
        with pytest.raises(CheckpointError, match=f"checkpoint.npz was .*{words}"):
            load_checkpoint(other, tmp_path / "checkpoint.npz")
        assert state_of(other) == before

    def test_other_groups_are_refused_and_the_model_stays_as_it_was(self, new_trainer, few, state_of, tmp_path):
        trainer, other = new_trainer(optimizer=groups), new_trainer(optimizer=optim.AdamW, seed=1)
        fit(trainer, few, epochs=1)
        save_checkpoint(trainer, tmp_path / "checkpoint.npz")
        before = state_of(other)
        with pytest.raises(CheckpointError, match=r"2 group\(s\) of parameters, this optimizer 1"):
            load_checkpoint(other, tmp_path / "checkpoint.npz")
        assert state_of(other) == before

    def test_one_of_an_older_version_is_refused(self, new_trainer, tmp_path):
        trainer, path = new_trainer(), tmp_path / "checkpoint.npz"
        save_checkpoint(trainer, path)
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        meta = json.loads(str(arrays.pop("meta")))
        del meta["pace"]
        np.savez(path, meta=np.array(json.dumps(meta)), **arrays)
        with pytest.raises(CheckpointError, match="older version of minicnn"):
            load_checkpoint(trainer, path)

    def test_one_that_was_saved_before_the_first_step_starts_the_schedule(self, new_trainer, few, tmp_path):
        save_checkpoint(new_trainer(schedule=optim.Step(1, 0.5), lr=0.4), tmp_path / "checkpoint.npz")
        other = new_trainer(schedule=optim.Step(1, 0.5), lr=0.9)
        load_checkpoint(other, tmp_path / "checkpoint.npz")
        assert fit(other, few, epochs=2)["lr"] == [0.4, 0.2]


TRAINING = """
import sys, time
import numpy as np
import minicnn as mc
from minicnn import data, models, optim
from minicnn.train import Callback

folder, pause = sys.argv[1], float(sys.argv[2])

class Tell(Callback):
    def on_batch_end(self, batch, logs):
        print("batch", self.trainer.epoch + 1, batch, flush=True)
        time.sleep(pause)

mc.seed(3)
digits = data.load("digits")
train, validation = (part.subset(np.arange(128)) for part in (digits.train, digits.validation))
model = models.create("basic", input_shape=(1, 8, 8), classes=10)
parameters = model.parameters()
optimizer = optim.AdamW([{"params": parameters[:2], "lr": 1e-3}, {"params": parameters[2:]}], lr=1e-2)
schedule = optim.Warmup(2, optim.ReduceOnPlateau(factor=0.5, patience=0, threshold=0.3))
trainer = mc.Trainer(model, optimizer=optimizer, schedule=schedule, regularisers=[optim.L2(1e-3), optim.MaxNorm(2.0)])
trainer.fit(train, validation=validation, epochs=12, batch_size=16, out=folder, resume=True, callbacks=[Tell()])
assert trainer.optimizer.lr < 5e-4, "the plateau was never met"
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to kill a process with")
def test_killed_five_times_and_resumed_it_ends_with_the_same_bytes(tmp_path):
    def start(folder, pause):
        command = [sys.executable, "-c", TRAINING, str(folder), str(pause)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    chance = random.Random(5)
    for _ in range(5):
        process = start(tmp_path / "killed", 0.01)
        for _ in range(chance.randint(1, 16)):
            process.stdout.readline()
        time.sleep(chance.uniform(0, 0.015))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    for folder in ("killed", "whole"):
        process = start(tmp_path / folder, 0)
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
