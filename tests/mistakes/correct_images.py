"""Correct implementations of the operations on images, none of which looks like the engine's."""

import numba
import numpy as np
from scipy import fft, sparse
from scipy.signal import correlate2d

from mistakes.honest import add_windows, bordered, conv_gradients, counts, pair, window_view
from mistakes.registry import correct


@correct("im2col")
def columns_from_a_view_of_windows(x, *, kernel, stride=1, padding=0, dilation=1):
    """Cuts all windows with one strided view."""
    views = window_view(x, kernel, stride, padding, dilation)
    n, c, oh, ow, kh, kw = views.shape
    return views.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


@correct("im2col")
def columns_one_at_a_time_in_fortrans_order(x, *, kernel, stride=1, padding=0):
    """Fills one column after the other, in an array whose columns lie together in memory."""
    (kh, kw), (sh, sw) = pair(kernel), pair(stride)
    oh, ow = counts(x.shape[2:], kernel, stride, padding)
    image = bordered(x, padding)
    cols = np.empty((len(x), x.shape[1] * kh * kw, oh * ow), dtype=x.dtype, order="F")
    for column in range(oh * ow):
        i, j = column // ow * sh, column % ow * sw
        cols[:, :, column] = image[:, :, i : i + kh, j : j + kw].reshape(cols.shape[:2])
    return cols


def _pixel_of_entry(shape, kernel, stride, padding):
    """For each entry of a column matrix (C*kh*kw, oh*ow): the number of its pixel on the padded image."""
    n, c, h, w = shape
    ph, pw = pair(padding)
    numbers = np.arange(c * (h + 2 * ph) * (w + 2 * pw)).reshape(1, c, h + 2 * ph, w + 2 * pw)
    views = window_view(numbers, kernel, stride, value=0)
    return views[0].transpose(0, 3, 4, 1, 2).reshape(-1)


@correct("col2im")
def columns_added_by_add_at(cols, *, shape, kernel, stride=1, padding=0):
    """Adds with np.add.at, which counts every repetition of an index."""
    (n, c, h, w), (ph, pw) = shape, pair(padding)
    flat = np.zeros((n, c * (h + 2 * ph) * (w + 2 * pw)), dtype=cols.dtype)
    pixel = _pixel_of_entry(shape, kernel, stride, padding)
    np.add.at(flat, (slice(None), pixel), cols.reshape(n, pixel.size))
    return flat.reshape(n, c, h + 2 * ph, w + 2 * pw)[:, :, ph : ph + h, pw : pw + w]


@correct("col2im")
def columns_added_by_a_sparse_matrix(cols, *, shape, kernel, stride=1, padding=0):
    """Writes col2im as what it is, a matrix of zeros and ones."""
    (n, c, h, w), (ph, pw) = shape, pair(padding)
    pixel = _pixel_of_entry(shape, kernel, stride, padding)
    pixels = c * (h + 2 * ph) * (w + 2 * pw)
    matrix = sparse.csr_array((np.ones(pixel.size, cols.dtype), (pixel, np.arange(pixel.size))), (pixels, pixel.size))
    image = (matrix @ cols.reshape(n, pixel.size).T).T.reshape(n, c, h + 2 * ph, w + 2 * pw)
    return image[:, :, ph : ph + h, pw : pw + w]


def _plus_bias(y, b):
    return y if b is None else y + b[:, None, None]


@correct("conv2d_forward")
def convolution_by_seven_loops(x, w, b, *, stride=1, padding=0, dilation=1):
    """The definition, number by number, added up in Python's double precision."""
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    image = bordered(x, padding)
    oh, ow = counts(x.shape[2:], w.shape[2:], stride, padding, dilation)
    y = np.empty((len(x), len(w), oh, ow), dtype=x.dtype)
    for n, f, i, j in np.ndindex(*y.shape):
        total = 0.0 if b is None else float(b[f])
        for c, p, q in np.ndindex(*w.shape[1:]):
            total += float(w[f, c, p, q]) * float(image[n, c, i * sh + p * dh, j * sw + q * dw])
        y[n, f, i, j] = total
    return y


@correct("conv2d_forward")
def convolution_by_fourier_transform(x, w, b, *, stride=1, padding=0):
    """Multiplies spectra; the kernel's is conjugated, since a network's convolution does not flip."""
    (sh, sw), (kh, kw) = pair(stride), w.shape[2:]
    image = bordered(x.astype(np.float64), padding)
    size = image.shape[2:]
    product = np.einsum("nchw,fchw->nfhw", fft.rfft2(image), fft.rfft2(w.astype(np.float64), size).conj())
    y = fft.irfft2(product, size)[:, :, : size[0] - kh + 1 : sh, : size[1] - kw + 1 : sw]
    return _plus_bias(y.astype(x.dtype), b)


@correct("conv2d_forward")
def convolution_by_scipy(x, w, b, *, stride=1, padding=0):
    """Correlates plane by plane with SciPy and throws the windows between the strides away."""
    sh, sw = pair(stride)
    image = bordered(x, padding)
    y = np.zeros((len(x), len(w), *counts(x.shape[2:], w.shape[2:], stride, padding)), dtype=x.dtype)
    for n, f, c in np.ndindex(len(x), len(w), x.shape[1]):
        y[n, f] += correlate2d(image[n, c], w[f, c], mode="valid")[::sh, ::sw]
    return _plus_bias(y, b)


@correct("conv2d_forward")
def convolution_in_channels_last_memory(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Leaves the output as it comes out of the product: channels innermost in memory."""
    views = window_view(x, w.shape[2:], stride, padding, dilation)
    parts = zip(np.split(views, groups, axis=1), np.split(w, groups), strict=True)
    y = np.concatenate([np.tensordot(v, k, axes=((1, 4, 5), (1, 2, 3))) for v, k in parts], axis=-1)
    return np.moveaxis(y if b is None else y + b, -1, 1)


@correct("conv2d_forward", needs="torch")
def convolution_by_pytorch(x, w, b, *, stride=1, padding=0, dilation=1, groups=1):
    """Asks PyTorch."""
    import torch

    tensors = [None if array is None else torch.tensor(array) for array in (x, w, b)]
    y = torch.nn.functional.conv2d(*tensors, pair(stride), pair(padding), pair(dilation), groups)
    return y.numpy()


@numba.njit
def _convolve(image, w, y, sh, sw):
    for n in range(y.shape[0]):
        for f in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    total = 0.0
                    for c in range(w.shape[1]):
                        for p in range(w.shape[2]):
                            for q in range(w.shape[3]):
                                total += w[f, c, p, q] * image[n, c, i * sh + p, j * sw + q]
                    y[n, f, i, j] += total


@correct("conv2d_forward")
def convolution_by_compiled_loops(x, w, b, *, stride=1, padding=0):
    """Compiles the loops with Numba; the output starts as the bias."""
    y = np.zeros((len(x), len(w), *counts(x.shape[2:], w.shape[2:], stride, padding)), dtype=x.dtype)
    if b is not None:
        y += b[:, None, None]
    _convolve(np.ascontiguousarray(bordered(x, padding)), np.ascontiguousarray(w), y, *pair(stride))
    return y


@correct("conv2d_backward")
def convolution_gradients_by_loops(dy, x, w, *, stride=1, padding=0, dilation=1):
    """Walks over dy and gives each number back to all that had a part in it."""
    (sh, sw), (dh, dw_), (ph, pw), (kh, kw) = pair(stride), pair(dilation), pair(padding), w.shape[2:]
    image = bordered(x, padding)
    dimage, dw, db = np.zeros_like(image), np.zeros_like(w), np.zeros_like(w[:, 0, 0, 0])
    for n, f, i, j in np.ndindex(*dy.shape):
        rows = slice(i * sh, i * sh + dh * (kh - 1) + 1, dh)
        columns = slice(j * sw, j * sw + dw_ * (kw - 1) + 1, dw_)
        dimage[n, :, rows, columns] += dy[n, f, i, j] * w[f]
        dw[f] += dy[n, f, i, j] * image[n, :, rows, columns]
        db[f] += dy[n, f, i, j]
    return dimage[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]], dw, db


@correct("conv2d_backward")
def dx_as_a_convolution_with_turned_kernels(dy, x, w, *, stride=1, padding=0):
    """Puts stride - 1 zeros between dy's pixels and a border round them, and convolves with the kernels turned."""
    (sh, sw), (ph, pw), (kh, kw) = pair(stride), pair(padding), w.shape[2:]
    whole = bordered(x, padding)
    wide = np.zeros((*dy.shape[:2], whole.shape[2] + kh - 1, whole.shape[3] + kw - 1), dtype=dy.dtype)
    wide[:, :, kh - 1 :: sh, kw - 1 :: sw][:, :, : dy.shape[2], : dy.shape[3]] = dy
    dwhole = np.einsum("nfijpq,fcpq->ncij", window_view(wide, (kh, kw)), w[:, :, ::-1, ::-1])
    taps = window_view(whole, (kh, kw), stride)
    return (
        dwhole[:, :, ph:, pw:][:, :, : x.shape[2], : x.shape[3]],
        np.einsum("nfij,ncijpq->fcpq", dy, taps),
        dy.sum((0, 2, 3)),
    )


@correct("conv2d_backward")
def convolution_gradients_without_dx(dy, x, w, *, stride=1, padding=0, need_dx=True):
    """Takes need_dx and, without it, leaves the dearer half out."""
    dx, dw, db = conv_gradients(dy, x, w, stride, padding)
    return dx if need_dx else None, dw, db


@correct("conv2d_backward", needs="torch")
def convolution_gradients_by_pytorch(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Asks PyTorch's gradients of its convolution."""
    import torch

    dy_, x_, w_ = (torch.tensor(array) for array in (dy, x, w))
    options = {"stride": pair(stride), "padding": pair(padding), "dilation": pair(dilation), "groups": groups}
    dx = torch.nn.grad.conv2d_input(x.shape, w_, dy_, **options)
    dw = torch.nn.grad.conv2d_weight(x_, w.shape, dy_, **options)
    return dx.numpy(), dw.numpy(), dy_.sum((0, 2, 3)).numpy()


@correct("max_pool2d_forward")
def maxima_by_argmax_of_flat_windows(x, *, kernel, stride=None, padding=0):
    """Lays every window out in a row and asks argmax, whose answers are 64-bit integers."""
    views = window_view(x, kernel, stride or kernel, padding, value=-np.inf)
    rows = views.reshape(*views.shape[:4], views.shape[4] * views.shape[5])
    argmax = rows.argmax(axis=-1)
    return np.take_along_axis(rows, argmax[..., None], axis=-1)[..., 0], argmax


@correct("max_pool2d_backward")
def winners_added_one_by_one(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Finds each winner's place on the image and adds there; a winner is never on the border."""
    (sh, sw), (ph, pw), kw = pair(stride or kernel), pair(padding), pair(kernel)[1]
    dx = np.zeros(shape, dtype=dy.dtype)
    for (n, c, i, j), k in np.ndenumerate(argmax):
        row, column = i * sh + int(k) // kw - ph, j * sw + int(k) % kw - pw
        if 0 <= row < shape[2] and 0 <= column < shape[3]:
            dx[n, c, row, column] += dy[n, c, i, j]
    return dx


@correct("max_pool2d_backward")
def winners_put_into_their_windows(dy, argmax, *, shape, kernel, stride=None, padding=0):
    """Makes windows that are zero but for the winner, and adds the windows up."""
    kh, kw = pair(kernel)
    windows = np.zeros((*dy.shape, kh * kw), dtype=dy.dtype)
    np.put_along_axis(windows, argmax[..., None].astype(int), dy[..., None], axis=-1)
    return add_windows(windows.reshape(*dy.shape, kh, kw), shape, stride or kernel, padding)


@correct("avg_pool2d_forward")
def means_from_running_sums(x, *, kernel, stride=None, padding=0):
    """Sums every rectangle from the origin, in double precision; a window is four of them, added and subtracted."""
    (kh, kw), (sh, sw) = pair(kernel), pair(stride or kernel)
    corner = np.pad(bordered(x.astype(np.float64), padding), ((0, 0), (0, 0), (1, 0), (1, 0)))
    sums = corner.cumsum(axis=2).cumsum(axis=3)
    totals = sums[:, :, kh:, kw:] - sums[:, :, :-kh, kw:] - sums[:, :, kh:, :-kw] + sums[:, :, :-kh, :-kw]
    return (totals[:, :, ::sh, ::sw] / (kh * kw)).astype(x.dtype)


@correct("avg_pool2d_backward")
def shares_window_by_window(dy, *, shape, kernel, stride=None, padding=0):
    """Adds each window's share to a slice of the padded gradient."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride or kernel), pair(padding)
    dx = np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=dy.dtype)
    for i, j in np.ndindex(*dy.shape[2:]):
        dx[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += dy[:, :, i, j, None, None] / (kh * kw)
    return dx[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@correct("global_avg_pool2d_forward")
def channels_averaged_as_rows(x):
    """Takes a channel for one row."""
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3]).mean(axis=-1)


@correct("global_avg_pool2d_backward")
def shares_by_an_outer_product(dy, *, shape):
    """Multiplies by an array of 1/(H*W)."""
    n, c, h, w = shape
    return np.einsum("nc,hw->nchw", dy, np.full((h, w), 1 / (h * w), dtype=dy.dtype))
