"""Softmax cross-entropy of (N, K) scores: a block of threads for every row. The loss stays on the device."""

from typing import Any

import numpy as np

from minicnn.backend import Array, array_module, plain_body
from minicnn.kernels.cuda.module import by_blocks, contiguous, is_real, new


def softmax_cross_entropy_forward(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> tuple[Array, Array]:
    """Two launches: the rows, then their mean."""
    if not _supported(logits, labels, class_weights):
        body = plain_body("softmax_cross_entropy_forward")
        return body(logits, labels, label_smoothing=label_smoothing, class_weights=class_weights)
    (n, k), dtype = logits.shape, logits.dtype
    labels, weights = _targets(logits, labels, class_weights)
    p, losses, row_weights, loss = new((n, k), logits), new((n,), logits), new((n,), logits), new((), logits)
    results = p, losses, row_weights
    by_blocks(
        "softmax_cross_entropy_forward",
        dtype,
        n,
        contiguous(logits),
        labels,
        weights,
        *results,
        k,
        float(label_smoothing),
    )
    if class_weights is None:  # then a label that is out of range counts too, as in the body
        row_weights = array_module(logits).ones(n, dtype=dtype)
    by_blocks("weighted_mean", dtype, 1, losses, row_weights, loss, n)
    return loss, p


def softmax_cross_entropy_backward(
    probabilities: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> Array:
    """One launch; with class weights, a few more for their sum."""
    if not _supported(probabilities, labels, class_weights):
        body = plain_body("softmax_cross_entropy_backward")
        return body(probabilities, labels, label_smoothing=label_smoothing, class_weights=class_weights)
    (n, k), xp = probabilities.shape, array_module(probabilities)
    labels, weights = _targets(probabilities, labels, class_weights)
    if class_weights is None:
        total = xp.full((), n, dtype=probabilities.dtype)
    else:  # a label that is out of range weighs nothing, as in the body
        total = (weights * (labels[:, None] == xp.arange(k))).sum()
    dlogits, arrays = new((n, k), probabilities), (contiguous(probabilities), labels, weights, total)
    by_blocks("softmax_cross_entropy_backward", probabilities.dtype, n, *arrays, dlogits, k, float(label_smoothing))
    return dlogits


def _supported(scores: Array, labels: Array, class_weights: Array | None) -> bool:
    fits = scores.ndim == 2 and labels.shape == scores.shape[:1] and labels.dtype.kind in "iu"
    weights_fit = class_weights is None or class_weights.shape == scores.shape[1:]
    return fits and weights_fit and scores.size > 0 and is_real(scores)


def _targets(scores: Array, labels: Array, class_weights: Array | None) -> tuple[Any, Any]:
    """Return labels as the kernels want them, and a weight for every class."""
    xp, k = array_module(scores), scores.shape[1]
    labels = xp.ascontiguousarray(labels.astype(np.int64, copy=False))
    if class_weights is None:
        return labels, xp.ones(k, dtype=scores.dtype)
    return labels, xp.ascontiguousarray(class_weights.astype(scores.dtype, copy=False))
