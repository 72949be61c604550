"""Cases of the other operations: normalisation, activations, losses, dropout, updates and random bits."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.check.case import Case, normal


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
    x = scales * normal(number, 6, *shape) + 1.5
    return {"x": x, "gamma": 1 + 0.5 * normal(number, 7, c), "beta": normal(number, 8, c)}


def batch_norm_cases() -> Iterator[Case]:
    """Batches of images, and vectors."""
    for number, (label, shape, optional) in enumerate(_norm_shapes()):
        yield Case(label, _norm_arrays(number, shape), {"eps": 1e-5}, optional)
    yield Case("eps 0.5", _norm_arrays(9, (3, 2, 4, 5)), {"eps": 0.5})


def batch_norm_inference_cases() -> Iterator[Case]:
    """The same, with statistics that are given."""
    for number, (label, shape, optional) in enumerate(_norm_shapes()):
        statistics = {
            "mean": normal(number, 9, shape[1]),
            "inv_std": 0.5 + np.abs(normal(number, 10, shape[1])),
        }
        yield Case(label, {**_norm_arrays(number, shape), **statistics}, optional=optional)


def linear_cases() -> Iterator[Case]:
    """Matrix products."""
    for number, (label, n, d, k) in enumerate(
        [
            ("plain", 3, 4, 5),
            ("a batch of one", 1, 4, 5),
            ("square", 4, 4, 4),
            ("one output", 3, 4, 1),
            ("wide", 2, 7, 3),
        ]
    ):
        arrays = {"x": normal(number, 11, n, d), "w": normal(number, 12, k, d), "b": normal(number, 13, k)}
        yield Case(label, arrays)
        if number == 0:
            yield Case("no bias", {**arrays, "b": None}, optional=True)


def activation_cases(large: float, *variants: dict[str, float], kink: bool = False) -> Iterator[Case]:
    """Numbers around 0, some of them large, some on the kink."""
    options: dict[str, float] = variants[0] if variants else {}
    yield Case("plain", {"x": normal(0, 14, 3, 4)}, options)
    yield Case("images", {"x": normal(1, 14, 2, 3, 4, 5)}, options)
    yield Case("a batch of one", {"x": normal(2, 14, 1, 6)}, options)
    yield Case("square", {"x": 2 * normal(3, 14, 4, 4)}, options)
    for number, other in enumerate(variants[1:], start=4):
        label = ", ".join(f"{name} {value:g}" for name, value in other.items() if value != options[name])
        yield Case(label, {"x": normal(number, 14, 4, 5)}, other)
    if large:
        x = np.array([[large, -large, 1.0], [0.5, -0.5, -1.0]])
        yield Case("large numbers", {"x": x}, options)
    if kink:
        yield Case("numbers on the kink", {"x": np.array([[0.0, 1.0, -1.0], [2.0, 0.0, 0.0]])}, options, tied=True)


def add_relu_cases() -> Iterator[Case]:
    """The cases of ReLU, and something else to add."""
    for number, case in enumerate(activation_cases(1e3)):
        yield replace(case, args={**case.args, "shortcut": normal(number, 33, *case.args["x"].shape)})


def dropout_cases() -> Iterator[Case]:
    """Rates and keys."""
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
        yield Case(label, {"x": normal(number, 15, *shape)}, {"p": p, "key": Key(5, number, 1 + number)})
    yield Case("p 1", {"x": normal(7, 15, 3, 4)}, {"p": 1.0, "key": Key(5, 7, 8)}, optional=True)


def _weighted(number: int, n: int, d: int, k: int) -> dict[str, np.ndarray]:
    return {"x": normal(number, 24, n, d), "w": normal(number, 25, k, d), "b": normal(number, 26, k)}


_LINEAR_SIZES = (("plain", 3, 4, 5), ("a batch of one", 1, 4, 5), ("square", 4, 4, 4), ("one output", 3, 4, 1))


def drop_connect_cases() -> Iterator[Case]:
    """Sizes, rates and keys."""
    for number, (label, *sizes) in enumerate(_LINEAR_SIZES):
        yield Case(label, _weighted(number, *sizes), {"p": 0.3, "key": Key(6, number, 1 + number)})
    yield Case("p 0.8", _weighted(5, 3, 4, 5), {"p": 0.8, "key": Key(6, 5, 6)})
    yield Case("p 0", _weighted(6, 3, 4, 5), {"p": 0.0, "key": Key(6, 6, 7)})
    yield Case("no bias", {**_weighted(7, 3, 4, 5), "b": None}, {"p": 0.3, "key": Key(6, 7, 8)}, optional=True)
    yield Case("p 1", _weighted(8, 3, 4, 5), {"p": 1.0, "key": Key(6, 8, 9)}, optional=True)


def drop_connect_inference_cases() -> Iterator[Case]:
    """Sizes, rates and numbers of standard deviations."""
    for number, (label, *sizes) in enumerate(_LINEAR_SIZES):
        yield Case(label, _weighted(number, *sizes), {"p": 0.3, "z": (-1.2, 0.1, 0.9)})
    yield Case("p 0.8", _weighted(5, 3, 4, 5), {"p": 0.8, "z": (-1.2, 0.1, 0.9)})
    yield Case("the mean alone", _weighted(6, 3, 4, 5), {"p": 0.3, "z": (0.0,)})
    yield Case("no bias", {**_weighted(7, 3, 4, 5), "b": None}, {"p": 0.3, "z": (-0.5, 0.5)}, optional=True)


def loss_cases() -> Iterator[Case]:
    """Scores and labels."""
    options: dict[str, Any] = {"label_smoothing": 0.0, "class_weights": None}
    labels = np.array([2, 0, 1, 1])
    yield Case("plain", {"logits": normal(0, 16, 4, 3), "labels": labels}, options)
    yield Case("a batch of one", {"logits": normal(1, 16, 1, 3), "labels": labels[:1]}, options)
    yield Case("square", {"logits": 2 * normal(2, 16, 4, 4), "labels": np.array([3, 0, 1, 0])}, options)
    yield Case("two classes", {"logits": normal(3, 16, 5, 2), "labels": np.array([1, 0, 1, 1, 0])}, options)
    large = np.array([[1000.0, 0.0, -1000.0], [998.0, 1000.0, 999.0], [-1000.0, -999.0, -998.0]])
    yield Case("large scores", {"logits": large, "labels": np.array([0, 2, 1])}, options)
    hopeless = np.array([[1000.0, 0.0, 3.0], [0.0, 2.0, 1000.0]])
    yield Case("a label whose probability is 0", {"logits": hopeless, "labels": np.array([1, 0])}, options)
    smoothed, weights = {"label_smoothing": 0.2}, {"class_weights": np.array([0.5, 2.0, 1.5])}
    four = {"logits": normal(4, 16, 4, 3), "labels": labels}
    yield Case("label_smoothing 0.2", four, {**options, **smoothed})
    yield Case("class_weights", four, {**options, **weights})
    yield Case("label_smoothing and class_weights", four, {**smoothed, **weights})
    pixels = {"logits": normal(5, 16, 2, 3, 2, 2), "labels": np.array([[[0, 1], [2, 0]], [[1, 1], [2, 2]]])}
    yield Case("one prediction a pixel", pixels, options, optional=True)


def soft_loss_cases() -> Iterator[Case]:
    """Scores, and targets that are shares of the classes; weighted ones do not sum to 1."""
    for number, (label, shape) in enumerate(
        [("plain", (4, 3)), ("a batch of one", (1, 3)), ("square", (4, 4)), ("two classes", (5, 2))]
    ):
        shares = np.exp(normal(number, 29, *shape))
        targets = shares / shares.sum(axis=1, keepdims=True)
        yield Case(label, {"logits": normal(number, 30, *shape), "targets": targets})
    large = np.array([[1000.0, 0.0, -1000.0], [998.0, 1000.0, 999.0]])
    yield Case("large scores", {"logits": large, "targets": np.array([[0.9, 0.1, 0.0], [0.2, 0.3, 0.5]])})
    weighted = np.array([0.5, 2.0, 1.5]) * np.exp(normal(7, 29, 4, 3))
    yield Case("targets that do not sum to 1", {"logits": normal(7, 30, 4, 3), "targets": weighted})
    pixels = np.exp(normal(8, 29, 2, 3, 2, 2))
    yield Case("one prediction a pixel", {"logits": normal(8, 30, 2, 3, 2, 2), "targets": pixels}, optional=True)


def sgd_cases() -> Iterator[Case]:
    """Every option alone, and all at once."""
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
        arrays = {name: normal(number, 17 + i, *shape) for i, name in enumerate(("w", "dw", "velocity"))}
        yield Case(label, arrays, {**plain, **changes})


def adam_cases() -> Iterator[Case]:
    """Every option alone."""
    plain: dict[str, Any] = {"step": 3, "lr": 0.1, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    for number, (label, changes) in enumerate[tuple[str, dict[str, Any]]](
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
        arrays = {name: normal(number, 20 + i, *shape) for i, name in enumerate(("w", "dw", "m"))}
        arrays["v"] = np.abs(normal(number, 23, *shape))
        if label == "step 1":
            arrays["m"], arrays["v"] = np.zeros(shape), np.zeros(shape)
            arrays["dw"].flat[::3] = 0.0  # as for a ReLU that never let anything through
        yield Case(label, arrays, {**plain, **changes})


def all_at_once(cases: Callable[[], Iterator[Case]], names: Mapping[str, str]) -> Iterator[Case]:
    """Make cases for an update of several parameters out of those for one."""
    for case in cases():
        first, second = case.args, {name: 0.5 * value[:2] for name, value in case.args.items()}
        options = dict(case.options)
        if "step" in options:
            options["steps"] = [options["step"], options.pop("step") + 1]
        yield Case(case.label, {names[name]: [first[name], second[name]] for name in first}, options)


def random_bits_cases() -> Iterator[Case]:
    """Keys and counts."""
    for label, key, count in (
        ("plain", Key(1, 2, 3), 8),
        ("a count that four does not divide", Key(1, 2, 3), 7),
        ("another stream", Key(1, 5, 3), 8),
        ("a step of more than 32 bits", Key(1, 2, 2**33 + 1), 8),
        ("a seed of more than 32 bits", Key(2**40 + 7, 2, 3), 8),
    ):
        yield Case(label, {"key": key}, {"count": count})
