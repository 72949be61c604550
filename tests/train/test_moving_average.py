"""The moving average of the weights: against PyTorch, its own formula, and runs that were stopped."""

import copy

import numpy as np
import pytest
from gpu import strict_cupy
from oracles import torch

import minicnn as mc
from minicnn import nn, optim
from minicnn.backend import to_host, use_backend
from minicnn.errors import ArgumentError
from minicnn.train import Callback, EarlyStopping, MovingAverage


class Weights(Callback):
    """Writes down the state of the model after every step."""

    def __init__(self):
        self.after_step = []

    def on_batch_end(self, batch, logs):
        self.after_step.append(self.trainer.model.state_dict())


def fit(trainer, few, *callbacks, epochs=2, **options):
    trainer.fit(few, epochs=epochs, batch_size=10, callbacks=callbacks, **options)


def bits(state):
    return {name: np.asarray(value).tobytes() for name, value in state.items()}


@pytest.mark.skipif(torch is None, reason="PyTorch is not installed")
def test_plain_decay_is_pytorchs_with_the_buffers(new_trainer, few):
    trainer, seen, average = new_trainer(), Weights(), MovingAverage(0.9, warm_up=False, apply_at_end=False)
    trainer.model.astype(np.float64)
    few = (few.x.astype(np.float64), few.y)
    fit(trainer, few, seen, average, epochs=3)

    class Holder(torch.nn.Module):
        def __init__(self, state):
            super().__init__()
            for name, value in state.items():
                name, tensor = name.replace(".", "_"), torch.tensor(value)
                if "running" in name or "tracked" in name:
                    self.register_buffer(name, tensor)
                else:
                    self.register_parameter(name, torch.nn.Parameter(tensor))

    holder = Holder(seen.after_step[0])
    function = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    theirs = torch.optim.swa_utils.AveragedModel(holder, multi_avg_fn=function, use_buffers=True)
    for state in seen.after_step:
        with torch.no_grad():
            for name, value in state.items():
                getattr(holder, name.replace(".", "_")).copy_(torch.tensor(value))
        theirs.update_parameters(holder)
    assert average.updates == len(seen.after_step) == 12
    expected = theirs.module.state_dict()
    assert average.average.keys() == trainer.model.state_dict().keys()
    for name, a in average.average.items():
        if not name.endswith("num_batches_tracked"):  # a counter, which has no mean
            np.testing.assert_allclose(a, expected[name.replace(".", "_")], rtol=1e-12, atol=1e-15, err_msg=name)


def test_warm_up_is_the_formula_with_one_plus_t_over_ten_plus_t(new_trainer, few):
    trainer, seen, average = new_trainer(), Weights(), MovingAverage(0.3, apply_at_end=False)
    fit(trainer, few, seen, average)
    w = [state["6.weight"].astype(np.float64) for state in seen.after_step]
    shares = [2 / 11, 3 / 12, 0.3, 0.3, 0.3, 0.3, 0.3]  # (1 + t) / (10 + t) as far as it is below 0.3
    a = w[0]
    for d, later in zip(shares, w[1:], strict=True):
        a = d * a + (1 - d) * later
    np.testing.assert_allclose(average.average["6.weight"], a, rtol=1e-5, atol=1e-7)


def test_the_average_of_batch_norms_mean_is_that_of_the_averaged_weights():
    """Why buffers are averaged: a convolution's mean output is linear in its weights."""
    mc.seed(1)
    x = np.random.default_rng(0).random((20, 1, 6, 6))
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3, momentum=1.0), nn.Flatten(), nn.Linear(48, 2))
    model.astype(np.float64)
    trainer = mc.Trainer(model, optimizer=optim.SGD(model.parameters(), lr=0.1))
    seen, average = Weights(), MovingAverage(0.5, warm_up=False, apply_at_end=False)
    before = copy.deepcopy(model[0])  # momentum 1 keeps the means that the weights before the step lead to
    trainer.fit((x, np.arange(20) % 2), epochs=6, batch_size=20, callbacks=[seen, average])
    weights = [before.state_dict(), *({n[2:]: v for n, v in s.items() if n[:2] == "0."} for s in seen.after_step[:-1])]
    a = weights[0]
    for later in weights[1:]:
        a = {name: 0.5 * a[name] + 0.5 * later[name] for name in a}
    before.load_state_dict(a)
    np.testing.assert_allclose(average.average["1.running_mean"], before(x).mean(axis=(0, 2, 3)), rtol=1e-10)


def test_counters_are_copied(new_trainer, few):
    trainer, average = new_trainer(), MovingAverage(0.5)
    fit(trainer, few, average)
    assert average.average["1.num_batches_tracked"] == 8
    assert average.average["1.num_batches_tracked"].dtype == np.int64


def test_the_training_does_not_see_it(new_trainer, few, state_of):
    plain, watched = new_trainer(), new_trainer()
    fit(plain, few, validation=few)
    fit(watched, few, MovingAverage(0.9, apply_at_end=False), validation=few)
    assert state_of(watched) == state_of(plain)


class TestApplied:
    def test_for_a_block_and_then_the_model_has_its_own_weights_again(self, new_trainer, few):
        trainer, average = new_trainer(), MovingAverage(0.9, apply_at_end=False)
        fit(trainer, few, average)
        own, own_measures = bits(trainer.model.state_dict()), trainer.evaluate(few)
        with average.applied(trainer.model):
            assert bits(trainer.model.state_dict()) == bits(average.average)
            assert trainer.evaluate(few) != own_measures
        assert bits(trainer.model.state_dict()) == own

    def test_also_if_the_block_fails(self, new_trainer, few):
        trainer, average = new_trainer(), MovingAverage(0.9, apply_at_end=False)
        fit(trainer, few, average)
        own = bits(trainer.model.state_dict())
        with pytest.raises(KeyError), average.applied(trainer.model):
            raise KeyError
        assert bits(trainer.model.state_dict()) == own

    def test_writing_into_the_model_does_not_reach_the_average(self, new_trainer, few):
        trainer, average = new_trainer(), MovingAverage(0.9, apply_at_end=False)
        fit(trainer, few, average)
        before = bits(average.average)
        with average.applied(trainer.model):
            trainer.model[6].weight.data[...] = 7
        assert bits(average.average) == before

    def test_to_a_copy_of_another_dtype(self, new_trainer, few):
        trainer, average = new_trainer(), MovingAverage(0.9, apply_at_end=False)
        fit(trainer, few, average)
        model = copy.deepcopy(trainer.model).astype(np.float64)
        with average.applied(model):
            assert model[6].weight.data.dtype == np.float64
            np.testing.assert_array_equal(model[6].weight.data, average.average["6.weight"])

    def test_at_the_end_of_an_epoch_of_the_training(self, new_trainer, few, state_of):
        measures = []

        class Measure(Callback):
            def on_epoch_end(self, epoch, logs):
                with average.applied(self.trainer.model):
                    measures.append(self.trainer.evaluate(few)["loss"])

        plain, watched, average = new_trainer(), new_trainer(), MovingAverage(0.9, apply_at_end=False)
        fit(plain, few)
        fit(watched, few, average, Measure())
        assert len(set(measures)) == 2
        assert state_of(watched) == state_of(plain)


class TestAtTheEnd:
    def test_the_model_has_the_average(self, new_trainer, few):
        trainer, average = new_trainer(), MovingAverage(0.9)
        fit(trainer, few, average)
        assert bits(trainer.model.state_dict()) == bits(average.average)

    def test_a_further_training_goes_on_from_the_models_own_weights(self, new_trainer, few, state_of):
        once, twice, first, second = new_trainer(), new_trainer(), MovingAverage(0.9), MovingAverage(0.9)
        fit(once, few, first, epochs=3)
        fit(twice, few, second, epochs=1)
        fit(twice, few, second, epochs=2)
        assert state_of(twice) == state_of(once)
        assert bits(second.average) == bits(first.average)

    def test_but_not_over_weights_that_were_loaded_in_between(self, new_trainer, few):
        trainer, average, begun_with = new_trainer(), MovingAverage(0.9), []

        class First(Callback):
            def on_train_begin(self):
                begun_with.append(bits(self.trainer.model.state_dict()))

        fit(trainer, few, average, epochs=1)
        other = new_trainer(seed=5).model.state_dict()
        trainer.model.load_state_dict(other)
        fit(trainer, few, average, First(), epochs=1)
        assert begun_with == [bits(other)]

    def test_a_training_of_no_step_leaves_the_model_alone(self, new_trainer, few, tmp_path):
        trainer, average = new_trainer(), MovingAverage(0.9)
        before = bits(trainer.model.state_dict())
        average.trainer = trainer
        average.on_train_begin()
        average.on_train_end()
        assert bits(trainer.model.state_dict()) == before


class TestResumed:
    @pytest.mark.parametrize("stop_at", [1, 2])
    def test_a_run_in_two_parts_ends_with_the_same_bits(self, new_trainer, few, tmp_path, stop_at):
        whole, part, rest = MovingAverage(0.9), MovingAverage(0.9), MovingAverage(0.9)
        fit(new_trainer(), few, whole, epochs=3, out=tmp_path / "whole", resume=True)
        fit(new_trainer(), few, part, epochs=stop_at, out=tmp_path / "parts", resume=True)
        trainer = new_trainer(seed=8)
        fit(trainer, few, rest, epochs=3, out=tmp_path / "parts", resume=True)
        for name in ("checkpoint.npz", "best.npz"):
            assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
        assert bits(rest.average) == bits(whole.average) == bits(trainer.model.state_dict())
        assert rest.updates == 12

    def test_by_the_same_trainer_after_it_failed_within_an_epoch(self, new_trainer, few, tmp_path):
        class Fail(Callback):
            def on_batch_end(self, batch, logs):
                if (self.trainer.epoch, batch) == (1, 3):
                    raise RuntimeError("out of power")

        whole, average, trainer = MovingAverage(0.9), MovingAverage(0.9), new_trainer()
        fit(new_trainer(), few, whole, out=tmp_path / "whole", resume=True)
        with pytest.raises(RuntimeError, match="out of power"):
            fit(trainer, few, average, Fail(), out=tmp_path / "parts", resume=True)
        fit(trainer, few, average, out=tmp_path / "parts", resume=True)
        assert bits(average.average) == bits(whole.average)


def test_on_a_device_it_stays_there_and_waits_for_nothing():
    def averaged(backend):
        with use_backend(backend):
            mc.seed(2)
            trainer, average = mc.Trainer(nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))), MovingAverage(0.9)
            average.trainer = trainer
            trainer.model.to(backend)
            for step in range(5):
                for parameter in trainer.model.parameters():
                    parameter.data = parameter.data + step
                with strict_cupy.forbidding("sync", "h2d", "d2h"):
                    average.on_batch_end(step, {})
            kept = {name: np.array(to_host(value)) for name, value in average.state_dict().items() if "/" in name}
            average.load_state_dict({"updates": 5, **kept})  # as it comes from a checkpoint
            average.on_batch_end(6, {})
            assert {type(a) for a in average.average.values()} == {type(trainer.model[0].weight.data)}
            return {name: np.array(to_host(a)) for name, a in average.average.items()}

    host = averaged("numpy")
    with strict_cupy.installed():
        device = averaged("cupy")
    for name, a in host.items():
        np.testing.assert_allclose(device[name], a, rtol=1e-6, err_msg=name)


class TestRefused:
    @pytest.mark.parametrize("decay", [1.0, -0.1, float("nan"), "0.9", None])
    def test_decays(self, decay):
        with pytest.raises(ArgumentError, match="decay must be at least 0 and below 1, not"):
            MovingAverage(decay)

    def test_applying_before_the_first_step(self, new_trainer):
        with (
            pytest.raises(ArgumentError, match="nothing has been averaged yet"),
            MovingAverage().applied(new_trainer().model),
        ):
            pass

    def test_another_model(self, new_trainer, few):
        average, other = MovingAverage(0.9), nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        fit(new_trainer(), few, average)
        words = r"of another model: '1\.weight' is \(4,\) there and \(10, 64\) in this"
        with pytest.raises(ArgumentError, match=words), average.applied(other):
            pass
        with pytest.raises(ArgumentError, match="model must be a Layer"), average.applied("model"):
            pass
        for another in (mc.Trainer(other), new_trainer()):
            with pytest.raises(ArgumentError, match="of another model; each model needs a MovingAverage of its own"):
                fit(another, few, average)
            assert another.epoch == 0

    def test_a_checkpoints_average_of_another_model(self, few):
        average, model = MovingAverage(0.9), nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        average.load_state_dict({"updates": 3, "average/1.weight": np.zeros((10, 64)), "average/2.bias": np.zeros(4)})
        with pytest.raises(ArgumentError, match=r"'1\.bias' is missing there and \(10,\) in this one"):
            fit(mc.Trainer(model), few, average)


def test_two_callbacks_that_would_both_set_the_weights_are_refused(new_trainer, few):
    both = [EarlyStopping("loss"), MovingAverage()]
    for callbacks in (both, both[::-1]):
        with pytest.raises(ArgumentError, match="both want to set the weights"):
            new_trainer().fit(few, callbacks=callbacks)
    new_trainer().fit(few, callbacks=[EarlyStopping("loss"), MovingAverage(apply_at_end=False)])
