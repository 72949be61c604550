"""Training: it learns, it counts, and it goes through one's own functions."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import data, nn, ops, optim
from minicnn.errors import ArgumentError, CheckpointError, DataError, DataWarning, DTypeError
from minicnn.optim import clip_grad_norm
from minicnn.train import Callback, History
from minicnn.train.means import RunningMeans


def test_it_learns_digits(digits):
    mc.seed(0)
    model = mc.models.create("basic", input_shape=(1, 8, 8), classes=10)
    trainer = mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=3e-3))
    history = trainer.fit(digits.train, validation=digits.validation, epochs=6, batch_size=32)
    assert history["loss"] == sorted(history["loss"], reverse=True)
    assert history["val_accuracy"][-1] > 0.95
    assert trainer.evaluate(digits.train)["accuracy"] > 0.97


def test_the_history_has_a_column_a_measure_and_a_row_an_epoch(new_trainer, few):
    history = new_trainer().fit(few, validation=few, epochs=3)
    assert isinstance(history, History)
    assert history.names == ["loss", "accuracy", "val_loss", "val_accuracy", "lr"]
    assert history.epoch == [1, 2, 3]


def test_without_validation_there_are_no_such_columns(new_trainer, few):
    assert new_trainer().fit(few).names == ["loss", "accuracy", "lr"]


def test_the_epochs_loss_is_the_mean_over_examples_not_over_batches(few):
    """With a learning rate of 0 every batch is measured with the same weights."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    trainer = mc.Trainer(model, optimizer=optim.SGD(model.parameters(), lr=0))
    row = trainer.fit(few, batch_size=32).rows[-1]  # batches of 32 and of 8
    expected = trainer.evaluate(few)
    assert row["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    assert row["accuracy"] == pytest.approx(expected["accuracy"])


def test_metrics_of_ones_own_are_measured(new_trainer, few):
    trainer = new_trainer(metrics={"largest": lambda prediction, target: prediction.max()})
    assert trainer.fit(few, validation=few).names == ["loss", "largest", "val_loss", "val_largest", "lr"]


def test_a_loss_without_classes_has_no_accuracy():
    class Squares(nn.Loss):
        def forward(self, prediction, target):
            self.saved = prediction - target[:, None]
            return (self.saved**2).mean()

        def backward(self):
            return (2 * self.saved / self.saved.size).astype(np.float32)

    x = np.linspace(-1, 1, 32, dtype=np.float32)[:, None]
    model = nn.Sequential(nn.Linear(1, 1))
    trainer = mc.Trainer(model, loss=Squares(), optimizer=optim.SGD(model.parameters(), lr=0.1))
    history = trainer.fit((x, 3 * x[:, 0] + 1), epochs=60, batch_size=8)
    assert history.names == ["loss", "lr"]
    assert history["loss"][-1] < 1e-3
    np.testing.assert_allclose([*model[0].weight.data[0], *model[0].bias.data], [3, 1], atol=0.1)


def test_two_fits_in_a_row_go_on_counting(new_trainer, few):
    trainer = new_trainer()
    trainer.fit(few, epochs=2)
    assert trainer.fit(few, epochs=3).epoch == [1, 2, 3, 4, 5]
    assert trainer.epoch == 5


def test_two_fits_in_a_row_are_one_long_fit(new_trainer, few, state_of):
    one, two = new_trainer(), new_trainer()
    one.fit(few, epochs=4)
    two.fit(few, epochs=1)
    two.fit(few, epochs=3)
    assert state_of(one) == state_of(two)


def test_the_same_seed_trains_to_the_same_bits(new_trainer, few, state_of):
    one, same, other = (new_trainer(seed=seed) for seed in (1, 1, 2))
    for trainer in (one, same, other):
        trainer.fit(few, epochs=2)
    assert state_of(one) == state_of(same)
    assert state_of(one)["model"] != state_of(other)["model"]


class Watch(Callback):
    """Call a function after every batch."""

    def __init__(self, function):
        self.function = function

    def on_batch_end(self, batch, logs):
        self.function(self.trainer)


def test_every_epoch_takes_the_examples_in_another_order(few):
    orders = []

    class Seen(nn.Flatten):
        def forward(self, x):
            if self.training:
                orders.append([image.tobytes() for image in x])
            return super().forward(x)

    trainer = mc.Trainer(nn.Sequential(Seen(), nn.Linear(64, 10)))
    trainer.fit(few, epochs=3, batch_size=40)
    assert len({tuple(order) for order in orders}) == 3
    assert len({tuple(sorted(order)) for order in orders}) == 1


def test_training_is_in_training_mode_and_validation_in_evaluation_mode(new_trainer, few):
    trainer = new_trainer()
    trainer.model.eval()
    modes = []
    trainer.model.add_hook(lambda layer, x, y: modes.append((layer.training, len(x))))
    trainer.fit(few, validation=few, epochs=2, batch_size=20)
    assert modes == 2 * [(True, 20), (True, 20), (False, 40)]


def test_it_trains_through_a_function_plugged_into_a_slot(new_trainer, few, state_of):
    calls = []

    def counted(dy, x, w, *, stride, padding, dilation, groups, need_dx=True):
        calls.append(dy.shape)
        plain = ops.conv2d_backward.body
        return plain(dy, x, w, stride=stride, padding=padding, dilation=dilation, groups=groups, need_dx=need_dx)

    with mc.plug(conv2d_backward=counted):
        new_trainer().fit(few, epochs=2, batch_size=20)
    assert calls == [(20, 4, 8, 8)] * 4


def test_a_plugged_function_that_gives_no_gradient_leaves_the_weights(new_trainer, few):
    """So its result is really used."""

    def zeros(dy, x, w, *, stride, padding, dilation, groups, need_dx=True):
        return np.zeros_like(x), np.zeros_like(w), np.zeros_like(w[:, 0, 0, 0])

    trainer = new_trainer()
    before = trainer.model.state_dict()
    with mc.plug(conv2d_backward=zeros):
        trainer.fit(few)
    after = trainer.model.state_dict()
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])
    assert (after["6.weight"] != before["6.weight"]).any()


def test_a_frozen_layer_stays_as_it_is(new_trainer, few):
    trainer = new_trainer()
    trainer.model[0].weight.frozen = True
    before = trainer.model.state_dict()
    trainer.fit(few)
    after = trainer.model.state_dict()
    np.testing.assert_array_equal(after["0.weight"], before["0.weight"])
    assert (after["0.bias"] != before["0.bias"]).any()


class TestClipping:
    def test_gradients_are_no_longer_than_clip_norm(self, new_trainer, few):
        lengths = []

        def measure(trainer):
            grads = [parameter.grad.ravel() for parameter in trainer.model.parameters()]
            lengths.append(np.linalg.norm(np.concatenate(grads)))

        new_trainer(clip_norm=0.01).fit(few, batch_size=20, callbacks=[Watch(measure)])
        np.testing.assert_allclose(lengths, [0.01, 0.01], rtol=1e-3)

    def test_it_is_one_step_with_the_clipped_gradient(self, new_trainer, few):
        x, y = few[:]
        clipped, by_hand = new_trainer(optimizer=optim.SGD, clip_norm=0.1), new_trainer(optimizer=optim.SGD)
        clipped.train_step(x, y)
        by_hand.loss.forward(by_hand.model(x), y)
        by_hand.model.backward(by_hand.loss.backward())
        clip_grad_norm(by_hand.model.parameters(), 0.1)
        by_hand.optimizer.step()
        for name, value in by_hand.model.state_dict().items():
            np.testing.assert_array_equal(clipped.model.state_dict()[name], value)

    def test_a_numpy_number_serves_as_clip_norm(self, new_trainer, few):
        trainer = new_trainer(clip_norm=np.float64(0.1))
        trainer.fit(few, epochs=2)
        assert trainer.model[0].weight.data.dtype == np.float32


def test_a_numpy_number_serves_as_learning_rate(new_trainer, few):
    trainer = new_trainer(lr=np.geomspace(1e-4, 1e-2, 3)[1])
    trainer.fit(few, epochs=2)
    assert trainer.model[0].weight.data.dtype == np.float32


def test_a_model_in_float64_trains_in_float64(new_trainer, few):
    x, y = few[:]
    trainer = new_trainer()
    trainer.model.astype(np.float64)
    trainer.fit(mc.data.ArrayDataset(x, y, dtype=np.float64), epochs=1)
    assert trainer.model[0].weight.data.dtype == np.float64


def test_a_pair_of_float64_serves_a_model_in_float64(new_trainer, few):
    trainer = new_trainer()
    trainer.model.astype(np.float64)
    pair = few.x.astype(np.float64), few.y
    trainer.fit(pair, validation=pair)
    trainer.evaluate(pair)
    assert trainer.model[0].weight.data.dtype == np.float64


class TestRefusals:
    @pytest.mark.parametrize("epochs", [0, -1, 1.5])
    def test_epochs_that_are_no_count(self, new_trainer, few, epochs):
        with pytest.raises(ArgumentError, match=f"epochs must be a whole number of at least 1, not {epochs}"):
            new_trainer().fit(few, epochs=epochs)

    def test_a_batch_size_of_0(self, new_trainer, few):
        with pytest.raises(ArgumentError, match="batch_size must be a whole number of at least 1, not 0"):
            new_trainer().fit(few, batch_size=0)

    def test_no_examples(self, new_trainer, few):
        x, y = few[:0]
        with pytest.raises(DataError, match="empty"):
            new_trainer().fit((x, y))

    def test_something_that_is_no_data_set(self, new_trainer, few):
        with pytest.raises(DataError, match=r"expected an ArrayDataset or a pair \(x, y\), not ndarray"):
            new_trainer().fit(few.x)

    def test_nan_images(self, new_trainer, few):
        x, y = few[:]
        x = x.copy()
        x[3] = np.nan
        with pytest.raises(DataError, match="nan in example 3"):
            new_trainer().fit((x, y))

    def test_pixels_that_are_whole_numbers(self, new_trainer, few):
        with pytest.raises(DTypeError, match="x / 255"):
            new_trainer().fit((few.x.astype(np.uint8), few.y))

    @pytest.mark.parametrize("label", [10, -1])
    def test_labels_out_of_range(self, new_trainer, few, label):
        y = few.y.copy()
        y[0] = label
        with pytest.raises(DataError, match=f"label {label} at position .* is out of range"):
            new_trainer().fit((few.x, y))

    def test_labels_that_are_not_integers(self, new_trainer, few):
        with pytest.raises(DTypeError, match="labels are float64, expected integers from 0 to 9"):
            new_trainer().fit((few.x, few.y.astype(float)))

    def test_a_sealed_test_set_to_train_on(self, new_trainer, sealed):
        with pytest.raises(DataError, match=r"sealed test set is for evaluate\(\)"):
            new_trainer().fit(sealed)
        assert sealed.seal.openings == []

    def test_a_sealed_test_set_for_validation(self, new_trainer, few, sealed):
        with pytest.raises(DataError, match=r"sealed test set is for evaluate\(\)"):
            new_trainer().fit(few, validation=sealed)
        assert sealed.seal.openings == []

    def test_resume_without_a_folder(self, new_trainer, few):
        with pytest.raises(ArgumentError, match=r"resume=True needs the folder"):
            new_trainer().fit(few, resume=True)


# What a trainer is built from


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "crossentropy"}, "loss must be a Loss, not 'crossentropy'"),
        ({"loss": nn.CrossEntropyLoss}, r"loss is the class CrossEntropyLoss; build one: CrossEntropyLoss\(...\)"),
        ({"optimizer": "adam"}, "optimizer must be an Optimizer"),
        ({"optimizer": optim.Adam}, "optimizer is the class Adam; build one"),
        ({"metrics": ["accuracy"]}, "metrics must be a Mapping"),
    ],
)
def test_parts_of_the_wrong_kind_are_refused_at_once(options, words):
    with pytest.raises(ArgumentError, match=words):
        mc.Trainer(nn.Sequential(nn.Linear(2, 2)), **options)


def test_a_class_of_a_callback_is_refused(new_trainer, few):
    with pytest.raises(ArgumentError, match="callback is the class Callback; build one"):
        new_trainer().fit(few, callbacks=[mc.train.Callback])


def test_the_optimizer_of_another_model_is_refused(new_trainer, few):
    trainer = new_trainer()
    trainer.model = new_trainer(seed=1).model
    with pytest.raises(ArgumentError, match="parameters that are not the model's"):
        trainer.fit(few)


def test_a_last_batch_that_is_not_full_can_be_left_out(new_trainer, few):
    trainer = new_trainer()
    trainer.fit(few.subset(range(21)), batch_size=10, drop_last=True)
    assert trainer.optimizer.memory["0.weight"]["step"] == 2


@pytest.mark.parametrize("what", ["predict", "predict_proba", "predict_classes"])
def test_what_fit_refuses_predict_refuses_too(new_trainer, few, what):
    predict = getattr(new_trainer(), what)
    with pytest.raises(DTypeError, match="x / 255"):
        predict(np.zeros((2, 1, 8, 8), dtype=np.uint8))
    with pytest.raises(DataError, match="x holds nan in example 1"):
        predict(np.stack([np.zeros((1, 8, 8)), np.full((1, 8, 8), np.nan)]))
    with pytest.raises(DataError, match=r"predict\(dataset.x\)"):
        predict(few)


@pytest.mark.parametrize("name", ["loss", "epoch", "lr", "val_accuracy"])
def test_a_metric_may_not_take_a_name_that_the_history_uses(new_trainer, name):
    with pytest.raises(ArgumentError, match=f"cannot be called '{name}'"):
        new_trainer(metrics={name: lambda prediction, target: 0.5})


def test_a_model_in_float64_trains_on_a_data_set_in_float32(new_trainer, few):
    trainer = new_trainer()
    trainer.model.astype(np.float64)
    trainer.fit(few, validation=few, epochs=1)
    assert trainer.evaluate(few)["loss"] == pytest.approx(trainer.history["val_loss"][-1], rel=1e-12)


def test_a_weighted_loss_is_the_mean_over_all_weights_whatever_the_batches(new_trainer, few):
    weights = np.array([5.0, *[1.0] * 8, 0.1])
    trainer = new_trainer(loss=nn.CrossEntropyLoss(weight=weights))
    trainer.fit(few, epochs=1)
    scores = trainer.predict(few.x).astype(np.float64)
    log_p = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    want = -(weights[few.y] * log_p[np.arange(40), few.y]).sum() / weights[few.y].sum()
    for batch_size in (1, 7, 40):
        assert trainer.evaluate(few, batch_size=batch_size)["loss"] == pytest.approx(want, rel=1e-5)


def test_means_of_an_epoch_do_not_drift():
    means = RunningMeans()
    for _ in range(20000):
        means.add(32, {"loss": np.float32(0.1)})
    assert means["loss"] == pytest.approx(np.float64(np.float32(0.1)), rel=1e-12)


class StopAt(Callback):
    """Ctrl-C after so many steps, once."""

    def __init__(self, steps):
        self.steps = steps

    def on_batch_end(self, batch, logs):
        if self.trainer.pace.steps == self.steps:
            self.steps = None
            raise KeyboardInterrupt


def test_after_an_interruption_the_broken_epoch_is_counted_anew(new_trainer, few):
    trainer = new_trainer(schedule=optim.OneCycle(max_lr=0.01, epochs=3, steps_per_epoch=2))
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(few, epochs=3, callbacks=[StopAt(3)])
    trainer.fit(few, epochs=2)
    assert (trainer.epoch, trainer.pace.steps) == (3, 6)


def test_after_an_interruption_the_checkpoint_is_not_overwritten_by_half_an_epoch(new_trainer, few, tmp_path, state_of):
    trainer, whole = new_trainer(), new_trainer()
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(few, epochs=3, out=tmp_path, callbacks=[StopAt(3)])
    with pytest.raises(CheckpointError, match="middle of epoch 2: resume=True goes on"):
        trainer.fit(few, epochs=2, out=tmp_path)
    trainer.fit(few, epochs=3, out=tmp_path, resume=True)
    whole.fit(few, epochs=3)
    assert state_of(trainer) == state_of(whole)


def test_the_best_weights_are_kept_in_a_folder_that_comes_later(new_trainer, few, tmp_path):
    trainer = new_trainer()
    trainer.fit(few, epochs=1)
    trainer.history.rows[0]["loss"] = 0.0
    trainer.fit(few, epochs=1, out=tmp_path)
    assert (tmp_path / "best.npz").exists()


def test_nothing_to_train_is_said(new_trainer, few):
    trainer = new_trainer()
    for parameter in trainer.model.parameters():
        parameter.frozen = True
    with pytest.raises(ArgumentError, match="all parameters of the optimizer are frozen"):
        trainer.fit(few)


class TestWhatABeginnerForgets:
    """It trains all the same, so it is said."""

    x = np.random.default_rng(0).uniform(size=(6, 1, 4, 4)).astype(np.float32)
    y = np.arange(6) % 3

    def fit(self, x, *, outputs=3, classes=None):
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, outputs))
        mc.Trainer(model).fit(data.ArrayDataset(x, self.y, classes=classes), epochs=2, batch_size=3)

    def test_pixels_up_to_255(self):
        with pytest.warns(DataWarning, match=r"pixels from 0 to 255, .*; x / 255") as warned:
            self.fit(self.x * 254)
        assert len(warned) == 1, "once is enough"
        assert warned[0].filename == __file__

    @pytest.mark.parametrize("scale", [1, 100, 1000, -250])
    def test_other_numbers_are_nobodys_pixels(self, scale):
        self.fit(self.x * scale)

    @pytest.mark.parametrize(("outputs", "classes"), [(40, None), (4, "abc")])
    def test_a_last_layer_that_is_missing(self, outputs, classes):
        with pytest.warns(DataWarning, match=rf"{outputs} scores .* 3 classes: .* nn.Linear\({outputs}, 3\)") as warned:
            self.fit(self.x, outputs=outputs, classes=classes)
        assert len(warned) == 1

    @pytest.mark.parametrize(("outputs", "classes"), [(10, None), (3, "abc")])
    def test_some_classes_may_be_rare(self, outputs, classes):
        self.fit(self.x, outputs=outputs, classes=classes)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((np.zeros((2, 3)), np.ones(2), np.zeros(2)), "not 3 arrays; what else a model takes, such as lengths"),
        (([np.zeros(2), np.zeros(3)], [0, 1]), "x holds examples of different shapes; .*nn.LSTM takes their lengths"),
        (data.load("digits"), "not Splits; its .train and .validation are such"),
    ],
)
def test_what_is_no_data_set_is_said_with_what_would_be(given, message):
    with pytest.raises(DataError, match=message):
        mc.Trainer(nn.Linear(3, 2)).fit(given)


def test_lengths_travel_in_x_as_a_feature_of_their_own():
    """As the docstring of `nn.recurrent` has it: what stands behind the end of a sequence changes nothing."""

    class Reader(nn.Layer):
        def __init__(self):
            self.lstm, self.answer = nn.LSTM(3, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.answer(self.lstm(x, x[:, :, -1].sum(axis=1).astype(int)))

        def backward(self, dy):
            return self.lstm.backward(self.answer.backward(dy))

    x = np.random.default_rng(0).normal(size=(6, 5, 3)).astype(np.float32)
    x[:, :, -1] = np.arange(5) < np.array([[1], [2], [3], [4], [5], [5]])
    spoilt = np.where(x[:, :, -1:] == 0, np.array([7, -7, 0], dtype=np.float32), x)
    ends = []
    for inputs in (x, spoilt):
        mc.seed(0)
        trainer = mc.Trainer(Reader())
        trainer.fit((inputs, np.arange(6) % 2), epochs=2, batch_size=3)
        ends.append(trainer.predict(x))
    np.testing.assert_array_equal(*ends)
