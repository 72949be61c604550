"""Softmax cross-entropy as students write it."""

import numpy as np

from mistakes.honest import one_hot, softmax
from mistakes.registry import mistake


def _loss(p, labels):
    """The mean of -log p[label]."""
    return -np.log(np.take_along_axis(p, labels[:, None], axis=1)).mean()


@mistake("softmax_cross_entropy_forward", "non-finite", where="loss")
def exponentials_of_raw_scores(logits, labels):
    """Takes e^score without subtracting the largest score first: e^1000 is infinite."""
    e = np.exp(logits)
    p = e / e.sum(axis=1, keepdims=True)
    return _loss(p, labels), p


@mistake("softmax_cross_entropy_forward", "non-finite", where="loss")
def logarithm_of_a_vanished_probability(logits, labels):
    """Subtracts the largest score, but takes the logarithm of p, which may be 0; log p itself has no such trouble."""
    p = softmax(logits)
    return -(one_hot(labels, logits) * np.log(p)).sum() / labels.size, p


@mistake("softmax_cross_entropy_forward", "forward-differs", where="probabilities")
def softmax_over_the_batch(logits, labels):
    """Normalises over axis 0: the probabilities of a class sum to 1 over the samples."""
    shifted = logits - logits.max(axis=0)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=0))
    return -np.take_along_axis(log_p, labels[:, None], axis=1).mean(), np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "scale", where="loss")
def loss_is_a_sum(logits, labels):
    """Sums over the batch, where losses are means."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -(one_hot(labels, logits) * log_p).sum(), np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "not-summed", where="loss")
def a_loss_for_each_sample(logits, labels):
    """Returns the losses of all samples and forgets their mean."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0], np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "shifted", where="loss")
def labels_counted_from_one(logits, labels):
    """Looks up log p at label - 1, as if the classes were 1 to K."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    chosen = np.take_along_axis(log_p, (labels[:, None] - 1) % logits.shape[1], axis=1)
    return -chosen.mean(), np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "sign", where="loss")
def loss_rises_with_success(logits, labels):
    """Forgets the minus before the logarithm."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return np.take_along_axis(log_p, labels[:, None], axis=1).mean(), np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "scale", where="loss")
def loss_in_bits(logits, labels):
    """Takes the logarithm to base 2."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    total = e.sum(axis=1, keepdims=True)
    bits = (logits - logits.max(axis=1, keepdims=True)) * np.log2(np.e).astype(logits.dtype) - np.log2(total)
    return -np.take_along_axis(bits, labels[:, None], axis=1).mean(), e / total


@mistake("softmax_cross_entropy_forward", "partial-batch", where="loss")
def loss_of_the_last_sample(logits, labels):
    """Assigns the loss in the loop over the samples, so that the last one's is left."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    for scores, label in zip(log_p, labels, strict=True):
        loss = -np.take_along_axis(scores, label[None], axis=0).mean()
    return loss, np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "mutates-input", where="logits")
def subtracts_the_maximum_in_place(logits, labels):
    """Writes logits -= maximum, and whoever looks at the scores later finds others."""
    logits -= logits.max(axis=1, keepdims=True)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -np.take_along_axis(log_p, labels[:, None], axis=1).mean(), np.exp(log_p)


@mistake("softmax_cross_entropy_forward", "forward-differs", where="probabilities")
def returns_logarithms(logits, labels):
    """Returns log p, where p was asked for."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return -np.take_along_axis(log_p, labels[:, None], axis=1).mean(), log_p


@mistake("softmax_cross_entropy_forward", "ignores-argument", where="loss", also=("scale",))
def weighted_loss_over_the_plain_count(logits, labels, *, class_weights=None):
    """Weights the samples by their classes, and divides by their number, not by the sum of their weights."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    losses = -np.take_along_axis(log_p, labels[:, None], axis=1)[:, 0]
    if class_weights is not None:
        losses = losses * class_weights[labels]
    return losses.mean(), np.exp(log_p)


@mistake("softmax_cross_entropy_backward", "scale", where="dlogits")
def gradient_of_the_summed_loss(probabilities, labels):
    """Forgets the 1 / N of the mean."""
    return probabilities - one_hot(labels, probabilities)


@mistake("softmax_cross_entropy_backward", "scale", where="dlogits")
def gradient_over_the_images_alone(probabilities, labels):
    """Divides by the number of images, although with one prediction a pixel there are H*W times as many."""
    return (probabilities - one_hot(labels, probabilities)) / len(probabilities)


@mistake("softmax_cross_entropy_backward", "mutates-input", where="probabilities")
def subtracts_from_the_probabilities(probabilities, labels):
    """Writes dlogits = probabilities and subtracts 1 at the labels: there is one array under two names."""
    dlogits = probabilities
    at_labels = np.take_along_axis(dlogits, labels[:, None], axis=1)
    np.put_along_axis(dlogits, labels[:, None], at_labels - 1, axis=1)
    return dlogits / labels.size


@mistake("softmax_cross_entropy_backward", "missing-term", where="dlogits")
def gradient_without_the_target(probabilities, labels):
    """Returns p / N and forgets to subtract the target."""
    return probabilities / labels.size


@mistake("softmax_cross_entropy_backward", "mask", where="dlogits")
def subtracts_one_from_every_class(probabilities, labels):
    """Subtracts 1 everywhere, not where the label is alone."""
    return (probabilities - 1) / labels.size


@mistake("softmax_cross_entropy_backward", "sign", where="dlogits")
def target_minus_probability(probabilities, labels):
    """Writes (t - p) / N."""
    return (one_hot(labels, probabilities) - probabilities) / labels.size


@mistake("softmax_cross_entropy_backward", "shifted", where="dlogits")
def target_at_the_next_class(probabilities, labels):
    """Takes the labels for numbers from 0 in a list that begins with "background": the 1 stands one class too far."""
    t = one_hot((labels + 1) % probabilities.shape[1], probabilities)
    return (probabilities - t) / labels.size


@mistake("softmax_cross_entropy_backward", "partial-batch", where="dlogits")
def target_of_the_last_sample(probabilities, labels):
    """Subtracts after the loop and not in it, when n is the last sample."""
    dlogits = probabilities.copy()
    for n in range(len(labels)):
        label = labels[n][None]
    dlogits[n] -= one_hot(label, probabilities[n : n + 1])[0]
    return dlogits / labels.size


@mistake("softmax_cross_entropy_backward", "dtype", where="dlogits")
def target_from_the_identity(probabilities, labels):
    """Looks the one-hot rows up in np.eye(K), which is float64."""
    t = np.moveaxis(np.eye(probabilities.shape[1])[labels], -1, 1)
    return (probabilities - t) / labels.size


@mistake("softmax_cross_entropy_backward", "ignores-argument", where="dlogits")
def gradient_without_smoothing(probabilities, labels, *, label_smoothing=0.0):
    """Takes the plain one-hot target, though the loss had a smooth one."""
    return (probabilities - one_hot(labels, probabilities)) / labels.size


@mistake("softmax_cross_entropy_backward", "raises", where="dlogits")
def expects_one_hot_labels(probabilities, labels):
    """Subtracts labels of shape (N, K); they come as class numbers, (N,)."""
    n, k = labels.shape[0], labels.shape[1]
    dlogits = np.empty((n, k), dtype=probabilities.dtype)
    for row in range(n):
        for column in range(k):
            dlogits[row, column] = (probabilities[row, column] - labels[row, column]) / n
    return dlogits
