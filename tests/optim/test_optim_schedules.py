"""Schedules: PyTorch's over their whole length, a pure function of the count, and refused where they make no sense."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import needs_torch, torch

from minicnn import optim
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter

LR = st.floats(1e-4, 10)
COUNTS = st.integers(1, 40)
SHARES = st.floats(0.01, 0.99)


def theirs(make, *, lr, steps, kind="SGD", groups=1, **options):
    """What PyTorch's scheduler gives an optimizer's groups before each of so many steps."""
    parameters = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(groups)]
    optimizer = getattr(torch.optim, kind)(parameters, lr=lr, **options)
    scheduler = make(optimizer)
    rows = []
    for _ in range(steps):
        rows.append([dict(group) for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    return rows


def assert_same(schedule, make, *, lr, steps):
    want = [row[0]["lr"] for row in theirs(make, lr=lr, steps=steps)]
    got = [schedule.lr_at(count, lr) for count in range(steps)]
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12 * lr)


@needs_torch
class TestAgainstPyTorch:
    scheduler = None if torch is None else torch.optim.lr_scheduler

    @given(lr=LR, step_size=COUNTS, gamma=SHARES)
    def test_step(self, lr, step_size, gamma):
        make = lambda optimizer: self.scheduler.StepLR(optimizer, step_size, gamma)  # noqa: E731
        assert_same(optim.Step(step_size, gamma), make, lr=lr, steps=90)

    @given(lr=LR, milestones=st.lists(st.integers(1, 60), max_size=5), gamma=SHARES)
    def test_multi_step(self, lr, milestones, gamma):
        make = lambda optimizer: self.scheduler.MultiStepLR(optimizer, sorted(milestones), gamma)  # noqa: E731
        assert_same(optim.MultiStep(milestones, gamma), make, lr=lr, steps=70)

    @given(lr=LR, gamma=SHARES)
    def test_exponential(self, lr, gamma):
        assert_same(optim.Exponential(gamma), lambda o: self.scheduler.ExponentialLR(o, gamma), lr=lr, steps=50)

    @given(lr=LR, T_max=COUNTS, eta_min=st.floats(0, 1e-3))
    def test_cosine(self, lr, T_max, eta_min):
        make = lambda optimizer: self.scheduler.CosineAnnealingLR(optimizer, T_max, eta_min)  # noqa: E731
        assert_same(optim.Cosine(T_max, eta_min), make, lr=lr, steps=T_max + 1)

    @given(lr=LR, T_0=COUNTS, T_mult=st.integers(1, 3), eta_min=st.floats(0, 1e-3))
    def test_cosine_with_warm_restarts(self, lr, T_0, T_mult, eta_min):
        make = lambda optimizer: self.scheduler.CosineAnnealingWarmRestarts(optimizer, T_0, T_mult, eta_min)  # noqa: E731
        assert_same(optim.CosineWarmRestarts(T_0, T_mult, eta_min), make, lr=lr, steps=130)

    @given(lr=LR, total_iters=COUNTS, start_factor=SHARES)
    def test_warmup_alone(self, lr, total_iters, start_factor):
        make = lambda optimizer: self.scheduler.LinearLR(optimizer, start_factor, 1.0, total_iters)  # noqa: E731
        assert_same(optim.Warmup(total_iters, start_factor=start_factor), make, lr=lr, steps=total_iters + 5)

    @pytest.mark.filterwarnings("ignore:The epoch parameter")  # PyTorch's SequentialLR calls its own deprecated code
    @pytest.mark.parametrize(
        ("ours", "name", "arguments"),
        [
            (optim.Cosine(20, 0.01), "CosineAnnealingLR", (20, 0.01)),
            (optim.Step(3, 0.5), "StepLR", (3, 0.5)),
            (optim.Exponential(0.9), "ExponentialLR", (0.9,)),
            (optim.MultiStep([2, 7]), "MultiStepLR", ([2, 7],)),
        ],
        ids=lambda value: getattr(value, "kind", None),
    )
    def test_warmup_before_another(self, ours, name, arguments):
        def make(optimizer):
            both = [
                self.scheduler.LinearLR(optimizer, 0.25, 1.0, 6),
                getattr(self.scheduler, name)(optimizer, *arguments),
            ]
            return self.scheduler.SequentialLR(optimizer, both, milestones=[6])

        assert_same(optim.Warmup(6, ours, start_factor=0.25), make, lr=0.3, steps=26)

    @pytest.mark.parametrize("three_phase", [False, True])
    @pytest.mark.parametrize("kind", ["SGD", "Adam", "RMSprop"])
    @given(
        max_lr=LR,
        total_steps=st.integers(2, 60),
        pct_start=st.sampled_from([0.0, 0.1, 0.3, 0.45, 0.77, 0.95]),
        anneal_strategy=st.sampled_from(["cos", "linear"]),
        div_factor=st.floats(1, 100),
        final_div_factor=st.floats(1, 1e4),
    )
    def test_one_cycle(self, kind, three_phase, total_steps, pct_start, **options):
        if pct_start * total_steps == 1:
            pct_start = 0.0  # there PyTorch divides by zero
        options |= {"total_steps": total_steps, "pct_start": pct_start, "three_phase": three_phase}
        make = lambda optimizer: self.scheduler.OneCycleLR(optimizer, **options)  # noqa: E731
        rows = theirs(make, lr=0.5, steps=total_steps, kind=kind)
        ours = getattr(optim, kind)([Parameter(np.ones(1))], lr=0.5)
        initial = ours.settings(ours.param_groups[0])
        schedule = optim.OneCycle(**options)
        for count, (want,) in enumerate(rows):
            got = schedule.settings_at(count, initial)
            assert got["lr"] == schedule.lr_at(count)
            np.testing.assert_allclose(got["lr"], want["lr"], rtol=1e-9, atol=1e-12 * options["max_lr"])
            key = "betas" if kind == "Adam" else "momentum"
            np.testing.assert_allclose(got[key], want[key], rtol=1e-9)

    def test_one_cycle_with_a_rate_for_each_group(self):
        options = {"max_lr": [0.1, 2.0], "epochs": 4, "steps_per_epoch": 5, "cycle_momentum": False}
        rows = theirs(lambda o: self.scheduler.OneCycleLR(o, **options), lr=0.5, steps=20, groups=2)
        schedule = optim.OneCycle(**options)
        for count, groups in enumerate(rows):
            for number, want in enumerate(groups):
                got = schedule.settings_at(count, {"lr": 0.5, "momentum": 0.9}, number)
                assert got.keys() == {"lr"}
                np.testing.assert_allclose(got["lr"], want["lr"], rtol=1e-9)

    @pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
    @pytest.mark.parametrize("mode", ["min", "max"])
    @given(
        values=st.lists(st.floats(-1, 1) | st.just(math.nan) | st.sampled_from([0.5, 0.5001]), max_size=60),
        factor=SHARES,
        patience=st.integers(0, 4),
        threshold=st.sampled_from([0.0, 1e-4, 0.3]),
        cooldown=st.integers(0, 3),
        min_lr=st.sampled_from([0.0, 0.01]),
        eps=st.sampled_from([1e-8, 0.05]),
    )
    def test_reduce_on_plateau(self, mode, threshold_mode, values, **options):
        options |= {"mode": mode, "threshold_mode": threshold_mode}
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.7)
        scheduler = self.scheduler.ReduceLROnPlateau(optimizer, **options)
        schedule = optim.ReduceOnPlateau(**options)
        for count, value in enumerate(values):
            assert schedule.lr_at(count, 0.7) == optimizer.param_groups[0]["lr"]
            scheduler.step(value)
            schedule.observe(count, {"loss": value})
        assert schedule.lr_at(len(values), 0.7) == optimizer.param_groups[0]["lr"]


ENDLESS = [
    optim.Step(3),
    optim.MultiStep([2, 9]),
    optim.Exponential(0.9),
    optim.Cosine(12, 0.01),
    optim.CosineWarmRestarts(4, 2),
    optim.Warmup(5),
    optim.Warmup(5, optim.Cosine(7)),
    optim.ReduceOnPlateau(),
]


@pytest.mark.parametrize("schedule", ENDLESS, ids=lambda s: s.kind)
def test_the_first_rate_of_all_but_a_warmup_is_the_optimizers(schedule):
    factor = 1 / 3 if isinstance(schedule, optim.Warmup) else 1
    assert schedule.lr_at(0, 0.3) == pytest.approx(0.3 * factor)


@pytest.mark.parametrize("schedule", [optim.Cosine(12, 0.01), optim.Warmup(5, optim.Cosine(7, 0.01))])
def test_past_its_end_a_cosine_stays_where_it_ended(schedule):
    assert [schedule.lr_at(count, 0.3) for count in (12, 13, 18, 24, 1000)] == [0.01] * 5


def test_a_warmup_alone_stays_at_the_optimizers_rate():
    assert [optim.Warmup(4).lr_at(count, 0.3) for count in (4, 5, 100)] == [0.3] * 3


def test_a_milestone_that_is_named_twice_counts_twice():
    assert optim.MultiStep([3, 1, 3], 0.5).lr_at(3, 1.0) == 0.125


@pytest.mark.parametrize("count", [10, 11, 100, -1])
def test_one_cycle_past_its_end_says_how_long_it_is(count):
    words = rf"OneCycle has an end: it is 10 batch\(s\) long \(total_steps\), and batch {count + 1} is asked for"
    with pytest.raises(ArgumentError, match=words):
        optim.OneCycle(0.1, 10).lr_at(count)


def test_one_cycle_whose_rise_is_a_single_step_begins_at_the_top():
    assert optim.OneCycle(0.5, 10, pct_start=0.1).lr_at(0) == 0.5


class TestCounting:
    def test_one_cycle_counts_batches_and_the_others_epochs_unless_told(self):
        assert [schedule.per for schedule in ENDLESS] == ["epoch"] * len(ENDLESS)
        assert optim.OneCycle(0.1, 10).per == "batch"
        assert optim.OneCycle(0.1, 10, per="epoch").per == "epoch"
        assert optim.Cosine(10, per="batch").per == "batch"

    def test_a_warmup_counts_as_what_follows(self):
        assert optim.Warmup(5, optim.Cosine(10, per="batch")).per == "batch"
        assert optim.Warmup(5, per="batch").per == "batch"


class TestPlateau:
    def test_what_it_remembers_goes_through_json_and_back(self):
        schedule, other = (optim.ReduceOnPlateau(patience=1, cooldown=2) for _ in range(2))
        for count, loss in enumerate([0.5, 0.6, 0.7, 0.8]):
            schedule.observe(count, {"loss": loss})
        other.load_state_dict(json.loads(json.dumps(schedule.state_dict())))
        assert other.state_dict() == schedule.state_dict()
        assert schedule.reductions == 1
        for count, loss in enumerate([0.4, 0.5, 0.6, 0.7, 0.8, 0.9]):
            for each in (schedule, other):
                each.observe(count, {"loss": loss})
            assert other.lr_at(count, 0.1) == schedule.lr_at(count, 0.1)
        assert schedule.reductions == 2

    def test_it_monitors_the_validation_loss_where_there_is_one(self):
        schedule = optim.ReduceOnPlateau(patience=0)
        for count in range(2):
            schedule.observe(count, {"loss": 1.0 - count, "val_loss": 1.0})
        assert schedule.reductions == 1

    def test_more_is_better_for_what_is_no_loss(self):
        schedule = optim.ReduceOnPlateau(patience=0, monitor="val_accuracy")
        for count, value in enumerate([0.5, 0.6, 0.7]):
            schedule.observe(count, {"loss": 1.0, "val_accuracy": value})
        assert schedule.reductions == 0

    def test_what_is_not_measured_is_told_with_what_is(self):
        words = "ReduceOnPlateau: there is no 'val_loss' to monitor; there are 'loss', 'lr'"
        with pytest.raises(ArgumentError, match=words):
            optim.ReduceOnPlateau(monitor="val_loss").observe(0, {"loss": 1.0, "lr": 0.1})

    def test_behind_a_warmup_it_looks_only_when_that_is_over(self):
        inner = optim.ReduceOnPlateau(patience=0)
        schedule = optim.Warmup(3, inner)
        for count in range(3):
            schedule.observe(count, {"loss": 1.0})
        assert inner.best is None
        for count in (3, 4):
            schedule.observe(count, {"loss": 1.0})
        assert schedule.state_dict()["reductions"] == 1
        assert schedule.lr_at(5, 1.0) == 0.1
        schedule.load_state_dict({**schedule.state_dict(), "reductions": 0})
        assert schedule.lr_at(5, 1.0) == 1.0


class TestRefusals:
    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda: optim.Cosine(0), "Cosine: T_max must be a whole number of at least 1, not 0"),
            (lambda: optim.Cosine(2.5), "T_max must be a whole number"),
            (lambda: optim.Cosine(5, -0.1), "Cosine: eta_min must be at least 0, not -0.1"),
            (lambda: optim.Cosine(5, per="step"), "Cosine: per must be 'epoch' or 'batch', not 'step'"),
            (lambda: optim.Step(0), "Step: step_size must be a whole number of at least 1"),
            (lambda: optim.Step(3, -1), "Step: gamma must be at least 0"),
            (lambda: optim.MultiStep([3, -1]), "MultiStep: a milestone must be a whole number of at least 0, not -1"),
            (lambda: optim.MultiStep([3], -1), "MultiStep: gamma"),
            (lambda: optim.Exponential(math.nan), "Exponential: gamma must be at least 0, not nan"),
            (lambda: optim.CosineWarmRestarts(0), "T_0 must be a whole number"),
            (lambda: optim.CosineWarmRestarts(1, 0), "T_mult must be a whole number"),
            (lambda: optim.Warmup(0), "Warmup: total_iters must be a whole number of at least 1"),
            (lambda: optim.Warmup(5, start_factor=0), "start_factor must be above 0 and at most 1, not 0"),
            (lambda: optim.Warmup(5, optim.Cosine), "Warmup: then is the class Cosine; build one"),
            (lambda: optim.Warmup(5, 0.1), "Warmup: then must be a Schedule"),
            (
                lambda: optim.Warmup(5, optim.Cosine(5), per="batch"),
                "Warmup counts per batch and the Cosine after it per",
            ),
            (lambda: optim.OneCycle(0.1), "needs its length: total_steps, or epochs and steps_per_epoch"),
            (lambda: optim.OneCycle(0.1, epochs=3), "needs its length"),
            (lambda: optim.OneCycle(0.1, 0), "total_steps must be a whole number of at least 1"),
            (lambda: optim.OneCycle([0.1, -1], 10), "max_lr must be at least 0, not -1"),
            (lambda: optim.OneCycle(0.1, 10, pct_start=1.5), r"pct_start must lie in \[0, 1\], not 1.5"),
            (lambda: optim.OneCycle(0.1, 10, anneal_strategy="exp"), "anneal_strategy must be 'cos' or 'linear'"),
            (lambda: optim.OneCycle(0.1, 10, div_factor=0), "div_factor and final_div_factor must be above 0"),
            (lambda: optim.ReduceOnPlateau("smallest"), "mode must be 'min' or 'max', not 'smallest'"),
            (lambda: optim.ReduceOnPlateau(factor=1.0), "factor must lie between 0 and 1, not 1.0"),
            (lambda: optim.ReduceOnPlateau(patience=-1), "patience must be a whole number of at least 0"),
            (lambda: optim.ReduceOnPlateau(cooldown=0.5), "cooldown must be a whole number of at least 0"),
            (lambda: optim.ReduceOnPlateau(threshold_mode="both"), "threshold_mode must be 'rel' or 'abs'"),
            (lambda: optim.ReduceOnPlateau(per="batch"), "per must be 'epoch'"),
            (lambda: optim.ReduceOnPlateau(min_lr=-1), "min_lr must be at least 0"),
        ],
    )
    def test_arguments(self, make, words):
        with pytest.raises(ArgumentError, match=words):
            make()

    def test_one_cycle_with_another_number_of_groups(self):
        with pytest.raises(ArgumentError, match=r"max_lr has 2 entries for 1 group\(s\)"):
            optim.Warmup(2, optim.OneCycle([0.1, 0.2], 10)).check_groups([{"lr": 1, "momentum": 0.9}])

    def test_one_cycle_for_an_optimizer_without_momentum(self):
        with pytest.raises(ArgumentError, match="no momentum to be moved; set cycle_momentum=False"):
            optim.OneCycle(0.1, 10).check_groups([{"lr": 1}])

    def test_the_base_class_has_no_rate(self):
        with pytest.raises(NotImplementedError, match="Schedule has no lr_at yet"):
            optim.Schedule().lr_at(0, 0.1)
