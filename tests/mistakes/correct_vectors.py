"""Correct implementations of the operations that know no geometry, by formulas other than the engine's."""

import numpy as np
from scipy.special import erfc, expit, log_ndtr, log_softmax, logsumexp

from minicnn.ops import random_bits
from mistakes.honest import batch_axes, dropout_scale, one_hot, per_channel
from mistakes.registry import correct


@correct("linear_forward")
def product_in_fortrans_order(x, w, b):
    """Computes y's transpose and turns it round, so that columns lie together in memory."""
    y = (w @ x.T).T
    return y if b is None else y + b


@correct("linear_backward")
def sums_of_outer_products(dy, x, w):
    """Adds one outer product a sample, and returns a list."""
    dx, dw, db = np.empty_like(x), np.zeros_like(w), np.zeros_like(w[:, 0])
    for n in range(len(x)):
        dx[n] = w.T @ dy[n]
        dw += np.outer(dy[n], x[n])
        db += dy[n]
    return [dx, dw, db]


@correct("linear_backward")
def bias_as_one_more_column(dy, x, w):
    """Appends a column of ones to x: the bias is the weight of that column."""
    extended = np.hstack([x, np.ones((len(x), 1), dtype=x.dtype)])
    gradient = np.einsum("nk,nd->kd", dy, extended)
    return np.einsum("nk,kd->nd", dy, w), gradient[:, :-1], gradient[:, -1]


@correct("batch_norm_forward")
def normalises_channels_as_rows(x, gamma, beta, *, eps=1e-5):
    """Brings each channel into one row, in double precision, and back."""
    rows = np.moveaxis(x, 1, 0).reshape(x.shape[1], -1).astype(np.float64)
    mean, inv_std = rows.mean(axis=1), (rows.var(axis=1) + eps) ** -0.5
    y = gamma[:, None] * (rows - mean[:, None]) * inv_std[:, None] + beta[:, None]
    y = np.moveaxis(y.reshape(x.shape[1], x.shape[0], *x.shape[2:]), 0, 1)
    return y.astype(x.dtype), mean.astype(x.dtype), inv_std.astype(x.dtype)


@correct("batch_norm_backward")
def the_chain_rule_step_by_step(dy, x, gamma, mean, inv_std):
    """Goes back through x_hat, variance and mean one after the other, as the paper of batch normalisation does."""
    axes = batch_axes(x)
    m = x.size // x.shape[1]
    deviation, s = x - per_channel(mean, x), per_channel(inv_std, x)
    dx_hat = dy * per_channel(gamma, x)
    dvar = (dx_hat * deviation).sum(axis=axes) * -0.5 * inv_std**3
    dmean = -(dx_hat * s).sum(axis=axes) - 2 * dvar * deviation.mean(axis=axes)
    dx = dx_hat * s + per_channel(dvar, x) * 2 * deviation / m + per_channel(dmean, x) / m
    return dx, (dy * deviation * s).sum(axis=axes), dy.sum(axis=axes)


@correct("batch_norm_backward")
def projections_of_the_gradient(dy, x, gamma, mean, inv_std):
    """Takes from dy its part along the ones and its part along x_hat: the directions that cannot move y."""
    x_hat = (x - per_channel(mean, x)) * per_channel(inv_std, x)
    axes = batch_axes(x)
    along_ones = dy.mean(axis=axes, keepdims=True)
    along_x_hat = (dy * x_hat).mean(axis=axes, keepdims=True) * x_hat
    dx = per_channel(gamma * inv_std, x) * (dy - along_ones - along_x_hat)
    rows, hats = (np.moveaxis(array, 1, 0).reshape(x.shape[1], -1) for array in (dy, x_hat))
    return dx, np.einsum("cm,cm->c", rows, hats), rows.sum(axis=1)


@correct("batch_norm_inference_forward")
def one_multiplication_and_one_addition(x, gamma, beta, mean, inv_std):
    """Folds four numbers a channel into two."""
    slope = gamma * inv_std
    return x * per_channel(slope, x) + per_channel(beta - slope * mean, x)


@correct("relu_forward")
def clips_from_below(x):
    """Clips at zero."""
    return np.clip(x, 0, None)


@correct("add_relu_forward")
def the_sum_where_it_is_positive(x, shortcut):
    """Asks for the sign."""
    total = x + shortcut
    return np.where(total > 0, total, total.dtype.type(0))


@correct("relu_backward")
def clears_a_copy_of_dy(dy, y):
    """Writes zeros into a copy, which is nobody else's."""
    dx = dy.copy()
    dx[y <= 0] = 0
    return dx


@correct("gelu_forward")
def normal_distribution_from_its_tail(x):
    """Uses erfc: Phi(x) = erfc(-x / sqrt 2) / 2."""
    return x * erfc(-x * 0.5**0.5) * 0.5


@correct("gelu_backward")
def normal_distribution_from_its_logarithm(dy, x):
    """Takes Phi and its density from their logarithms."""
    density = np.exp(-0.5 * x**2 - 0.5 * float(np.log(2 * np.pi)))
    return dy * (np.exp(log_ndtr(x)) + x * density)


@correct("sigmoid_forward")
def sigmoid_by_scipy(x):
    """Asks SciPy."""
    return expit(x)


@correct("softplus_forward")
def softplus_by_logaddexp(x, *, beta=1.0, threshold=20.0):
    """log(e^0 + e^(beta x)), which NumPy computes without overflow."""
    return np.where(beta * x > threshold, x, np.logaddexp(0, beta * x) / beta)


@correct("tanh_backward")
def tanh_gradient_as_a_product(dy, y):
    """1 - y^2 = (1 - y)(1 + y)."""
    return dy * (1 - y) * (1 + y)


@correct("dropout_forward")
def zeroes_what_is_below_the_threshold(x, *, p, key):
    """Starts from zeros and fills in what is kept, one number after the other in row-major order."""
    bits = random_bits(key, count=x.size)
    kept = np.flatnonzero(bits >= min(int(p * 2**32), 2**32 - 1))
    mask, y = np.zeros(x.size, dtype=bool), np.zeros(x.size, dtype=x.dtype)
    mask[kept] = True
    y[kept] = x.reshape(-1)[kept] * dropout_scale(p)
    return y.reshape(x.shape), mask.reshape(x.shape)


@correct("dropout_backward")
def divides_where_something_was_kept(dy, mask, *, p):
    """Divides by 1 - p at the kept places alone; with p = 1 there are none."""
    return np.divide(dy, 1 - p, out=np.zeros_like(dy), where=np.asarray(mask, dtype=bool) & (p < 1))


@correct("softmax_cross_entropy_forward")
def loss_by_logsumexp(logits, labels):
    """loss = logsumexp(scores) - score of the label, in the mean."""
    label_scores = np.take_along_axis(logits, labels[:, None], axis=1)
    total = logsumexp(logits, axis=1, keepdims=True)
    return (total - label_scores).mean(), np.exp(logits - total)


@correct("softmax_cross_entropy_forward")
def loss_with_smooth_targets(logits, labels, *, label_smoothing=0.0):
    """Mixes the loss of the label with the mean loss of all classes."""
    log_p = log_softmax(logits, axis=1)
    of_label = -np.take_along_axis(log_p, labels[:, None], axis=1).mean()
    return (1 - label_smoothing) * of_label - label_smoothing * log_p.mean(), np.exp(log_p)


@correct("softmax_cross_entropy_backward")
def subtracts_from_a_copy(probabilities, labels):
    """Subtracts 1 at the labels, in a copy."""
    dlogits = probabilities.copy()
    at_labels = np.take_along_axis(dlogits, labels[:, None], axis=1)
    np.put_along_axis(dlogits, labels[:, None], at_labels - 1, axis=1)
    return dlogits / labels.size


@correct("softmax_cross_entropy_backward")
def gradient_of_weighted_losses(probabilities, labels, *, class_weights=None):
    """Weights each prediction by its label's class, and divides by the sum of these weights."""
    weights = np.ones(probabilities.shape[1]) if class_weights is None else class_weights
    of_labels = weights[labels][:, None].astype(probabilities.dtype)
    return (probabilities - one_hot(labels, probabilities)) * of_labels / of_labels.sum()


@correct("sgd_update")
def moves_the_weights_in_place(w, dw, velocity, *, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """Writes into w and velocity, which an update may, and returns them."""
    g = dw + weight_decay * w
    velocity *= momentum
    velocity += g
    w -= lr * (g + momentum * velocity) if nesterov else lr * velocity
    return w, velocity


@correct("adam_update")
def corrects_the_learning_rate(w, dw, m, v, *, step, lr, beta1=0.9, beta2=0.999, eps=1e-8):
    """Puts both corrections into one factor of the learning rate, and one of them into eps."""
    m = m + (1 - beta1) * (dw - m)
    v = v + (1 - beta2) * (dw * dw - v)
    root = (1 - beta2**step) ** 0.5
    return w - lr * root / (1 - beta1**step) * m / (np.sqrt(v) + eps * root), m, v


@correct("sgd_update_all")
def every_parameter_in_a_loop(ws, dws, velocities, *, lr, momentum=0.0, weight_decay=0.0):
    """Fills two lists."""
    new_ws, new_velocities = [], []
    for w, dw, velocity in zip(ws, dws, velocities, strict=True):
        new_velocities.append(momentum * velocity + dw + weight_decay * w)
        new_ws.append(w - lr * new_velocities[-1])
    return new_ws, new_velocities


@correct("batch_norm_relu_backward")
def where_x_is_above_its_threshold(dy, x, gamma, beta, mean, inv_std):
    """Asks gamma * x_hat > -beta, and goes back through the normalisation by projections."""
    x_hat = (x - per_channel(mean, x)) * per_channel(inv_std, x)
    open_ = per_channel(gamma, x) * x_hat > per_channel(-beta, x)
    return projections_of_the_gradient(dy * open_, x, gamma, mean, inv_std)
