"""Layers that a student writes: what is found in them, and what is said when something is missing."""

import pickle
import textwrap

import numpy as np
import pytest

import minicnn as mc
from minicnn import nn
from minicnn.errors import ArgumentError, BackwardError, DTypeError, ShapeError

X = np.ones((2, 3), dtype=np.float32)


def zeros(*shape, dtype=np.float32):
    return np.zeros(shape, dtype=dtype)


class Own(nn.Layer):
    """A layer that forgets what it is told to forget."""

    def __init__(self, forgets=None):
        self.forgets = forgets
        self.scale = nn.Parameter(np.ones(3, dtype=np.float64 if forgets == "float32" else np.float32))

    def forward(self, x):
        if self.forgets == "to return":
            return None
        if self.forgets != "to save":
            self.saved = x
        return x * self.scale.data

    def backward(self, dy):
        x = self.saved
        d_scale = (dy * x).sum(axis=0)
        self.scale.add_grad(
            None if self.forgets == "the gradient" else d_scale[:2] if self.forgets == "an entry" else d_scale
        )
        return None if self.forgets == "to return dx" else dy * self.scale.data


def step(layer):
    model = nn.Sequential(layer, nn.Linear(3, 2))
    loss = nn.CrossEntropyLoss()
    loss.forward(model(X), np.array([0, 1]))
    return model.backward(loss.backward())


def test_a_layer_of_ones_own_goes_through():
    assert step(Own()).shape == X.shape


def test_its_name_is_its_class_until_it_says_otherwise():
    assert repr(Own()) == "Own()"


@pytest.mark.parametrize(
    ("forgets", "error", "words"),
    [
        ("to return", ArgumentError, r"Own\(\): forward returned None; is a return missing"),
        ("to return dx", ArgumentError, r"Own\(\): backward returned None; is a return missing"),
        ("to save", BackwardError, r"Own\(\): .* or forward kept nothing in self.saved"),
        ("the gradient", ShapeError, "the gradient is None, expected an array"),
        ("an entry", ShapeError, r"a gradient of shape \(2,\) for a parameter of shape \(3,\)"),
        ("float32", DTypeError, r"Own\(\): forward made float64 of float32; are its parameters"),
    ],
)
def test_what_was_forgotten_is_said_with_the_place(forgets, error, words):
    with pytest.raises(error, match=words) as caught:
        step(Own(forgets))
    assert "(in layer '0' of Sequential)" in caught.value.__notes__


def test_an_output_that_is_no_array_is_refused():
    class Pair(nn.Layer):
        def forward(self, x):
            return x, x

    with pytest.raises(ArgumentError, match=r"Pair\(\): forward returned a tuple, expected an array"):
        Pair()(X)


def test_the_example_in_the_help_is_right():
    example = nn.Layer.__doc__.split("    class Scale")[1].split("`backward(dy)`")[0]
    space = {"nn": nn, "np": np}
    exec(textwrap.dedent("    class Scale" + example), space)
    assert mc.gradcheck(space["Scale"](), np.random.default_rng(0).normal(size=(2, 3))).ok


def test_parameters_and_layers_in_lists_and_dicts_are_found():
    class Many(nn.Layer):
        def __init__(self):
            self.weights = [nn.Parameter(zeros(1)), nn.Parameter(zeros(2))]
            self.heads = {"a": nn.Linear(2, 1), "b": nn.ReLU()}
            self.layers = (nn.Linear(1, 1, bias=False),)

    many = Many()
    assert list(many.named_parameters()) == [
        "weights.0",
        "weights.1",
        "heads.a.weight",
        "heads.a.bias",
        "layers.0.weight",
    ]
    assert list(many.children()) == ["heads.a", "heads.b", "layers.0"]


def test_what_a_subclass_of_sequential_adds_is_found_too():
    class WithHead(nn.Sequential):
        def __init__(self):
            super().__init__(nn.Linear(2, 2), nn.ReLU())
            self.head = nn.Linear(2, 1)

    assert set(WithHead().named_parameters()) == {"head.weight", "head.bias", "0.weight", "0.bias"}


@pytest.mark.parametrize("data", [[0.0, 1.0], np.zeros(3, dtype=int), 1.0])
def test_a_parameter_is_an_array_of_floating_point(data):
    with pytest.raises(DTypeError, match="a parameter is an array of float32 or float64"):
        nn.Parameter(data)


def test_a_gradient_of_another_type_is_refused():
    parameter = nn.Parameter(zeros(2))
    with pytest.raises(DTypeError, match="a gradient of float64 for a parameter of float32"):
        parameter.add_grad(zeros(2, dtype=np.float64))


def test_slices_of_parameters_keep_their_names():
    parameters = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)).parameters()
    assert parameters[2:].names == ["1.weight", "1.bias"]
    assert parameters[2:][0] is parameters[2]


def test_a_model_can_be_pickled_after_a_forward_pass():
    model = nn.Sequential(nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2), nn.Dropout(0.5))
    x = np.ones((2, 1, 4, 4), dtype=np.float32) * np.arange(4, dtype=np.float32)
    model(x)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.eval()(x), model.eval()(x))


def test_a_name_that_is_not_there_is_answered_with_the_nearest():
    with pytest.raises(AttributeError, match="did you mean Conv2d"):
        _ = nn.Conv2D
    with pytest.raises(AttributeError, match="did you mean Layer"):
        _ = nn.Module


@pytest.mark.parametrize(("padding", "seen"), [("same", (1, 1)), ("valid", (0, 0)), (2, (2, 2))])
def test_a_plugged_convolution_is_told_the_padding_as_a_pair(padding, seen):
    told = []

    def mine(x, w, b, *, stride, padding, dilation, groups):
        told.append((stride, padding, dilation))
        return mc.ops.conv2d_forward.body(x, w, b, stride=stride, padding=padding, dilation=dilation, groups=groups)

    with mc.plug(conv2d_forward=mine):
        nn.Conv2d(1, 1, 3, padding=padding)(np.ones((1, 1, 5, 5), dtype=np.float32))
    assert told == [((1, 1), seen, (1, 1))]


def test_padding_that_is_lopsided_stays_a_word():
    told = []
    with mc.plug(conv2d_forward=lambda x, w, b, *, padding, **rest: told.append(padding) or x):
        nn.Conv2d(1, 1, 2, padding="same")(np.ones((1, 1, 5, 5), dtype=np.float32))
    assert told == ["same"]
