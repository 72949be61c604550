"""Groups of parameters with settings of their own. Their numbers are compared with PyTorch's in test_optim_torch.py."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, ops, optim
from minicnn.errors import ArgumentError, CheckpointError
from minicnn.nn import Parameter


def parameter(value=1.0, grad=1.0, shape=(2,)):
    p = Parameter(np.full(shape, value))
    p.add_grad(np.full(shape, grad))
    return p


def two_parts():
    """A backbone and a head, whose own parameters have the same names."""
    mc.seed(0)
    return nn.Sequential({"backbone": nn.Linear(3, 4), "head": nn.Linear(4, 2)})


def test_each_group_moves_by_its_own_rate():
    a, b = parameter(), parameter()
    optim.SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.1).step()
    np.testing.assert_allclose(a.data, 0.5)
    np.testing.assert_allclose(b.data, 0.9)


def test_what_a_group_does_not_say_is_as_for_the_others():
    optimizer = optim.Adam([{"params": [parameter()], "lr": 0.5}, {"params": [parameter()], "eps": 1.0}], betas=(0, 0))
    first, second = (optimizer.settings(group) for group in optimizer.param_groups)
    assert first == {"lr": 0.5, "betas": (0, 0), "eps": 1e-8, "weight_decay": 0.0}
    assert second == {"lr": 1e-3, "betas": (0, 0), "eps": 1.0, "weight_decay": 0.0}


def test_without_groups_there_is_one():
    model = two_parts()
    (group,) = optim.SGD(model.parameters(), lr=0.1).param_groups
    assert list(group["params"]) == list(model.parameters())
    assert group["lr"] == 0.1


@pytest.mark.parametrize(
    "params",
    [
        lambda p: [p],
        lambda p: {"w": p},
        lambda p: [("w", p)],
        lambda p: p,
        lambda p: iter([p]),
        lambda p: {"w": p}.items(),
    ],
    ids=["list", "mapping", "pairs", "one", "iterator", "items"],
)
def test_a_groups_parameters_come_in_any_form(params):
    first, second = parameter(), parameter()
    optimizer = optim.SGD([{"params": params(first)}, {"params": params(second)}], lr=0.1)
    assert list(optimizer.parameters.values()) == [first, second]


class TestNames:
    def test_they_are_the_models_where_those_are_unique(self):
        model = two_parts()
        named = model.named_parameters()
        names = list(named)
        groups = [{"params": {name: named[name]}} for name in names]
        assert list(optim.SGD(groups).parameters) == names
        slices = [{"params": model.parameters()[:2]}, {"params": model.parameters()[2:]}]
        assert list(optim.SGD(slices).parameters) == names

    def test_they_get_the_groups_number_where_two_parts_have_the_same(self):
        model = two_parts()
        groups = [{"params": model["backbone"].parameters()}, {"params": model["head"].parameters()}]
        names = ["0.weight", "0.bias", "1.weight", "1.bias"]
        optimizer = optim.SGD(groups)
        assert list(optimizer.parameters) == names
        assert list(optimizer.parameters.values()) == list(model.parameters())

    def test_memory_is_kept_by_these(self):
        optimizer = optim.SGD([{"params": [parameter()]}, {"params": [parameter()]}], lr=0.1, momentum=0.9)
        optimizer.step()
        assert list(optimizer.memory) == ["0.0", "1.0"]


class TestAttributes:
    def test_reading_gives_the_first_groups(self):
        optimizer = optim.SGD([{"params": [parameter()], "lr": 0.5}, {"params": [parameter()]}], lr=0.1)
        assert optimizer.lr == 0.5

    @pytest.mark.parametrize("kind", [optim.SGD, optim.Adam, optim.AdamW, optim.AdaGrad, optim.RMSprop])
    def test_every_setting_is_one_and_setting_it_sets_all_groups(self, kind):
        optimizer = kind([{"params": [parameter()]}, {"params": [parameter()]}])
        for name, value in optimizer.settings(optimizer.param_groups[0]).items():
            assert getattr(optimizer, name) == value
            setattr(optimizer, name, "new")
            assert [group[name] for group in optimizer.param_groups] == ["new", "new"]

    def test_where_groups_differ_setting_one_rate_for_all_is_refused(self):
        """`optimizer.lr /= 2` would give every group half of the first one's rate."""
        optimizer = optim.SGD([{"params": [parameter()], "lr": 0.5}, {"params": [parameter()]}], lr=0.1)
        with pytest.raises(
            ArgumentError, match=r"values of their own for lr, \[0\.5, 0\.1\]; set each: optimizer\.param"
        ):
            optimizer.lr /= 2
        assert [group["lr"] for group in optimizer.param_groups] == [0.5, 0.1]

    def test_groups_may_be_changed_between_steps(self):
        a, b = parameter(), parameter()
        optimizer = optim.SGD([{"params": [a], "lr": 0.5}, {"params": [b]}], lr=0.1)
        optimizer.param_groups[1]["lr"] = np.float32(0.25)
        optimizer.step()
        np.testing.assert_allclose(b.data, 0.75)


@pytest.mark.parametrize(
    ("kind", "name"), [(optim.SGD, "sgd_update_all"), (optim.Adam, "adam_update_all"), (optim.AdamW, "adam_update_all")]
)
def test_a_step_is_one_operation_a_group(kind, name):
    calls = []
    original = getattr(ops, name)

    def counting(ws, dws, *moments, **options):
        calls.append((len(ws), options["lr"]))
        return original(ws, dws, *moments, **options)

    groups = [{"params": [parameter(), parameter()], "lr": 0.5}, {"params": [parameter()]}]
    optimizer = kind(groups, lr=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ops, name, counting)
        optimizer.step()
    assert calls == [(2, 0.5), (1, 0.1)]


def test_a_frozen_group_is_left_alone():
    a, b = parameter(), parameter()
    a.frozen = True
    optimizer = optim.Adam([{"params": [a]}, {"params": [b]}], lr=0.1)
    optimizer.step()
    np.testing.assert_array_equal(a.data, 1)
    assert list(optimizer.memory) == ["1.0"]


def test_an_optimizer_of_ones_own_needs_an_update_alone():
    class SignDescent(optim.Optimizer):
        def update(self, parameter, grad, memory, *, lr, shrink):
            parameter.data = shrink * parameter.data - lr * np.sign(grad)

    a, b = parameter(grad=-7.0), parameter(grad=0.1)
    optimizer = SignDescent([{"params": [a]}, {"params": [b], "shrink": 0.5}], lr=0.25, shrink=1.0)
    optimizer.step()
    np.testing.assert_allclose(a.data, 1.25)
    np.testing.assert_allclose(b.data, 0.25)


class TestState:
    @staticmethod
    def optimizer(model, **options):
        parts = [{"params": model["backbone"].parameters(), "lr": 0.01}, {"params": model["head"].parameters()}]
        return optim.AdamW(parts, lr=0.1, **options)

    def test_going_on_from_a_saved_state_repeats_exactly_with_the_groups_settings(self):
        model, other = two_parts(), two_parts()
        optimizer, continued = self.optimizer(model, betas=(0.8, 0.9)), self.optimizer(other)
        for number in range(6):
            pairs = [(model, optimizer)] if number < 3 else [(model, optimizer), (other, continued)]
            if number == 3:
                optimizer.param_groups[1]["lr"] = 0.05
                other.load_state_dict(model.state_dict())
                continued.load_state_dict(optimizer.state_dict())
            for network, steps in pairs:
                rng = np.random.default_rng(number)
                for p in network.parameters():
                    p.grad = rng.normal(size=p.data.shape).astype(np.float32)
                steps.step()
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(other.state_dict()[name], value, strict=True)
        assert [group["lr"] for group in continued.param_groups] == [0.01, 0.05]
        assert continued.param_groups[0]["betas"] == (0.8, 0.9)

    def refused(self, state, words):
        optimizer = self.optimizer(two_parts())
        before = str(optimizer.state_dict())
        with pytest.raises(CheckpointError, match=words):
            optimizer.load_state_dict(state)
        assert str(optimizer.state_dict()) == before

    def test_another_number_of_groups_is_refused(self):
        one = optim.AdamW(two_parts().parameters())
        self.refused(one.state_dict(), r"state has 1 group\(s\) of parameters, this optimizer 2; build it with")

    def test_other_members_are_refused(self):
        state = self.optimizer(two_parts()).state_dict()
        first, second = state["hyperparameters"]
        second["params"], first["params"] = first["params"], second["params"]
        self.refused(state, "group 0 of the optimizer's state holds '1.weight', '1.bias', this optimizer's '0.weight'")


class TestRefusals:
    def test_a_group_with_an_unknown_setting(self):
        words = "SGD: group 1 has 'learning_rate', which SGD does not know; besides 'params' there are 'lr', 'momentum'"
        with pytest.raises(ArgumentError, match=words):
            optim.SGD([{"params": [parameter()]}, {"params": [parameter()], "learning_rate": 0.1}])

    def test_a_setting_of_another_optimizer(self):
        with pytest.raises(ArgumentError, match="group 0 has 'momentum', which Adam does not know"):
            optim.Adam([{"params": [parameter()], "momentum": 0.9}])

    def test_one_parameter_in_two_groups(self):
        p = parameter()
        with pytest.raises(ArgumentError, match="parameter 'w' of group 1 is in group 0 as well"):
            optim.SGD([{"params": {"v": p}}, {"params": {"w": p}}])

    def test_one_parameter_twice_in_a_group(self):
        p = parameter()
        with pytest.raises(ArgumentError, match="given twice"):
            optim.SGD([{"params": [p, p]}])

    def test_a_group_without_params(self):
        with pytest.raises(ArgumentError, match="SGD: group 0 has no 'params'; there are 'lr'"):
            optim.SGD([{"lr": 0.1}])

    def test_an_empty_group(self):
        with pytest.raises(ArgumentError, match="SGD, group 1 was given no parameters"):
            optim.SGD([{"params": [parameter()]}, {"params": []}])

    @pytest.mark.parametrize("number", [0, 1])
    def test_a_parameter_among_groups(self, number):
        given = [{"params": [parameter()]}]
        given.insert(number, parameter())
        with pytest.raises(ArgumentError, match=f"entry {number} is a Parameter among groups"):
            optim.SGD(given)

    def test_a_group_that_is_not_in_a_list(self):
        with pytest.raises(ArgumentError, match=r"SGD: a group of parameters goes into a list: \[\{'params': \.\.\., "):
            optim.SGD({"params": [parameter()], "lr": 0.1})

    def test_a_groups_setting_that_makes_no_sense(self):
        with pytest.raises(ArgumentError, match="lr must be at least 0, not -1"):
            optim.SGD([{"params": [parameter()]}, {"params": [parameter()], "lr": -1}])
        with pytest.raises(ArgumentError, match="needs a momentum above 0"):
            optim.SGD([{"params": [parameter()]}, {"params": [parameter()], "nesterov": True}])
