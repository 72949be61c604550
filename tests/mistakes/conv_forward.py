"""conv2d_forward as students write it."""

import numpy as np
from scipy.signal import convolve2d

from mistakes.honest import bordered, counts, pair, window_view
from mistakes.registry import mistake


def _add_bias(y, b):
    return y if b is None else y + b[:, None, None]


@mistake("conv2d_forward", "flipped", where="y")
def takes_the_mathematicians_convolution(x, w, b, *, stride=1, padding=0):
    """Uses SciPy's convolve2d, which flips the kernel; correlate2d would not."""
    sh, sw = pair(stride)
    image = bordered(x, padding)
    oh, ow = counts(x.shape[2:], w.shape[2:], stride, padding)
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for n in range(len(x)):
        for f in range(len(w)):
            for c in range(x.shape[1]):
                y[n, f] += convolve2d(image[n, c], w[f, c], mode="valid")[::sh, ::sw]
    return _add_bias(y, b)


@mistake("conv2d_forward", "transposed", where="y")
def mixes_images_and_kernels(x, w, b, *, stride=1, padding=0):
    """Multiplies (F, K) by (K, N*oh*ow) and reshapes to (N, F, oh, ow), though the kernels' axis comes first."""
    views = window_view(x, w.shape[2:], stride, padding)
    n, c, oh, ow, kh, kw = views.shape
    cols = views.transpose(1, 4, 5, 0, 2, 3).reshape(c * kh * kw, n * oh * ow)
    y = w.reshape(len(w), -1) @ cols
    return _add_bias(y.reshape(n, len(w), oh, ow), b)


@mistake("conv2d_forward", "transposed", where="y")
def flattens_kernels_with_channels_last(x, w, b, *, stride=1, padding=0):
    """Flattens windows as (kh, kw, C) and kernels as (C, kh, kw), so that other numbers meet."""
    views = window_view(x, w.shape[2:], stride, padding)
    n, c, oh, ow, kh, kw = views.shape
    rows = views.transpose(0, 2, 3, 4, 5, 1).reshape(n, oh * ow, kh * kw * c)
    y = rows @ w.reshape(len(w), -1).T
    return _add_bias(y.transpose(0, 2, 1).reshape(n, len(w), oh, ow), b)


@mistake("conv2d_forward", "missing-term", where="y")
def convolves_without_bias(x, w, b, *, stride=1, padding=0):
    """Takes b and never adds it."""
    views = window_view(x, w.shape[2:], stride, padding)
    return np.ascontiguousarray(np.einsum("ncijpq,fcpq->nfij", views, w))


@mistake("conv2d_forward", "not-accumulated", where="y")
def keeps_the_last_channel(x, w, b, *, stride=1, padding=0):
    """Writes = in the loop over the input's channels, so that the last channel alone is left."""
    sh, sw = pair(stride)
    kh, kw = w.shape[2:]
    image = bordered(x, padding)
    oh, ow = counts(x.shape[2:], (kh, kw), stride, padding)
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for f in range(len(w)):
        for c in range(x.shape[1]):
            for i in range(oh):
                for j in range(ow):
                    window = image[:, c, i * sh : i * sh + kh, j * sw : j * sw + kw]
                    y[:, f, i, j] = (window * w[f, c]).sum(axis=(1, 2))
    return _add_bias(y, b)


@mistake("conv2d_forward", "not-summed", where="y", also=("scale",))
def averages_the_window(x, w, b, *, stride=1, padding=0):
    """Takes the mean of the products where their sum was asked for."""
    sh, sw = pair(stride)
    kh, kw = w.shape[2:]
    image = bordered(x, padding)
    oh, ow = counts(x.shape[2:], (kh, kw), stride, padding)
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for i in range(oh):
        for j in range(ow):
            window = image[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]
            y[:, :, i, j] = (window[:, None] * w).mean(axis=(2, 3, 4))
    return _add_bias(y, b)


@mistake("conv2d_forward", "too-slow", where="y")
def convolves_everything_for_every_number(x, w, b, *, stride=1, padding=0):
    """Calls its own convolution of the whole batch to read off a single number, and so for every number."""
    (sh, sw), (kh, kw) = pair(stride), w.shape[2:]
    oh, ow = counts(x.shape[2:], (kh, kw), stride, padding)
    image = bordered(x, padding)

    def convolved():
        y = np.zeros((len(x), len(w), oh, ow))
        for n, f, i, j in np.ndindex(*y.shape):
            for c, p, q in np.ndindex(*w.shape[1:]):
                y[n, f, i, j] += float(w[f, c, p, q]) * float(image[n, c, i * sh + p, j * sw + q])
        return y

    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for place in np.ndindex(*y.shape):
        y[place] = convolved()[place]
    return _add_bias(y, b)


@mistake("conv2d_forward", "raises", where="y")
def takes_a_bias_for_granted(x, w, b, *, stride=1, padding=0):
    """Reshapes b without asking whether there is one: a layer without bias has None there."""
    views = window_view(x, w.shape[2:], stride, padding)
    y = np.tensordot(views, w, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return y + b.reshape(1, -1, 1, 1)


@mistake("conv2d_forward", "ignores-argument", where="y")
def every_group_sees_the_first_channels(x, w, b, *, stride=1, padding=0, groups=1):
    """Gives all kernels the channels of the first group."""
    views = window_view(x[:, : w.shape[1]], w.shape[2:], stride, padding)
    y = np.tensordot(views, w, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return _add_bias(y, b)


@mistake("conv2d_forward", "ignores-argument", where="y")
def steps_by_the_vertical_stride_alone(x, w, b, *, stride=1, padding=0):
    """Takes stride[0] in both directions, and clips at the right edge so that nothing raises."""
    (kh, kw), (sh, sw) = w.shape[2:], pair(stride)
    image = bordered(x, padding)
    oh, ow = counts(x.shape[2:], (kh, kw), (sh, sw), padding)
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for i in range(oh):
        for j in range(ow):
            left = min(j * sh, image.shape[3] - kw)
            window = image[:, :, i * sh : i * sh + kh, left : left + kw]
            y[:, :, i, j] = np.einsum("ncpq,fcpq->nf", window, w)
    return _add_bias(y, b)


@mistake("conv2d_forward", "ignores-argument", where="y", also=("shape",))
def convolves_without_padding(x, w, b, *, stride=1, padding=0):
    """Takes padding and never pads."""
    views = window_view(x, w.shape[2:], stride)
    y = np.tensordot(views, w, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return _add_bias(y, b)


@mistake("conv2d_forward", "shape", where="y")
def counts_one_window_too_few(x, w, b, *, stride=1, padding=0):
    """Forgets the + 1 in the number of windows."""
    (kh, kw), (sh, sw) = w.shape[2:], pair(stride)
    image = bordered(x, padding)
    oh, ow = (image.shape[2] - kh) // sh, (image.shape[3] - kw) // sw
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for i in range(oh):
        for j in range(ow):
            window = image[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]
            y[:, :, i, j] = np.tensordot(window, w, axes=((1, 2, 3), (1, 2, 3)))
    return _add_bias(y, b)


@mistake("conv2d_forward", "dtype", where="y")
def convolves_into_double_precision(x, w, b, *, stride=1, padding=0):
    """Makes the output with np.zeros and no dtype."""
    (kh, kw), (sh, sw) = w.shape[2:], pair(stride)
    image = bordered(x, padding)
    oh, ow = counts(x.shape[2:], (kh, kw), stride, padding)
    y = np.zeros((len(x), len(w), oh, ow))
    for p in range(kh):
        for q in range(kw):
            tap = image[:, :, p : p + sh * oh : sh, q : q + sw * ow : sw]
            y += np.einsum("ncij,fc->nfij", tap, w[:, :, p, q])
    return _add_bias(y, b)


@mistake("conv2d_forward", "partial-batch", where="y")
def convolves_the_first_image(x, w, b, *, stride=1, padding=0):
    """Has the return inside the loop over the images."""
    rows = w.reshape(len(w), -1)
    views = window_view(x, w.shape[2:], stride, padding)
    oh, ow = views.shape[2:4]
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for n in range(len(x)):
        cols = views[n].transpose(0, 3, 4, 1, 2).reshape(rows.shape[1], oh * ow)
        y[n] = (rows @ cols).reshape(len(w), oh, ow)
        return _add_bias(y, b)
    return y


@mistake("conv2d_forward", "wrong-cache", where="y")
def unfolds_before_the_loop(x, w, b, *, stride=1, padding=0):
    """Computes the columns once, before the loop over the images: all outputs are those of the first image."""
    rows = w.reshape(len(w), -1)
    views = window_view(x, w.shape[2:], stride, padding)
    oh, ow = views.shape[2:4]
    cols = views[0].transpose(0, 3, 4, 1, 2).reshape(rows.shape[1], oh * ow)
    y = np.zeros((len(x), len(w), oh, ow), dtype=x.dtype)
    for n in range(len(x)):
        y[n] = (rows @ cols).reshape(len(w), oh, ow)
    return _add_bias(y, b)


@mistake("conv2d_forward", "mutates-input", where="w")
def turns_the_kernels_in_place(x, w, b, *, stride=1, padding=0):
    """Flips w in place for SciPy's convolve2d, so that the layer's own weights are turned after every call."""
    sh, sw = pair(stride)
    w[:] = w[:, :, ::-1, ::-1].copy()
    image = bordered(x, padding)
    y = np.array(
        [
            [sum(convolve2d(plane, k, mode="valid") for plane, k in zip(planes, kernel, strict=True)) for kernel in w]
            for planes in image
        ]
    )
    return _add_bias(y[:, :, ::sh, ::sw], b)
