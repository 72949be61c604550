"""Cross-entropy with probabilities as targets against PyTorch and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_gradient, needs_torch, tensor, torch
from strategies import normal, seeds

from minicnn import nn
from minicnn.errors import DataError, DTypeError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")
shapes = st.tuples(st.integers(1, 4), st.integers(1, 5)) | st.tuples(*[st.integers(1, 3)] * 4)


def chances(seed, *shape):
    """Probabilities along axis 1, some of them 0."""
    t = np.random.default_rng(seed).gamma(0.5, size=shape)
    t[:, 1:][t[:, 1:] < 0.05] = 0
    return t / t.sum(axis=1, keepdims=True)


@st.composite
def problems(draw):
    shape, seed = draw(shapes), draw(seeds)
    weight = draw(st.none() | st.just(np.random.default_rng(seed).uniform(0.2, 3, shape[1])))
    options = {"label_smoothing": draw(st.just(0.0) | st.floats(0, 0.9)), "weight": weight}
    return 3 * normal(seed, *shape), chances(seed, *shape), options


@needs_torch
@given(problems())
def test_value_and_gradient_are_pytorchs(problem):
    logits, target, options = problem
    weight = None if options["weight"] is None else tensor(options["weight"])
    twin = tensor(logits, grad=True)
    want = torch.nn.CrossEntropyLoss(weight, label_smoothing=options["label_smoothing"])(twin, tensor(target))
    want.backward()
    loss = nn.CrossEntropyLoss(**options)
    assert_close64(loss(logits, target), want)
    assert_close64(loss.backward(), twin.grad)


@given(problems())
def test_backward_is_the_gradient_of_forward(problem):
    logits, target, options = problem
    loss = nn.CrossEntropyLoss(**options)
    loss(logits, target)
    assert_gradient(loss.backward(), lambda z: loss(z, target), logits, np.ones(()))


@given(problems())
def test_ones_among_zeros_are_labels(problem):
    logits, target, options = problem
    labels = target.argmax(axis=1)
    hot = np.moveaxis(np.eye(logits.shape[1])[labels], -1, 1)
    loss = nn.CrossEntropyLoss(label_smoothing=options["label_smoothing"])  # weights divide differently, as in PyTorch
    want, gradient = loss(logits, labels), loss.backward()
    assert_close64(loss(logits, hot), want)
    assert_close64(loss.backward(), gradient)


def test_float32_stays_float32_whatever_the_target_is():
    loss = nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1)
    logits, target = normal(0, 4, 3, dtype=np.float32), chances(1, 4, 3)
    assert loss(logits, target).dtype == np.float32
    assert loss.backward().dtype == np.float32


def test_logits_of_ten_thousand_do_not_overflow():
    loss = nn.CrossEntropyLoss()
    assert loss(np.array([[1e4, -1e4]]), np.array([[0.5, 0.5]])) == 1e4
    np.testing.assert_array_equal(loss.backward(), [[0.5, -0.5]])


@pytest.mark.parametrize(
    ("target", "error", "message"),
    [
        (
            np.array([[0.5, 0.5, 0.5]] * 2),
            DataError,
            r"row 0 have a sum of 1.5, expected 1; several.*BCEWithLogitsLoss",
        ),
        (np.array([[0.5, 0.5, 0.0], [2.0, -1.0, 0.0]]), DataError, r"target holds 2.0 at \(1, 0\), expected 0 to 1"),
        (np.full((2, 4), 0.25), ShapeError, r"target has shape \(2, 4\), expected the prediction's \(2, 3\)"),
        (np.array([0.0, 1.0]), DTypeError, "labels are float64, expected integers from 0 to 2"),
        (np.eye(3, dtype=int)[:2], ShapeError, "one-hot labels: labels.argmax"),
    ],
)
def test_bad_probabilities_are_refused(target, error, message):
    with pytest.raises(error, match=message):
        nn.CrossEntropyLoss()(np.zeros((2, 3)), target)


def test_pixels_whose_probabilities_do_not_add_up_are_named():
    target = np.full((2, 2, 3, 3), 0.5)
    target[1, :, 2, 0] = 0.1
    with pytest.raises(DataError, match=r"row \(1, 2, 0\) have a sum of 0.2"):
        nn.CrossEntropyLoss()(np.zeros((2, 2, 3, 3)), target)
