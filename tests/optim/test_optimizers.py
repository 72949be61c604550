"""What optimizers keep, leave alone and refuse. Their numbers are compared with PyTorch's in test_optim_torch.py."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, optim
from minicnn.errors import ArgumentError, CheckpointError
from minicnn.nn import Parameter


def small_model(dtype=np.float32):
    mc.seed(0)
    return nn.Sequential({"first": nn.Linear(3, 4), "act": nn.Tanh(), "last": nn.Linear(4, 2)}).astype(dtype)


def give_gradients(model, step=0):
    """Fill in gradients that are a function of the step."""
    rng = np.random.default_rng(step)
    for parameter in model.parameters():
        parameter.grad = rng.normal(size=parameter.data.shape).astype(parameter.data.dtype)


MAKERS = {
    "SGD": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Nesterov": lambda parameters: optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda parameters: optim.Adam(parameters, lr=0.1, weight_decay=0.01),
    "AdamW": lambda parameters: optim.AdamW(parameters, lr=0.1),
    "AdaGrad": lambda parameters: optim.AdaGrad(parameters, lr=0.1, lr_decay=0.1, weight_decay=0.01),
    "RMSprop": lambda parameters: optim.RMSprop(parameters, lr=0.1, weight_decay=0.01),
    "RMSprop all": lambda parameters: optim.RMSprop(parameters, lr=0.1, momentum=0.9, centered=True),
}
KINDS = [optim.SGD, optim.Adam, optim.AdamW, optim.AdaGrad, optim.RMSprop]


@pytest.fixture(params=MAKERS.values(), ids=MAKERS.keys())
def make(request):
    return request.param


def test_a_step_of_plain_descent_is_what_the_formula_says():
    p = Parameter(np.array([1.0, -2.0]))
    p.grad = np.array([0.5, 4.0])
    optim.SGD([p], lr=0.1).step()
    np.testing.assert_allclose(p.data, [0.95, -2.4], rtol=1e-15)


def test_adams_first_step_is_the_learning_rate_against_the_gradients_sign():
    p = Parameter(np.array([1.0, 1.0]))
    p.grad = np.array([1e-3, -1e3])
    optim.Adam([p], lr=0.1).step()
    np.testing.assert_allclose(p.data, [0.9, 1.1], rtol=1e-5)


def test_memory_is_keyed_by_the_parameters_dotted_name(make):
    model = small_model()
    optimizer = make(model.parameters())
    give_gradients(model)
    optimizer.step()
    assert list(optimizer.memory) == ["first.weight", "first.bias", "last.weight", "last.bias"]
    assert all(slots["step"] == 1 for slots in optimizer.memory.values())


@pytest.mark.parametrize("given", ["list", "mapping", "pairs"])
def test_parameters_may_come_as_list_mapping_or_pairs(given):
    model = small_model()
    named = model.named_parameters()
    parameters = {"list": model.parameters(), "mapping": named, "pairs": named.items()}[given]
    assert list(optim.SGD(parameters).parameters) == list(named)


def test_parameters_without_names_are_numbered():
    assert list(optim.SGD([Parameter(np.zeros(1)), Parameter(np.zeros(1))]).parameters) == ["0", "1"]


def test_a_frozen_parameter_is_left_alone_even_with_an_old_gradient(make):
    model = small_model()
    optimizer = make(model.parameters())
    give_gradients(model)
    model["first"].weight.frozen = True
    before = model.state_dict()
    optimizer.step()
    np.testing.assert_array_equal(model["first"].weight.data, before["first.weight"])
    assert "first.weight" not in optimizer.memory
    assert (model["first"].bias.data != before["first.bias"]).all()


def test_a_parameter_without_gradient_is_left_alone(make):
    model = small_model()
    optimizer = make(model.parameters())
    give_gradients(model)
    model["last"].weight.grad = None
    before = model.state_dict()
    optimizer.step()
    np.testing.assert_array_equal(model["last"].weight.data, before["last.weight"])
    assert "last.weight" not in optimizer.memory


def test_gradients_are_not_written_to(make):
    model = small_model()
    optimizer = make(model.parameters())
    give_gradients(model)
    before = [parameter.grad.copy() for parameter in model.parameters()]
    optimizer.step()
    for parameter, grad in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)


def test_zero_grad_forgets_the_gradients(make):
    model = small_model()
    optimizer = make(model.parameters())
    give_gradients(model)
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_learning_rate_may_be_changed_between_steps():
    p = Parameter(np.array([1.0]))
    p.grad = np.array([1.0])
    optimizer = optim.SGD([p], lr=0.1)
    optimizer.step()
    optimizer.lr = 0.01
    optimizer.step()
    np.testing.assert_allclose(p.data, [0.89])


def test_adamw_pulls_every_parameter_by_the_same_share():
    """The decay is not divided by the gradient's size, and is not remembered."""
    p = Parameter(np.array([2.0, 2.0]))
    p.grad = np.array([1e-3, 1e3])
    optimizer = optim.AdamW([p], lr=0.1, weight_decay=0.5)
    optimizer.step()
    np.testing.assert_allclose(p.data, 0.95 * 2 - 0.1, rtol=1e-5)
    np.testing.assert_allclose(optimizer.memory["0"]["m"], 0.1 * p.grad)


def test_adagrads_first_step_is_the_learning_rate_and_the_hundredth_a_tenth_of_it():
    p = Parameter(np.array([1.0, 1.0]))
    p.grad = np.array([1e-3, -1e3])
    optimizer = optim.AdaGrad([p], lr=0.1)
    optimizer.step()
    np.testing.assert_allclose(p.data, [0.9, 1.1])
    for _ in range(98):
        optimizer.step()
    before = p.data.copy()
    optimizer.step()
    np.testing.assert_allclose(p.data - before, [-0.01, 0.01])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_centered_rmsprop_survives_gradients_that_do_not_change(dtype):
    """Then the variance is 0, and the rounded difference of the two means may lie below it."""
    p = Parameter(np.zeros(50, dtype=dtype))
    p.grad = np.random.default_rng(0).normal(size=50).astype(dtype)
    optimizer = optim.RMSprop([p], lr=1e-3, alpha=0.5, centered=True)
    negative = 0
    for _ in range(300):
        optimizer.step()
        memory = optimizer.memory["0"]
        negative += (memory["square_avg"] < memory["grad_avg"] ** 2).sum()
    assert negative > 0, "nothing was below 0, so that this says little"
    assert np.isfinite(p.data).all()


def test_momentum_that_a_schedule_turns_on_later_is_taken():
    p = Parameter(np.zeros(1))
    optimizer = optim.RMSprop([p], lr=0.1)
    for momentum in (0.0, 0.9, 0.9):
        optimizer.momentum = momentum
        p.grad = np.ones(1)
        optimizer.step()
    assert optimizer.memory["0"]["buffer"].shape == (1,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_parameters_keep_their_dtype(make, dtype):
    model = small_model(dtype)
    optimizer = make(model.parameters())
    give_gradients(model)
    optimizer.step()
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(dtype)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_learning_rate_that_is_a_numpy_number_does_not_change_the_dtype(kind):
    model = small_model(np.float32)
    optimizer = kind(model.parameters(), lr=np.float64(0.1))
    give_gradients(model)
    optimizer.step()
    assert {parameter.data.dtype for parameter in model.parameters()} == {np.dtype(np.float32)}


class TestState:
    def test_going_on_from_a_saved_state_repeats_exactly(self, make):
        model, other = small_model(), small_model()
        optimizer = make(model.parameters())
        for step in range(5):
            give_gradients(model, step)
            optimizer.step()
        other.load_state_dict(model.state_dict())
        continued = type(optimizer)(other.parameters())
        continued.load_state_dict(optimizer.state_dict())
        for step in range(5, 10):
            for pair in ((model, optimizer), (other, continued)):
                give_gradients(pair[0], step)
                pair[1].step()
        for name, value in model.state_dict().items():
            np.testing.assert_array_equal(other.state_dict()[name], value, strict=True)

    def test_a_saved_state_is_a_copy(self, make):
        """A kernel may reuse the memory of velocity and moments at the next step."""
        model = small_model()
        optimizer = make(model.parameters())
        give_gradients(model)
        optimizer.step()
        state = optimizer.state_dict()["memory"]
        for name, slots in optimizer.memory.items():
            assert state[name].keys() == slots.keys()
            assert not any(np.shares_memory(state[name][what], value) for what, value in slots.items())

    def test_a_loaded_state_is_a_copy(self, make):
        model, other = small_model(), small_model()
        optimizer, continued = make(model.parameters()), make(other.parameters())
        give_gradients(model)
        optimizer.step()
        state = optimizer.state_dict()
        continued.load_state_dict(state)
        for slots in state["memory"].values():
            for what, value in slots.items():
                if what != "step":
                    value[...] = np.nan
        give_gradients(other, 1)
        continued.step()
        assert all(np.isfinite(parameter.data).all() for parameter in other.parameters())

    def test_it_brings_the_hyperparameters_along(self):
        p = Parameter(np.zeros(1))
        optimizer = optim.SGD([p])
        optimizer.load_state_dict(optim.SGD([p], lr=0.3, momentum=0.7, nesterov=True, weight_decay=0.2).state_dict())
        assert (optimizer.lr, optimizer.momentum, optimizer.nesterov, optimizer.weight_decay) == (0.3, 0.7, True, 0.2)

    @staticmethod
    def refused(state, words):
        """The optimizer refuses the state and stays as it was."""
        model = small_model()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        give_gradients(model)
        optimizer.step()
        before = str(optimizer.state_dict())
        with pytest.raises(CheckpointError, match=words):
            optimizer.load_state_dict(state)
        assert str(optimizer.state_dict()) == before

    def test_the_state_of_another_kind_is_refused(self):
        self.refused(optim.Adam(small_model().parameters()).state_dict(), "no state of SGD: it has .*'betas'")

    def test_the_state_of_other_names_is_refused(self):
        model = nn.Sequential(nn.Linear(3, 4))
        optimizer = optim.SGD(model.parameters())
        give_gradients(model)
        optimizer.step()
        self.refused(optimizer.state_dict(), "a parameter '0.weight' that this model lacks")

    def test_the_state_of_other_shapes_is_refused(self):
        model = nn.Sequential({"first": nn.Linear(3, 5)})
        optimizer = optim.SGD(model.parameters())
        give_gradients(model)
        optimizer.step()
        self.refused(optimizer.state_dict(), r"'first.weight' is not of the parameter's shape \(4, 3\)")

    def test_something_that_is_no_state_is_refused(self):
        self.refused({}, "no state of SGD")


class TestRefusals:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("lr", [-0.1, float("nan")])
    def test_a_learning_rate_below_0(self, kind, lr):
        with pytest.raises(ArgumentError, match=f"{kind.__name__}: lr must be at least 0, not {lr}"):
            kind([Parameter(np.zeros(1))], lr=lr)

    @pytest.mark.parametrize("wrong", [{"momentum": -0.1}, {"weight_decay": -1}])
    def test_sgds_numbers_below_0(self, wrong):
        with pytest.raises(ArgumentError, match="momentum and weight_decay must be at least 0"):
            optim.SGD([Parameter(np.zeros(1))], **wrong)

    def test_nesterov_without_momentum(self):
        with pytest.raises(ArgumentError, match="needs a momentum"):
            optim.SGD([Parameter(np.zeros(1))], nesterov=True)

    @pytest.mark.parametrize("betas", [(1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)])
    def test_adams_betas_outside_0_to_1(self, betas):
        with pytest.raises(ArgumentError, match=r"betas must lie in \[0, 1\)"):
            optim.Adam([Parameter(np.zeros(1))], betas=betas)

    @pytest.mark.parametrize("wrong", [{"eps": -1e-8}, {"weight_decay": -1}])
    def test_adams_numbers_below_0(self, wrong):
        with pytest.raises(ArgumentError, match="eps and weight_decay must be at least 0"):
            optim.Adam([Parameter(np.zeros(1))], **wrong)

    @pytest.mark.parametrize("wrong", [{"betas": 0.9}, {"betas": (0.9, 0.99, 0.999)}])
    def test_betas_that_are_not_two(self, wrong):
        with pytest.raises(ArgumentError, match=r"AdamW: betas must lie in \[0, 1\), two of them"):
            optim.AdamW([Parameter(np.zeros(1))], **wrong)

    @pytest.mark.parametrize("name", ["lr_decay", "weight_decay", "initial_accumulator_value", "eps"])
    def test_adagrads_numbers_below_0(self, name):
        with pytest.raises(ArgumentError, match=f"AdaGrad: {name} must be at least 0, not -0.1"):
            optim.AdaGrad([Parameter(np.zeros(1))], **{name: -0.1})

    @pytest.mark.parametrize("name", ["weight_decay", "momentum", "eps"])
    def test_rmsprops_numbers_below_0(self, name):
        with pytest.raises(ArgumentError, match=f"RMSprop: {name} must be at least 0, not nan"):
            optim.RMSprop([Parameter(np.zeros(1))], **{name: float("nan")})

    @pytest.mark.parametrize("alpha", [-0.1, 1.0])
    def test_rmsprops_alpha_outside_0_to_1(self, alpha):
        with pytest.raises(ArgumentError, match=r"RMSprop: alpha must lie in \[0, 1\)"):
            optim.RMSprop([Parameter(np.zeros(1))], alpha=alpha)

    @pytest.mark.parametrize("nothing", [[], {}, iter(())])
    def test_no_parameters(self, nothing):
        with pytest.raises(ArgumentError, match=r"no parameters; pass model\.parameters\(\)"):
            optim.SGD(nothing)

    def test_arrays_in_the_place_of_parameters(self):
        with pytest.raises(ArgumentError, match=r"as from model\.parameters\(\), not a ndarray"):
            optim.SGD([np.zeros(3)])

    def test_two_parameters_of_one_name(self):
        a, b = small_model(), small_model()
        pairs = [*a.named_parameters().items(), *b.named_parameters().items()]
        with pytest.raises(ArgumentError, match="two parameters have the same name"):
            optim.Adam(pairs)

    def test_the_base_class_has_no_update(self):
        p = Parameter(np.zeros(1))
        p.grad = np.ones(1)
        with pytest.raises(NotImplementedError, match="no update yet"):
            optim.Optimizer([p], 0.1).step()


def test_what_is_remembered_follows_the_parameters_type(make):
    parameter = Parameter(np.ones(3))
    steps = make([parameter])
    parameter.add_grad(np.ones(3))
    steps.step()
    parameter.data, parameter.grad = parameter.data.astype(np.float32), np.ones(3, dtype=np.float32)
    steps.step()
    assert parameter.data.dtype == np.float32
    assert steps.memory["0"]["step"] == 2


def test_one_parameter_given_twice_is_refused():
    parameter = Parameter(np.ones(3))
    with pytest.raises(ArgumentError, match="given twice"):
        optim.SGD([parameter, parameter], lr=0.1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_of_ones_own_is_asked_for_every_parameter(kind):
    """All parameters go through one operation, but not where a subclass has written `update` anew."""
    asked = []

    class Mine(kind):
        def update(self, parameter, grad, memory, **settings):
            asked.append(parameter)
            super().update(parameter, grad, memory, **settings)

    ours, theirs = [], []
    for parameters, optimizer in ((ours, Mine), (theirs, kind)):
        parameters += [Parameter(np.full(shape, 2.0)) for shape in ((3,), (2, 2))]
        for parameter in parameters:
            parameter.add_grad(np.ones(parameter.data.shape))
        optimizer(parameters, lr=0.1).step()
    assert asked == ours
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine.data, other.data, rtol=1e-15)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (optim.SGD, "sgd_update"),
        (optim.Adam, "adam_update"),
        (lambda p, lr: optim.AdamW(p, lr, weight_decay=0), "adam_update"),
    ],
)
def test_an_update_that_is_plugged_in_is_used_for_every_parameter(kind, name):
    shapes = []

    def mine(w, dw, *moments, **options):
        shapes.append(w.shape)
        return (w - 1, *moments)

    parameters = [Parameter(np.full(shape, 2.0)) for shape in ((3,), (2, 2))]
    for parameter in parameters:
        parameter.add_grad(np.ones(parameter.data.shape))
    with mc.plug(**{name: mine}):
        kind(parameters, lr=0.1).step()
    assert shapes == [(3,), (2, 2)]
    assert all((parameter.data == 1).all() for parameter in parameters)


@pytest.mark.parametrize("lr", ["0.1", None, True])
def test_a_rate_that_is_no_number_is_refused(lr):
    with pytest.raises(ArgumentError, match=f"Adam: lr must be a number, not {lr!r}"):
        optim.Adam(nn.Linear(2, 2).parameters(), lr=lr)
