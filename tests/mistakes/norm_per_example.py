"""Layer norm and group norm as students write them: statistics of each example, none of the batch."""

import numpy as np

from mistakes.honest import batch_axes, per_channel
from mistakes.registry import mistake


def _statistics(x, axes, eps):
    """Mean and 1 / standard deviation over these axes, which stay with length 1."""
    return x.mean(axis=axes, keepdims=True), 1 / np.sqrt(x.var(axis=axes, keepdims=True) + eps)


def _last(gamma):
    return tuple(range(-gamma.ndim, 0))


def _spread(v, gamma):
    """(...) to (..., 1), with as many axes as gamma has."""
    return v[(..., *[None] * gamma.ndim)]


@mistake("layer_norm_forward", "not-summed", where="mean", also=("forward-differs",))
def each_feature_over_the_batch(x, gamma, beta, *, eps=1e-5):
    """Copies batch norm for vectors: mean and variance over axis 0."""
    mean, inv_std = x.mean(axis=0), 1 / np.sqrt(x.var(axis=0) + eps)
    return gamma * (x - mean) * inv_std + beta, mean, inv_std


@mistake("layer_norm_forward", "not-summed", where="mean", also=("forward-differs",))
def the_whole_sequence_at_once(x, gamma, beta, *, eps=1e-5):
    """Takes one mean an example, over all steps, where each step has its own."""
    axes = tuple(range(1, x.ndim))
    mean, inv_std = _statistics(x, axes, eps)
    return gamma * (x - mean) * inv_std + beta, mean.squeeze(axes), inv_std.squeeze(axes)


@mistake("layer_norm_forward", "not-summed", where="mean", also=("forward-differs",))
def the_last_axis_alone(x, gamma, beta, *, eps=1e-5):
    """Averages over axis -1, also where gamma says that whole images belong together."""
    mean, inv_std = _statistics(x, -1, eps)
    return gamma * (x - mean) * inv_std + beta, mean[..., 0], inv_std[..., 0]


@mistake("layer_norm_forward", "scale", where="inv_std", also=("forward-differs",))
def deviation_of_a_sample(x, gamma, beta, *, eps=1e-5):
    """Divides by m - 1, which is what std means in some libraries."""
    axes = _last(gamma)
    mean = x.mean(axis=axes, keepdims=True)
    inv_std = 1 / np.sqrt(x.var(axis=axes, ddof=1, keepdims=True) + eps)
    return gamma * (x - mean) * inv_std + beta, mean.squeeze(axes), inv_std.squeeze(axes)


@mistake("layer_norm_forward", "forward-differs", where="inv_std")
def eps_beside_the_deviation(x, gamma, beta, *, eps=1e-5):
    """Divides by std + eps."""
    axes = _last(gamma)
    mean = x.mean(axis=axes, keepdims=True)
    inv_std = 1 / (x.std(axis=axes, keepdims=True) + eps)
    return gamma * (x - mean) * inv_std + beta, mean.squeeze(axes), inv_std.squeeze(axes)


@mistake("layer_norm_forward", "missing-term", where="y")
def forgets_the_shift(x, gamma, beta, *, eps=1e-5):
    """Scales and never adds beta."""
    axes = _last(gamma)
    mean, inv_std = _statistics(x, axes, eps)
    return gamma * (x - mean) * inv_std, mean.squeeze(axes), inv_std.squeeze(axes)


@mistake("layer_norm_forward", "mutates-input", where="x")
def brings_x_itself_to_mean_zero(x, gamma, beta, *, eps=1e-5):
    """Centres the array that belongs to the layer before, which a residual connection will add again."""
    axes = _last(gamma)
    mean = x.mean(axis=axes, keepdims=True)
    x -= mean
    inv_std = 1 / np.sqrt(np.square(x).mean(axis=axes, keepdims=True) + eps)
    return gamma * x * inv_std + beta, mean.squeeze(axes), inv_std.squeeze(axes)


def _layer_norm_sums(dy, x, gamma, mean, inv_std):
    """x_hat, 1 / standard deviation, dgamma and dbeta."""
    s = _spread(inv_std, gamma)
    x_hat = (x - _spread(mean, gamma)) * s
    others = tuple(range(x.ndim - gamma.ndim))
    return x_hat, s, (dy * x_hat).sum(axis=others), dy.sum(axis=others)


@mistake("layer_norm_backward", "missing-term", where="dx")
def mean_of_a_row_is_no_constant(dy, x, gamma, mean, inv_std):
    """Has the way through the variance and forgets the one through the mean."""
    x_hat, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    d = gamma * dy
    return s * (d - x_hat * (d * x_hat).mean(axis=_last(gamma), keepdims=True)), dgamma, dbeta


@mistake("layer_norm_backward", "missing-term", where="dx")
def variance_of_a_row_is_no_constant(dy, x, gamma, mean, inv_std):
    """Has the way through the mean and forgets the one through the variance."""
    _, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    d = gamma * dy
    return s * (d - d.mean(axis=_last(gamma), keepdims=True)), dgamma, dbeta


@mistake("layer_norm_backward", "scale", where="dx")
def gamma_in_front_as_in_batch_norm(dy, x, gamma, mean, inv_std):
    """Takes batch norm's formula: gamma stands before the bracket, where it is the same for all numbers of a mean."""
    x_hat, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    axes = _last(gamma)
    inner = dy - dy.mean(axis=axes, keepdims=True) - x_hat * (dy * x_hat).mean(axis=axes, keepdims=True)
    return gamma * s * inner, dgamma, dbeta


@mistake("layer_norm_backward", "scale", where="dx", also=("missing-term",))
def gamma_left_out_of_dx(dy, x, gamma, mean, inv_std):
    """Starts at x_hat with dy itself."""
    x_hat, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    axes = _last(gamma)
    inner = dy - dy.mean(axis=axes, keepdims=True) - x_hat * (dy * x_hat).mean(axis=axes, keepdims=True)
    return s * inner, dgamma, dbeta


@mistake("layer_norm_backward", "not-summed", where="dx", also=("scale",))
def means_over_the_batch_on_the_way_back(dy, x, gamma, mean, inv_std):
    """Normalises each row on the way forwards and takes the batch's means on the way back."""
    x_hat, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    d = gamma * dy
    return s * (d - d.mean(axis=0) - x_hat * (d * x_hat).mean(axis=0)), dgamma, dbeta


@mistake("layer_norm_backward", "sign", where="dx")
def variance_with_a_plus(dy, x, gamma, mean, inv_std):
    """Loses the minus of d(var^-1/2) = -1/2 var^-3/2 dvar."""
    x_hat, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    d, axes = gamma * dy, _last(gamma)
    inner = d - d.mean(axis=axes, keepdims=True) + x_hat * (d * x_hat).mean(axis=axes, keepdims=True)
    return s * inner, dgamma, dbeta


@mistake("layer_norm_backward", "not-summed", where="dgamma")
def dgamma_for_each_step(dy, x, gamma, mean, inv_std):
    """Sums over the batch alone; each step of a sequence keeps a dgamma."""
    x_hat, s, _, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    d, axes = gamma * dy, _last(gamma)
    inner = d - d.mean(axis=axes, keepdims=True) - x_hat * (d * x_hat).mean(axis=axes, keepdims=True)
    return s * inner, (dy * x_hat).sum(axis=0), dbeta


@mistake("layer_norm_backward", "wrong-cache", where="dgamma", also=("missing-term",))
def dgamma_from_x(dy, x, gamma, mean, inv_std):
    """Multiplies dy by x, where gamma was multiplied by x_hat."""
    x_hat, s, _, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    d, axes = gamma * dy, _last(gamma)
    inner = d - d.mean(axis=axes, keepdims=True) - x_hat * (d * x_hat).mean(axis=axes, keepdims=True)
    return s * inner, (dy * x).sum(axis=tuple(range(x.ndim - gamma.ndim))), dbeta


@mistake("layer_norm_backward", "mutates-input", where="dy")
def weighs_dy_in_place(dy, x, gamma, mean, inv_std):
    """Writes dy *= gamma once the sums are safe."""
    x_hat, s, dgamma, dbeta = _layer_norm_sums(dy, x, gamma, mean, inv_std)
    axes = _last(gamma)
    dy *= gamma
    return (
        s * (dy - dy.mean(axis=axes, keepdims=True) - x_hat * (dy * x_hat).mean(axis=axes, keepdims=True)),
        dgamma,
        dbeta,
    )


# Group norm


def _grouped(x, groups):
    """(N, C, ...) to (N, groups, numbers of a group)"""
    return x.reshape(len(x), groups, -1)


def _group_norm(x, gamma, beta, rows, eps):
    """Normalise rows (N, groups, m) that hold the numbers of x in its order."""
    mean, inv_std = _statistics(rows, 2, eps)
    x_hat = ((rows - mean) * inv_std).reshape(x.shape)
    return per_channel(gamma, x) * x_hat + per_channel(beta, x), mean[..., 0], inv_std[..., 0]


@mistake("group_norm_forward", "ignores-argument", where="mean")
def every_channel_a_group(x, gamma, beta, *, groups, eps=1e-5):
    """Normalises each channel of each image on its own, which is instance norm."""
    return _group_norm(x, gamma, beta, _grouped(x, x.shape[1]), eps)


@mistake("group_norm_forward", "ignores-argument", where="mean", also=("forward-differs",))
def groups_of_that_many_channels(x, gamma, beta, *, groups, eps=1e-5):
    """Takes `groups` for the number of channels in a group."""
    return _group_norm(x, gamma, beta, _grouped(x, x.shape[1] // groups), eps)


@mistake("group_norm_forward", "transposed", where="mean")
def every_second_channel(x, gamma, beta, *, groups, eps=1e-5):
    """Reshapes to (N, C / groups, groups, ...), so that a group is every groups-th channel."""
    n, c = x.shape[:2]
    parts = x.reshape(n, c // groups, groups, -1)
    mean = parts.mean(axis=(1, 3), keepdims=True)
    inv_std = 1 / np.sqrt(parts.var(axis=(1, 3), keepdims=True) + eps)
    x_hat = ((parts - mean) * inv_std).reshape(x.shape)
    return per_channel(gamma, x) * x_hat + per_channel(beta, x), mean[:, 0, :, 0], inv_std[:, 0, :, 0]


@mistake("group_norm_forward", "not-summed", where="mean", also=("shape",))
def groups_over_the_batch(x, gamma, beta, *, groups, eps=1e-5):
    """Averages over the batch as well."""
    rows = _grouped(x, groups)
    mean, inv_std = _statistics(rows, (0, 2), eps)
    x_hat = ((rows - mean) * inv_std).reshape(x.shape)
    return per_channel(gamma, x) * x_hat + per_channel(beta, x), mean.reshape(-1), inv_std.reshape(-1)


@mistake("group_norm_forward", "forward-differs", where="inv_std")
def divides_by_the_variance(x, gamma, beta, *, groups, eps=1e-5):
    """Forgets the square root."""
    rows = _grouped(x, groups)
    mean, inv = rows.mean(axis=2, keepdims=True), 1 / (rows.var(axis=2, keepdims=True) + eps)
    x_hat = ((rows - mean) * inv).reshape(x.shape)
    return per_channel(gamma, x) * x_hat + per_channel(beta, x), mean[..., 0], inv[..., 0]


def _group_norm_sums(dy, x, mean, inv_std, groups):
    """x_hat (N, groups, m), dgamma and dbeta."""
    x_hat = (_grouped(x, groups) - mean[:, :, None]) * inv_std[:, :, None]
    return x_hat, (dy * x_hat.reshape(x.shape)).sum(axis=batch_axes(x)), dy.sum(axis=batch_axes(x))


def _back(d, x_hat, inv_std, mean_of):
    return inv_std[:, :, None] * (d - mean_of(d) - x_hat * mean_of(d * x_hat))


@mistake("group_norm_backward", "missing-term", where="dx")
def groups_statistics_are_numbers(dy, x, gamma, mean, inv_std, *, groups):
    """Takes mean and inv_std for constants, since they are arguments."""
    _, dgamma, dbeta = _group_norm_sums(dy, x, mean, inv_std, groups)
    return (_grouped(per_channel(gamma, x) * dy, groups) * inv_std[:, :, None]).reshape(x.shape), dgamma, dbeta


@mistake("group_norm_backward", "scale", where="dx")
def gamma_before_the_groups_means(dy, x, gamma, mean, inv_std, *, groups):
    """Multiplies by gamma last; the channels of a group differ in it, so that it belongs into the means."""
    x_hat, dgamma, dbeta = _group_norm_sums(dy, x, mean, inv_std, groups)
    inner = _back(_grouped(dy, groups), x_hat, inv_std, lambda v: v.mean(axis=2, keepdims=True))
    return per_channel(gamma, x) * inner.reshape(x.shape), dgamma, dbeta


@mistake("group_norm_backward", "scale", where="dx", also=("not-summed",))
def means_over_the_pixels_of_a_channel(dy, x, gamma, mean, inv_std, *, groups):
    """Divides a group's sums by H W, and forgets that a group holds several channels."""
    x_hat, dgamma, dbeta = _group_norm_sums(dy, x, mean, inv_std, groups)
    d, m = _grouped(per_channel(gamma, x) * dy, groups), int(np.prod(x.shape[2:]))
    dx = _back(d, x_hat, inv_std, lambda v: v.sum(axis=2, keepdims=True) / m)
    return dx.reshape(x.shape), dgamma, dbeta


@mistake("group_norm_backward", "not-summed", where="dgamma")
def dgamma_of_every_image(dy, x, gamma, mean, inv_std, *, groups):
    """Returns dgamma as (N, C): the statistics are those of an image, and so must be the gradient."""
    x_hat, _, dbeta = _group_norm_sums(dy, x, mean, inv_std, groups)
    dgamma = (dy * x_hat.reshape(x.shape)).sum(axis=tuple(range(2, x.ndim)))
    d = _grouped(per_channel(gamma, x) * dy, groups)
    dx = _back(d, x_hat, inv_std, lambda v: v.mean(axis=2, keepdims=True))
    return dx.reshape(x.shape), dgamma, dbeta
