"""Convolution in groups, and channel by channel, as students write it."""

import numpy as np

from mistakes.honest import add_windows, conv_gradients, d_windows_of, kernel_gradient, window_view
from mistakes.registry import mistake


def _plus_bias(y, b):
    return y if b is None else y + b[:, None, None]


def _convolved(x, w, stride=1, padding=0, dilation=1):
    return np.einsum("ncijpq,fcpq->nfij", window_view(x, w.shape[2:], stride, padding, dilation), w)


def _in_groups(x, w, groups):
    """Pairs of (channels, kernels), group by group."""
    return zip(np.split(x, groups, axis=1), np.split(w, groups), strict=True)


@mistake("conv2d_forward", "transposed", where="y", also=("ignores-argument",))
def groups_of_every_other_channel(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Takes channels g, g + groups, ... for group g; a group's channels are neighbours."""
    parts = [_convolved(x[:, g::groups], ws, stride, padding, dilation) for g, ws in enumerate(np.split(w, groups))]
    return _plus_bias(np.concatenate(parts, axis=1), b)


@mistake("conv2d_forward", "transposed", where="y", also=("ignores-argument",))
def outputs_dealt_out_in_turn(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Stacks the groups' outputs on an axis behind the channels and reshapes: they come in turn from each group."""
    parts = [_convolved(xs, ws, stride, padding, dilation) for xs, ws in _in_groups(x, w, groups)]
    stacked = np.stack(parts, axis=2)
    return _plus_bias(stacked.reshape(len(x), len(w), *stacked.shape[3:]), b)


@mistake("conv2d_forward", "ignores-argument", where="y")
def every_group_uses_the_first_kernels(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Cuts x into groups and takes the first F / groups kernels for all of them."""
    own = w[: len(w) // groups]
    parts = [_convolved(xs, own, stride, padding, dilation) for xs in np.split(x, groups, axis=1)]
    return _plus_bias(np.concatenate(parts, axis=1), b)


@mistake("conv2d_forward", "ignores-argument", where="y")
def every_group_adds_the_first_bias(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Adds the first F / groups entries of b to every group."""
    parts = [_convolved(xs, ws, stride, padding, dilation) for xs, ws in _in_groups(x, w, groups)]
    return np.concatenate([_plus_bias(part, None if b is None else b[: part.shape[1]]) for part in parts], axis=1)


@mistake("conv2d_forward", "shape", where="y", also=("ignores-argument",))
def groups_are_always_depthwise(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Convolves channel by channel whenever there are groups, with one kernel for each channel."""
    if groups == 1:
        return _plus_bias(_convolved(x, w, stride, padding, dilation), b)
    views = window_view(x, w.shape[2:], stride, padding, dilation)
    y = np.stack([np.einsum("nijpq,pq->nij", views[:, c], w[c, 0]) for c in range(x.shape[1])], axis=1)
    return y if b is None else y + b[: x.shape[1], None, None]


@mistake("conv2d_forward", "not-summed", where="y", also=("ignores-argument",))
def a_groups_first_channel_alone(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Takes w[:, 0], since a depthwise kernel has one channel, for groups of several channels too."""
    if groups == 1:
        return _plus_bias(_convolved(x, w, stride, padding, dilation), b)
    parts = [_convolved(xs[:, :1], ws[:, :1], stride, padding, dilation) for xs, ws in _in_groups(x, w, groups)]
    return _plus_bias(np.concatenate(parts, axis=1), b)


@mistake("conv2d_forward", "not-accumulated", where="y", also=("ignores-argument",))
def the_last_group_fills_all(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Writes y[:] in the loop over the groups instead of the group's own channels."""
    y = None
    for xs, ws in _in_groups(x, w, groups):
        part = _convolved(xs, ws, stride, padding, dilation)
        y = np.zeros((len(x), len(w), *part.shape[2:]), dtype=x.dtype) if y is None else y
        y[:] = np.concatenate([part] * groups, axis=1)
    return _plus_bias(y, b)


def _group_gradients(dy, x, w, options, groups):
    """dx and dw of each group."""
    parts = zip(np.split(dy, groups, axis=1), np.split(x, groups, axis=1), np.split(w, groups), strict=True)
    return [conv_gradients(dys, xs, ws, **options)[:2] for dys, xs, ws in parts]


@mistake("conv2d_backward", "transposed", where="dx", also=("ignores-argument",))
def dx_of_groups_dealt_out_in_turn(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Writes a group's gradient to dx[:, g::groups]."""
    parts = _group_gradients(dy, x, w, {"stride": stride, "padding": padding, "dilation": dilation}, groups)
    dx = np.empty_like(x)
    for g, (own, _) in enumerate(parts):
        dx[:, g::groups] = own
    return dx, np.concatenate([dw for _, dw in parts]), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "not-accumulated", where="dx", also=("not-summed", "ignores-argument"))
def dx_of_the_last_group(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Makes dx anew for every group, so that the other groups' channels are 0 in the end."""
    each, dws = x.shape[1] // groups, []
    parts = _group_gradients(dy, x, w, {"stride": stride, "padding": padding, "dilation": dilation}, groups)
    for g, (own, dw) in enumerate(parts):
        dx = np.zeros_like(x)
        dx[:, g * each : (g + 1) * each] = own
        dws.append(dw)
    return dx, np.concatenate(dws), dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "shape", where="dw", also=("ignores-argument",))
def dw_for_all_channels(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Correlates every output with every channel, as if there were no groups."""
    parts = _group_gradients(dy, x, w, {"stride": stride, "padding": padding, "dilation": dilation}, groups)
    wide = np.zeros((len(w), x.shape[1], *w.shape[2:]), dtype=w.dtype)
    dw = kernel_gradient(dy, x, wide, stride, padding, dilation)
    return np.concatenate([dx for dx, _ in parts], axis=1), dw, dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "ignores-argument", where="dw")
def dw_from_the_first_groups_channels(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Correlates each group's dy with the first group's channels."""
    parts = _group_gradients(dy, x, w, {"stride": stride, "padding": padding, "dilation": dilation}, groups)
    first = x[:, : w.shape[1]]
    dw = kernel_gradient(dy, first, w, stride, padding, dilation)
    return np.concatenate([dx for dx, _ in parts], axis=1), dw, dy.sum(axis=(0, 2, 3))


@mistake("conv2d_backward", "ignores-argument", where="dx")
def dx_with_the_first_groups_kernels(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Takes the first group's kernels for the gradient of all groups."""
    parts = _group_gradients(dy, x, w, {"stride": stride, "padding": padding, "dilation": dilation}, groups)
    own = w[: len(w) // groups]
    shape = (len(x), w.shape[1], *x.shape[2:])
    dxs = [add_windows(d_windows_of(d, own), shape, stride, padding, dilation) for d in np.split(dy, groups, axis=1)]
    return np.concatenate(dxs, axis=1), np.concatenate([dw for _, dw in parts]), dy.sum(axis=(0, 2, 3))
