"""What losses refuse, and what they say."""

import numpy as np
import pytest

from minicnn import nn
from minicnn.errors import ArgumentError, BackwardError, DataError, DTypeError, ShapeError

ROWS = np.zeros((3, 4))
IMAGES = np.zeros((2, 3, 4, 5))

NUMBER_LOSSES = [nn.BCEWithLogitsLoss(), nn.MSELoss(), nn.L1Loss(), nn.HuberLoss()]
ALL_LOSSES = [*NUMBER_LOSSES, nn.DiceLoss(), nn.HingeLoss(), nn.CrossEntropyLoss()]


@pytest.mark.parametrize("loss", ALL_LOSSES, ids=repr)
def test_backward_before_forward_is_refused(loss):
    with pytest.raises(BackwardError, match=r"Loss\(.*backward was called before forward"):
        type(loss)().backward()


@pytest.mark.parametrize("loss", NUMBER_LOSSES, ids=repr)
@pytest.mark.parametrize(
    ("prediction", "target", "error", "message"),
    [
        (ROWS.tolist(), ROWS, DTypeError, "prediction is a list, expected an array of float32 or float64"),
        (ROWS, ROWS.tolist(), DTypeError, "target is a list, expected an array of numbers"),
        (ROWS.astype(int), ROWS, DTypeError, "prediction is int64, expected an array of float32"),
        (ROWS.astype(np.float16), ROWS, DTypeError, "prediction is float16"),
        (ROWS, ROWS.astype(complex), DTypeError, "target is complex128"),
        (ROWS, ROWS.astype(str), DTypeError, "target is <U"),
        (ROWS, ROWS[:2], ShapeError, r"target has shape \(2, 4\), expected the prediction's \(3, 4\)$"),
        (ROWS, ROWS.T, ShapeError, r"expected the prediction's \(3, 4\)$"),
        (ROWS[:, :1], ROWS[:, 0], ShapeError, r"expected the prediction's \(3, 1\); target.reshape\(3, 1\) mends it"),
        (ROWS[:, 0], ROWS[:, :1], ShapeError, r"target.reshape\(3,\) mends it"),
        (ROWS[:0], ROWS[:0], DataError, "the batch is empty"),
        (ROWS, np.where(np.eye(3, 4), np.nan, 0), DataError, r"target holds nan at \(0, 0\)"),
        (ROWS, np.where(np.eye(3, 4, 2), np.inf, 0), DataError, r"target holds inf at \(0, 2\)"),
    ],
)
def test_predictions_and_targets_that_do_not_fit(loss, prediction, target, error, message):
    with pytest.raises(error, match=message) as caught:
        loss(prediction, target)
    assert str(caught.value).startswith(repr(loss))


def test_a_target_too_large_for_the_prediction_is_told():
    with np.errstate(over="ignore"), pytest.raises(DataError, match=r"target holds 1e\+300 at \(1,\)"):
        nn.MSELoss()(np.zeros(2, dtype=np.float32), np.array([0, 1e300]))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (np.full((2, 3, 4, 5), 2), r"target holds 2 at \(0, 0, 0, 0\), expected 0 to 1$"),
        (np.where(IMAGES == 0, -1, 1), r"target holds -1 .*; \(target \+ 1\) / 2 makes 0 and 1 of -1 and 1"),
        (np.full((2, 3, 4, 5), 255, dtype=np.uint8), r"target holds 255 .*; target / 255 makes shares of pixels"),
        (IMAGES - 1e-9, "target holds -1e-09"),
    ],
)
@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), nn.DiceLoss()], ids=repr)
def test_shares_that_are_none(loss, target, message):
    with pytest.raises(DataError, match=message):
        loss(IMAGES, target)


LABELS = np.zeros(3, dtype=int)


@pytest.mark.parametrize(
    ("scores", "labels", "error", "message"),
    [
        (ROWS, LABELS + 4, DataError, "label 4 at position 0 is out of range; 4 outputs have labels from 0 to 3"),
        (ROWS, LABELS - 1, DataError, "label -1 at position 0"),
        (ROWS, np.array([1, 4, 2]), DataError, "labels that begin with 1: subtract 1"),
        (ROWS, LABELS.astype(float), DTypeError, "labels are float64, expected integers from 0 to 3"),
        (ROWS, LABELS[:2], ShapeError, r"labels have shape \(2,\), expected \(3,\) for scores of shape \(3, 4\)"),
        (IMAGES, LABELS[:2], ShapeError, "one answer an image the model has to end with Flatten and Linear"),
        (ROWS, np.eye(3, 4, dtype=int), ShapeError, r"one-hot labels: labels.argmax\(axis=1\)"),
        (ROWS[:0], LABELS[:0], DataError, "the batch is empty"),
        (ROWS[0], LABELS, ShapeError, "one label a row"),
        (ROWS.astype(int), LABELS, DTypeError, "scores are int64"),
    ],
)
def test_scores_and_labels_that_do_not_fit(scores, labels, error, message):
    with pytest.raises(error, match=message) as caught:
        nn.HingeLoss()(scores, labels)
    assert str(caught.value).startswith("HingeLoss()")


@pytest.mark.parametrize("loss", [nn.HingeLoss(weight=[1, 2]), nn.CrossEntropyLoss(weight=[1, 2])], ids=repr)
def test_one_weight_a_class_is_needed(loss):
    with pytest.raises(ShapeError, match="2 class weights for 4 classes"):
        loss(ROWS, LABELS)


@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (ROWS, ROWS, ShapeError, r"logits have shape \(3, 4\), expected \(N, C, H, W\)$"),
        (IMAGES[:, 0], IMAGES[:, 0], ShapeError, r"\(N, C, H, W\); logits\[:, None\] adds a channel axis"),
        (IMAGES[:, :1], IMAGES[:, 0], ShapeError, r"are one mask an image.*target\[:, None\] adds the channel axis"),
        (IMAGES, IMAGES[:, 0], DTypeError, "labels are float64, expected integers from 0 to 2"),
        (IMAGES, IMAGES[:, 0].astype(int) + 3, DataError, "label 3 at position 0 is out of range"),
        (IMAGES, IMAGES[:, :2], ShapeError, r"target has shape \(2, 2, 4, 5\)"),
        (IMAGES, IMAGES.tolist(), DTypeError, "target is a list"),
        (IMAGES.tolist(), IMAGES, DTypeError, "logits are a list"),
        (IMAGES[:0], IMAGES[:0], DataError, "the batch is empty"),
        (IMAGES[:0], IMAGES[:0, 0].astype(int), DataError, "the batch is empty"),
    ],
)
def test_masks_that_do_not_fit(logits, target, error, message):
    with pytest.raises(error, match=message) as caught:
        nn.DiceLoss()(logits, target)
    assert str(caught.value).startswith("DiceLoss()")


@pytest.mark.parametrize("name", ["weight", "pos_weight"])
@pytest.mark.parametrize("shape", [(4,), (3,), (1, 1, 1, 1, 1), (2, 1), (5, 3, 4, 5)])
def test_weights_that_do_not_broadcast(name, shape):
    message = (
        rf"BCEWithLogitsLoss: {name} has shape .*logits of shape \(2, 3, 4, 5\); one number a channel .*\(3, 1, 1\)"
    )
    with pytest.raises(ShapeError, match=message):
        nn.BCEWithLogitsLoss(**{name: np.ones(shape)})(IMAGES, IMAGES)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.BCEWithLogitsLoss(weight=-1), "BCEWithLogitsLoss: weight must be numbers of at least 0, not -1"),
        (lambda: nn.BCEWithLogitsLoss(pos_weight=[1, np.nan]), "pos_weight must be numbers of at least 0"),
        (lambda: nn.HuberLoss(0), "HuberLoss: delta must be above 0, not 0"),
        (lambda: nn.HuberLoss(np.inf), "delta must be above 0, not inf"),
        (lambda: nn.HuberLoss(np.nan), "not nan"),
        (lambda: nn.HingeLoss(3), "HingeLoss: p must be 1 or 2, not 3"),
        (lambda: nn.HingeLoss(margin=-1), "margin must be at least 0, not -1"),
        (lambda: nn.HingeLoss(weight=[[1]]), "HingeLoss: weight must be one number of at least 0 for every class"),
        (lambda: nn.HingeLoss(weight=[1, -1]), "weight must be one number"),
        (lambda: nn.CrossEntropyLoss(weight=[1, np.inf]), "CrossEntropyLoss: weight must be one number"),
        (lambda: nn.DiceLoss(-1), "DiceLoss: smooth must be at least 0, not -1"),
    ],
)
def test_an_argument_without_meaning_is_refused_at_once(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize(
    "text",
    [
        "BCEWithLogitsLoss()",
        "BCEWithLogitsLoss(weight=0.5, pos_weight=[1.0, 2.0])",
        "MSELoss()",
        "L1Loss()",
        "HuberLoss(delta=0.5)",
        "HingeLoss()",
        "HingeLoss(p=2, margin=0.0, weight=[1.0, 2.0])",
        "DiceLoss()",
        "DiceLoss(smooth=0.0)",
    ],
)
def test_a_loss_is_shown_as_it_is_built(text):
    assert repr(eval(f"nn.{text}")) == text


def test_many_weights_are_not_shown():
    loss = nn.BCEWithLogitsLoss(weight=np.ones((28, 28)))
    assert repr(loss) == "BCEWithLogitsLoss(weight=<numbers of shape (28, 28)>)"


def test_weights_are_a_copy():
    weight = np.ones(4)
    loss = nn.HingeLoss(weight=weight)
    before = loss(ROWS, LABELS)
    weight[:] = 7
    assert loss(ROWS, LABELS) == before
