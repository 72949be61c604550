"""Judges for a student's own convolutional layer: its outputs, its gradients, its manners."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.backend import Key, use_backend
from minicnn.check import Finding, Kind, gradcheck
from minicnn.check.running import CandidateError, CandidateTimeout
from minicnn.grade.judges import Grading, finding_of
from minicnn.grade.remote import RemoteLayer
from minicnn.grade.results import Verdict
from minicnn.ops import random_normal

Case = tuple[tuple[Any, ...], dict[str, Any], tuple[int, ...]]

CASES: list[Case] = [
    ((1, 2, 3), {}, (2, 1, 5, 6)),
    ((2, 3, (3, 2)), {}, (3, 2, 4, 5)),
    ((3, 2, 3), {"padding": 1}, (1, 3, 4, 4)),
    ((2, 2, 3), {"stride": 2}, (2, 2, 7, 7)),
    ((2, 3, (2, 3)), {"stride": (2, 1), "padding": (0, 1)}, (2, 2, 6, 5)),
    ((2, 2, 1), {}, (2, 2, 3, 4)),
]
"""What the constructor is given, and the shape of x."""
GRADIENT_CASES = [CASES[1], CASES[2], CASES[4]]
ENTRIES = 24
"""Entries of each array at which gradients are compared: each of them takes some passes in the student's process."""
TOLERANCE = 1e-4
ORDER_HINT = "What is in self.saved before the first forward pass? `nn.Layer` has an answer ready if you use that name."


def make_layer(grading: Grading, args: tuple[Any, ...], options: dict[str, Any]) -> RemoteLayer:
    """Return one of the student's layers, with random parameters. Raises `CandidateError` if it cannot be made."""
    grading.function("Conv2d")
    layer = RemoteLayer(grading.student, "Conv2d", args, options, ("weight", "bias"))
    kernel = args[2] if isinstance(args[2], tuple) else (args[2], args[2])
    for number, (name, shape) in enumerate((("weight", (args[1], args[0], *kernel)), ("bias", (args[1],)))):
        parameter = getattr(layer, name)
        if parameter.data.shape != shape:
            found = f"self.{name} of {layer!r} has the shape {parameter.data.shape}"
            raise CandidateError("ShapeError", f"{found}, expected {shape}")
        parameter.data = random_normal(Key(2, number, 0), shape=shape).astype(np.float32)
    return layer


def judge_forward(grading: Grading) -> Verdict:
    """Compare the outputs with the engine's."""
    return _judge_all([functools.partial(_forward_case, grading, *case) for case in CASES])


def _forward_case(
    grading: Grading, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> list[Finding]:
    layer = make_layer(grading, args, options)
    x = random_normal(Key(2, 2, 0), shape=shape).astype(np.float32)
    with use_backend("numpy"):
        expected = ops.conv2d_forward(x, layer.weight.data, layer.bias.data, **options)
    y = layer.forward(x)
    if not isinstance(y, np.ndarray) or y.shape != expected.shape:
        found = getattr(y, "shape", type(y).__name__)
        return [_finding(Kind.SHAPE, f"the output of {layer!r} is {found} for x of {shape}, expected {expected.shape}")]
    if y.dtype != np.float32:
        return [_finding(Kind.DTYPE, f"the output of {layer!r} is {y.dtype} for x in float32")]
    if not np.abs(y - expected).max() <= TOLERANCE * np.abs(expected).max():
        return [_finding(Kind.FORWARD_DIFFERS, f"the output of {layer!r} is not the convolution's")]
    return []


def judge_gradients(grading: Grading) -> Verdict:
    """Compare the gradients with finite differences. Whether they add up is a question of manners."""
    return _judge_all([functools.partial(_gradient_case, grading, *case) for case in GRADIENT_CASES])


def _gradient_case(
    grading: Grading, args: tuple[Any, ...], options: dict[str, Any], shape: tuple[int, ...]
) -> list[Finding]:
    layer = make_layer(grading, args, options)
    report = gradcheck(layer, random_normal(Key(2, 3, 0), shape=shape), entries=ENTRIES)
    return [f for f in report.findings if not f.remark and f.kind != Kind.NOT_ACCUMULATED]


def judge_manners(grading: Grading) -> Verdict:
    """Gradients add up, a backward pass needs a forward pass, arguments are left alone."""
    args, options, shape = CASES[2]
    x = random_normal(Key(2, 4, 0), shape=shape).astype(np.float32)
    layer = make_layer(grading, args, options)
    dy = random_normal(Key(2, 5, 0), shape=np.shape(layer.forward(x))).astype(np.float32)
    layer.backward(dy)  # a layer that cannot do this has no manners to judge
    rules: list[Callable[[], list[Finding]]] = [
        lambda: _adds_up(make_layer(grading, args, options), x, dy),
        lambda: _needs_forward(make_layer(grading, args, options), dy),
        lambda: _leaves_alone(make_layer(grading, args, options), x, dy),
        lambda: _starts_well(grading),
    ]
    return _judge_all(rules)


def _adds_up(layer: RemoteLayer, x: np.ndarray, dy: np.ndarray) -> list[Finding]:
    layer.forward(x)
    layer.backward(dy)
    first = {name: p.grad for name, p in layer.named_parameters().items()}
    layer.forward(x)
    layer.backward(dy)
    findings = []
    for name, parameter in layer.named_parameters().items():
        once, twice = first[name], parameter.grad
        if once is None or not once.any():
            findings.append(Finding(Kind.ZERO, name, "it got no gradient", {}, Kind.ZERO.hint))
        elif twice is None or twice.shape != once.shape or not np.allclose(twice, 2 * once, rtol=1e-4):
            message = "after two backward passes its gradient is not the sum of both"
            findings.append(Finding(Kind.NOT_ACCUMULATED, name, message, {}, "`help(nn.Parameter.add_grad)`"))
    return findings


def _needs_forward(layer: RemoteLayer, dy: np.ndarray) -> list[Finding]:
    try:
        layer.backward(dy)
    except CandidateTimeout:
        raise
    except CandidateError as error:
        if error.type_name not in ("NotImplementedError", "ProcessDied"):
            return []
        raise
    return [_finding(Kind.WRONG_CACHE, "backward before any forward pass is no error", ORDER_HINT)]


def _starts_well(grading: Grading) -> list[Finding]:
    """Parameters begin in float32, and weights with the standard deviation that keeps the size of the numbers."""
    c, f, k = 16, 24, 3
    layer = RemoteLayer(grading.student, "Conv2d", (c, f, k), {}, ("weight", "bias"))
    findings = []
    for name, parameter in layer.named_parameters().items():
        if parameter.data.dtype != np.float32:
            message = f"it begins as {parameter.data.dtype}; float32 belongs there"
            hint = "`.astype(np.float32)` at the very end: what is multiplied by np.sqrt(...) later may change again."
            findings.append(Finding(Kind.DTYPE, name, message, {}, hint))
    spread, expected = float(layer.weight.data.std()), (2 / (c * k * k)) ** 0.5
    if not expected / 1.5 < spread < 1.5 * expected:
        message = f"its standard deviation is {spread:.3g} at the beginning, expected {expected:.3g} for {layer!r}"
        findings.append(Finding(Kind.SCALE, "weight", message, {}, "What does the README say about the first values?"))
    return findings


def _leaves_alone(layer: RemoteLayer, x: np.ndarray, dy: np.ndarray) -> list[Finding]:
    own_x, own_dy = x.copy(), dy.copy()
    layer.forward(own_x)
    layer.backward(own_dy)
    changed = [name for name, a, b in (("x", x, own_x), ("dy", dy, own_dy)) if not np.array_equal(a, b)]
    return [Finding(Kind.MUTATES_INPUT, name, "it was written to", {}, Kind.MUTATES_INPUT.hint) for name in changed]


def _judge_all(cases: Sequence[Callable[[], list[Finding]]]) -> Verdict:
    """Run all cases; the share without a finding counts."""
    findings: dict[tuple[str, str], Finding] = {}
    right = 0
    for case in cases:
        try:
            found = case()
        except CandidateError as error:
            found = [finding_of(error, "")]
        right += not found
        for finding in found:
            findings.setdefault((finding.kind, finding.where), finding)
    return Verdict(right == len(cases), right / len(cases), list(findings.values()), f"{right} of {len(cases)} cases")


def _finding(kind: Kind, message: str, hint: str | None = None) -> Finding:
    return Finding(kind, "", message, {}, kind.hint if hint is None else hint)
