"""The learning-rate range test: what it suggests, what it leaves alone, and what it refuses."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, nn, optim
from minicnn.data import ArrayDataset, SealedDataset
from minicnn.errors import ArgumentError, DataError
from minicnn.recipes import RangeTest, learning_rate_range_test


@pytest.fixture(scope="module")
def digits():
    return data.normalise(data.load("digits"))


def network(seed=0):
    mc.seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10),
    )  # fmt: skip


def momentum(parameters):
    return optim.SGD(parameters, momentum=0.9)


class Quadratic(nn.Loss):
    """curvature / 2 * mean of the squared scores, of which gradient descent is thrown off above 2 / curvature."""

    def __init__(self, curvature):
        self.curvature = curvature

    def forward(self, prediction, target):
        self.saved = prediction
        return self.curvature / 2 * (prediction**2).mean()

    def backward(self):
        return self.curvature * self.saved / self.saved.size


class Weight(nn.Layer):
    """One weight, whatever comes in."""

    def __init__(self):
        self.weight = nn.Parameter(np.ones(1, dtype=np.float32))

    def forward(self, x):
        self.saved = x
        return np.zeros_like(x) + self.weight.data

    def backward(self, dy):
        self.weight.add_grad(dy.sum().reshape(1))
        return dy


ANYTHING = (np.zeros((8, 1), dtype=np.float32), np.zeros(8))


@pytest.mark.parametrize("curvature", [0.1, 1.0, 10.0])
def test_on_a_parabola_it_finds_the_scale_that_the_curvature_sets(curvature):
    result = learning_rate_range_test(
        Weight(), Quadratic(curvature), ANYTHING, optimizer=optim.SGD, smallest=1e-4, largest=1e4, batch_size=8
    )
    assert 0.02 / curvature < result.suggestion < 0.5 / curvature
    assert result.rates[-1] > 2 / curvature, "it ended before it diverged"
    assert len(result.rates) < 100, "it went on although it had diverged"


@pytest.mark.parametrize(("optimizer", "seed"), [(kind, seed) for kind in (momentum, optim.Adam) for seed in range(3)])
def test_a_training_at_the_suggested_rate_does_well_and_at_a_hundredth_or_hundred_times_of_it_badly(
    digits, optimizer, seed
):
    model = network(seed)
    rate = learning_rate_range_test(model, nn.CrossEntropyLoss(), digits.train, optimizer=optimizer).suggestion
    losses = []
    for lr in (rate / 100, rate, rate * 100):
        model = network(seed)
        steps = optimizer(model.parameters())
        steps.lr = lr
        history = mc.Trainer(model, optimizer=steps).fit(digits.train, validation=digits.validation, epochs=2)
        losses.append(history["val_loss"][-1])
    assert losses[1] < 0.3
    assert losses[1] < min(losses[0], losses[2]) / 2


def test_the_model_its_gradients_and_all_randomness_stay_as_they_were(digits):
    model, other = network(), network()
    before = {name: value.tobytes() for name, value in model.state_dict().items()}
    counters = {name: rng.step for name, rng in model.named_rngs().items()}
    stream = mc.backend.default_rng().stream
    model.eval()
    learning_rate_range_test(model, nn.CrossEntropyLoss(), digits.train, steps=20)
    assert {name: value.tobytes() for name, value in model.state_dict().items()} == before
    assert {name: rng.step for name, rng in model.named_rngs().items()} == counters
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not model.training
    assert mc.backend.default_rng().stream == stream + 1
    assert other.training


def test_the_same_test_gives_the_same_numbers(digits):
    first, second = (learning_rate_range_test(network(), nn.CrossEntropyLoss(), digits.train) for _ in range(2))
    np.testing.assert_array_equal(first.losses, second.losses)
    assert first.suggestion == second.suggestion


def test_rates_rise_by_the_same_factor_and_small_data_sets_are_gone_through_again(digits):
    few = digits.train.subset(np.arange(20))
    result = learning_rate_range_test(
        network(), nn.CrossEntropyLoss(), few, smallest=1e-5, largest=1e-2, steps=30, batch_size=8
    )
    np.testing.assert_allclose(result.rates, np.geomspace(1e-5, 1e-2, 30))
    assert result.rates.shape == result.losses.shape == result.smoothed.shape == (30,)


def test_all_groups_get_the_rate(digits):
    seen = []

    class Looking(optim.SGD):
        def step(self):
            seen.append([group["lr"] for group in self.param_groups])
            super().step()

    def groups(parameters):
        return Looking([{"params": parameters[:2], "lr": 0.5}, {"params": parameters[2:]}], lr=0.1)

    learning_rate_range_test(
        network(), nn.CrossEntropyLoss(), digits.train, optimizer=groups, smallest=1e-4, largest=1e-2, steps=10
    )
    np.testing.assert_allclose(seen, np.geomspace(1e-4, 1e-2, 10)[:, None] * [1, 1])


def test_smoothing_is_a_mean_over_neighbours_on_both_sides(digits):
    result = learning_rate_range_test(network(), nn.CrossEntropyLoss(), digits.train, steps=60, largest=1e-3)
    np.testing.assert_allclose(result.smoothed[10], result.losses[7:14].mean())
    np.testing.assert_allclose(result.smoothed[[0, 1]], [result.losses[0], result.losses[:3].mean()])
    np.testing.assert_allclose(result.smoothed[-1], result.losses[-1])


def test_the_figure_marks_the_suggestion():
    rates, losses = np.geomspace(1e-3, 1, 4), np.array([2.0, 1.0, 0.5, 4.0])
    (axes,) = RangeTest(rates, losses, losses, 0.01).plot().axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "learning rate"
    mark = next(line for line in axes.lines if line.get_label() == "suggestion: 0.01")
    assert list(mark.get_xdata()) == [0.01, 0.01]


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"smallest": 0}, "smallest must be above 0 and below largest, not 0 and 10.0"),
            ({"smallest": 1.0, "largest": 0.1}, "smallest must be above 0 and below largest, not 1.0 and 0.1"),
            ({"largest": float("nan")}, "below largest"),
            ({"steps": 9}, "steps must be a whole number of at least 10, not 9"),
            ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
            ({"optimizer": lambda parameters: "adam"}, r"what optimizer\(parameters\) returns must be an Optimizer"),
        ],
    )
    def test_arguments(self, digits, options, words):
        with pytest.raises(ArgumentError, match=words):
            learning_rate_range_test(network(), nn.CrossEntropyLoss(), digits.train, **options)

    def test_something_that_is_no_model_or_no_loss(self, digits):
        with pytest.raises(ArgumentError, match="model must be a Layer"):
            learning_rate_range_test("basic", nn.CrossEntropyLoss(), digits.train)
        with pytest.raises(ArgumentError, match="loss is the class CrossEntropyLoss; build one"):
            learning_rate_range_test(network(), nn.CrossEntropyLoss, digits.train)

    def test_a_sealed_test_set(self, digits):
        sealed = SealedDataset(ArrayDataset(digits.validation.x[:20], digits.validation.y[:20]))
        with pytest.raises(DataError, match="not for choosing a learning rate; use the training set"):
            learning_rate_range_test(network(), nn.CrossEntropyLoss(), sealed)
        assert sealed.seal.openings == []

    def test_a_loss_that_diverges_at_once(self):
        with pytest.raises(ArgumentError, match=r"diverged within \d steps from the rate 1e\+03; begin lower"):
            learning_rate_range_test(
                Weight(), Quadratic(1.0), ANYTHING, optimizer=optim.SGD, smallest=1e3, largest=1e30, steps=10
            )

    def test_a_loss_that_never_falls(self):
        with pytest.raises(ArgumentError, match=r"the loss never falls between the rates 0\.0001 and 1; begin with"):
            learning_rate_range_test(Weight(), Quadratic(0.0), ANYTHING, optimizer=optim.SGD, smallest=1e-4, largest=1)
