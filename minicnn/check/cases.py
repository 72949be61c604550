"""The calls on which a candidate for an operation is examined: few and small, but chosen to tell mistakes apart.

Each case leaves the plain call in one respect (a stride of 2, a batch of one, one channel), so that what goes wrong
with it points at the reason; some are square, where a wrong order of axes shows in the numbers and not in the shape;
one has everything at once. A backward operation takes `dy` and the forward's own arguments or named results, so its
cases are made from the forward's, by those names.
"""

import functools
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

import minicnn.ops  # noqa: F401 (fills the list of slots)
from minicnn.backend import slots
from minicnn.backend.slots import Slot
from minicnn.check.case import Case, Examination, forward_of, normal, reference
from minicnn.check.cases_of_images import (
    col2im_cases,
    conv_cases,
    conv_pool_cases,
    fractional_pool_cases,
    fused_conv_cases,
    im2col_cases,
    pool_cases,
    warp_cases,
)
from minicnn.check.cases_of_resizing import (
    adaptive_pool_cases,
    conv_transpose_cases,
    roi_pool_cases,
    unpool_cases,
    upsample_cases,
)
from minicnn.check.cases_of_sequences import (
    embedding_cases,
    group_norm_cases,
    layer_norm_cases,
    lstm_cases,
    rnn_cases,
)
from minicnn.check.cases_of_vectors import (
    activation_cases,
    adam_cases,
    add_relu_cases,
    all_at_once,
    batch_norm_cases,
    batch_norm_inference_cases,
    drop_connect_cases,
    drop_connect_inference_cases,
    dropout_cases,
    linear_cases,
    loss_cases,
    random_bits_cases,
    sgd_cases,
    soft_loss_cases,
)
from minicnn.errors import ArgumentError


@functools.cache
def examinations(name: str) -> tuple[Examination, ...]:
    """Return the cases of an operation in float64, with the right results."""
    operation = slots()[name]
    forward = forward_of(operation)
    if (forward.name if forward else name) not in _CASES:
        raise ArgumentError(
            f"there are no cases for {name}, an operation of your own; compare it with differences: "
            "mc.gradcheck(forward, x, backward=backward)"
        )
    if forward is None:
        return tuple(Examination(case, reference(operation, case)) for case in _CASES[name]())
    made = []
    for number, case in enumerate(_CASES[forward.name]()):
        if case.args.get("b", 0) is None:
            continue  # without a bias there is still a gradient db
        backward = backward_case(operation, forward, case, number)
        made.append(Examination(backward, reference(operation, backward), case))
    return tuple(made)


def in_single_precision(name: str, examination: Examination) -> Examination:
    """Return an examination in float32, with right results that were computed in float32."""
    case = examination.case.in_single_precision()
    return Examination(case, reference(slots()[name], case))


def backward_case(operation: Slot, forward: Slot, case: Case, number: int) -> Case:
    """Return the call of a backward operation that belongs to a call of its forward, with a random dy."""
    results = reference(forward, case)
    known = {**case.args, **results, "dy": normal(number, 90, *np.shape(results.get("y", 0.0)))}
    parameters = operation.signature.parameters
    args = {p: known[p] for p in parameters if p in known}
    options = {name: value for name, value in case.options.items() if name in parameters or "options" in parameters}
    if "shape" in parameters:
        options["shape"] = case.args["x"].shape
    return replace(case, args=args, options=options)


_SGD_NAMES = {"w": "ws", "dw": "dws", "velocity": "velocities"}
_ADAM_NAMES = {"w": "ws", "dw": "dws", "m": "ms", "v": "vs"}
_CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "im2col": im2col_cases,
    "col2im": col2im_cases,
    "conv2d_forward": conv_cases,
    "conv2d_relu_forward": fused_conv_cases,
    "conv2d_relu_max_pool2d_forward": conv_pool_cases,
    "linear_forward": linear_cases,
    "max_pool2d_forward": functools.partial(pool_cases, ties=True),
    "avg_pool2d_forward": pool_cases,
    "global_avg_pool2d_forward": lambda: (Case(c.label, c.args) for c in pool_cases() if "kernel" not in c.label),
    "batch_norm_forward": batch_norm_cases,
    "batch_norm_relu_forward": batch_norm_cases,
    "batch_norm_inference_forward": batch_norm_inference_cases,
    "batch_norm_inference_relu_forward": batch_norm_inference_cases,
    "layer_norm_forward": layer_norm_cases,
    "group_norm_forward": group_norm_cases,
    "rnn_forward": rnn_cases,
    "lstm_forward": lstm_cases,
    "embedding_forward": embedding_cases,
    "relu_forward": lambda: activation_cases(1e3),
    "add_relu_forward": add_relu_cases,
    "leaky_relu_forward": lambda: activation_cases(1e3, {"slope": 0.01}, {"slope": 0.3}, kink=True),
    "elu_forward": lambda: activation_cases(800.0, {"alpha": 1.0}, {"alpha": 0.6}, kink=True),
    "selu_forward": lambda: activation_cases(800.0, kink=True),
    "gelu_forward": lambda: activation_cases(30.0),
    "silu_forward": lambda: activation_cases(800.0),
    "sigmoid_forward": lambda: activation_cases(800.0),
    "tanh_forward": lambda: activation_cases(800.0),
    "softplus_forward": lambda: activation_cases(
        800.0,
        {"beta": 1.0, "threshold": 20.0},
        {"beta": 2.0, "threshold": 20.0},
        {"beta": 1.0, "threshold": 0.5},
    ),
    "dropout_forward": dropout_cases,
    "drop_connect_forward": drop_connect_cases,
    "drop_connect_inference_forward": drop_connect_inference_cases,
    "fractional_max_pool2d_forward": fractional_pool_cases,
    "conv_transpose2d_forward": conv_transpose_cases,
    "upsample_nearest_forward": upsample_cases,
    "upsample_bilinear_forward": upsample_cases,
    "adaptive_avg_pool2d_forward": adaptive_pool_cases,
    "max_unpool2d_forward": unpool_cases,
    "roi_max_pool2d_forward": roi_pool_cases,
    "softmax_cross_entropy_forward": loss_cases,
    "soft_cross_entropy_forward": soft_loss_cases,
    "sgd_update": sgd_cases,
    "adam_update": adam_cases,
    "sgd_update_all": lambda: all_at_once(sgd_cases, _SGD_NAMES),
    "adam_update_all": lambda: all_at_once(adam_cases, _ADAM_NAMES),
    "random_bits": random_bits_cases,
    "warp": warp_cases,
}
