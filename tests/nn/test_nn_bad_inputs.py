"""What is refused, with which error, and in which words."""

import numpy as np
import pytest

from minicnn import nn
from minicnn.errors import ArgumentError, DataError, DTypeError, MinicnnError, ShapeError

pytestmark = pytest.mark.usefixtures("backend")


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype=dtype)


# Shapes


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Conv2d(3, 16, 3), (2, 1, 8, 8), r"Conv2d\(3, 16, 3\): x has 1 channel, expected 3 .*\(2, 1, 8, 8\)"),
        (nn.Conv2d(3, 16, 3), (2, 4, 8, 8), "x has 4 channels, expected 3"),
        (nn.Conv2d(3, 16, 3), (3, 8, 8), r"expected \(N, C, H, W\); grey images need their channel axis, x\[:, None\]"),
        (nn.Conv2d(3, 16, 3), (2, 3), r"x has shape \(2, 3\), expected \(N, C, H, W\)"),
        (nn.Conv2d(3, 16, 3), (2, 3, 2, 8), r"Conv2d\(3, 16, 3\): a window of 3 x 3 pixels does not fit.*2 x 8"),
        (nn.Conv2d(3, 16, 3, dilation=3), (2, 3, 6, 8), "a window of 7 x 7 pixels"),
        (nn.Linear(4, 2), (2, 3), r"Linear\(4, 2\): x has 3 features, expected 4"),
        (nn.Linear(1, 2), (2, 4), "x has 4 features, expected 1"),
        (nn.Linear(4, 2), (4,), r"expected \(N, features\)"),
        (nn.Linear(4, 2), (2, 4, 1, 1), "put a Flatten before it"),
        (nn.BatchNorm2d(3), (2, 2, 4, 4), r"BatchNorm2d\(3\): x has 2 channels, expected 3"),
        (nn.BatchNorm2d(3), (2, 3), r"expected \(N, C, H, W\)"),
        (nn.BatchNorm1d(3), (2, 3, 4, 4), r"expected \(N, features\) or \(N, C, L\)"),
        (nn.BatchNorm1d(3), (2, 2), "x has 2 features, expected 3"),
        (nn.BatchNorm1d(3), (1, 3), "two numbers or more to have a variance.*another batch size"),
        (nn.BatchNorm2d(3), (1, 3, 1, 1), "two numbers or more to have a variance"),
        (nn.BatchNorm2d(3), (0, 3, 4, 4), "two numbers or more to have a variance"),
        (nn.MaxPool2d(2), (2, 4, 4), r"one image its batch axis, x\[None\]"),
        (nn.AvgPool2d(2), (2, 4), r"expected \(N, C, H, W\)"),
        (nn.MaxPool2d(5), (1, 1, 4, 6), r"MaxPool2d\(5\): a window of 5 x 5 pixels does not fit.*4 x 6"),
        (nn.AvgPool2d(5), (1, 1, 6, 4), r"AvgPool2d\(5\): a window of 5 x 5 pixels"),
        (nn.DropConnect(4, 2), (2, 3), r"DropConnect\(4, 2, 0.5\): x has 3 features, expected 4"),
        (nn.DropConnect(4, 2), (2, 4, 1, 1), "put a Flatten before it"),
        (nn.FractionalMaxPool2d(output_ratio=0.7), (2, 4), r"expected \(N, C, H, W\)"),
        (nn.FractionalMaxPool2d(2, 4), (1, 1, 12, 8), "12 pixels down cannot become 4.* make 6 to 11 of them"),
        (nn.FractionalMaxPool2d(2, (6, 8)), (1, 1, 12, 8), "8 pixels across cannot become 8.* make 4 to 7 of them"),
        (nn.FractionalMaxPool2d(2, 8, overlapping=False), (1, 1, 8, 7), "7 pixels across .*1 or 2 apart make 4 to 7"),
        (nn.FractionalMaxPool2d(2, output_ratio=0.3), (1, 1, 12, 12), "cannot become 3"),
        (nn.FractionalMaxPool2d(2, output_ratio=0.7), (1, 1, 1, 9), "an image of 1 x 9 pixels is too small"),
        (
            nn.StochasticDepth(nn.Conv2d(1, 2, 1), survival=1.0),
            (1, 1, 3, 3),
            r"StochasticDepth.*must agree to be added",
        ),
        (nn.GlobalAvgPool2d(), (2, 4), r"GlobalAvgPool2d\(\): x has shape \(2, 4\)"),
    ],
)
def test_an_input_of_the_wrong_shape_is_refused(layer, shape, message):
    with pytest.raises(ShapeError, match=message):
        layer(ones(*shape))


# Dtypes

IMAGE_LAYERS = [
    nn.Conv2d(2, 2, 1),
    nn.BatchNorm2d(2),
    nn.MaxPool2d(2),
    nn.AvgPool2d(2),
    nn.GlobalAvgPool2d(),
    nn.Dropout(0.5),
    nn.FractionalMaxPool2d(2, output_ratio=0.7),
    nn.ReLU(),
    nn.LeakyReLU(),
    nn.ELU(),
    nn.SELU(),
    nn.GELU(),
    nn.SiLU(),
    nn.Sigmoid(),
    nn.Tanh(),
    nn.Softplus(),
]


@pytest.mark.parametrize("layer", IMAGE_LAYERS, ids=repr)
@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float16, bool, np.complex64])
def test_numbers_that_are_neither_float32_nor_float64_are_refused(layer, dtype):
    with pytest.raises(DTypeError, match=rf"x is dtype {np.dtype(dtype)}, expected.*x\.astype\(np\.float32\)"):
        layer(ones(2, 2, 4, 4, dtype=dtype))


@pytest.mark.parametrize("layer", [*IMAGE_LAYERS, nn.Flatten()], ids=repr)
def test_a_list_in_the_place_of_an_array_is_refused(layer):
    with pytest.raises(DTypeError, match="x is a list, expected an array of float32 or float64"):
        layer([[[[1.0, 2.0]]]])


@pytest.mark.parametrize("layer", [nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)], ids=repr)
def test_float64_into_float32_weights_is_answered_with_both_ways_out(layer):
    message = r"x is float64 but the weights are float32; use x\.astype\(np\.float32\) or model\.astype\(np\.float64\)"
    with pytest.raises(DTypeError, match=message):
        layer(ones(2, 2, 4, 4, dtype=np.float64))


def test_float64_into_a_float32_linear_is_refused():
    with pytest.raises(DTypeError, match="x is float64 but the weights are float32"):
        nn.Linear(3, 2)(ones(2, 3, dtype=np.float64))


# Arguments


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Conv2d(0, 1, 3), "in_channels must be a whole number of at least 1"),
        (lambda: nn.Conv2d(1, 0, 3), "out_channels must be a whole number of at least 1"),
        (lambda: nn.Conv2d(1, 1, 0), "kernel_size must be at least 1, not 0"),
        (lambda: nn.Conv2d(1, 1, (3, 3, 3)), "kernel_size must be a whole number or a pair"),
        (lambda: nn.Conv2d(1, 1, 2.5), "kernel_size must be a whole number"),
        (lambda: nn.Conv2d(1, 1, 3, stride=0), "stride must be at least 1, not 0"),
        (lambda: nn.Conv2d(1, 1, 3, stride=(1, 0)), "stride must be at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, dilation=0), "dilation must be at least 1"),
        (lambda: nn.Conv2d(1, 1, 3, padding=-1), "padding must be at least 0"),
        (lambda: nn.Conv2d(1, 1, 3, padding="full"), 'number, a pair, "same" or "valid", not \'full\''),
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "3 channels in and 4 out do not divide into 2 groups"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), "do not divide into 2 groups"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), "groups must be a whole number of at least 1"),
        (lambda: nn.Linear(0, 1), "in_features must be a whole number of at least 1"),
        (lambda: nn.Linear(1, 0), "out_features must be a whole number of at least 1"),
        (lambda: nn.MaxPool2d(0), "kernel_size must be at least 1"),
        (lambda: nn.MaxPool2d(2, stride=0), "stride must be at least 1"),
        (lambda: nn.MaxPool2d(2, padding="sama"), "'sama'"),
        (lambda: nn.AvgPool2d(0), "kernel_size must be at least 1"),
        (lambda: nn.AvgPool2d(2, stride=(0, 1)), "stride must be at least 1"),
        (lambda: nn.AvgPool2d(2, padding=-1), "padding must be at least 0"),
        (lambda: nn.BatchNorm2d(0), "BatchNorm2d: num_features must be a whole number"),
        (lambda: nn.BatchNorm1d(3, eps=0), "BatchNorm1d: eps must be positive"),
        (lambda: nn.BatchNorm2d(3, momentum=1.5), "momentum must lie between 0 and 1 or be None, not 1.5"),
        (lambda: nn.Dropout(-0.1), "Dropout: p is a probability.* not -0.1"),
        (lambda: nn.Dropout(1.5), "between 0 and 1, not 1.5"),
        (lambda: nn.Dropout(float("nan")), "not nan"),
        (lambda: nn.Dropout("half"), "Dropout: p is a probability.* not 'half'"),
        (lambda: nn.DropConnect(0, 1), "DropConnect: in_features must be a whole number of at least 1"),
        (lambda: nn.DropConnect(1, 0), "DropConnect: out_features must be"),
        (lambda: nn.DropConnect(1, 1, 1.5), "DropConnect: p is a probability .* between 0 and 1, not 1.5"),
        (lambda: nn.DropConnect(1, 1, inference="exact"), 'must be "gaussian" or "mean", not \'exact\''),
        (lambda: nn.DropConnect(1, 1, samples=0), "samples must be a whole number of at least 1, not 0"),
        (lambda: nn.DropConnect(1, 1, activation=nn.ReLU), "activation is the class ReLU; build one"),
        (lambda: nn.DropConnect(1, 1, activation=np.tanh), "activation must be a Layer"),
        (lambda: nn.DropConnect(1, 1, activation=nn.BatchNorm1d(1)), "a function of one number.*not BatchNorm1d"),
        (lambda: nn.DropConnect(1, 1, activation=nn.Dropout(0.5)), "a function of one number.*not Dropout"),
        (lambda: nn.FractionalMaxPool2d(1, 3), "FractionalMaxPool2d: kernel_size must be at least 2, not 1"),
        (lambda: nn.FractionalMaxPool2d(2), "give output_size or output_ratio, one of them, not neither"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), "one of them, not both"),
        (lambda: nn.FractionalMaxPool2d(2, 0), "output_size must be at least 1, not 0"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio=1.4), "output_ratio must be a number between 0 and 1.*not 1.4"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio=(0.7, 0)), "output_ratio must be"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio=(0.7, 0.7, 0.7)), "output_ratio must be"),
        (lambda: nn.FractionalMaxPool2d(2, output_ratio="half"), "output_ratio must be"),
        (lambda: nn.StochasticDepth(nn.ReLU(), survival=-0.1), "StochasticDepth: survival is a probability.* not -0.1"),
        (lambda: nn.StochasticDepth(nn.ReLU), "is the class ReLU; build one"),
        (lambda: nn.linear_decay(0), "linear_decay: blocks must be a whole number of at least 1, not 0"),
        (lambda: nn.linear_decay(3, 1.5), "linear_decay: last is a probability"),
        (lambda: nn.Softplus(beta=0), "beta must be positive"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=1), r"label_smoothing must lie in \[0, 1\), not 1"),
        (lambda: nn.CrossEntropyLoss(label_smoothing=-0.1), "label_smoothing"),
        (lambda: nn.CrossEntropyLoss(weight=[1, -1]), "weight must be one number of at least 0"),
        (lambda: nn.CrossEntropyLoss(weight=[[1, 1]]), "weight must be one number"),
    ],
)
def test_an_argument_without_meaning_is_refused_at_once(build, message):
    with pytest.raises(ArgumentError, match=message):
        build()


@pytest.mark.parametrize("layer", [nn.MaxPool2d, nn.AvgPool2d])
def test_pooling_with_padding_of_more_than_half_the_kernel_is_refused_at_once(layer):
    with pytest.raises(ArgumentError, match=rf"{layer.__name__}\(3, padding=2\): .* half"):
        layer(3, padding=2)


# Labels

LOGITS = ones(3, 4)


@pytest.mark.parametrize(
    ("logits", "labels", "error", "message"),
    [
        (
            LOGITS,
            np.array([0.0, 1.0, 2.0]),
            DTypeError,
            r"labels are float64, expected integers from 0 to 3; labels.astype\(int\)",
        ),
        (LOGITS, np.array([True, False, True]), DTypeError, r"labels are bool, .*; labels.astype\(int\)"),
        (LOGITS, np.array([0, 4, 1]), DataError, r"label 4 at position 1 is out of range; 4 outputs .* 0 to 3"),
        (LOGITS, np.array([0, 1, -1]), DataError, "label -1 at position 2 is out of range"),
        (LOGITS, np.array([0, 1]), ShapeError, r"labels have shape \(2,\), expected \(3,\) for logits.*\(3, 4\)"),
        (LOGITS, np.array([[0], [1], [2]]), ShapeError, r"labels have shape \(3, 1\), expected \(3,\)"),
        (LOGITS, np.eye(4, dtype=int)[:3], ShapeError, r"labels have shape \(3, 4\)"),
        (ones(2, 4, 3, 3), np.zeros((2, 3), int), ShapeError, r"expected \(2, 3, 3\)"),
        (ones(4), np.zeros(4, int), ShapeError, "one label a row"),
        (ones(0, 4), np.zeros(0, int), DataError, "the batch is empty"),
        (LOGITS, [0, 1, 2], DTypeError, "labels are a list"),
        (LOGITS.tolist(), np.array([0, 1, 2]), DTypeError, "list"),
        (LOGITS.astype(int), np.array([0, 1, 2]), DTypeError, "int64"),
    ],
    ids=[
        "float",
        "bool",
        "too large",
        "negative",
        "too few",
        "an axis too many",
        "one-hot",
        "pixels",
        "one row",
        "empty batch",
        "list",
        "logits in a list",
        "whole logits",
    ],
)
def test_logits_and_labels_that_do_not_fit_are_refused(logits, labels, error, message):
    with pytest.raises(error, match=message) as caught:
        nn.CrossEntropyLoss()(logits, labels)
    assert "CrossEntropyLoss()" in str(caught.value)


def test_one_weight_a_class_is_needed():
    with pytest.raises(ShapeError, match="2 class weights for 4 classes"):
        nn.CrossEntropyLoss(weight=[1, 2])(LOGITS, np.array([0, 1, 2]))


@pytest.mark.parametrize(
    ("error", "builtin"),
    [(ShapeError, ValueError), (DTypeError, TypeError), (ArgumentError, ValueError), (DataError, ValueError)],
)
def test_each_error_is_also_the_built_in_one(error, builtin):
    assert issubclass(error, builtin)
    assert issubclass(error, MinicnnError)


# What layers call themselves in messages


@pytest.mark.parametrize(
    "text",
    [
        "Conv2d(3, 16, 3)",
        "Conv2d(4, 6, (3, 2), stride=2, padding='same', dilation=(1, 2), groups=2, bias=False)",
        "Linear(4, 2)",
        "Linear(4, 2, bias=False)",
        "MaxPool2d(2)",
        "MaxPool2d(3, stride=(1, 2), padding=1)",
        "AvgPool2d((2, 3), stride=2)",
        "GlobalAvgPool2d()",
        "Flatten()",
        "Identity()",
        "BatchNorm2d(3)",
        "BatchNorm1d(3, eps=0.001, momentum=None)",
        "Dropout(0.3)",
        "LeakyReLU(0.2)",
        "ELU(1.0)",
        "Softplus(1.0, 20.0)",
        "CrossEntropyLoss()",
        "CrossEntropyLoss(label_smoothing=0.1, weight=[1.0, 2.0])",
    ],
)
def test_a_layer_is_shown_as_it_is_built(text):
    assert repr(eval(f"nn.{text}")) == text
