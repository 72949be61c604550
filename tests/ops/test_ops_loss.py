"""Softmax cross-entropy against PyTorch and finite differences."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, assert_gradient, needs_torch, tensor, torch
from strategies import normal, seeds

from minicnn import ops

pytestmark = pytest.mark.usefixtures("backend")

shapes = st.tuples(st.integers(1, 4), st.integers(1, 5)) | st.tuples(
    st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3)
)
smoothings = st.just(0.0) | st.floats(0, 0.9)


@st.composite
def problems(draw, scale=3.0):
    """Logits, labels and options."""
    shape, seed = draw(shapes), draw(seeds)
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    weights = draw(st.none() | st.just(rng.uniform(0.2, 3, shape[1])))
    return scale * normal(seed, *shape), labels, {"label_smoothing": draw(smoothings), "class_weights": weights}


def torch_loss(logits, labels, *, label_smoothing=0.0, class_weights=None):
    """PyTorch's loss and its gradient."""
    scores = tensor(logits, grad=True)
    weight = None if class_weights is None else tensor(class_weights)
    loss = torch.nn.functional.cross_entropy(
        scores, torch.tensor(labels), weight=weight, label_smoothing=label_smoothing
    )
    loss.backward()
    return loss, scores.grad


@needs_torch
@given(problems())
def test_float64_is_pytorchs_to_nine_digits(problem):
    logits, labels, options = problem
    loss, p = ops.softmax_cross_entropy_forward(logits, labels, **options)
    want, gradient = torch_loss(logits, labels, **options)
    assert_close64(loss, want)
    assert_close64(p, torch.softmax(tensor(logits), dim=1))
    assert_close64(ops.softmax_cross_entropy_backward(p, labels, **options), gradient)


@needs_torch
@given(problems())
def test_float32_is_rounded_in_the_last_digits_only(problem):
    logits, labels, options = problem
    logits = logits.astype(np.float32)
    loss, p = ops.softmax_cross_entropy_forward(logits, labels, **options)
    want, gradient = torch_loss(logits, labels, **options)
    np.testing.assert_allclose(loss, want.detach(), rtol=1e-5, atol=1e-6)
    got = ops.softmax_cross_entropy_backward(p, labels, **options)
    np.testing.assert_allclose(got, gradient, rtol=1e-5, atol=1e-6)


@given(problems())
def test_backward_is_the_gradient_of_forward(problem):
    logits, labels, options = problem
    _, p = ops.softmax_cross_entropy_forward(logits, labels, **options)
    dlogits = ops.softmax_cross_entropy_backward(p, labels, **options)
    assert_gradient(dlogits, lambda z: ops.softmax_cross_entropy_forward(z, labels, **options)[0], logits, np.ones(()))


@needs_torch
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"class_weights": np.array([1.0, 2.0, 0.5])}])
def test_logits_of_ten_thousand_neither_overflow_nor_lose_the_loss(options):
    logits = np.array([[1e4, 0, -1e4], [-1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [1e4, -1e4, 0]])
    labels = np.array([0, 0, 2, 1])
    loss, p = ops.softmax_cross_entropy_forward(logits, labels, **options)
    want, gradient = torch_loss(logits, labels, **options)
    assert_close64(loss, want)
    assert_close64(ops.softmax_cross_entropy_backward(p, labels, **options), gradient)


def test_equal_logits_cost_the_logarithm_of_the_number_of_classes():
    loss, p = ops.softmax_cross_entropy_forward(np.zeros((3, 5)), np.array([0, 1, 4]))
    assert_close64(loss, np.log(5))
    assert_close64(p, np.full((3, 5), 0.2))


def test_without_options_the_gradient_is_p_minus_one_hot_over_n():
    logits, labels = normal(0, 3, 4), np.array([2, 0, 2])
    _, p = ops.softmax_cross_entropy_forward(logits, labels)
    assert_close64(ops.softmax_cross_entropy_backward(p, labels), (p - np.eye(4)[labels]) / 3)


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type_are_the_same_labels(kind):
    logits, labels = normal(0, 3, 4), np.array([2, 0, 3])
    loss, _ = ops.softmax_cross_entropy_forward(logits, labels)
    same, _ = ops.softmax_cross_entropy_forward(logits, labels.astype(kind))
    assert same == loss


def test_the_loss_is_one_number():
    loss, _ = ops.softmax_cross_entropy_forward(normal(0, 3, 4), np.array([2, 0, 3]))
    assert loss.shape == ()
