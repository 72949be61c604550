"""A short training with a student's code in it: what is graded is what runs.

The same network with the same weights is trained twice on the same handwritten digits, once by the engine alone and
once with the student's functions plugged in. The losses, step by step, have to be the same but for rounding.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn import data, nn, optim
from minicnn.backend import CounterRng, Key, plug, use_backend
from minicnn.check import Finding, Kind
from minicnn.check.running import CandidateError
from minicnn.errors import MinicnnError
from minicnn.grade.judges import Grading, Part, finding_of
from minicnn.grade.remote import RemoteLayer
from minicnn.grade.results import Verdict
from minicnn.ops import random_normal
from minicnn.train import Trainer

STEPS, BATCH = 8, 8
TOLERANCE = 2e-3
"""Relative difference of two losses. Rounding in float32 comes to a hundredth of it."""
NOISE = 0.05
"""Added to the pixels, so that no two of them are equal: which of two equal maxima wins shall not decide."""

MakeConv = Callable[..., nn.Layer]


@dataclass(frozen=True)
class Network:
    """What is trained.

    Attributes
    ----------
    layers : function (Conv2d) -> list of layers
        The model for images of 1 x 8 x 8, with a convolutional layer that may be the student's.
    optimizer : function (parameters) -> Optimizer
    """

    layers: Callable[[MakeConv], list[nn.Layer]]
    optimizer: Callable[[nn.parameter.Parameters], optim.Optimizer] = lambda parameters: optim.SGD(parameters, lr=0.05)


def _classifier(features: int) -> list[nn.Layer]:
    return [nn.Flatten(), nn.Linear(features, 10, rng=CounterRng(3, 9))]


LINEAR = Network(lambda conv: [nn.Flatten(), nn.Linear(64, 16, rng=CounterRng(3, 0)), nn.ReLU(), *_classifier(16)])
CONVOLUTION = Network(
    lambda conv: [
        conv(1, 4, 3, padding=1),
        nn.ReLU(),
        conv(4, 6, 3, stride=2, padding=1),
        nn.ReLU(),
        *_classifier(96),
    ]
)
POOLING = Network(
    lambda conv: [conv(1, 4, 3, padding=1), nn.MaxPool2d(3, 2, 1), nn.ReLU(), nn.AvgPool2d(2), *_classifier(16)]
)
NORM = Network(lambda conv: [conv(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), *_classifier(64)])
DROPOUT = Network(
    lambda conv: [
        nn.Flatten(),
        nn.Linear(64, 32, rng=CounterRng(3, 0)),
        nn.ReLU(),
        nn.Dropout(0.4, rng=CounterRng(3, 5)),
        *_classifier(32),
    ]
)
MOMENTUM = Network(
    LINEAR.layers,
    lambda parameters: optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
)
ADAM = Network(LINEAR.layers, lambda parameters: optim.Adam(parameters, lr=1e-2))


def training(points: int, *networks: Network, plugged: str = "", layer: str = "") -> Part:
    """Return the part in which networks are trained with the student's code.

    Parameters
    ----------
    points : int
    *networks : Network
    plugged : str
        The functions that are plugged in: "conv2d_forward, conv2d_backward".
    layer : str
        The student's class that takes the place of `nn.Conv2d`.
    """

    def judge(grading: Grading) -> Verdict:
        waits = grading.waits()
        if waits:
            return waits
        functions = {name: grading.function(name) for name in plugged.split(", ") if name}
        make_conv = _students_layers(grading, layer) if layer else _engines_conv
        for network in networks:
            finding = _compare(network, functions, make_conv)
            if finding is not None:
                return Verdict(False, findings=[finding])
        return Verdict(True, note=f"{STEPS * len(networks)} steps, the engine's losses")

    return Part("training", points, judge)


def _compare(network: Network, functions: Mapping[str, Callable], make_conv: MakeConv) -> Finding | None:
    """Train twice; say what is wrong if the losses differ."""
    model = _model(network, _engines_conv)
    weights = model.state_dict()
    expected = losses(network, model)
    try:
        model = _model(network, make_conv)
        model.load_state_dict(weights)
        with plug(**functions):
            got = losses(network, model)
    except CandidateError as error:
        return finding_of(error, "training")
    except (MinicnnError, TypeError, ValueError, AttributeError, IndexError) as error:  # results that fit nowhere
        return Finding(Kind.RAISES, "training", f"{type(error).__name__}: {error}", {}, Kind.RAISES.hint)
    for step, (own, engines) in enumerate(zip(got, expected, strict=True), start=1):
        if not abs(own - engines) <= TOLERANCE * abs(engines):
            when = f"step {step}" if step <= STEPS else "the evaluation at the end"
            message = f"the loss is {own:.6g} in {when}, the engine's is {engines:.6g}; before that they agree"
            hint = "Each function is right on its own. What do they remember from one call to the next?"
            return Finding(Kind.WRONG_CACHE, "training", message, {"got": got, "expected": expected}, hint)
    return None


def losses(network: Network, model: nn.Layer) -> list[float]:
    """Train for some steps; return the loss of each, and one in evaluation at the end."""
    x, y = _images()
    with use_backend("numpy"):
        trainer = Trainer(model, optimizer=network.optimizer(model.parameters()), rng=CounterRng(3, 8))
        batches = [slice(step * BATCH, (step + 1) * BATCH) for step in range(STEPS)]
        values = [float(trainer.train_step(x[batch], y[batch])[0]) for batch in batches]
        last = batches[-1]
        model.eval()
        return [*values, float(trainer.loss.forward(model(x[last]), y[last]))]


def _images() -> tuple[np.ndarray, np.ndarray]:
    """Return the first digits of the training set, (N, 1, 8, 8) in float32, and their labels."""
    train = data.load("digits").train
    x = train.x[: STEPS * BATCH]
    noise = NOISE * random_normal(Key(3, 7, 0), shape=x.shape)
    return (x + noise).astype(np.float32), train.y[: STEPS * BATCH]


def _model(network: Network, conv: MakeConv) -> nn.Sequential:
    return nn.Sequential(*network.layers(conv))


def _engines_conv(in_channels: int, out_channels: int, kernel_size: int, **options: Any) -> nn.Layer:
    return nn.Conv2d(in_channels, out_channels, kernel_size, **options, rng=CounterRng(3, in_channels))


def _students_layers(grading: Grading, class_name: str) -> MakeConv:
    def conv(*args: int, **options: int) -> nn.Layer:
        return RemoteLayer(grading.student, class_name, args, options, ("weight", "bias"))

    return conv
