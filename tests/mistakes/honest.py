"""Correct pieces that the implementations here are made of, so that each has its mistake in one place alone."""

import numpy as np


def pair(value):
    """(vertical, horizontal) from one number for both, or from a pair."""
    return (value, value) if np.ndim(value) == 0 else tuple(value)


def bordered(x, padding, value=0.0):
    """x (N, C, H, W) inside a border: (N, C, H + 2 * padding, W + 2 * padding)."""
    ph, pw = pair(padding)
    return np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=value)


def counts(size, kernel, stride=1, padding=0, dilation=1):
    """How many windows there are, down and across."""
    sides = zip(size, pair(kernel), pair(stride), pair(padding), pair(dilation), strict=True)
    oh, ow = ((length + 2 * p - d * (k - 1) - 1) // s + 1 for length, k, s, p, d in sides)
    return oh, ow


def window_view(x, kernel, stride=1, padding=0, dilation=1, value=0.0):
    """All windows of an image: (N, C, H, W) to (N, C, oh, ow, kh, kw)."""
    (kh, kw), (sh, sw), (dh, dw) = pair(kernel), pair(stride), pair(dilation)
    spans = dh * (kh - 1) + 1, dw * (kw - 1) + 1
    views = np.lib.stride_tricks.sliding_window_view(bordered(x, padding, value), spans, axis=(2, 3))
    return views[:, :, ::sh, ::sw, ::dh, ::dw]


def add_windows(d_windows, shape, stride=1, padding=0, dilation=1):
    """The adjoint of `window_view`: (N, C, oh, ow, kh, kw) to (N, C, H, W) = shape."""
    (n, c, h, w), (sh, sw), (ph, pw), (dh, dw) = shape, pair(stride), pair(padding), pair(dilation)
    oh, ow, kh, kw = d_windows.shape[2:]
    dx = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=d_windows.dtype)
    for p in range(kh):
        for q in range(kw):
            dx[:, :, p * dh : p * dh + sh * oh : sh, q * dw : q * dw + sw * ow : sw] += d_windows[..., p, q]
    return dx[:, :, ph : ph + h, pw : pw + w]


def d_windows_of(dy, w):
    """What a convolution's windows get: (N, F, oh, ow) and (F, C, kh, kw) to (N, C, oh, ow, kh, kw)."""
    return np.moveaxis(np.tensordot(dy, w, axes=(1, 0)), 3, 1)


def kernel_gradient(dy, x, w, stride=1, padding=0, dilation=1):
    """dw of a convolution: (F, C, kh, kw)."""
    views = window_view(x, w.shape[2:], stride, padding, dilation)[:, :, : dy.shape[2], : dy.shape[3]]
    return np.tensordot(dy, views, axes=((0, 2, 3), (0, 2, 3)))


def conv_gradients(dy, x, w, stride=1, padding=0, dilation=1):
    """dx, dw, db of a convolution."""
    dx = add_windows(d_windows_of(dy, w), x.shape, stride, padding, dilation)
    return dx, kernel_gradient(dy, x, w, stride, padding, dilation), dy.sum(axis=(0, 2, 3))


def batch_axes(x):
    """All axes but the channels'."""
    return (0, *range(2, x.ndim))


def per_channel(v, x):
    """(C,) to (C, 1, ...), so that it lines up with axis 1 of x."""
    return v.reshape(-1, *[1] * (x.ndim - 2))


def one_hot(labels, scores):
    """1 where the label is, 0 elsewhere: labels (N, ...) to (N, K, ...), like the scores."""
    t = np.zeros_like(scores)
    np.put_along_axis(t, labels[:, None], 1, axis=1)
    return t


def softmax(scores):
    """Probabilities over axis 1."""
    e = np.exp(scores - scores.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def dropout_scale(p):
    """What keeps the mean; with p = 1 nothing is left to be scaled."""
    return 1 / (1 - p) if p < 1 else 0.0
