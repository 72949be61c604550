"""The calls on which a candidate for an operation is examined: few and small, but chosen to tell mistakes apart.

Each case leaves the plain call in one respect (a stride of 2, a batch of one, one channel), so that what goes wrong
with it points at the reason; some are square, where a wrong order of axes shows in the numbers and not in the shape;
one has everything at once. A backward operation takes `dy` and the forward's own arguments or named results, so its
cases are made from the forward's, by those names.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

import minicnn.ops  # noqa: F401 (fills the list of slots)
from minicnn.backend import Key, slots
from minicnn.backend.slots import Slot
from minicnn.check.case import PAIRS, Case, Examination, forward_of, reference
from minicnn.ops import random_normal


@functools.cache
def examinations(name: str) -> tuple[Examination, ...]:
    """Return the cases of an operation in float64, with the right results."""
    operation = slots()[name]
    forward = forward_of(operation)
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
    known = {**case.args, **results, "dy": _normal(number, 90, *np.shape(results.get("y", 0.0)))}
    parameters = operation.signature.parameters
    args = {p: known[p] for p in parameters if p in known}
    options = {name: value for name, value in case.options.items() if name in parameters or "options" in parameters}
    if "shape" in parameters:
        options["shape"] = case.args["x"].shape
    return replace(case, args=args, options=options)


# The cases, family by family


def _conv_cases() -> Iterator[Case]:
    for number, (label, n, c, f, size, kernel, options) in enumerate(_CONVOLUTIONS):
        groups = options.get("groups", 1)
        arrays = {
            "x": _normal(number, 0, n, c, *size),
            "w": _normal(number, 1, f, c // groups, *kernel),
            "b": _normal(number, 2, f),
        }
        full = {"stride": (1, 1), "padding": (0, 0), **_in_pairs(options)}
        yield Case(label, arrays, full)
        if number == 0:
            yield Case("no bias", {**arrays, "b": None}, full, optional=True)


_CONVOLUTIONS: list[tuple[str, int, int, int, tuple[int, int], tuple[int, int], dict[str, Any]]] = [
    ("plain", 3, 2, 4, (5, 6), (3, 2), {}),
    ("a batch of one", 1, 2, 4, (5, 6), (3, 2), {}),
    ("square", 3, 3, 3, (5, 5), (3, 3), {}),
    ("one channel and one kernel", 2, 1, 1, (6, 5), (2, 3), {}),
    ("a kernel of one pixel", 2, 3, 4, (3, 4), (1, 1), {}),
    ("stride 2", 2, 2, 3, (6, 7), (3, 2), {"stride": 2}),
    ("stride (2, 1)", 2, 2, 3, (6, 5), (2, 3), {"stride": (2, 1)}),
    ("stride 2, square", 2, 2, 2, (7, 7), (3, 3), {"stride": 2}),
    ("padding 1", 2, 2, 3, (4, 5), (3, 2), {"padding": 1}),
    ("padding (2, 1)", 2, 3, 2, (4, 4), (3, 3), {"padding": (2, 1)}),
    ("stride 2 and padding 1", 3, 2, 3, (6, 5), (3, 3), {"stride": 2, "padding": 1}),
    ("dilation 2", 2, 2, 3, (6, 7), (2, 3), {"dilation": 2}),
    ("two groups", 2, 4, 6, (4, 5), (2, 3), {"groups": 2}),
    (
        "everything at once",
        2,
        4,
        6,
        (5, 6),
        (3, 2),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
    ),
]


def _fused_conv_cases() -> Iterator[Case]:
    for case in _conv_cases():
        yield replace(case, options={**case.options, "dilation": (1, 1), "groups": 1, **case.options})


def _conv_pool_cases() -> Iterator[Case]:
    pools = ({"pool_kernel": (2, 2)}, {"pool_kernel": (2, 2), "pool_stride": (1, 1)})
    for number, case in enumerate(_fused_conv_cases()):
        sizes = reference(slots()["conv2d_forward"], case)["y"].shape[2:]
        if min(sizes) >= 2 and case.label != "no bias":
            pool = {"pool_stride": None, "pool_padding": (0, 0), **pools[number % 2]}
            yield replace(case, options={**case.options, **pool})


def _window_options(case: Case) -> dict[str, Any]:
    return {"kernel": case.args["w"].shape[2:], **{n: v for n, v in case.options.items() if n != "groups"}}


def _im2col_cases() -> Iterator[Case]:
    for case in _conv_cases():
        if "groups" not in case.options and case.label != "no bias":
            yield Case(case.label, {"x": case.args["x"]}, _window_options(case))


def _col2im_cases() -> Iterator[Case]:
    for number, case in enumerate(_im2col_cases()):
        shape = case.args["x"].shape
        cols = reference(slots()["im2col"], case)["cols"]
        yield Case(case.label, {"cols": _normal(number, 3, *cols.shape)}, {"shape": shape, **case.options})


def _pool_cases(*, ties: bool = False) -> Iterator[Case]:
    for number, (label, n, c, size, options) in enumerate(_POOLINGS):
        full = {"stride": None, "padding": (0, 0), **_in_pairs(options)}
        yield Case(label, {"x": _normal(number, 4, n, c, *size) - 0.5}, full)
    if ties:
        x = np.floor(2 * _normal(0, 5, 2, 2, 4, 6))
        yield Case("equal maxima", {"x": x}, {"kernel": (2, 3), "stride": None, "padding": (0, 0)}, tied=True)


_POOLINGS: list[tuple[str, int, int, tuple[int, int], dict[str, Any]]] = [
    ("plain", 3, 2, (4, 6), {"kernel": 2}),
    ("a batch of one", 1, 2, (4, 6), {"kernel": 2}),
    ("one channel", 2, 1, (4, 6), {"kernel": 2}),
    ("square", 3, 3, (6, 6), {"kernel": 3}),
    ("a kernel of 2 x 3", 2, 2, (4, 6), {"kernel": (2, 3)}),
    ("pixels left over", 2, 2, (5, 7), {"kernel": 2}),
    ("stride 1: windows overlap", 2, 2, (4, 5), {"kernel": (2, 3), "stride": 1}),
    ("kernel 3, stride 2: windows overlap", 2, 2, (7, 7), {"kernel": 3, "stride": 2}),
    ("stride (2, 1)", 2, 2, (5, 5), {"kernel": (2, 3), "stride": (2, 1)}),
    ("padding 1", 2, 2, (5, 4), {"kernel": (3, 2), "stride": (2, 2), "padding": 1}),
]


def _norm_shapes() -> Iterator[tuple[str, tuple[int, ...], bool]]:
    yield "plain", (3, 2, 4, 5), False
    yield "a batch of one", (1, 2, 4, 5), False
    yield "square", (3, 3, 4, 4), False
    yield "one channel", (4, 1, 3, 3), False
    yield "one pixel", (6, 4, 1, 1), False
    yield "vectors (N, C)", (6, 4), True


def _norm_arrays(number: int, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    c = shape[1]
    scales = (1 + np.arange(c)).reshape(-1, *[1] * (len(shape) - 2))
    x = scales * _normal(number, 6, *shape) + 1.5
    return {"x": x, "gamma": 1 + 0.5 * _normal(number, 7, c), "beta": _normal(number, 8, c)}


def _batch_norm_cases() -> Iterator[Case]:
    for number, (label, shape, optional) in enumerate(_norm_shapes()):
        yield Case(label, _norm_arrays(number, shape), {"eps": 1e-5}, optional)
    yield Case("eps 0.5", _norm_arrays(9, (3, 2, 4, 5)), {"eps": 0.5})


def _batch_norm_inference_cases() -> Iterator[Case]:
    for number, (label, shape, optional) in enumerate(_norm_shapes()):
        statistics = {
            "mean": _normal(number, 9, shape[1]),
            "inv_std": 0.5 + np.abs(_normal(number, 10, shape[1])),
        }
        yield Case(label, {**_norm_arrays(number, shape), **statistics}, optional=optional)


def _linear_cases() -> Iterator[Case]:
    for number, (label, n, d, k) in enumerate(
        [
            ("plain", 3, 4, 5),
            ("a batch of one", 1, 4, 5),
            ("square", 4, 4, 4),
            ("one output", 3, 4, 1),
            ("wide", 2, 7, 3),
        ]
    ):
        arrays = {"x": _normal(number, 11, n, d), "w": _normal(number, 12, k, d), "b": _normal(number, 13, k)}
        yield Case(label, arrays)
        if number == 0:
            yield Case("no bias", {**arrays, "b": None}, optional=True)


def _activation_cases(large: float, *variants: dict[str, float], kink: bool = False) -> Iterator[Case]:
    options: dict[str, float] = variants[0] if variants else {}
    yield Case("plain", {"x": _normal(0, 14, 3, 4)}, options)
    yield Case("images", {"x": _normal(1, 14, 2, 3, 4, 5)}, options)
    yield Case("a batch of one", {"x": _normal(2, 14, 1, 6)}, options)
    yield Case("square", {"x": 2 * _normal(3, 14, 4, 4)}, options)
    for number, other in enumerate(variants[1:], start=4):
        label = ", ".join(f"{name} {value:g}" for name, value in other.items() if value != options[name])
        yield Case(label, {"x": _normal(number, 14, 4, 5)}, other)
    if large:
        x = np.array([[large, -large, 1.0], [0.5, -0.5, -1.0]])
        yield Case("large numbers", {"x": x}, options)
    if kink:
        yield Case("numbers on the kink", {"x": np.array([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]])}, options, tied=True)


def _dropout_cases() -> Iterator[Case]:
    for number, (label, shape, p) in enumerate(
        [
            ("plain", (4, 6), 0.3),
            ("images", (2, 3, 4, 5), 0.3),
            ("a batch of one", (1, 9), 0.3),
            ("square", (6, 6), 0.3),
            ("p 0.5", (4, 6), 0.5),
            ("p 0.8", (4, 6), 0.8),
            ("p 0", (3, 4), 0.0),
        ]
    ):
        yield Case(label, {"x": _normal(number, 15, *shape)}, {"p": p, "key": Key(5, number, 1 + number)})


def _loss_cases() -> Iterator[Case]:
    options: dict[str, Any] = {"label_smoothing": 0.0, "class_weights": None}
    labels = np.array([2, 0, 1, 1])
    yield Case("plain", {"logits": _normal(0, 16, 4, 3), "labels": labels}, options)
    yield Case("a batch of one", {"logits": _normal(1, 16, 1, 3), "labels": labels[:1]}, options)
    yield Case("square", {"logits": 2 * _normal(2, 16, 4, 4), "labels": np.array([3, 0, 1, 0])}, options)
    yield Case("two classes", {"logits": _normal(3, 16, 5, 2), "labels": np.array([1, 0, 1, 1, 0])}, options)
    large = np.array([[1000.0, 0.0, -1000.0], [998.0, 1000.0, 999.0], [-1000.0, -999.0, -998.0]])
    yield Case("large scores", {"logits": large, "labels": np.array([0, 2, 1])}, options)
    smoothed, weights = {"label_smoothing": 0.2}, {"class_weights": np.array([0.5, 2.0, 1.5])}
    four = {"logits": _normal(4, 16, 4, 3), "labels": labels}
    yield Case("label_smoothing 0.2", four, {**options, **smoothed})
    yield Case("class_weights", four, {**options, **weights})
    yield Case("label_smoothing and class_weights", four, {**smoothed, **weights})
    pixels = {"logits": _normal(5, 16, 2, 3, 2, 2), "labels": np.array([[[0, 1], [2, 0]], [[1, 1], [2, 2]]])}
    yield Case("one prediction a pixel", pixels, options, optional=True)


def _sgd_cases() -> Iterator[Case]:
    plain: dict[str, Any] = {"lr": 0.1, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
    for number, (label, changes) in enumerate(
        [
            ("plain", {}),
            ("another lr", {"lr": 0.03}),
            ("momentum 0.9", {"momentum": 0.9}),
            ("momentum 0.6", {"momentum": 0.6, "lr": 0.2}),
            ("weight_decay 0.3", {"weight_decay": 0.3}),
            ("nesterov", {"momentum": 0.9, "nesterov": True}),
            ("everything at once", {"momentum": 0.7, "nesterov": True, "weight_decay": 0.2, "lr": 0.05}),
        ]
    ):
        shape = ((3, 4), (5,), (2, 3, 2, 2))[number % 3]
        arrays = {name: _normal(number, 17 + i, *shape) for i, name in enumerate(("w", "dw", "velocity"))}
        yield Case(label, arrays, {**plain, **changes})


def _adam_cases() -> Iterator[Case]:
    plain: dict[str, Any] = {"step": 3, "lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    for number, (label, changes) in enumerate(
        [
            ("plain", {}),
            ("step 1", {"step": 1}),
            ("step 10", {"step": 10, "lr": 0.02}),
            ("beta1 0.6", {"beta1": 0.6}),
            ("beta2 0.7", {"beta2": 0.7}),
            ("eps 0.1", {"eps": 0.1}),
            ("weight_decay 0.3", {"weight_decay": 0.3}),
        ]
    ):
        shape = ((3, 4), (5,), (2, 3, 2, 2))[number % 3]
        arrays = {name: _normal(number, 20 + i, *shape) for i, name in enumerate(("w", "dw", "m"))}
        arrays["v"] = np.abs(_normal(number, 23, *shape))
        if label == "step 1":
            arrays["m"], arrays["v"] = np.zeros(shape), np.zeros(shape)
            arrays["dw"].flat[::3] = 0.0  # as for a ReLU that never let anything through
        yield Case(label, arrays, {**plain, **changes})


def _all_at_once(cases: Callable[[], Iterator[Case]], names: Mapping[str, str]) -> Iterator[Case]:
    """Make cases for an update of several parameters out of those for one."""
    for case in cases():
        first, second = case.args, {name: 0.5 * value[:2] for name, value in case.args.items()}
        options = dict(case.options)
        if "step" in options:
            options["steps"] = [options["step"], options.pop("step") + 1]
        yield Case(case.label, {names[name]: [first[name], second[name]] for name in first}, options)


def _random_bits_cases() -> Iterator[Case]:
    for label, key, count in (
        ("plain", Key(1, 2, 3), 8),
        ("a count that four does not divide", Key(1, 2, 3), 7),
        ("another stream", Key(1, 5, 3), 8),
        ("a step of more than 32 bits", Key(1, 2, 2**33 + 1), 8),
        ("a seed of more than 32 bits", Key(2**40 + 7, 2, 3), 8),
    ):
        yield Case(label, {"key": key}, {"count": count})


def _normal(number: int, stream: int, *shape: int) -> np.ndarray:
    return random_normal(Key(2015, stream, number), shape=shape)


def _in_pairs(options: Mapping[str, Any]) -> dict[str, Any]:
    return {n: (v, v) if n in PAIRS and isinstance(v, int) else v for n, v in options.items()}


_SGD_NAMES = {"w": "ws", "dw": "dws", "velocity": "velocities"}
_ADAM_NAMES = {"w": "ws", "dw": "dws", "m": "ms", "v": "vs"}
_CASES: dict[str, Callable[[], Iterator[Case]]] = {
    "im2col": _im2col_cases,
    "col2im": _col2im_cases,
    "conv2d_forward": _conv_cases,
    "conv2d_relu_forward": _fused_conv_cases,
    "conv2d_relu_max_pool2d_forward": _conv_pool_cases,
    "linear_forward": _linear_cases,
    "max_pool2d_forward": functools.partial(_pool_cases, ties=True),
    "avg_pool2d_forward": _pool_cases,
    "global_avg_pool2d_forward": lambda: (Case(c.label, c.args) for c in _pool_cases() if "kernel" not in c.label),
    "batch_norm_forward": _batch_norm_cases,
    "batch_norm_relu_forward": _batch_norm_cases,
    "batch_norm_inference_forward": _batch_norm_inference_cases,
    "batch_norm_inference_relu_forward": _batch_norm_inference_cases,
    "relu_forward": lambda: _activation_cases(1e3),
    "leaky_relu_forward": lambda: _activation_cases(1e3, {"slope": 0.01}, {"slope": 0.3}, kink=True),
    "elu_forward": lambda: _activation_cases(800.0, {"alpha": 1.0}, {"alpha": 0.6}, kink=True),
    "selu_forward": lambda: _activation_cases(800.0, kink=True),
    "gelu_forward": lambda: _activation_cases(30.0),
    "silu_forward": lambda: _activation_cases(800.0),
    "sigmoid_forward": lambda: _activation_cases(800.0),
    "tanh_forward": lambda: _activation_cases(800.0),
    "softplus_forward": lambda: _activation_cases(
        800.0,
        {"beta": 1.0, "threshold": 20.0},
        {"beta": 2.0, "threshold": 20.0},
        {"beta": 1.0, "threshold": 0.5},
    ),
    "dropout_forward": _dropout_cases,
    "softmax_cross_entropy_forward": _loss_cases,
    "sgd_update": _sgd_cases,
    "adam_update": _adam_cases,
    "sgd_update_all": lambda: _all_at_once(_sgd_cases, _SGD_NAMES),
    "adam_update_all": lambda: _all_at_once(_adam_cases, _ADAM_NAMES),
    "random_bits": _random_bits_cases,
}
