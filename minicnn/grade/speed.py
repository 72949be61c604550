"""The judge of speed: how many times faster than loops in Python, measured by the grader's own clock.

The student's process and the loops run one after the other on the same numbers, so that a busy machine slows both. The
time includes the way to the process and back, which is a fraction of a millisecond. Each call has numbers of its own,
and each result is compared: what was computed before does not help.
"""

import functools
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn import ops
from minicnn.backend import Key
from minicnn.check import Finding, Kind
from minicnn.grade.judges import Grading, Part
from minicnn.grade.results import Verdict
from minicnn.ops import random_normal

ROUNDS, LOOP_ROUNDS = 5, 2
FULL_FACTOR = 20.0
"""How many times faster than the loops is worth all points; each point less is the same ratio less, down to 1."""
IMAGES, KERNELS = (4, 8, 16, 16), (16, 8, 3, 3)
HINT = "Which loop runs inside of compiled code, and over which axis, so that it walks through memory in order?"


def speed(points: int) -> Part:
    """Return the part that compares `conv2d_forward` and `conv2d_backward` with loops over windows."""
    return Part("speed", points, judge_speed, needed=False)


def judge_speed(grading: Grading) -> Verdict:
    """Return a share by the ratio of times: forward and backward together, the best of some rounds each."""
    waits = grading.waits()
    if waits:
        return waits
    forward = functools.partial(grading.function("conv2d_forward"), stride=(1, 1), padding=(1, 1))
    backward = functools.partial(grading.function("conv2d_backward"), stride=(1, 1), padding=(1, 1))
    _timed(forward, backward, *_numbers(0))  # the first call compiles
    own, loops = [], []
    for number in range(1, ROUNDS + 1):
        x, w, b, dy = _numbers(number)
        seconds, y, gradients = _timed(forward, backward, x, w, b, dy)
        if not _right(y, gradients, x, w, b, dy):
            return Verdict(False, findings=[Finding(Kind.UNKNOWN, "", "the results of the timed calls are wrong")])
        own.append(seconds)
        if number <= LOOP_ROUNDS:
            loops.append(_timed(loop_forward, loop_backward, x, w, b, dy)[0])
    factor = min(loops) / min(own)
    share = min(max(math.log(factor) / math.log(FULL_FACTOR), 0.0), 1.0)
    note = f"{factor:.3g} times as fast as loops in Python"
    if share == 1.0:
        return Verdict(True, note=note)
    message = f"it is {note}; {FULL_FACTOR:g} times is worth all points"
    return Verdict(False, share, [Finding(Kind.TOO_SLOW, "", message, {"factor": factor}, HINT)], note)


def loop_forward(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """y as in assignment 3: one window after the other, stride 1 and padding 1."""
    (n, _, h, width), (f, _, kh, kw) = x.shape, w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.empty((n, f, h, width), dtype=x.dtype)
    for image, kernel, i, j in np.ndindex(*y.shape):
        y[image, kernel, i, j] = (padded[image, :, i : i + kh, j : j + kw] * w[kernel]).sum() + b[kernel]
    return y


def loop_backward(dy: np.ndarray, x: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """dx, dw, db in the same way."""
    kh, kw = w.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for image, kernel, i, j in np.ndindex(*dy.shape):
        window = (image, slice(None), slice(i, i + kh), slice(j, j + kw))
        dw[kernel] += dy[image, kernel, i, j] * padded[window]
        dpadded[window] += dy[image, kernel, i, j] * w[kernel]
    return dpadded[:, :, 1:-1, 1:-1], dw, dy.sum(axis=(0, 2, 3))


def _numbers(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    y_shape = (IMAGES[0], KERNELS[0], *IMAGES[2:])
    shapes = (IMAGES, KERNELS, KERNELS[:1], y_shape)
    arrays = [random_normal(Key(4, i, number), shape=shape).astype(np.float32) for i, shape in enumerate(shapes)]
    return arrays[0], arrays[1], arrays[2], arrays[3]


def _timed(
    forward: Callable, backward: Callable, x: np.ndarray, w: np.ndarray, b: np.ndarray, dy: np.ndarray
) -> tuple[float, Any, Any]:
    """Return the seconds that a forward and a backward pass take, and their results."""
    begun = time.perf_counter()
    y, gradients = forward(x, w, b), backward(dy, x, w)
    return time.perf_counter() - begun, y, gradients


def _right(y: object, gradients: object, x: np.ndarray, w: np.ndarray, b: np.ndarray, dy: np.ndarray) -> bool:
    expected = [ops.conv2d_forward(x, w, b, padding=1), *ops.conv2d_backward(dy, x, w, padding=1)]
    got = [y, *gradients] if isinstance(gradients, tuple | list) else [y]
    return len(got) == len(expected) and all(
        isinstance(g, np.ndarray) and g.shape == e.shape and np.allclose(g, e, rtol=1e-3, atol=1e-3 * np.abs(e).max())
        for g, e in zip(got, expected, strict=True)
    )
