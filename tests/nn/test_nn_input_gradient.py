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
    loss, model, x = nn.CrossEntropyLoss(), nn.Linear(36, 2), X.reshape(2, 36)
    loss.forward(model(x), Y)
    with nn.without_input_gradient(model):
        assert model.backward(loss.backward()).shape == x.shape


def test_training_leaves_it_out():
    asked = []

    def spy(dy, x, w, *, need_dx, **geometry):
        asked.append(need_dx)
        return ops.conv2d_backward.body(dy, x, w, need_dx=need_dx, **geometry)

    with mc.plug(conv2d_backward=spy):
        mc.Trainer(network()).train_step(X, Y)
    assert asked == [True, False]


class TestLayersBeforeTheFirstThatIsTrained:
    def asked(self, model):
        """The backward passes of convolutions that a step takes, by their channels in, and whether for dx."""
        asked = []

        def spy(dy, x, w, *, need_dx, **geometry):
            asked.append((w.shape[1], need_dx))
            return ops.conv2d_backward.body(dy, x, w, need_dx=need_dx, **geometry)

        with mc.plug(conv2d_backward=spy):
            dx, found = gradients(model, leave_out=True)
        assert dx is None
        return asked, found

    def freeze(self, layer):
        for parameter in layer.parameters():
            parameter.frozen = True

    def test_a_frozen_chain_inside_is_not_gone_back_through(self, backend):
        model = network()
        _, want = gradients(network(), leave_out=False)
        self.freeze(model[0])
        asked, found = self.asked(model)
        assert asked == [(3, False)]
        assert found[:2] == [None, None]
        for a, b in zip(found[2:], want[2:], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)

    def test_nor_is_any_convolution_where_the_head_alone_is_trained(self, backend):
        model = network()
        self.freeze(model[:3])
        asked, found = self.asked(model)
        assert asked == []
        assert [grad is None for grad in found] == [True] * 4 + [False] * 2

    def test_a_frozen_layer_between_trained_ones_is(self, backend):
        model = network()
        self.freeze(model[1])
        asked, found = self.asked(model)
        assert asked == [(3, True), (1, False)]
        assert [grad is None for grad in found] == [False] * 2 + [True] * 2 + [False] * 2

    def test_a_layer_that_is_trained_in_part_is_trained(self, backend):
        model = network()
        model[0][0].weight.frozen = True
        assert self.asked(model)[0] == [(3, True), (1, False)]

    def test_the_input_gradient_goes_through_frozen_layers(self, backend):
        model = network()
        want, _ = gradients(network(), leave_out=False)
        self.freeze(model)
        np.testing.assert_allclose(gradients(model, leave_out=False)[0], want, rtol=1e-5, atol=1e-7)

    def test_fused_steps_stop_there_too(self):
        with mc.use_backend("numba"):
            mc.seed(0)
            model = nn.Sequential(
                nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                nn.Flatten(), nn.Linear(36, 2),
            )  # fmt: skip
            _, want = gradients(model, leave_out=False)
            model.zero_grad()
            self.freeze(model[:2])
            dx, found = gradients(model, leave_out=True)
        assert dx is None
        assert found[:2] == [None, None]
        assert all(np.array_equal(a, b) for a, b in zip(found[2:], want[2:], strict=True))
