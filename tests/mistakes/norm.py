"""Batch normalisation as students write it."""

import numpy as np

from mistakes.honest import batch_axes, per_channel
from mistakes.registry import mistake

_normalised = {}


def _statistics(x, eps):
    """Mean and 1 / standard deviation of every channel."""
    axes = batch_axes(x)
    return x.mean(axis=axes), 1 / np.sqrt(x.var(axis=axes) + eps)


def _normalise(x, mean, inv_std):
    return (x - per_channel(mean, x)) * per_channel(inv_std, x)


@mistake("batch_norm_forward", "not-summed", where="mean")
def statistics_over_the_batch_alone(x, gamma, beta, *, eps=1e-5):
    """Averages over axis 0, as for vectors, and so normalises every pixel on its own."""
    mean = x.mean(axis=0)
    inv_std = 1 / np.sqrt(x.var(axis=0) + eps)
    return per_channel(gamma, x) * (x - mean) * inv_std + per_channel(beta, x), mean, inv_std


@mistake("batch_norm_forward", "forward-differs", where="inv_std", also=("scale",))
def variance_with_m_minus_one(x, gamma, beta, *, eps=1e-5):
    """Divides by m - 1 (ddof=1), as statisticians do for a sample."""
    axes = batch_axes(x)
    mean = x.mean(axis=axes)
    inv_std = 1 / np.sqrt(x.var(axis=axes, ddof=1) + eps)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std) + per_channel(beta, x), mean, inv_std


@mistake("batch_norm_forward", "ignores-argument", where="inv_std")
def eps_is_always_the_usual_one(x, gamma, beta, *, eps=1e-5):
    """Writes 1e-5 into the formula and forgets that eps is an argument."""
    mean, inv_std = _statistics(x, 1e-5)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std) + per_channel(beta, x), mean, inv_std


@mistake("batch_norm_forward", "missing-term", where="y")
def scaled_but_not_moved(x, gamma, beta, *, eps=1e-5):
    """Multiplies by gamma and forgets to add beta."""
    mean, inv_std = _statistics(x, eps)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std), mean, inv_std


@mistake("batch_norm_forward", "forward-differs", where="inv_std")
def gives_the_standard_deviation(x, gamma, beta, *, eps=1e-5):
    """Returns the standard deviation, where 1 / standard deviation was asked for."""
    mean, inv_std = _statistics(x, eps)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std) + per_channel(beta, x), mean, 1 / inv_std


@mistake("batch_norm_forward", "forward-differs", where="inv_std")
def eps_outside_the_root(x, gamma, beta, *, eps=1e-5):
    """Adds eps to the standard deviation and not to the variance."""
    axes = batch_axes(x)
    mean = x.mean(axis=axes)
    inv_std = 1 / (x.std(axis=axes) + eps)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std) + per_channel(beta, x), mean, inv_std


@mistake("batch_norm_forward", "mutates-input", where="x")
def centres_x_in_place(x, gamma, beta, *, eps=1e-5):
    """Writes x -= mean, which changes the output of the layer before."""
    axes = batch_axes(x)
    mean = x.mean(axis=axes)
    x -= per_channel(mean, x)
    inv_std = 1 / np.sqrt((x * x).mean(axis=axes) + eps)
    return per_channel(gamma * inv_std, x) * x + per_channel(beta, x), mean, inv_std


@mistake("batch_norm_forward", "partial-batch", where="mean")
def statistics_of_the_first_image(x, gamma, beta, *, eps=1e-5):
    """Takes mean and variance from x[0] alone."""
    mean, inv_std = _statistics(x[:1], eps)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std) + per_channel(beta, x), mean, inv_std


@mistake("batch_norm_forward", "raises", where="y")
def normalises_images_only(x, gamma, beta, *, eps=1e-5):
    """Sums over axes (0, 2, 3), which a batch of vectors does not have."""
    mean, var = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
    inv_std = 1 / np.sqrt(var + eps)
    y = gamma[:, None, None] * (x - mean[:, None, None]) * inv_std[:, None, None] + beta[:, None, None]
    return y, mean, inv_std


@mistake("batch_norm_forward", "shape", where="mean")
def statistics_keep_their_axes(x, gamma, beta, *, eps=1e-5):
    """Keeps the summed axes for broadcasting and returns mean and inv_std with them: (1, C, 1, 1)."""
    axes = batch_axes(x)
    mean = x.mean(axis=axes, keepdims=True)
    inv_std = 1 / np.sqrt(x.var(axis=axes, keepdims=True) + eps)
    return per_channel(gamma, x) * (x - mean) * inv_std + per_channel(beta, x), mean, inv_std


def _sums(dy, x, mean, inv_std):
    """x_hat, dgamma and dbeta, the parts of a gradient that most get right."""
    x_hat = _normalise(x, mean, inv_std)
    axes = batch_axes(x)
    return x_hat, (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)


@mistake("batch_norm_backward", "missing-term", where="dx")
def mean_taken_for_a_constant(dy, x, gamma, mean, inv_std):
    """Forgets that the mean depends on x."""
    x_hat, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    m = x.size // x.shape[1]
    dx = per_channel(gamma * inv_std, x) * (dy - x_hat * per_channel(dgamma / m, x))
    return dx, dgamma, dbeta


@mistake("batch_norm_backward", "missing-term", where="dx")
def variance_taken_for_a_constant(dy, x, gamma, mean, inv_std):
    """Forgets that the variance depends on x."""
    _, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    m = x.size // x.shape[1]
    dx = per_channel(gamma * inv_std, x) * (dy - per_channel(dbeta / m, x))
    return dx, dgamma, dbeta


@mistake("batch_norm_backward", "missing-term", where="dx")
def statistics_taken_for_constants(dy, x, gamma, mean, inv_std):
    """Differentiates gamma * (x - mean) * inv_std + beta as if mean and inv_std were given numbers."""
    _, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    return dy * per_channel(gamma * inv_std, x), dgamma, dbeta


@mistake("batch_norm_backward", "sign", where="dx")
def variance_path_added(dy, x, gamma, mean, inv_std):
    """Adds the path through the variance, whose sign is minus."""
    x_hat, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    m = x.size // x.shape[1]
    inner = dy - per_channel(dbeta / m, x) + x_hat * per_channel(dgamma / m, x)
    return per_channel(gamma * inv_std, x) * inner, dgamma, dbeta


@mistake("batch_norm_backward", "scale", where="dx", also=("missing-term",))
def dx_without_gamma(dy, x, gamma, mean, inv_std):
    """Goes back through the normalisation and forgets that gamma came after it."""
    x_hat, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    m = x.size // x.shape[1]
    inner = dy - per_channel(dbeta / m, x) - x_hat * per_channel(dgamma / m, x)
    return inner * per_channel(inv_std, x), dgamma, dbeta


@mistake("batch_norm_backward", "not-summed", where="dgamma")
def dgamma_for_each_pixel(dy, x, gamma, mean, inv_std):
    """Sums dgamma over the batch and not over the pixels."""
    x_hat, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    m = x.size // x.shape[1]
    inner = dy - per_channel(dbeta / m, x) - x_hat * per_channel(dgamma / m, x)
    return per_channel(gamma * inv_std, x) * inner, (dy * x_hat).sum(axis=0), dbeta


@mistake("batch_norm_backward", "not-summed", where="dbeta", also=("scale",))
def dbeta_is_a_mean(dy, x, gamma, mean, inv_std):
    """Has the mean of dy at hand for dx and returns it as dbeta."""
    x_hat, dgamma, _ = _sums(dy, x, mean, inv_std)
    axes = batch_axes(x)
    dbeta = dy.mean(axis=axes)
    inner = dy - per_channel(dbeta, x) - x_hat * per_channel((dy * x_hat).mean(axis=axes), x)
    return per_channel(gamma * inv_std, x) * inner, dgamma, dbeta


@mistake("batch_norm_backward", "wrong-cache", where="dx")
def x_hat_kept_by_shape(dy, x, gamma, mean, inv_std):
    """Keeps the normalised batch under its shape, and finds the first batch there ever after."""
    x_hat = _normalised.setdefault((x.shape, x.dtype), _normalise(x, mean, inv_std))
    axes = batch_axes(x)
    m = x.size // x.shape[1]
    dgamma, dbeta = (dy * x_hat).sum(axis=axes), dy.sum(axis=axes)
    inner = dy - per_channel(dbeta / m, x) - x_hat * per_channel(dgamma / m, x)
    return per_channel(gamma * inv_std, x) * inner, dgamma, dbeta


@mistake("batch_norm_backward", "mutates-input", where="dy")
def multiplies_dy_by_gamma_in_place(dy, x, gamma, mean, inv_std):
    """Writes dy *= gamma on the way back, after dgamma and dbeta are safe."""
    x_hat, dgamma, dbeta = _sums(dy, x, mean, inv_std)
    axes = batch_axes(x)
    dy *= per_channel(gamma, x)
    inner = dy - per_channel(dy.mean(axis=axes), x) - x_hat * per_channel((dy * x_hat).mean(axis=axes), x)
    return inner * per_channel(inv_std, x), dgamma, dbeta


@mistake("batch_norm_inference_forward", "ignores-argument", where="y")
def normalises_by_the_batch_at_hand(x, gamma, beta, mean, inv_std):
    """Calculates mean and variance anew and never looks at the ones that were handed over."""
    mean, inv_std = _statistics(x, 1e-5)
    return per_channel(gamma, x) * _normalise(x, mean, inv_std) + per_channel(beta, x)


@mistake("batch_norm_inference_forward", "missing-term", where="y")
def scales_without_centring(x, gamma, beta, mean, inv_std):
    """Forgets to subtract the mean."""
    return x * per_channel(gamma * inv_std, x) + per_channel(beta, x)


@mistake("batch_norm_inference_backward", "zero", where="dgamma")
def nothing_learns_in_inference(dy, x, gamma, mean, inv_std):
    """Takes gamma for a constant because the statistics are constants."""
    return dy * per_channel(gamma * inv_std, x), np.zeros_like(gamma), dy.sum(axis=batch_axes(x))


@mistake("batch_norm_inference_backward", "not-summed", where="dgamma")
def dgamma_for_each_image(dy, x, gamma, mean, inv_std):
    """Sums dgamma over the pixels and not over the batch."""
    x_hat, _, dbeta = _sums(dy, x, mean, inv_std)
    dgamma = (dy * x_hat).sum(axis=tuple(range(2, x.ndim)))
    return dy * per_channel(gamma * inv_std, x), dgamma, dbeta
