"""A NaN or an infinity is stopped where it first arose, before it is in the weights."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn, optim
from minicnn.errors import NonFiniteError


class Spoil(nn.Layer):
    """Passes on what it is given, but spoils the output or the gradient."""

    def __init__(self, *, forward=1.0, backward=1.0):
        self.factors = np.float32(forward), np.float32(backward)

    def forward(self, x):
        return x * self.factors[0]

    def backward(self, dy):
        return dy * self.factors[1]

    def __repr__(self):
        return "Spoil()"


class NaNWhereZero(nn.Layer):
    """Spoils the output if dropout dropped the very first number."""

    def forward(self, x):
        return x * np.float32(np.nan) if x[0, 0] == 0 else x

    def backward(self, dy):
        return dy


def trainer_of(*layers, kind=optim.Adam, lr=0.01, seed=0):
    mc.seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), *[layer() for layer in layers], nn.Linear(8, 10))
    return mc.Trainer(model, optimizer=kind(model.parameters(), lr=lr))


def test_a_layer_whose_output_is_nan_is_named_with_its_inputs(few):
    trainer = trainer_of(nn.ReLU, lambda: Spoil(forward=np.nan), nn.ReLU)
    with pytest.raises(
        NonFiniteError, match=r"the loss is nan; .* first arose in layer '3', Spoil\(\), from inputs of up"
    ):
        trainer.train_step(*few[:])


def test_a_layer_deep_in_the_tree_is_named_by_its_path(few):
    inner = nn.Sequential({"fine": nn.ReLU(), "bad": Spoil(forward=np.inf)})
    trainer = trainer_of(lambda: nn.Residual(inner))
    with pytest.raises(NonFiniteError, match=r"layer '2\.body\.bad', Spoil\(\)"):
        trainer.train_step(*few[:])


def test_a_nan_weight_is_named(few):
    trainer = trainer_of(nn.ReLU)
    trainer.model[3].weight.data[2, 1] = np.nan
    with pytest.raises(NonFiniteError, match=r"the parameter '3\.weight' holds NaN or infinity already"):
        trainer.train_step(*few[:])


def test_a_nan_in_the_batch_is_not_blamed_on_a_layer(few):
    x, y = few[:]
    x = x.copy()
    x[3, 0, 2, 2] = np.nan
    with pytest.raises(NonFiniteError, match="the batch itself holds NaN"):
        trainer_of(nn.ReLU).train_step(x, y)


def test_a_nan_of_the_loss_alone_is_told_so(few):
    class Broken(nn.CrossEntropyLoss):
        def forward(self, prediction, target):
            return super().forward(prediction, target) * np.nan

    trainer = trainer_of(nn.ReLU)
    trainer.loss = Broken()
    with pytest.raises(NonFiniteError, match="all layers' outputs are finite, so it arose in the loss itself"):
        trainer.train_step(*few[:])


def test_a_nan_gradient_names_the_first_parameter_that_it_reached(few):
    trainer = trainer_of(nn.ReLU, lambda: Spoil(backward=np.nan), nn.ReLU)
    with pytest.raises(NonFiniteError, match=r"the gradient of '1\.bias' holds NaN or infinity"):
        trainer.train_step(*few[:])


def test_gradients_whose_squares_overflow_are_still_finite(few):
    trainer = trainer_of(lambda: Spoil(backward=1e25), kind=optim.SGD, lr=1e-30)
    trainer.train_step(*few[:])
    assert abs(trainer.model[1].weight.grad).max() > 1e20


def test_an_exploding_learning_rate_names_the_batch_the_layer_and_what_mends_it(few):
    words = r"epoch 1, batch 2: the loss is nan; .* layer '3', Linear\(8, 10\), .* a lower learning rate, clip_norm"
    with pytest.raises(NonFiniteError, match=words):
        trainer_of(nn.ReLU, kind=optim.SGD, lr=1e30).fit(few, batch_size=10)


def test_an_explosion_in_the_last_batch_is_told_too_where_validation_meets_it_first(few):
    with pytest.raises(NonFiniteError):
        trainer_of(nn.ReLU, kind=optim.SGD, lr=1e30).fit(few, validation=few, batch_size=40, epochs=2)


SPOILERS = {
    "in the output": lambda: Spoil(forward=np.nan),
    "in the gradient": lambda: Spoil(backward=np.nan),
}


@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS.keys())
class TestAfterwards:
    @staticmethod
    def failed(few, spoil):
        """Train well for a step, then spoil the next; return the trainer and its state before that one."""
        trainer = trainer_of(Spoil, lambda: nn.BatchNorm1d(8), nn.Dropout)
        trainer.train_step(*few[:])
        before = trainer.model.state_dict(), str(trainer.optimizer.state_dict())
        trainer.model[2].factors = spoil().factors
        with pytest.raises(NonFiniteError):
            trainer.train_step(*few[:])
        return trainer, *before

    def test_weights_are_not_spoilt(self, few, spoil):
        trainer, before, _ = self.failed(few, spoil)
        for name, parameter in trainer.model.named_parameters().items():
            np.testing.assert_array_equal(parameter.data, before[name], err_msg=name)

    def test_running_statistics_are_not_spoilt(self, few, spoil):
        trainer, before, _ = self.failed(few, spoil)
        for name, buffer in trainer.model.named_buffers().items():
            assert np.isfinite(buffer.data).all(), name
        assert trainer.model[3].num_batches_tracked.data <= before["3.num_batches_tracked"] + 1

    def test_the_optimizers_memory_is_not_spoilt(self, few, spoil):
        trainer, _, memory = self.failed(few, spoil)
        assert str(trainer.optimizer.state_dict()) == memory

    def test_no_hook_is_left_behind(self, few, spoil):
        trainer, _, _ = self.failed(few, spoil)
        assert all(layer._hooks == () for _, layer in trainer.model.named_layers())

    def test_training_can_go_on_once_the_cause_is_gone(self, few, spoil):
        trainer, _, _ = self.failed(few, spoil)
        trainer.model[2].factors = Spoil().factors
        trainer.fit(few, validation=few)
        assert np.isfinite(trainer.history["val_loss"]).all()


@pytest.mark.parametrize("seed", range(8))
def test_with_dropout_the_search_repeats_the_very_same_masks(few, seed):
    """A NaN that depends on the mask would hide from a search with another mask."""
    trainer = trainer_of(nn.Dropout, NaNWhereZero, seed=seed)
    counter, steps = trainer.model[2].rng, []

    def train_until_the_first_number_is_dropped():
        for _ in range(100):
            steps.append(counter.step)
            trainer.train_step(*few[:])

    with pytest.raises(NonFiniteError, match="first arose in layer '3', "):
        train_until_the_first_number_is_dropped()
    assert counter.step == steps[-1] + 1  # and the search has used up no mask


def test_a_healthy_training_is_not_disturbed(few):
    history = trainer_of(nn.ReLU, nn.Dropout).fit(few, epochs=20)
    assert history["loss"][-1] < history["loss"][0]


def test_where_no_step_was_watched_the_end_of_the_epoch_is(few, monkeypatch):
    """As on a GPU, where looking at every loss would make it wait."""
    from minicnn.train import guard

    for name in ("check_loss", "check_gradients"):
        monkeypatch.setattr(guard.Guard, name, lambda *_: None)
    trainer = trainer_of(lambda: Spoil(forward=np.nan))
    with pytest.raises(NonFiniteError, match=r"epoch 1: the loss is nan; the parameter '1\.weight' holds NaN"):
        trainer.fit(few)
