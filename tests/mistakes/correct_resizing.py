"""Correct implementations of resizing, of pooling over regions and of convolution in groups, unlike the engine's."""

import numpy as np
from scipy import sparse
from scipy.ndimage import map_coordinates
from scipy.signal import convolve2d, correlate2d

from mistakes.honest import bordered, pair, window_view
from mistakes.registry import correct


def _size(x, w, stride, padding, output_padding, dilation):
    sides = zip(x.shape[2:], w.shape[2:], *map(pair, (stride, padding, output_padding, dilation)), strict=True)
    height, width = ((length - 1) * s - 2 * p + d * (k - 1) + more + 1 for length, k, s, p, more, d in sides)
    return height, width


@correct("conv_transpose2d_forward")
def transposed_convolution_pixel_by_pixel(x, w, b, *, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """Writes every product where it belongs, if that is on the image."""
    (sh, sw), (ph, pw), (dh, dw) = pair(stride), pair(padding), pair(dilation)
    each, inputs = w.shape[1], x.shape[1] // groups
    y = np.zeros((len(x), groups * each, *_size(x, w, stride, padding, output_padding, dilation)), dtype=x.dtype)
    for c, f, p, q in np.ndindex(*w.shape):
        for i, j in np.ndindex(*x.shape[2:]):
            row, column = i * sh + p * dh - ph, j * sw + q * dw - pw
            if 0 <= row < y.shape[2] and 0 <= column < y.shape[3]:
                y[:, c // inputs * each + f, row, column] += x[:, c, i, j] * w[c, f, p, q]
    return y if b is None else y + b.reshape(1, -1, 1, 1)


@correct("conv_transpose2d_forward")
def transposed_convolution_by_scipy(x, w, b, *, stride=1, padding=0, output_padding=0):
    """Spreads the pixels out among zeros and convolves, kernels turned, as SciPy does it."""
    (sh, sw), (ph, pw), (height, width) = pair(stride), pair(padding), _size(x, w, stride, padding, output_padding, 1)
    spread = np.zeros((*x.shape[:2], (x.shape[2] - 1) * sh + 1, (x.shape[3] - 1) * sw + 1), dtype=x.dtype)
    spread[:, :, ::sh, ::sw] = x
    y = np.zeros((len(x), w.shape[1], ph + height, pw + width), dtype=x.dtype)
    for n, c, f in np.ndindex(len(x), *w.shape[:2]):
        plane = convolve2d(spread[n, c], w[c, f])[: ph + height, : pw + width]
        y[n, f, : plane.shape[0], : plane.shape[1]] += plane
    y = y[:, :, ph:, pw:]
    return y if b is None else y + b[:, None, None]


@correct("conv_transpose2d_backward")
def transposed_gradients_by_windows_of_dy(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Cuts dy into windows: each meets its pixel and the kernels."""
    dxs, dws = [], []
    for d, xs, ws in zip(*(np.split(a, groups, 1) for a in (dy, x)), np.split(w, groups), strict=True):
        views = window_view(d, w.shape[2:], stride, padding, dilation)[:, :, : x.shape[2], : x.shape[3]]
        dxs.append(np.tensordot(views, ws, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2))
        dws.append(np.tensordot(xs, views, axes=((0, 2, 3), (0, 2, 3))))
    return np.concatenate(dxs, axis=1), np.concatenate(dws), np.einsum("nfij->f", dy)


@correct("conv2d_forward")
def groups_by_scipy(x, w, b, *, stride=1, padding=0, groups=1):
    """Looks up which channels belong to each kernel."""
    (sh, sw), image, each = pair(stride), bordered(x, padding), len(w) // groups
    planes = []
    for f, kernels in enumerate(w):
        channels = image[:, f // each * w.shape[1] :]
        terms = [[correlate2d(channels[n, c], k, "valid") for c, k in enumerate(kernels)] for n in range(len(x))]
        planes.append(np.sum(terms, axis=1)[:, ::sh, ::sw])
    y = np.stack(planes, axis=1)
    return y if b is None else y + b[:, None, None]


@correct("conv2d_backward")
def group_gradients_with_a_sixth_axis(dy, x, w, *, stride=1, padding=0, dilation=1, groups=1):
    """Gives the groups an axis of their own in one einsum, and walks over dy for dx."""
    (sh, sw), (dh, dw_), (ph, pw), (kh, kw) = pair(stride), pair(dilation), pair(padding), w.shape[2:]
    views = window_view(x, (kh, kw), stride, padding, dilation)
    split = views.reshape(len(x), groups, -1, *views.shape[2:])
    d, kernels = dy.reshape(len(x), groups, -1, *dy.shape[2:]), w.reshape(groups, -1, *w.shape[1:])
    dimage = np.zeros_like(bordered(x, padding)).reshape(len(x), groups, w.shape[1], x.shape[2] + 2 * ph, -1)
    for i, j in np.ndindex(*dy.shape[2:]):
        rows, columns = slice(i * sh, i * sh + dh * (kh - 1) + 1, dh), slice(j * sw, j * sw + dw_ * (kw - 1) + 1, dw_)
        dimage[:, :, :, rows, columns] += np.einsum("ngf,gfcpq->ngcpq", d[..., i, j], kernels)
    dx = dimage.reshape(*x.shape[:2], x.shape[2] + 2 * ph, -1)[:, :, ph : ph + x.shape[2], pw : pw + x.shape[3]]
    return dx, np.einsum("ngfij,ngcijpq->gfcpq", d, split).reshape(w.shape), dy.sum(axis=(0, 2, 3))


@correct("upsample_nearest_forward")
def pixels_repeated(x, *, size):
    """Counts how often each pixel comes, and repeats it."""
    for axis, count in zip((2, 3), pair(size), strict=True):
        edges = -(-np.arange(x.shape[axis] + 1) * count // x.shape[axis])
        x = x.repeat(np.diff(edges), axis=axis)
    return x


@correct("upsample_nearest_backward")
def copies_added_by_reduceat(dy, *, shape):
    """Adds runs of rows and columns up; pixels that nobody shows get 0."""
    for axis, length in zip((2, 3), shape[2:], strict=True):
        source = np.arange(dy.shape[axis]) * length // dy.shape[axis]
        shown, begins = np.unique(source, return_index=True)
        sums = np.add.reduceat(dy, begins, axis=axis)
        dy = np.zeros((*dy.shape[:axis], length, *dy.shape[axis + 1 :]), dtype=dy.dtype)
        dy[(*[slice(None)] * axis, shown)] = sums
    return dy


def _weights(length, count):
    """The weight of each old pixel in each new one: (count, length), by np.interp of unit vectors."""
    place = (np.arange(count) + 0.5) * length / count - 0.5
    return np.stack([np.interp(place, np.arange(length), row) for row in np.eye(length)], axis=1)


@correct("upsample_bilinear_forward")
def bilinear_by_interp(x, *, size):
    """Lets np.interp draw the lines."""
    rows, columns = (_weights(n, o).astype(x.dtype) for n, o in zip(x.shape[2:], pair(size), strict=True))
    return np.einsum("ih,nchw,jw->ncij", rows, x, columns)


@correct("upsample_bilinear_backward")
def bilinear_adjoint_by_a_sparse_matrix(dy, *, shape):
    """One matrix from image to image, transposed."""
    rows, columns = (_weights(n, o) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    matrix = sparse.kron(sparse.csr_array(rows), sparse.csr_array(columns)).T.tocsr().astype(dy.dtype)
    return (matrix @ dy.reshape(shape[0] * shape[1], -1).T).T.reshape(shape)


@correct("adaptive_avg_pool2d_forward")
def region_means_from_running_sums(x, *, output_size):
    """Means as differences of running sums, in double precision."""
    y = x.astype(np.float64)
    for axis, count in zip((2, 3), pair(output_size), strict=True):
        length = x.shape[axis]
        first, end = np.arange(count) * length // count, -(-np.arange(1, count + 1) * length // count)
        sums = np.insert(y.cumsum(axis=axis), 0, 0, axis=axis)
        total = sums.take(end, axis=axis) - sums.take(first, axis=axis)
        y = total / (end - first).reshape(-1, *[1] * (3 - axis))
    return y.astype(x.dtype)


@correct("adaptive_avg_pool2d_backward")
def shares_pixel_by_pixel(dy, *, shape):
    """Asks of each pixel which regions it belongs to."""
    shares = []
    for length, count in zip(shape[2:], dy.shape[2:], strict=True):
        pixel, i = np.arange(length), np.arange(count)[:, None]
        inside = (pixel >= i * length // count) & (pixel * count < (i + 1) * length)
        shares.append((inside / inside.sum(axis=1, keepdims=True)).astype(dy.dtype))
    return np.einsum("ncij,ih,jw->nchw", dy, *shares)


@correct("max_unpool2d_forward")
def windows_put_down_one_by_one(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Works out each number's place on the image."""
    (sh, sw), (ph, pw), kw = pair(stride or kernel), pair(padding), pair(kernel)[1]
    y = np.zeros(shape, dtype=x.dtype)
    for (n, c, i, j), k in np.ndenumerate(argmax):
        y[n, c, i * sh + int(k) // kw - ph, j * sw + int(k) % kw - pw] += x[n, c, i, j]
    return y


@correct("max_unpool2d_backward")
def gradients_taken_along_the_window(dy, argmax, *, kernel, stride=None, padding=0):
    """Lays each window out in a row and takes one number of it."""
    views = window_view(dy, kernel, stride or kernel, padding)
    return np.take_along_axis(views.reshape(*views.shape[:4], -1), argmax[..., None].astype(int), axis=-1)[..., 0]


@correct("roi_max_pool2d_forward")
def regions_of_interest_by_loops(x, rois, *, output_size, spatial_scale=1.0):
    """The definition, bin by bin; halves are rounded away from zero with Python's integers."""
    out, (h, w) = pair(output_size), x.shape[2:]
    y = np.zeros((len(rois), x.shape[1], *out), dtype=x.dtype)
    argmax = np.full(y.shape, -1)
    for r, (image, *corners) in enumerate(rois.astype(float)):
        x1, y1, x2, y2 = (int(abs(v) * spatial_scale + 0.5) * (1 if v >= 0 else -1) for v in corners)
        for i, j in np.ndindex(*out):
            rows = range(y1 + i * (y2 - y1 + 1) // out[0], y1 + -(-(i + 1) * (y2 - y1 + 1) // out[0]))
            columns = range(x1 + j * (x2 - x1 + 1) // out[1], x1 + -(-(j + 1) * (x2 - x1 + 1) // out[1]))
            places = [p * w + q for p in rows for q in columns if 0 <= p < h and 0 <= q < w]
            for c in range(x.shape[1] if places else 0):
                numbers = x[int(image), c].reshape(-1)[places]
                y[r, c, i, j], argmax[r, c, i, j] = numbers.max(), places[numbers.argmax()]
    return y, argmax


@correct("roi_max_pool2d_backward")
def region_gradients_by_bincount(dy, argmax, rois, *, shape):
    """Numbers all pixels of the batch and lets np.bincount add."""
    n, c, h, w = shape
    plane = rois[:, 0].astype(int)[:, None] * c + np.arange(c)
    place = plane[:, :, None, None] * (h * w) + argmax
    kept = argmax >= 0
    return np.bincount(place[kept], dy[kept], n * c * h * w).reshape(shape).astype(dy.dtype)


@correct("fractional_max_pool2d_forward")
def maxima_of_regions_by_loops(x, *, rows, columns):
    """Looks for the first maximum of each row's part, then for the first of those."""
    y = np.empty((*x.shape[:2], len(rows), len(columns)), dtype=x.dtype)
    row, column = np.empty(y.shape, dtype=int), np.empty((*x.shape[:3], len(columns)), dtype=int)
    for n, c, r, j in np.ndindex(*column.shape):
        column[n, c, r, j] = max(range(*columns[j]), key=lambda s, n=n, c=c, r=r: (x[n, c, r, s], -s))
    for n, c, i, j in np.ndindex(*y.shape):
        values = {r: x[n, c, r, column[n, c, r, j]] for r in range(*rows[i])}
        row[n, c, i, j] = max(values, key=values.get)
        y[n, c, i, j] = values[row[n, c, i, j]]
    return y, row, column


@correct("fractional_max_pool2d_backward")
def winners_of_regions_added_by_add_at(dy, row, column, *, shape, rows, columns):
    """Looks the column up in the winner's row, and adds there."""
    n, c, _, j = np.indices(dy.shape)
    dx = np.zeros(shape, dtype=dy.dtype)
    np.add.at(dx, (n, c, row, column[n, c, row, j]), dy)
    return dx


@correct("warp")
def planes_through_scipys_map_coordinates(x, coordinates, *, fill=None):
    """Asks SciPy, which goes on outside with one constant: so the fill is taken off first and put back."""
    y = np.empty((*x.shape[:2], *coordinates.shape[2:]), dtype=x.dtype)
    for n, c in np.ndindex(*y.shape[:2]):
        level, mode = (0.0, "nearest") if fill is None else (float(fill[c]), "grid-constant")
        y[n, c] = map_coordinates(x[n, c].astype(float) - level, coordinates[n], order=1, mode=mode) + level
    return y
