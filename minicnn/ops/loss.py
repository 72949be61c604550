"""Softmax cross-entropy: from scores to probabilities to one number that says how wrong they are.

    p = softmax(logits)        loss = mean over the batch of -log p[label]

Bishop, "Pattern Recognition and Machine Learning", 2006, equations 4.104 and 4.108. Label smoothing: Szegedy et al.,
"Rethinking the Inception architecture", 2016, section 7. Smoothing and class weights combine as in PyTorch.
"""

from minicnn.backend import Array, array_module, slot


@slot("loss, probabilities")
def softmax_cross_entropy_forward(
    logits: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> tuple[Array, Array]:
    """loss = - sum over n, k of t[n, k] * log p[n, k] / sum over n of weight[label n]

    logits : (N, K), or (N, K, ...) with one prediction a pixel
    labels : (N,) or (N, ...), integers from 0 to K - 1
    label_smoothing : epsilon; the target t is 1 - epsilon for the label plus epsilon / K for every class
    class_weights : (K,) or None; t[n, k] is multiplied by weight[k]
    loss : one number (an array without axes, which stays on its device)
    probabilities : as the logits
    """
    xp = array_module(logits)
    log_p = _log_softmax(logits)
    t, total = _targets(logits, labels, label_smoothing, class_weights)
    return -(t * log_p).sum() / total, xp.exp(log_p)


@slot("dlogits")
def softmax_cross_entropy_backward(
    probabilities: Array, labels: Array, *, label_smoothing: float = 0.0, class_weights: Array | None = None
) -> Array:
    """dlogits = (p * sum over k of t[k] - t) / total weight: with neither smoothing nor weights, (p - one-hot) / N.

    probabilities, dlogits : (N, K, ...)   labels : (N, ...)
    """
    t, total = _targets(probabilities, labels, label_smoothing, class_weights)
    return (probabilities * t.sum(axis=1, keepdims=True) - t) / total


@slot("loss, probabilities")
def soft_cross_entropy_forward(logits: Array, targets: Array) -> tuple[Array, Array]:
    """loss = - sum over n, k of t[n, k] * log p[n, k] / N, for targets t that are shares of all classes

    logits, targets : (N, K), or (N, K, ...) with one prediction a pixel; then N counts the pixels
    loss : one number (an array without axes, which stays on its device)
    probabilities : as the logits
    """
    xp = array_module(logits)
    log_p = _log_softmax(logits)
    return -(targets * log_p).sum() / (logits.size // logits.shape[1]), xp.exp(log_p)


@slot("dlogits")
def soft_cross_entropy_backward(probabilities: Array, targets: Array) -> Array:
    """dlogits = (p * sum over k of t[k] - t) / N

    probabilities, targets, dlogits : (N, K, ...)
    """
    count = probabilities.size // probabilities.shape[1]
    return (probabilities * targets.sum(axis=1, keepdims=True) - targets) / count


def _log_softmax(logits: Array) -> Array:
    xp = array_module(logits)
    shifted = logits - logits.max(axis=1, keepdims=True)  # the largest becomes 0, so that exp cannot overflow
    return shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))


def _targets(
    scores: Array, labels: Array, label_smoothing: float, class_weights: Array | None
) -> tuple[Array, Array | int]:
    """Return the target t[n, k, ...] that each score is held against, and the weight of all labels together."""
    xp = array_module(scores)
    k = scores.shape[1]
    classes = xp.arange(k).reshape(1, k, *[1] * (scores.ndim - 2))
    one_hot = (labels[:, None] == classes).astype(scores.dtype)
    t = one_hot * (1 - label_smoothing) + label_smoothing / k
    if class_weights is None:
        return t, labels.size
    weights = class_weights.astype(scores.dtype).reshape(classes.shape)
    return t * weights, (one_hot * weights).sum()
