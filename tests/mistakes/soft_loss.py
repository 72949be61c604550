"""Cross-entropy with targets that are shares of the classes, as students write it."""

import numpy as np
from scipy.special import log_softmax

from mistakes.honest import softmax
from mistakes.registry import mistake


def _count(logits):
    """How many predictions there are."""
    return logits.size // logits.shape[1]


@mistake("soft_cross_entropy_forward", "scale", where="loss")
def sum_over_the_batch(logits, targets):
    """Forgets 1 / N."""
    log_p = log_softmax(logits, axis=1)
    return -(targets * log_p).sum(), np.exp(log_p)


@mistake("soft_cross_entropy_forward", "scale", where="loss", also=("not-summed",))
def mean_over_classes_too(logits, targets):
    """Takes .mean() of an array (N, K), which divides by K as well."""
    log_p = log_softmax(logits, axis=1)
    return -(targets * log_p).mean(), np.exp(log_p)


@mistake("soft_cross_entropy_forward", "non-finite", where="loss")
def logarithm_of_softmax(logits, targets):
    """Takes the logarithm of a probability that may have become 0."""
    p = softmax(logits)
    return -(targets * np.log(p)).sum() / _count(logits), p


@mistake("soft_cross_entropy_forward", "forward-differs", where="loss")
def the_largest_share_alone(logits, targets):
    """Takes the class with the largest share for the label."""
    log_p = log_softmax(logits, axis=1)
    labels = targets.argmax(axis=1, keepdims=True)
    return -np.take_along_axis(log_p, labels, axis=1).mean(), np.exp(log_p)


@mistake("soft_cross_entropy_forward", "forward-differs", where="loss")
def kullback_leibler(logits, targets):
    """Computes the divergence, sum t (log t - log p): the entropy of the targets is taken off."""
    log_p = log_softmax(logits, axis=1)
    log_t = np.log(np.where(targets > 0, targets, 1))
    return (targets * (log_t - log_p)).sum() / _count(logits), np.exp(log_p)


@mistake("soft_cross_entropy_forward", "forward-differs", where="loss")
def makes_the_targets_sum_to_one(logits, targets):
    """Divides the targets by their sum, and so throws their weights away."""
    log_p = log_softmax(logits, axis=1)
    return -(targets / targets.sum(axis=1, keepdims=True) * log_p).sum() / _count(logits), np.exp(log_p)


@mistake("soft_cross_entropy_forward", "forward-differs", where="probabilities")
def shares_of_the_samples(logits, targets):
    """Normalises over axis 0."""
    log_p = log_softmax(logits, axis=0)
    return -(targets * log_p).sum() / _count(logits), np.exp(log_p)


@mistake("soft_cross_entropy_backward", "scale", where="dlogits")
def soft_gradient_of_a_sum(probabilities, targets):
    """Forgets 1 / N."""
    return probabilities * targets.sum(axis=1, keepdims=True) - targets


@mistake("soft_cross_entropy_backward", "missing-term", where="dlogits", also=("scale",))
def targets_surely_sum_to_one(probabilities, targets):
    """Writes (p - t) / N, which holds for targets that sum to 1."""
    return (probabilities - targets) / _count(probabilities)


@mistake("soft_cross_entropy_backward", "missing-term", where="dlogits", also=("non-finite",))
def stops_at_the_probabilities(probabilities, targets):
    """Differentiates -t log p by p and leaves the softmax out."""
    return -targets / probabilities / _count(probabilities)


@mistake("soft_cross_entropy_backward", "missing-term", where="dlogits")
def only_minus_the_targets(probabilities, targets):
    """Differentiates -t * logits and forgets the logarithm of the sum."""
    return -targets / _count(probabilities)


@mistake("soft_cross_entropy_backward", "sign", where="dlogits")
def targets_minus_probabilities(probabilities, targets):
    """Gets the sign of the whole wrong."""
    return (targets - probabilities * targets.sum(axis=1, keepdims=True)) / _count(probabilities)


@mistake("soft_cross_entropy_backward", "wrong-cache", where="dlogits")
def softmax_of_probabilities(probabilities, targets):
    """Takes the argument for logits and applies softmax once more."""
    p = softmax(probabilities)
    return (p * targets.sum(axis=1, keepdims=True) - targets) / _count(probabilities)


@mistake("soft_cross_entropy_backward", "not-summed", where="dlogits", also=("scale",))
def targets_summed_over_the_batch(probabilities, targets):
    """Sums the targets over axis 0."""
    return (probabilities * targets.sum(axis=0, keepdims=True) - targets) / _count(probabilities)


@mistake("soft_cross_entropy_backward", "mutates-input", where="probabilities")
def subtracts_targets_in_place(probabilities, targets):
    """Writes into the probabilities, which the caller may want to look at."""
    probabilities *= targets.sum(axis=1, keepdims=True)
    probabilities -= targets
    return probabilities / _count(probabilities)
