"""gradcheck of a network: the layer that is wrong is named, and those that run twice."""

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn

IMAGES = np.random.default_rng(0).normal(size=(3, 1, 6, 6))
VECTORS = IMAGES.reshape(3, 36)[:, :4]


class ReLUByTheGradient(nn.Layer):
    """Lets through where the gradient is positive, not the output."""

    def forward(self, x):
        self.saved = x
        return np.maximum(x, 0)

    def backward(self, dy):
        return np.where(dy > 0, dy, 0)


class TwiceTheSame(nn.Layer):
    """Runs one layer twice, which remembers its second run only."""

    def __init__(self, inner):
        self.inner = inner

    def forward(self, x):
        return self.inner(self.inner(x))

    def backward(self, dy):
        return self.inner.backward(self.inner.backward(dy))


class Backwards(nn.Layer):
    """A chain of right layers with a wrong backward pass of its own."""

    def __init__(self, *layers):
        self.layers = list(layers)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

    def backward(self, dy):
        for layer in reversed(self.layers):
            dy = -layer.backward(dy)
        return dy


def network(wrong):
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        nn.Sequential(wrong, nn.MaxPool2d(2)),
        nn.Flatten(),
        nn.Linear(12, 5),
        nn.Tanh(),
        nn.Linear(5, 3),
    )


def test_the_wrong_layer_of_a_network_is_named():
    report = mc.gradcheck(network(ReLUByTheGradient()), IMAGES)
    assert not report.ok
    assert [(finding.kind, finding.where) for finding in report.findings] == [("mask", "2.0.x")]
    wrong = {check.name for check in report.tensors if check.wrong}
    assert "0.weight" in wrong  # what lies before it gets a wrong gradient, too
    assert "4.weight" not in wrong


def test_a_right_network_passes():
    assert mc.gradcheck(network(nn.ReLU()), IMAGES).ok


def test_a_layer_that_runs_twice_is_named():
    report = mc.gradcheck(TwiceTheSame(nn.Linear(4, 4)), VECTORS)
    assert report.findings[0].kind == "wrong-cache"
    assert report.findings[0].message.startswith("inner runs more than once")


def test_a_container_may_be_wrong_though_its_layers_are_right():
    report = mc.gradcheck(Backwards(nn.Linear(4, 3)), VECTORS)
    assert ("sign", "x") in {(finding.kind, finding.where) for finding in report.findings}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_networks_of_either_precision_are_read(dtype):
    report = mc.gradcheck(network(ReLUByTheGradient()).astype(dtype), IMAGES.astype(dtype))
    assert report.findings[0].where == "2.0.x"


@pytest.mark.parametrize("factor", [1.1, 2.0])
def test_layers_that_take_more_than_x_are_left_out(factor):
    class Wrong(nn.PoolUnpool):
        def backward(self, dy):
            return factor * super().backward(dy)

    report = mc.gradcheck(Wrong(nn.Conv2d(2, 2, 1)), np.random.default_rng(0).normal(size=(2, 2, 4, 4)))
    assert not report.ok
    assert {finding.where for finding in report.findings} >= {"x"}


class Difference(nn.Layer):
    """y = left(x) + right(x), with a wrong sign on the way back; branches may run back in any order."""

    def __init__(self):
        self.left, self.right = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.left(x) + self.right(x)

    def backward(self, dy):
        return self.left.backward(dy) - self.right.backward(dy)


class Chain(Backwards):
    """Runs its layers back in another order, or some of them."""

    def __init__(self, *layers, order):
        super().__init__(*layers)
        self.order = order

    def backward(self, dy):
        for place in self.order:
            dy = self.layers[place].backward(dy)
        return dy


def test_the_order_of_branches_is_no_finding():
    report = mc.gradcheck(Difference(), VECTORS)
    assert not report.ok
    assert "backward" not in {finding.where for finding in report.findings}


@pytest.mark.parametrize(
    ("order", "kind", "words"),
    [
        ((0, 1, 2), "flipped", "back in the order layers.0, layers.1, layers.2, but x went through layers.0"),
        ((2, 0), "missing-term", "layers.1 runs in the forward pass, but its backward is never called"),
    ],
)
def test_a_wrong_way_back_through_right_layers_is_named(order, kind, words):
    report = mc.gradcheck(Chain(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), order=order), VECTORS)
    assert (report.findings[0].kind, report.findings[0].where) == (kind, "backward"), report
    assert words in report.findings[0].message
