"""max_unpool2d_forward and max_unpool2d_backward as students write them."""

import numpy as np

from mistakes.honest import add_windows, bordered, pair, window_view
from mistakes.registry import mistake


def _steps(kernel, stride):
    return pair(kernel if stride is None else stride)


def _places(argmax, kernel, stride):
    """Row and column of each window's maximum, in the padded image."""
    (sh, sw), (oh, ow) = _steps(kernel, stride), argmax.shape[2:]
    p, q = np.divmod(argmax.astype(int), pair(kernel)[1])
    return np.arange(oh)[:, None] * sh + p, np.arange(ow) * sw + q


def _canvas(x, shape, padding):
    """Zeros in the size of the padded image."""
    ph, pw = pair(padding)
    return np.zeros((*shape[:2], shape[2] + 2 * ph, shape[3] + 2 * pw), dtype=x.dtype)


@mistake("max_unpool2d_forward", "not-accumulated", where="y")
def a_shared_maximum_keeps_the_last_number(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Writes y = where two windows have one maximum."""
    (ph, pw), y = pair(padding), _canvas(x, shape, padding)
    rows, columns = _places(argmax, kernel, stride)
    for index in np.ndindex(*x.shape):
        y[index[0], index[1], rows[index], columns[index]] = x[index]
    return y[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@mistake("max_unpool2d_forward", "forward-differs", where="y", also=("transposed", "shifted"))
def reads_argmax_as_a_place_in_the_image(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Takes argmax for row * W + column, as PyTorch's is; here it counts inside of the window."""
    y = np.zeros((*shape[:2], shape[2] * shape[3]), dtype=x.dtype)
    n, c = np.indices(x.shape)[:2]
    np.add.at(y, (n, c, argmax.astype(int)), x)
    return y.reshape(shape)


@mistake("max_unpool2d_forward", "transposed", where="y")
def unpools_down_the_columns(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Reads argmax as q * kh + p."""
    kh, kw = pair(kernel)
    windows = np.zeros((*x.shape, kw, kh), dtype=x.dtype)
    np.put_along_axis(windows.reshape(*x.shape, -1), argmax[..., None].astype(int), x[..., None], axis=-1)
    return add_windows(windows.swapaxes(4, 5), shape, _steps(kernel, stride), padding)


@mistake("max_unpool2d_forward", "mask", where="y")
def fills_the_whole_window(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Writes the number to every pixel of its window, which is upsampling."""
    windows = np.broadcast_to(x[..., None, None], (*x.shape, *pair(kernel)))
    return add_windows(windows, shape, _steps(kernel, stride), padding)


@mistake("max_unpool2d_forward", "shape", where="y")
def as_large_as_the_windows(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Works the size out from the windows, so that pixels left over at the end are missing."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), _steps(kernel, stride), pair(padding)
    height, width = (x.shape[2] - 1) * sh + kh, (x.shape[3] - 1) * sw + kw
    y = np.zeros((*x.shape[:2], height, width), dtype=x.dtype)
    n, c = np.indices(x.shape)[:2]
    np.add.at(y, (n, c, *_places(argmax, kernel, stride)), x)
    return y[:, :, ph : height - ph, pw : width - pw]


@mistake("max_unpool2d_forward", "shifted", where="y", also=("ignores-argument",))
def unpools_with_the_border_cut_off_behind(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Forgets that places count from the border's corner."""
    y = _canvas(x, shape, padding)
    n, c = np.indices(x.shape)[:2]
    np.add.at(y, (n, c, *_places(argmax, kernel, stride)), x)
    return y[:, :, : shape[2], : shape[3]]


@mistake("max_unpool2d_forward", "dtype", where="y")
def numbers_among_positions(x, argmax, *, shape, kernel, stride=None, padding=0):
    """Makes room with dtype=argmax.dtype, so that the numbers lose what stands behind the point."""
    windows = np.zeros((*x.shape, int(np.prod(pair(kernel)))), dtype=np.int64)
    np.put_along_axis(windows, argmax[..., None].astype(int), x[..., None].astype(np.int64), axis=-1)
    return add_windows(windows.reshape(*x.shape, *pair(kernel)), shape, _steps(kernel, stride), padding)


def _rows_of(dy, kernel, stride, padding):
    """Every window in one row."""
    views = window_view(dy, kernel, _steps(kernel, stride), padding)
    return views.reshape(*views.shape[:4], -1)


@mistake("max_unpool2d_backward", "wrong-cache", where="dx", also=("mask",))
def pools_dy_for_its_own_maximum(dy, argmax, *, kernel, stride=None, padding=0):
    """Takes the largest number of dy in each window instead of that at the recorded place."""
    image = bordered(dy, padding, -np.inf)
    return _rows_of(image, kernel, stride, 0).max(axis=-1)


@mistake("max_unpool2d_backward", "mask", where="dx")
def sums_dy_over_the_window(dy, argmax, *, kernel, stride=None, padding=0):
    """Adds all of a window's gradients up; only one pixel of it was written."""
    return _rows_of(dy, kernel, stride, padding).sum(axis=-1)


@mistake("max_unpool2d_backward", "transposed", where="dx")
def reads_dy_down_the_columns(dy, argmax, *, kernel, stride=None, padding=0):
    """Lays windows out column by column."""
    views = window_view(dy, kernel, _steps(kernel, stride), padding).swapaxes(4, 5)
    rows = views.reshape(*views.shape[:4], -1)
    return np.take_along_axis(rows, argmax[..., None].astype(int), axis=-1)[..., 0]


@mistake("max_unpool2d_backward", "ignores-argument", where="dx")
def reads_dy_side_by_side(dy, argmax, *, kernel, stride=None, padding=0):
    """Steps by the kernel's size whatever the stride is."""
    (oh, ow), image = argmax.shape[2:], bordered(dy, padding)
    p, q = np.divmod(argmax.astype(int), pair(kernel)[1])
    rows = np.minimum(np.arange(oh)[:, None] * pair(kernel)[0] + p, image.shape[2] - 1)
    columns = np.minimum(np.arange(ow) * pair(kernel)[1] + q, image.shape[3] - 1)
    n, c = np.indices(argmax.shape)[:2]
    return image[n, c, rows, columns]


@mistake("max_unpool2d_backward", "shifted", where="dx", also=("ignores-argument",))
def reads_dy_without_a_border(dy, argmax, *, kernel, stride=None, padding=0):
    """Counts places from the image's first pixel, where they count from the border's."""
    rows, columns = _places(argmax, kernel, stride)
    n, c = np.indices(argmax.shape)[:2]
    return dy[n, c, np.minimum(rows, dy.shape[2] - 1), np.minimum(columns, dy.shape[3] - 1)]


@mistake("max_unpool2d_backward", "dtype", where="dx")
def gradients_as_small_integers(dy, argmax, *, kernel, stride=None, padding=0):
    """Fills np.zeros_like(argmax), which holds whole numbers from 0 to 255."""
    dx = np.zeros_like(argmax)
    rows = _rows_of(dy, kernel, stride, padding)
    for index, k in np.ndenumerate(argmax):
        dx[index] = int(rows[index][int(k)]) % 256
    return dx
