"""Softmax cross-entropy of (N, K) logits, one prediction an image. One prediction a pixel is left to the plain body."""

import math
from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.kernels.numba.memory import is_float

SCORE = 32
"""The cost of a score, which is mostly its exponential, in multiply-adds."""


def softmax_cross_entropy_forward(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> tuple[Array, Array]:
    """A row stays in the cache until it is done, and a score takes one exponential. Sums are in float64."""
    if not _supported(logits, labels, class_weights):
        body = plain_body("softmax_cross_entropy_forward")
        return body(logits, labels, label_smoothing=label_smoothing, class_weights=class_weights)
    z, number = np.ascontiguousarray(logits), logits.dtype.type
    p = np.empty_like(z)
    labels, *target, total = _targets(z, labels, label_smoothing, class_weights)
    losses = in_threads(lambda a, b: _loss(z[a:b], labels[a:b], *target, p[a:b]), len(z), cost=SCORE * z.shape[1])
    return number(sum(losses)) / number(total), p


def softmax_cross_entropy_backward(
    probabilities: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> Array:
    """Targets are never stored."""
    if not _supported(probabilities, labels, class_weights):
        body = plain_body("softmax_cross_entropy_backward")
        return body(probabilities, labels, label_smoothing=label_smoothing, class_weights=class_weights)
    p = np.ascontiguousarray(probabilities)
    dz = np.empty_like(p)
    labels, *target = _targets(p, labels, label_smoothing, class_weights)
    in_threads(lambda a, b: _gradient(p[a:b], labels[a:b], *target, dz[a:b]), len(p), cost=SCORE * p.shape[1])
    return dz


def _supported(scores: Array, labels: Array, class_weights: Array | None) -> bool:
    fits = scores.ndim == 2 and labels.shape == scores.shape[:1] and labels.dtype.kind in "iu"
    weights_fit = class_weights is None or class_weights.shape == scores.shape[1:]
    return fits and weights_fit and scores.size > 0 and is_float(scores)


def _targets(scores: np.ndarray, labels: Array, label_smoothing: float, class_weights: Array | None) -> tuple[Any, ...]:
    """Return labels, each class's target without its weight, what the label's has more, weights, and their total."""
    k, number = scores.shape[1], scores.dtype.type
    labels = np.ascontiguousarray(labels, dtype=np.int64)
    each, more = number(label_smoothing / k), number(1 - label_smoothing)
    if class_weights is None:
        return labels, each, more, np.ones(k, dtype=number), number(len(labels))
    weights = np.ascontiguousarray(class_weights, dtype=number)
    return labels, each, more, weights, number(_total_weight(labels, weights))


# A label is compared with every class, never used as an index: one that is out of range matches none, as in the body.


@njit(nogil=True, cache=True, error_model="numpy")
def _total_weight(labels, weights):  # type: ignore[no-untyped-def]
    total = 0.0
    for label in labels:
        for i in range(weights.size):
            if i == label:
                total += weights[i]
    return total


@njit(nogil=True, cache=True, error_model="numpy")
def _loss(z, labels, each, more, weights, p):  # type: ignore[no-untyped-def]
    """Write p; return the sum of -t log p."""
    images, classes = z.shape
    loss = 0.0
    for n in range(images):
        scores, chances, label = z[n], p[n], labels[n]
        largest = scores[0]
        for i in range(1, classes):
            largest = max(largest, scores[i])
        total = 0.0
        for i in range(classes):
            chances[i] = math.exp(scores[i] - largest)
            total += chances[i]
        share, log_total = 1 / total, math.log(total)
        for i in range(classes):
            chances[i] *= share
            t = weights[i] * (each + more if i == label else each)
            loss -= t * (scores[i] - largest - log_total)
    return loss


@njit(nogil=True, cache=True, error_model="numpy")
def _gradient(p, labels, each, more, weights, total, dz):  # type: ignore[no-untyped-def]
    images, classes = p.shape
    for n in range(images):
        chances, gradient, label = p[n], dz[n], labels[n]
        targets = 0.0
        for i in range(classes):
            targets += weights[i] * (each + more if i == label else each)
        for i in range(classes):
            t = weights[i] * (each + more if i == label else each)
            gradient[i] = (chances[i] * targets - t) / total
