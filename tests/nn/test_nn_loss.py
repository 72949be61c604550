"""Losses against PyTorch, loops and finite differences, and what they do with very large numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, needs_torch, tensor, torch
from strategies import normal, seeds

import minicnn as mc
from minicnn import nn

T = torch.nn if torch is not None else None

pytestmark = pytest.mark.usefixtures("backend")

shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
image_shapes = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


def shares(seed, *shape):
    """Numbers from 0 to 1, some of them 0 or 1 exactly."""
    return np.random.default_rng(seed).uniform(-0.5, 1.5, shape).clip(0, 1)


def whole_numbers(seed, most, *shape):
    """Labels from 0 to `most` - 1."""
    return np.random.default_rng(seed).integers(0, most, shape)


def assert_loss_is_torch(loss, module, prediction, target):
    """Value and gradient are PyTorch's to nine digits in float64."""
    twin = tensor(prediction, grad=True)
    want = module(twin, torch.tensor(target))
    want.backward()
    got = loss.forward(prediction, target)
    assert got.shape == ()
    assert_close64(got, want)
    assert_close64(loss.backward(), twin.grad)


# Against PyTorch


@needs_torch
@given(shapes, seeds)
def test_mse(shape, seed):
    assert_loss_is_torch(nn.MSELoss(), T.MSELoss(), normal(seed, *shape), normal(seed + 1, *shape))


@needs_torch
@given(shapes, seeds)
def test_l1(shape, seed):
    prediction, target = normal(seed, *shape), normal(seed + 1, *shape)
    target.flat[0] = prediction.flat[0]  # the kink
    assert_loss_is_torch(nn.L1Loss(), T.L1Loss(), prediction, target)


@needs_torch
@given(shapes, seeds, st.floats(0.1, 3))
def test_huber(shape, seed, delta):
    prediction, target = normal(seed, *shape), normal(seed + 1, *shape)
    assert_loss_is_torch(nn.HuberLoss(delta), T.HuberLoss(delta=delta), prediction, target)


@needs_torch
def test_huber_where_both_pieces_meet():
    prediction, target = np.array([0.5, -0.5, 0.0, 3.0, -3.0]), np.zeros(5)
    assert_loss_is_torch(nn.HuberLoss(0.5), T.HuberLoss(delta=0.5), prediction, target)


@needs_torch
@given(image_shapes, seeds, st.booleans(), st.booleans())
def test_bce_with_logits(shape, seed, weighted, balanced):
    weight = shares(seed + 2, *shape[2:]) if weighted else None
    pos_weight = 0.1 + 3 * shares(seed + 3, shape[1], 1, 1) if balanced else None
    module = T.BCEWithLogitsLoss(
        weight=tensor(weight) if weighted else None, pos_weight=tensor(pos_weight) if balanced else None
    )
    logits, target = 3 * normal(seed, *shape), shares(seed + 1, *shape)
    assert_loss_is_torch(nn.BCEWithLogitsLoss(weight, pos_weight), module, logits, target)


@needs_torch
@given(shapes, seeds, st.floats(0, 10))
def test_bce_with_one_weight_for_every_yes(shape, seed, pos_weight):
    loss, module = nn.BCEWithLogitsLoss(pos_weight=pos_weight), T.BCEWithLogitsLoss(pos_weight=tensor(pos_weight))
    assert_loss_is_torch(loss, module, normal(seed, *shape), shares(seed + 1, *shape))


@needs_torch
@pytest.mark.parametrize("p", [1, 2])
@given(st.integers(1, 6), st.integers(1, 6), seeds, st.floats(0, 3), st.booleans())
def test_hinge(p, batch, classes, seed, margin, weighted):
    weight = 0.1 + 3 * shares(seed + 2, classes) if weighted else None
    module = T.MultiMarginLoss(p, margin, weight=tensor(weight) if weighted else None)
    scores, labels = normal(seed, batch, classes), whole_numbers(seed + 1, classes, batch)
    assert_loss_is_torch(nn.HingeLoss(p, margin, weight), module, scores, labels)


@needs_torch
@pytest.mark.parametrize("p", [1, 2])
def test_hinge_on_its_kink(p):
    scores, labels = np.array([[2.0, 1.0, 3.0], [0.5, 0.5, -0.5]]), np.array([0, 1])
    assert_loss_is_torch(nn.HingeLoss(p), T.MultiMarginLoss(p), scores, labels)


@pytest.mark.parametrize("weight", [None, [1.0, 0.2, 3.0]])
@pytest.mark.parametrize("p", [1, 2])
def test_hinge_of_pixels_is_that_of_as_many_rows(p, weight):
    scores, labels = normal(0, 2, 3, 4, 5), whole_numbers(1, 3, 2, 4, 5)
    loss, rows = nn.HingeLoss(p, weight=weight), nn.HingeLoss(p, weight=weight)
    want = rows(scores.transpose(0, 2, 3, 1).reshape(-1, 3), labels.reshape(-1))
    assert_close64(loss(scores, labels), want)
    assert_close64(loss.backward(), rows.backward().reshape(2, 4, 5, 3).transpose(0, 3, 1, 2))


def test_one_weight_for_each_class_leaves_the_division_to_the_number_of_labels():
    scores, labels = np.zeros((2, 2)), np.array([0, 1])
    assert_close64(nn.HingeLoss(weight=[4.0, 2.0])(scores, labels), (4 + 2) / 2 / 2)


# Dice, which PyTorch has not, against loops


def dice_by_hand(p, g, smooth):
    """1 - D, pixel by pixel, as a mean over images and channels."""
    losses = []
    for n, c in np.ndindex(*p.shape[:2]):
        overlap = squares = 0.0
        for pixel in np.ndindex(*p.shape[2:]):
            overlap += p[n, c][pixel] * g[n, c][pixel]
            squares += p[n, c][pixel] ** 2 + g[n, c][pixel] ** 2
        losses.append(1 - (2 * overlap + smooth) / (squares + smooth))
    return np.mean(losses)


def softmax(x):
    e = np.exp(x)
    return e / e.sum(axis=1, keepdims=True)


@given(image_shapes, seeds, st.just(0.0) | st.floats(0.01, 10))
def test_dice_of_masks(shape, seed, smooth):
    logits, masks = normal(seed, *shape), shares(seed + 1, *shape)
    want = dice_by_hand(1 / (1 + np.exp(-logits)), masks, smooth)
    assert_close64(nn.DiceLoss(smooth)(logits, masks), want)


@given(image_shapes, seeds, st.just(0.0) | st.floats(0.01, 10))
def test_dice_of_labels(shape, seed, smooth):
    n, c, *pixels = shape
    logits, labels = normal(seed, n, c + 1, *pixels), whole_numbers(seed + 1, c + 1, n, *pixels)
    one_hot = np.zeros(logits.shape)
    for image, *pixel in np.ndindex(*labels.shape):
        one_hot[(image, labels[(image, *pixel)], *pixel)] = 1
    assert_close64(nn.DiceLoss(smooth)(logits, labels), dice_by_hand(softmax(logits), one_hot, smooth))


@needs_torch
@pytest.mark.parametrize("labelled", [False, True])
def test_the_gradient_of_dice_is_that_of_the_same_formula_in_pytorch(labelled):
    logits = normal(0, 2, 3, 4, 5)
    target = whole_numbers(1, 3, 2, 4, 5) if labelled else shares(1, 2, 3, 4, 5)
    x = tensor(logits, grad=True)
    p = torch.softmax(x, dim=1) if labelled else torch.sigmoid(x)
    g = T.functional.one_hot(torch.tensor(target)).movedim(-1, 1) if labelled else tensor(target)
    dice = (2 * (p * g).sum((2, 3)) + 0.5) / ((p**2).sum((2, 3)) + (g**2).sum((2, 3)) + 0.5)
    (1 - dice).mean().backward()
    loss = nn.DiceLoss(0.5)
    loss(logits, target)
    assert_close64(loss.backward(), x.grad)


def test_dice_is_nothing_for_the_same_mask_and_one_for_others():
    mask = np.zeros((1, 1, 4, 4))
    mask[0, 0, :2] = 1
    sure = 1000 * (2 * mask - 1)
    assert nn.DiceLoss(0)(sure, mask) == 0
    assert nn.DiceLoss(0)(sure, 1 - mask) == 1


def test_a_volume_is_an_image_with_more_pixels():
    logits, masks = normal(0, 2, 3, 4, 5, 6), shares(1, 2, 3, 4, 5, 6)
    flat = nn.DiceLoss()(logits.reshape(2, 3, 20, 6), masks.reshape(2, 3, 20, 6))
    assert_close64(nn.DiceLoss()(logits, masks), flat)


# Each loss with a prediction and a target, for what they have in common

IMAGES, MASKS = normal(0, 3, 4, 5, 6), shares(1, 3, 4, 5, 6)
PIXELS = whole_numbers(2, 4, 3, 5, 6)
CASES = [
    (nn.CrossEntropyLoss(), IMAGES, PIXELS),
    (nn.CrossEntropyLoss(label_smoothing=0.1, weight=[1, 2, 0.5, 0]), IMAGES, PIXELS),
    (nn.BCEWithLogitsLoss(), IMAGES, MASKS),
    (nn.BCEWithLogitsLoss(MASKS[0, 0], 1 + MASKS[:1, :, :1, :1]), IMAGES, MASKS),
    (nn.MSELoss(), IMAGES, MASKS),
    (nn.L1Loss(), IMAGES, MASKS),
    (nn.HuberLoss(0.5), IMAGES, MASKS),
    (nn.HingeLoss(), IMAGES, PIXELS),
    (nn.HingeLoss(2, 0.5, [1, 2, 0.5, 0]), IMAGES, PIXELS),
    (nn.DiceLoss(), IMAGES, MASKS),
    (nn.DiceLoss(0), IMAGES, PIXELS),
]
each = pytest.mark.parametrize(("loss", "prediction", "target"), CASES, ids=[repr(loss) for loss, _, _ in CASES])


@each
def test_backward_is_the_gradient_of_forward(loss, prediction, target):
    report = mc.gradcheck(loss, prediction, target=target)
    assert report.ok, report
    assert all(check.compared > 9 * check.skipped for check in report.tensors)


@each
def test_float32_stays_float32_and_is_rounded_in_the_last_digits_only(loss, prediction, target):
    want, want_gradient = loss(prediction, target), loss.backward()
    got = loss(prediction.astype(np.float32), target)  # a target of float64 does not change that
    np.testing.assert_allclose(got, want, rtol=1e-5)
    np.testing.assert_allclose(loss.backward(), want_gradient, rtol=1e-4, atol=1e-6 * abs(want_gradient).max())
    assert got.dtype == loss.backward().dtype == np.float32


@pytest.mark.parametrize(
    "loss",
    [
        nn.HingeLoss(np.int64(2), np.float64(0.5)),
        nn.HuberLoss(np.float64(0.5)),
        nn.DiceLoss(np.float64(0.5)),
        nn.BCEWithLogitsLoss(np.float64(2), np.float64(0.5)),
    ],
    ids=repr,
)
def test_arguments_that_are_numpys_numbers_do_not_make_float64_of_float32(loss):
    target = PIXELS if isinstance(loss, nn.HingeLoss) else MASKS
    assert loss(IMAGES.astype(np.float32), target).dtype == np.float32
    assert loss.backward().dtype == np.float32


@each
def test_nothing_that_was_given_is_written_to(loss, prediction, target):
    x, y = prediction.copy(), target.copy()
    x.flags.writeable = y.flags.writeable = False
    loss(x, y)
    loss.backward()


@each
def test_nan_in_a_prediction_is_not_hidden(loss, prediction, target):
    spoilt = prediction.copy()
    spoilt[1, 2, 3, 4] = np.nan
    assert np.isnan(loss(spoilt, target)), "or a training would go on with weights that are spoilt"


@each
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_thousand_times_the_scores_overflow_nowhere(loss, prediction, target, dtype):
    with np.errstate(all="raise", under="ignore"):
        value = loss((1000 * prediction).astype(dtype), target)
        gradient = loss.backward()
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int64, bool, np.float32])
@pytest.mark.parametrize("loss", [nn.BCEWithLogitsLoss(), nn.MSELoss(), nn.L1Loss(), nn.HuberLoss(), nn.DiceLoss()])
def test_masks_of_any_type_are_the_same_masks(loss, kind):
    masks = MASKS.round()
    want, want_gradient = loss(IMAGES, masks), loss.backward()
    assert loss(IMAGES, masks.astype(kind)) == want
    np.testing.assert_array_equal(loss.backward(), want_gradient)


# Numbers at the edge


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bce_of_logits_of_a_thousand(dtype):
    x = np.array([1000, -1000, 1000, -1000, 0], dtype=dtype)
    loss = nn.BCEWithLogitsLoss()
    with np.errstate(all="raise", under="ignore"):
        value = loss(x, np.array([1, 0, 0, 1, 1]))
        gradient = loss.backward()
    np.testing.assert_allclose(value, (0 + 0 + 1000 + 1000 + np.log(2)) / 5, rtol=1e-6)
    np.testing.assert_allclose(gradient, np.array([0, 0, 1, -1, -0.5]) / 5, rtol=1e-6)


def test_bce_keeps_the_digits_of_small_losses_and_gradients():
    loss = nn.BCEWithLogitsLoss()
    value = loss(np.array([40.0, -40.0]), np.array([1, 0]))
    np.testing.assert_allclose(value, np.exp(-40), rtol=1e-14)  # log(1 + z) is z for such a small z
    np.testing.assert_allclose(loss.backward(), np.exp(-40) / (1 + np.exp(-40)) * np.array([-0.5, 0.5]), rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("height", [10, 30, 60, 200, 500, 1000])
def test_dice_of_two_empty_masks_is_nothing_and_not_nan(dtype, height):
    loss = nn.DiceLoss(smooth=0)
    with np.errstate(all="raise", under="ignore"):
        value = loss(np.full((2, 1, 3, 3), -height, dtype=dtype), np.zeros((2, 1, 3, 3)))
        gradient = loss.backward()
    assert 0 <= value <= 1
    assert np.isfinite(gradient).all()
    if height == 1000:
        assert value == 0
        assert (gradient == 0).all()


def test_huber_of_a_number_whose_square_overflows():
    loss = nn.HuberLoss()
    with np.errstate(all="raise"):
        assert loss(np.float32([1e30]), np.zeros(1)) == np.float32(1e30)
    assert loss.backward() == 1


def test_scalars_and_rows_are_predictions_too():
    loss = nn.MSELoss()
    assert loss(np.array(3.0), np.array(1.0)) == 4
    assert loss.backward() == 4
