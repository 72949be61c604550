"""conv_transpose2d_forward and conv_transpose2d_backward as students write them."""

import numpy as np

from mistakes.honest import add_windows, kernel_gradient, pair, window_view
from mistakes.registry import mistake


def _size(x, w, stride, padding, output_padding=0, dilation=1):
    """(H, W) of the output."""
    sides = zip(x.shape[2:], w.shape[2:], *map(pair, (stride, padding, output_padding, dilation)), strict=True)
    height, width = ((length - 1) * s - 2 * p + d * (k - 1) + more + 1 for length, k, s, p, more, d in sides)
    return height, width


def _patches(x, w):
    """What each pixel of x puts down: (N, F, h, w, kh, kw)."""
    return np.einsum("ncij,cfpq->nfijpq", x, w)


def _plus_bias(y, b):
    return y if b is None else y + b[:, None, None]


@mistake("conv_transpose2d_forward", "not-accumulated", where="y")
def kernels_overwrite_each_other(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Puts every pixel's kernel down with =, where kernels overlap."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    height, width = _size(x, w, stride, padding, output_padding)
    y = np.zeros((len(x), w.shape[1], height + 2 * ph, width + 2 * pw), dtype=x.dtype)
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            y[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = np.einsum("nc,cfpq->nfpq", x[:, :, i, j], w)
    return _plus_bias(y[:, :, ph : ph + height, pw : pw + width], b)


@mistake("conv_transpose2d_forward", "raises", where="y", also=("transposed",))
def takes_the_weights_of_a_convolution(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Thinks that w is (F, C, kh, kw), as for conv2d."""
    patches = np.einsum("ncij,fcpq->nfijpq", x, w)
    shape = (len(x), len(w), *_size(x, w, stride, padding, output_padding))
    return _plus_bias(add_windows(patches, shape, stride, padding), b)


@mistake("conv_transpose2d_forward", "flipped", where="y")
def correlates_with_the_kernels_as_they_are(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Puts zeros between the pixels and correlates, and forgets that the kernels have to be turned for that."""
    (sh, sw), (ph, pw), (mh, mw), (kh, kw) = pair(stride), pair(padding), pair(output_padding), w.shape[2:]
    n, c, h, wide = x.shape
    image = np.zeros((n, c, (h - 1) * sh + 1 + mh, (wide - 1) * sw + 1 + mw), dtype=x.dtype)
    image[:, :, : (h - 1) * sh + 1 : sh, : (wide - 1) * sw + 1 : sw] = x
    y = np.einsum("ncijpq,cfpq->nfij", window_view(image, (kh, kw), 1, (kh - 1, kw - 1)), w)
    return _plus_bias(y[:, :, ph : y.shape[2] - ph, pw : y.shape[3] - pw], b)


@mistake("conv_transpose2d_forward", "ignores-argument", where="y", also=("forward-differs",))
def repeats_pixels_where_zeros_belong(x, w, b, *, stride=1, padding=0):
    """Makes the image larger with np.repeat and convolves that; between the pixels there are zeros."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    height, width = _size(x, w, stride, padding)
    image = x.repeat(sh, axis=2).repeat(sw, axis=3)
    views = window_view(image, (kh, kw), 1, (kh - 1, kw - 1))
    y = np.einsum("ncijpq,cfpq->nfij", views, w[:, :, ::-1, ::-1])
    return _plus_bias(y[:, :, ph : ph + height, pw : pw + width], b)


@mistake("conv_transpose2d_forward", "ignores-argument", where="y", also=("shape",))
def leaves_on_what_padding_cuts_off(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Forgets the padding: here it takes rows and columns away."""
    height, width = _size(x, w, stride, 0, output_padding)
    return _plus_bias(add_windows(_patches(x, w), (len(x), w.shape[1], height, width), stride), b)


@mistake("conv_transpose2d_forward", "shape", where="y")
def cuts_off_from_p_to_minus_p(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Cuts with y[p:-p], of which nothing is left for p = 0."""
    (ph, pw), size = pair(padding), _size(x, w, stride, 0, output_padding)
    y = add_windows(_patches(x, w), (len(x), w.shape[1], *size), stride)
    return _plus_bias(y[:, :, ph:-ph, pw:-pw], b)


@mistake("conv_transpose2d_forward", "shifted", where="y", also=("ignores-argument",))
def cuts_all_of_the_padding_off_at_the_end(x, w, b, *, stride=1, padding=0):
    """Keeps the first H rows and W columns."""
    height, width = _size(x, w, stride, padding)
    y = add_windows(_patches(x, w), (len(x), w.shape[1], *_size(x, w, stride, 0)), stride)
    return _plus_bias(y[:, :, :height, :width], b)


@mistake("conv_transpose2d_forward", "shifted", where="y", also=("ignores-argument",))
def output_padding_at_the_top(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Adds the rows and columns of output_padding at the top and at the left."""
    mh, mw = pair(output_padding)
    y = add_windows(_patches(x, w), (len(x), w.shape[1], *_size(x, w, stride, padding)), stride, padding)
    return _plus_bias(np.pad(y, ((0, 0), (0, 0), (mh, 0), (mw, 0))), b)


@mistake("conv_transpose2d_forward", "ignores-argument", where="y")
def dilates_the_size_alone(x, w, b, *, stride=1, padding=0, output_padding=0, dilation=1):
    """Counts the output's rows for a dilated kernel and puts kernels down that have no gaps."""
    shape = (len(x), w.shape[1], *_size(x, w, stride, padding, output_padding, dilation))
    return _plus_bias(add_windows(_patches(x, w), shape, stride, padding), b)


@mistake("conv_transpose2d_forward", "missing-term", where="y")
def transposed_without_a_bias(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Forgets the bias."""
    shape = (len(x), w.shape[1], *_size(x, w, stride, padding, output_padding))
    return add_windows(_patches(x, w), shape, stride, padding)


@mistake("conv_transpose2d_forward", "forward-differs", where="y", also=("not-accumulated",))
def adds_the_bias_with_every_kernel(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Adds b inside of the loop, once for each kernel that is put down, so that it counts double where they overlap."""
    shape = (len(x), w.shape[1], *_size(x, w, stride, padding, output_padding))
    patches = _patches(x, w)
    return add_windows(patches if b is None else patches + b[:, None, None, None, None], shape, stride, padding)


@mistake("conv_transpose2d_forward", "dtype", where="y")
def puts_kernels_into_double_precision(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Adds to np.zeros((n, f, height, width))."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    height, width = _size(x, w, stride, padding, output_padding)
    y = np.zeros((len(x), w.shape[1], height + 2 * ph, width + 2 * pw))
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            y[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += np.einsum("nc,cfpq->nfpq", x[:, :, i, j], w)
    return _plus_bias(y[:, :, ph : ph + height, pw : pw + width], b)


@mistake("conv_transpose2d_forward", "transposed", where="y", also=("ignores-argument",))
def deals_the_groups_outputs_out_in_turn(x, w, b, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Writes group g's channels to g, g + groups, ...; they lie next to each other."""
    size = _size(x, w, stride, padding, output_padding, dilation)
    y = np.zeros((len(x), groups * w.shape[1], *size), dtype=x.dtype)
    for g, (xs, ws) in enumerate(zip(np.split(x, groups, axis=1), np.split(w, groups), strict=True)):
        own = y[:, g::groups]
        own += add_windows(_patches(xs, ws), own.shape, stride, padding, dilation)
    return _plus_bias(y, b)


def _gradients(dy, x, w, stride=1, padding=0):
    """dx, dw, db without dilation or groups."""
    views = window_view(dy, w.shape[2:], stride, padding)[:, :, : x.shape[2], : x.shape[3]]
    dx = np.einsum("nfijpq,cfpq->ncij", views, w)
    return dx, np.einsum("ncij,nfijpq->cfpq", x, views), dy.sum(axis=(0, 2, 3))


@mistake("conv_transpose2d_backward", "flipped", where="dx")
def convolves_dy_with_turned_kernels(dy, x, w, *, stride=1, padding=0):
    """Remembers from conv2d that dx takes turned kernels; here dx is a plain convolution."""
    _, dw, db = _gradients(dy, x, w, stride, padding)
    views = window_view(dy, w.shape[2:], stride, padding)
    return np.einsum("nfijpq,cfpq->ncij", views, w[:, :, ::-1, ::-1])[:, :, : x.shape[2], : x.shape[3]], dw, db


@mistake("conv_transpose2d_backward", "transposed", where="dw")
def dw_like_that_of_a_convolution(dy, x, w, *, stride=1, padding=0):
    """Gives dw as (F, C, kh, kw); the weights are (C, F, kh, kw)."""
    dx, dw, db = _gradients(dy, x, w, stride, padding)
    return dx, dw.transpose(1, 0, 2, 3), db


@mistake("conv_transpose2d_backward", "not-accumulated", where="dw", also=("not-summed",))
def dw_of_the_last_pixel(dy, x, w, *, stride=1, padding=0):
    """Writes dw = in the loop over the pixels."""
    (sh, sw), (kh, kw) = pair(stride), w.shape[2:]
    dx, _, db = _gradients(dy, x, w, stride, padding)
    image = window_view(dy, (1, 1), 1, padding)[..., 0, 0]
    for i in range(x.shape[2]):
        for j in range(x.shape[3]):
            window = image[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]
            dw = np.einsum("nc,nfpq->cfpq", x[:, :, i, j], window)
    return dx, dw, db


@mistake("conv_transpose2d_backward", "ignores-argument", where="dx")
def reads_dy_with_stride_one(dy, x, w, *, stride=1, padding=0):
    """Reads the window (i, j) of dy at pixel (i, j)."""
    _, dw, db = _gradients(dy, x, w, stride, padding)
    views = window_view(dy, w.shape[2:], 1, padding)[:, :, : x.shape[2], : x.shape[3]]
    return np.einsum("nfijpq,cfpq->ncij", views, w), dw, db


@mistake("conv_transpose2d_backward", "ignores-argument", where="dw", also=("shifted",))
def dw_without_the_border(dy, x, w, *, stride=1, padding=0):
    """Puts the border around dy for dx, and forgets it for dw."""
    (sh, sw), (kh, kw) = pair(stride), w.shape[2:]
    dx, _, db = _gradients(dy, x, w, stride, padding)
    dw = np.zeros_like(w)
    for p in range(kh):
        for q in range(kw):
            seen = dy[:, :, p : p + x.shape[2] * sh : sh, q : q + x.shape[3] * sw : sw]
            dw[:, :, p, q] = np.einsum("ncij,nfij->cf", x[:, :, : seen.shape[2], : seen.shape[3]], seen)
    return dx, dw, db


@mistake("conv_transpose2d_backward", "not-summed", where="db", also=("scale",))
def transposed_db_is_a_mean(dy, x, w, *, stride=1, padding=0):
    """Takes the mean of dy for the bias."""
    dx, dw, _ = _gradients(dy, x, w, stride, padding)
    return dx, dw, dy.mean(axis=(0, 2, 3))


@mistake("conv_transpose2d_backward", "raises", where="call", also=("shape",))
def gradients_of_conv2d(dy, x, w, *, stride=1, padding=0):
    """Hands everything to the backward pass of a convolution, as if x were its image."""
    dx = add_windows(np.einsum("nfij,cfpq->ncijpq", dy, w), x.shape, stride, padding)
    return dx, kernel_gradient(dy, x, w, stride, padding), dy.sum(axis=(0, 2, 3))


@mistake("conv_transpose2d_backward", "partial-batch", where="dw", also=("not-accumulated",))
def transposed_dw_of_the_last_image(dy, x, w, *, stride=1, padding=0):
    """Computes dw image by image and forgets to add."""
    dx, _, db = _gradients(dy, x, w, stride, padding)
    for n in range(len(x)):
        dw = _gradients(dy[n : n + 1], x[n : n + 1], w, stride, padding)[1]
    return dx, dw, db
