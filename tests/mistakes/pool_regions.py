"""Pooling over regions as students write it: adaptive_avg_pool2d_*, fractional_max_pool2d_*."""

import numpy as np

from mistakes.honest import pair
from mistakes.registry import mistake


def _adaptive(length, count):
    """First pixel, and the one after the last, of each region."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def _each_region(size, out):
    """Walk over (i, j), the region's rows and its columns."""
    for i, (top, bottom) in enumerate(_adaptive(size[0], out[0])):
        for j, (left, right) in enumerate(_adaptive(size[1], out[1])):
            yield i, j, slice(top, bottom), slice(left, right)


@mistake("adaptive_avg_pool2d_forward", "forward-differs", where="y")
def windows_of_one_size(x, *, output_size):
    """Works out one stride and one kernel for all windows, as is read on the web; regions differ in size."""
    (h, w), (oh, ow) = x.shape[2:], pair(output_size)
    sh, sw = h // oh, w // ow
    kh, kw = h - (oh - 1) * sh, w - (ow - 1) * sw
    y = np.empty((*x.shape[:2], oh, ow), dtype=x.dtype)
    for i, j in np.ndindex(oh, ow):
        y[:, :, i, j] = x[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw].mean(axis=(2, 3))
    return y


@mistake("adaptive_avg_pool2d_forward", "non-finite", where="y", also=("forward-differs",))
def regions_end_where_the_next_begins(x, *, output_size):
    """Rounds the regions' ends down, so that some of them are empty."""
    (h, w), (oh, ow) = x.shape[2:], pair(output_size)
    y = np.empty((*x.shape[:2], oh, ow), dtype=x.dtype)
    for i, j in np.ndindex(oh, ow):
        region = x[:, :, i * h // oh : (i + 1) * h // oh, j * w // ow : (j + 1) * w // ow]
        y[:, :, i, j] = region.mean(axis=(2, 3))
    return y


@mistake("adaptive_avg_pool2d_forward", "scale", where="y")
def adds_the_region_up(x, *, output_size):
    """Forgets to divide."""
    y = np.empty((*x.shape[:2], *pair(output_size)), dtype=x.dtype)
    for i, j, rows, columns in _each_region(x.shape[2:], y.shape[2:]):
        y[:, :, i, j] = x[:, :, rows, columns].sum(axis=(2, 3))
    return y


@mistake("adaptive_avg_pool2d_forward", "forward-differs", where="y", also=("scale",))
def divides_by_the_mean_area(x, *, output_size):
    """Divides by H*W / (oh*ow), though some regions are larger than that."""
    y = np.empty((*x.shape[:2], *pair(output_size)), dtype=x.dtype)
    area = x.shape[2] * x.shape[3] / (y.shape[2] * y.shape[3])
    for i, j, rows, columns in _each_region(x.shape[2:], y.shape[2:]):
        y[:, :, i, j] = x[:, :, rows, columns].sum(axis=(2, 3)) / area
    return y


@mistake("adaptive_avg_pool2d_forward", "raises", where="y")
def reshapes_into_regions(x, *, output_size):
    """Cuts with a reshape, which works for whole factors alone."""
    (n, c, h, w), (oh, ow) = x.shape, pair(output_size)
    return x.reshape(n, c, oh, h // oh, ow, w // ow).mean(axis=(3, 5))


@mistake("adaptive_avg_pool2d_forward", "transposed", where="y", also=("shape",))
def regions_across_first(x, *, output_size):
    """Reads output_size as (width, height)."""
    (h, w), (ow, oh) = x.shape[2:], pair(output_size)
    y = np.empty((*x.shape[:2], oh, ow), dtype=x.dtype)
    for i, j, rows, columns in _each_region((h, w), (oh, ow)):
        y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


@mistake("adaptive_avg_pool2d_forward", "ignores-argument", where="y", also=("shape",))
def the_whole_image_is_one_region(x, *, output_size):
    """Takes the mean over the image, since the network that it is for asks for 1 x 1."""
    return x.mean(axis=(2, 3), keepdims=True)


@mistake("adaptive_avg_pool2d_backward", "not-accumulated", where="dx")
def regions_overwrite_each_other(dy, *, shape):
    """Writes = where regions share a row or a column."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, j, rows, columns in _each_region(shape[2:], dy.shape[2:]):
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        dx[:, :, rows, columns] = dy[:, :, i, j, None, None] / area
    return dx


@mistake("adaptive_avg_pool2d_backward", "scale", where="dx")
def each_pixel_gets_the_whole_gradient(dy, *, shape):
    """Forgets to divide by the region's area."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, j, rows, columns in _each_region(shape[2:], dy.shape[2:]):
        dx[:, :, rows, columns] += dy[:, :, i, j, None, None]
    return dx


@mistake("adaptive_avg_pool2d_backward", "shifted", where="dx")
def the_last_row_of_a_region_gets_nothing(dy, *, shape):
    """Rounds the regions' ends down on the way back."""
    (h, w), (oh, ow) = shape[2:], dy.shape[2:]
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, j in np.ndindex(oh, ow):
        region = dx[:, :, i * h // oh : (i + 1) * h // oh, j * w // ow : (j + 1) * w // ow]
        if region.size:
            region += dy[:, :, i, j, None, None] / (region.shape[2] * region.shape[3])
    return dx


@mistake("adaptive_avg_pool2d_backward", "scale", where="dx")
def one_share_for_all_regions(dy, *, shape):
    """Takes the share 1 / (H*W / (oh*ow)) for regions of all sizes."""
    share = dy * (dy.shape[2] * dy.shape[3] / (shape[2] * shape[3]))
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, j, rows, columns in _each_region(shape[2:], dy.shape[2:]):
        dx[:, :, rows, columns] += share[:, :, i, j, None, None]
    return dx


@mistake("adaptive_avg_pool2d_backward", "not-accumulated", where="dx")
def one_region_for_each_pixel(dy, *, shape):
    """Repeats the shares to the size of the image, so that a pixel in two regions gets from one."""
    (h, w), (oh, ow) = shape[2:], dy.shape[2:]
    share = dy * (oh * ow / (h * w))
    return share[:, :, np.arange(h)[:, None] * oh // h, np.arange(w) * ow // w]


@mistake("adaptive_avg_pool2d_backward", "mutates-input", where="dy")
def divides_dy_itself(dy, *, shape):
    """Divides dy in place."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, j, rows, columns in _each_region(shape[2:], dy.shape[2:]):
        share = dy[:, :, i, j]
        share /= (rows.stop - rows.start) * (columns.stop - columns.start)
        dx[:, :, rows, columns] += share[:, :, None, None]
    return dx


def _maxima(x, rows, columns):
    """y, row, column."""
    column = np.stack([a + x[:, :, :, a:b].argmax(axis=3) for a, b in columns], axis=3)
    across = np.take_along_axis(x, column, axis=3)
    row = np.stack([a + across[:, :, a:b].argmax(axis=2) for a, b in rows], axis=2)
    return np.take_along_axis(across, row, axis=2), row, column


@mistake("fractional_max_pool2d_forward", "shifted", where="row", also=("forward-differs",))
def rows_counted_from_the_regions_first(x, *, rows, columns):
    """Forgets to add where the region begins."""
    y, row, column = _maxima(x, rows, columns)
    return y, row - np.array([top for top, _ in rows])[:, None], column


@mistake("fractional_max_pool2d_forward", "shifted", where="y", also=("forward-differs",))
def regions_with_their_last_pixel(x, *, rows, columns):
    """Takes (first, one after the last) for (first, last)."""
    wider = ([(a, b + 1) for a, b in regions] for regions in (rows, columns))
    return _maxima(x, *wider)


@mistake("fractional_max_pool2d_forward", "shape", where="column")
def columns_of_the_maxima_alone(x, *, rows, columns):
    """Returns one column for each output; the operation has one for each row and region."""
    y, row, column = _maxima(x, rows, columns)
    return y, row, np.take_along_axis(column, row, axis=2)


@mistake("fractional_max_pool2d_forward", "raises", where="y", also=("transposed",))
def columns_for_rows(x, *, rows, columns):
    """Exchanges the two lists of regions."""
    return _maxima(x, columns, rows)


@mistake("fractional_max_pool2d_backward", "not-accumulated", where="dx")
def winners_of_regions_overwrite(dy, row, column, *, shape, rows, columns):
    """Writes = although a pixel may be the maximum of several regions."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for n, c, i, j in np.ndindex(*dy.shape):
        r = row[n, c, i, j]
        dx[n, c, r, column[n, c, r, j]] = dy[n, c, i, j]
    return dx


@mistake("fractional_max_pool2d_backward", "mask", where="dx")
def all_of_the_region_wins(dy, row, column, *, shape, rows, columns):
    """Gives the gradient to every pixel of the region."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, (top, bottom) in enumerate(rows):
        for j, (left, right) in enumerate(columns):
            dx[:, :, top:bottom, left:right] += dy[:, :, i, j, None, None]
    return dx


@mistake("fractional_max_pool2d_backward", "wrong-cache", where="dx")
def the_column_of_another_row(dy, row, column, *, shape, rows, columns):
    """Looks the column up in row i, the output's, and not in the row where the maximum stands."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for n, c, i, j in np.ndindex(*dy.shape):
        dx[n, c, row[n, c, i, j], column[n, c, i, j]] += dy[n, c, i, j]
    return dx


@mistake("fractional_max_pool2d_backward", "partial-batch", where="dx", also=("not-summed",))
def the_last_images_regions_are_forgotten(dy, row, column, *, shape, rows, columns):
    """Loops to N - 1."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for n, c, i, j in np.ndindex(len(dy) - 1, *dy.shape[1:]):
        r = row[n, c, i, j]
        dx[n, c, r, column[n, c, r, j]] += dy[n, c, i, j]
    return dx
