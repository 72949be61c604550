"""Training has no use for the gradient of a network's input, and leaves it out."""

import numpy as np

import minicnn as mc
from minicnn import nn, ops

X = np.random.default_rng(0).normal(size=(2, 1, 6, 6)).astype(np.float32)
Y = np.array([0, 1])


def network():
    mc.seed(0)
    first = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU())
    return nn.Sequential(first, nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(8, 2))


def gradients(model, *, leave_out):
    loss = nn.CrossEntropyLoss()
    loss.forward(model(X), Y)
    if leave_out:
        with nn.without_input_gradient(model):
            dx = model.backward(loss.backward())
    else:
        dx = model.backward(loss.backward())
    return dx, [parameter.grad for parameter in model.parameters()]


def test_the_first_convolution_leaves_it_out_and_no_other(backend):
    asked = []

    def spy(dy, x, w, *, need_dx, **geometry):
        asked.append((w.shape[1], need_dx))
        return ops.conv2d_backward.body(dy, x, w, need_dx=need_dx, **geometry)

    with mc.plug(conv2d_backward=spy):
        dx, _ = gradients(network(), leave_out=True)
    assert asked == [(3, True), (1, False)]
    assert dx is None


def test_the_weights_get_the_same_gradients(backend):
    (_, without), (dx, with_it) = gradients(network(), leave_out=True), gradients(network(), leave_out=False)
    assert all(np.array_equal(a, b) for a, b in zip(without, with_it, strict=True))
    assert dx.shape == X.shape


def test_afterwards_it_is_there_again():
    model = network()
    gradients(model, leave_out=True)
    assert gradients(model, leave_out=False)[0].shape == X.shape


def test_a_first_layer_that_computes_it_all_the_same_may(backend):
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    assert gradients(model, leave_out=True)[0].shape == X.shape


def test_training_leaves_it_out():
    asked = []

    def spy(dy, x, w, *, need_dx, **geometry):
        asked.append(need_dx)
        return ops.conv2d_backward.body(dy, x, w, need_dx=need_dx, **geometry)

    with mc.plug(conv2d_backward=spy):
        mc.Trainer(network()).train_step(X, Y)
    assert asked == [True, False]
