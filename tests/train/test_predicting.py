"""What a model's scores mean depends on the loss it was trained with."""

import numpy as np
import pytest
import scipy.special
from strategies import normal

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError
from minicnn.train.predicting import classes, probabilities

SCORES = normal(0, 7, 4)


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.HingeLoss()], ids=repr)
@pytest.mark.parametrize("shape", [(7, 4), (7, 4, 3, 2)])
def test_one_class_among_many(loss, shape):
    scores = normal(0, *shape)
    np.testing.assert_allclose(probabilities(loss, scores), scipy.special.softmax(scores, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(classes(loss, scores), scores.argmax(axis=1))


@pytest.mark.parametrize("shape", [(7,), (7, 1), (7, 4), (7, 2, 3, 3)])
def test_yes_or_no(shape):
    logits = 30 * normal(0, *shape)
    loss = nn.BCEWithLogitsLoss()
    p = probabilities(loss, logits)
    np.testing.assert_allclose(p, scipy.special.expit(logits), rtol=1e-12)
    np.testing.assert_array_equal(classes(loss, logits), p >= 0.5)
    assert classes(loss, logits).shape == shape
    assert classes(loss, logits).dtype == np.int64


def test_a_probability_of_a_half_is_a_yes():
    loss, logits = nn.BCEWithLogitsLoss(), np.array([0.0, -1e-9])
    assert probabilities(loss, logits)[0] == 0.5
    assert classes(loss, logits).tolist() == [1, 0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()], ids=repr)
def test_huge_scores_overflow_nowhere_and_dtypes_stay(loss, dtype):
    scores = np.array([[1e4, -1e4], [-1e4, 1e4]], dtype=dtype)
    p = probabilities(loss, scores)
    assert p.dtype == dtype
    np.testing.assert_array_equal(p, np.eye(2))


def test_a_mask_of_one_channel_is_yes_or_no():
    logits = normal(0, 3, 1, 4, 4)
    np.testing.assert_allclose(probabilities(nn.DiceLoss(), logits), scipy.special.expit(logits))


def test_a_loss_of_ones_own_is_taken_to_be_of_classes():
    class Own(nn.Loss):
        pass

    np.testing.assert_allclose(probabilities(Own(), SCORES), scipy.special.softmax(SCORES, axis=1))


@pytest.mark.parametrize("function", [probabilities, classes])
@pytest.mark.parametrize(
    ("loss", "scores", "message"),
    [
        (nn.MSELoss(), SCORES, r"MSELoss\(\) trains numbers: there are no classes; predict\(x\) gives the numbers"),
        (nn.L1Loss(), SCORES, "there are no classes"),
        (nn.HuberLoss(), SCORES, "there are no classes"),
        (nn.DiceLoss(), normal(0, 2, 3, 4, 4), r"DiceLoss\(\) may have trained 3 classes or as many masks"),
        (nn.CrossEntropyLoss(), SCORES[:, 0], r"scores of shape \(7,\) have no axis of classes"),
    ],
)
def test_where_there_are_no_classes_none_are_made_up(function, loss, scores, message):
    with pytest.raises(ArgumentError, match=message):
        function(loss, scores)


class Squeeze(nn.Layer):
    """(N, 1) -> (N,)"""

    def forward(self, x):
        self.saved = x.shape
        return x[:, 0]

    def backward(self, dy):
        return dy.reshape(self.saved)


def two_clouds(shape):
    """Points of two clouds, and which cloud each is of."""
    y = (np.arange(60) % 2).astype(np.float32)
    x = normal(0, 60, 3, dtype=np.float32) + 4 * y[:, None]
    return x, np.stack([y, 1 - y], axis=1) if shape == (60, 2) else y.reshape(shape)


@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 2)])
def test_a_trainer_of_yes_or_no_predicts_and_measures_it(shape):
    x, y = two_clouds(shape)
    mc.seed(0)
    model = nn.Sequential(nn.Linear(3, shape[-1] if len(shape) > 1 else 1), *([Squeeze()] if len(shape) == 1 else []))
    trainer = mc.Trainer(model, loss=nn.BCEWithLogitsLoss(), optimizer=mc.optim.Adam(model.parameters(), lr=0.1))
    history = trainer.fit((x, y), epochs=20, batch_size=20, verbose=False)
    assert history["accuracy"][-1] > 0.9
    predicted = trainer.predict_classes(x)
    assert predicted.shape == shape
    assert trainer.evaluate((x, y))["accuracy"] == pytest.approx((predicted == y).mean())
    np.testing.assert_allclose(trainer.predict_proba(x), scipy.special.expit(trainer.predict(x)), rtol=1e-5)


def test_a_probability_as_target_counts_as_yes_from_a_half_on():
    model = nn.Sequential(nn.Identity())
    trainer = mc.Trainer(model, loss=nn.BCEWithLogitsLoss(), optimizer=mc.optim.SGD([nn.Parameter(np.zeros(1))], lr=1))
    logits = np.array([[3.0], [3.0], [-2.0], [0.0]])
    assert trainer.evaluate((logits, np.array([[0.5], [0.4], [0.1], [1.0]])))["accuracy"] == 0.75


@pytest.mark.parametrize(
    ("loss", "measured"),
    [
        (nn.CrossEntropyLoss(), ["accuracy"]),
        (nn.HingeLoss(), ["accuracy"]),
        (nn.BCEWithLogitsLoss(), ["accuracy"]),
        (nn.MSELoss(), []),
        (nn.DiceLoss(), []),
    ],
    ids=repr,
)
def test_accuracy_is_measured_where_there_are_classes(loss, measured):
    assert list(mc.Trainer(nn.Linear(3, 2), loss=loss).metrics) == measured
    assert list(mc.Trainer(nn.Linear(3, 2), loss=loss, metrics={}).metrics) == []


def test_hinge_and_cross_entropy_measure_the_same_accuracy(new_trainer, few):
    by_loss = {}
    for loss in (nn.HingeLoss(), nn.CrossEntropyLoss()):
        trainer = new_trainer(loss=loss)
        by_loss[type(loss)] = trainer.evaluate(few)["accuracy"]
        assert by_loss[type(loss)] == pytest.approx((trainer.predict_classes(few.x) == few.y).mean())
    assert len(set(by_loss.values())) == 1
