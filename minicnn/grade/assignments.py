"""The table of assignments: their parts, what each is worth, and who judges it.

The same points stand in the README.md of each folder of `lessons/assignments`. A new assignment needs an entry here.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from minicnn.errors import ArgumentError, listed
from minicnn.grade.differences import judge_numeric_gradient, judge_relative_error
from minicnn.grade.judges import Part, operation, operations
from minicnn.grade.layers import judge_forward, judge_gradients, judge_manners
from minicnn.grade.limits import Limits
from minicnn.grade.speed import speed
from minicnn.grade.training import ADAM, CONVOLUTION, DROPOUT, LINEAR, MOMENTUM, NORM, POOLING, training

WINDOWS = "stride, padding"
POOL = "kernel, stride, padding"


@dataclass(frozen=True)
class Assignment:
    """An assignment: its parts, in the order in which they are judged, and its limits."""

    parts: tuple[Part, ...]
    limits: Limits = field(default_factory=Limits)


ASSIGNMENTS = {
    "a01_finite_differences": Assignment(
        (
            Part("numeric_gradient", 70, judge_numeric_gradient),
            Part("relative_error", 30, judge_relative_error),
        )
    ),
    "a02_linear_softmax": Assignment(
        (
            operation("linear_forward", 20),
            operation("linear_backward", 30),
            operation("softmax_cross_entropy_forward", 20),
            operation("softmax_cross_entropy_backward", 20),
            training(
                10,
                LINEAR,
                plugged="linear_forward, linear_backward, "
                "softmax_cross_entropy_forward, softmax_cross_entropy_backward",
            ),
        )
    ),
    "a03_convolution_by_loops": Assignment(
        (
            operation("conv2d_forward", 80, takes=WINDOWS),
            training(20, CONVOLUTION, plugged="conv2d_forward"),
        )
    ),
    "a04_im2col": Assignment(
        (
            operation("im2col", 30, takes=WINDOWS),
            operation("col2im", 30, takes=WINDOWS),
            operation("conv2d_forward", 20, takes=WINDOWS),
            training(20, CONVOLUTION, plugged="im2col, col2im, conv2d_forward"),
        )
    ),
    "a05_conv_backward": Assignment(
        (
            operation("conv2d_backward", 30, result="dx", takes=WINDOWS),
            operation("conv2d_backward", 30, result="dw", takes=WINDOWS),
            operation("conv2d_backward", 20, result="db", takes=WINDOWS),
            training(20, CONVOLUTION, plugged="conv2d_backward"),
        )
    ),
    "a06_pooling": Assignment(
        (
            operation("max_pool2d_forward", 25, takes=POOL),
            operation("max_pool2d_backward", 30, takes=POOL),
            operation("avg_pool2d_forward", 15, takes=POOL),
            operation("avg_pool2d_backward", 15, takes=POOL),
            training(
                15,
                POOLING,
                plugged="max_pool2d_forward, max_pool2d_backward, avg_pool2d_forward, avg_pool2d_backward",
            ),
        )
    ),
    "a07_batch_norm": Assignment(
        (
            operation("batch_norm_forward", 30, takes="eps"),
            operation("batch_norm_backward", 45),
            operation("batch_norm_inference_forward", 10),
            training(15, NORM, plugged="batch_norm_forward, batch_norm_backward, batch_norm_inference_forward"),
        )
    ),
    "a08_dropout": Assignment(
        (
            operation("dropout_forward", 45),
            operation("dropout_backward", 35),
            training(20, DROPOUT, plugged="dropout_forward, dropout_backward"),
        )
    ),
    "a09_sgd_adam": Assignment(
        (
            operation("sgd_update", 35, takes="momentum, nesterov, weight_decay"),
            operation("adam_update", 45, takes="beta1, beta2, eps, weight_decay"),
            training(20, MOMENTUM, ADAM, plugged="sgd_update, adam_update"),
        )
    ),
    "a10_layer": Assignment(
        (
            Part("forward", 25, judge_forward),
            Part("gradients", 35, judge_gradients),
            Part("manners", 20, judge_manners),
            training(20, CONVOLUTION, layer="Conv2d"),
        )
    ),
    "a11_numba": Assignment(
        (
            operations("right", 40, names="conv2d_forward, conv2d_backward", takes=WINDOWS),
            speed(40),
            training(20, CONVOLUTION, plugged="conv2d_forward, conv2d_backward"),
        ),
        Limits(load=60.0, call=60.0, part=240.0),  # the first call of each kind compiles
    ),
}


def name_of_assignment(path: Path, source: str, given: str | None = None) -> str:
    """Return which assignment a file is: the one given, its line `ASSIGNMENT = "..."`, or its folder's name.

    Raises `ArgumentError` if none of them is the name of an assignment.
    """
    line = re.search(r"""^ASSIGNMENT\s*=\s*["'](\w+)["']""", source, re.MULTILINE)
    if given is not None:
        given = next((name for name in ASSIGNMENTS if name.split("_")[0] == given), given)
    candidates = [given] if given is not None else [line[1] if line else None, path.resolve().parent.name, path.stem]
    for name in candidates:
        if name in ASSIGNMENTS:
            return name
    if given is not None:
        raise ArgumentError(f"there is no assignment {given!r}; the assignments are {listed(ASSIGNMENTS)}")
    raise ArgumentError(
        f'{path} does not say which assignment it is: it needs the starter\'s line ASSIGNMENT = "...", '
        f"or --assignment with one of {listed(ASSIGNMENTS)}"
    )
