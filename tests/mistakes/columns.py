"""im2col and col2im as students write them."""

import numpy as np

from mistakes.honest import bordered, counts, pair, window_view
from mistakes.registry import mistake

_columns_by_shape = {}


@mistake("im2col", "transposed", where="cols")
def channels_go_last_in_a_column(x, *, kernel, stride=1, padding=0):
    """Writes each window pixel by pixel with all channels together; the kernels come channel by channel."""
    views = window_view(x, kernel, stride, padding)
    n, c, oh, ow, kh, kw = views.shape
    return views.transpose(0, 4, 5, 1, 2, 3).reshape(n, kh * kw * c, oh * ow)


@mistake("im2col", "transposed", where="cols")
def windows_go_down_the_rows(x, *, kernel, stride=1, padding=0):
    """Makes each window a row instead of a column, then forces the shape with a reshape."""
    views = window_view(x, kernel, stride, padding)
    n, c, oh, ow, kh, kw = views.shape
    rows = views.transpose(0, 2, 3, 1, 4, 5).reshape(n, oh * ow, c * kh * kw)
    return rows.reshape(n, c * kh * kw, oh * ow)


@mistake("im2col", "shifted", where="cols")
def pads_only_below_and_on_the_right(x, *, kernel, stride=1, padding=0):
    """Puts the whole border on one side, so that every window lies too far up and to the left."""
    ph, pw = pair(padding)
    image = np.pad(x, ((0, 0), (0, 0), (0, 2 * ph), (0, 2 * pw)))
    views = window_view(image, kernel, stride)
    n, c, oh, ow, kh, kw = views.shape
    return views.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)


@mistake("im2col", "flipped", where="cols")
def reads_windows_from_the_last_pixel(x, *, kernel, stride=1, padding=0):
    """Turns every window by half a turn, because a convolution flips its kernel in the mathematics course."""
    (kh, kw), (sh, sw) = pair(kernel), pair(stride)
    n, c, h, w = x.shape
    oh, ow = counts((h, w), kernel, stride, padding)
    image = bordered(x, padding)
    cols = np.zeros((n, c, kh, kw, oh, ow), dtype=x.dtype)
    for p in range(kh):
        for q in range(kw):
            tap = image[:, :, p : p + sh * oh : sh, q : q + sw * ow : sw]
            cols[:, :, kh - 1 - p, kw - 1 - q] = tap
    return cols.reshape(n, c * kh * kw, oh * ow)


@mistake("im2col", "ignores-argument", where="cols")
def dilation_counts_windows_alone(x, *, kernel, stride=1, padding=0, dilation=1):
    """Counts the windows of a dilated kernel, then reads neighbouring pixels all the same."""
    (kh, kw), (sh, sw) = pair(kernel), pair(stride)
    n, c, h, w = x.shape
    oh, ow = counts((h, w), kernel, stride, padding, dilation)
    image = bordered(x, padding)
    cols = []
    for channel in range(c):
        for p in range(kh):
            for q in range(kw):
                cols.append(image[:, channel, p : p + sh * oh : sh, q : q + sw * ow : sw].reshape(n, oh * ow))
    return np.stack(cols, axis=1)


@mistake("im2col", "wrong-cache", where="cols")
def remembers_columns_by_shape(x, *, kernel, stride=1, padding=0):
    """Keeps the columns of an image and gives them to every later image of the same shape."""
    key = (x.shape, x.dtype, pair(kernel), pair(stride), pair(padding))
    if key not in _columns_by_shape:
        views = window_view(x, kernel, stride, padding)
        n, c, oh, ow, kh, kw = views.shape
        _columns_by_shape[key] = views.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kh * kw, oh * ow)
    return _columns_by_shape[key].copy()


@mistake("im2col", "dtype", where="cols")
def columns_in_double_precision(x, *, kernel, stride=1, padding=0):
    """Fills an array from np.zeros, which is float64 whatever the image is."""
    (kh, kw), (sh, sw) = pair(kernel), pair(stride)
    n, c, h, w = x.shape
    oh, ow = counts((h, w), kernel, stride, padding)
    image = bordered(x, padding)
    cols = np.zeros((n, c * kh * kw, oh * ow))
    for i in range(oh):
        for j in range(ow):
            window = image[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]
            cols[:, :, i * ow + j] = window.reshape(n, -1)
    return cols


@mistake("im2col", "partial-batch", where="cols")
def returns_after_the_first_image(x, *, kernel, stride=1, padding=0):
    """Has the return inside the loop over the images, one indentation too deep."""
    (kh, kw), (sh, sw) = pair(kernel), pair(stride)
    oh, ow = counts(x.shape[2:], kernel, stride, padding)
    image = bordered(x, padding)
    cols = np.zeros((len(x), x.shape[1] * kh * kw, oh * ow), dtype=x.dtype)
    for n in range(len(x)):
        for column in range(oh * ow):
            i, j = divmod(column, ow)
            cols[n, :, column] = image[n, :, i * sh : i * sh + kh, j * sw : j * sw + kw].ravel()
        return cols
    return cols


@mistake("im2col", "raises", where="cols")
def columns_for_square_geometry(x, *, kernel, stride=1, padding=0):
    """Calculates with kernel, stride and padding as numbers; a layer hands over pairs."""
    n, c, h, w = x.shape
    oh = (h + 2 * padding - kernel) // stride + 1
    ow = (w + 2 * padding - kernel) // stride + 1
    views = window_view(x, kernel, stride, padding)
    return views.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kernel**2, oh * ow)


@mistake("im2col", "shape", where="cols")
def columns_of_all_images_in_one_matrix(x, *, kernel, stride=1, padding=0):
    """Returns one wide matrix (C*kh*kw, N*oh*ow), as the course notes do, not one matrix an image."""
    views = window_view(x, kernel, stride, padding)
    n, c, oh, ow, kh, kw = views.shape
    return views.transpose(1, 4, 5, 0, 2, 3).reshape(c * kh * kw, n * oh * ow)


def _scatter(cols, shape, kernel, stride, padding):
    """Add columns into an image that still has its border."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    n, c, h, w = shape
    oh, ow = counts((h, w), kernel, stride, padding)
    image = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=cols.dtype)
    for column in range(oh * ow):
        i, j = divmod(column, ow)
        image[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] += cols[:, :, column].reshape(n, c, kh, kw)
    return image


@mistake("col2im", "not-accumulated", where="x")
def puts_columns_down(cols, *, shape, kernel, stride=1, padding=0):
    """Forgets that windows overlap: the last window that covers a pixel wins."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    n, c, h, w = shape
    oh, ow = counts((h, w), kernel, stride, padding)
    image = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=cols.dtype)
    for i in range(oh):
        for j in range(ow):
            window = cols[:, :, i * ow + j].reshape(n, c, kh, kw)
            image[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw] = window
    return image[:, :, ph : ph + h, pw : pw + w]


@mistake("col2im", "not-accumulated", where="x")
def adds_by_index_once(cols, *, shape, kernel, stride=1, padding=0):
    """Uses image[rows, columns] += ..., which adds once where an index comes many times; np.add.at would be right."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    n, c, h, w = shape
    oh, ow = counts((h, w), kernel, stride, padding)
    row = (np.arange(kh)[:, None, None, None] + sh * np.arange(oh)[:, None]) + np.zeros((kw, 1, ow), dtype=int)
    column = (np.arange(kw)[:, None, None] + sw * np.arange(ow)) + np.zeros((kh, 1, oh, 1), dtype=int)
    image = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=cols.dtype)
    image[:, :, row, column] += cols.reshape(n, c, kh, kw, oh, ow)
    return image[:, :, ph : ph + h, pw : pw + w]


@mistake("col2im", "shifted", where="x", also=("ignores-argument",))
def cuts_the_border_off_at_the_far_end(cols, *, shape, kernel, stride=1, padding=0):
    """Takes the first H rows and W columns of the padded image, where the border still is."""
    return _scatter(cols, shape, kernel, stride, padding)[:, :, : shape[2], : shape[3]]


@mistake("col2im", "shape", where="x")
def leaves_the_border_on(cols, *, shape, kernel, stride=1, padding=0):
    """Returns the padded image and forgets to cut the padding off."""
    return _scatter(cols, shape, kernel, stride, padding)


@mistake("col2im", "ignores-argument", where="x")
def scatters_with_stride_one(cols, *, shape, kernel, stride=1, padding=0):
    """Adds the window (i, j) at pixel (i, j), as if the stride were 1."""
    (kh, kw), (ph, pw) = pair(kernel), pair(padding)
    n, c, h, w = shape
    oh, ow = counts((h, w), kernel, stride, padding)
    patches = cols.reshape(n, c, kh, kw, oh, ow)
    image = np.zeros((n, c, h + 2 * ph, w + 2 * pw), dtype=cols.dtype)
    for p in range(kh):
        for q in range(kw):
            image[:, :, p : p + oh, q : q + ow] += patches[:, :, p, q]
    return image[:, :, ph : ph + h, pw : pw + w]


@mistake("col2im", "not-summed", where="x")
def averages_overlaps(cols, *, shape, kernel, stride=1, padding=0):
    """Divides each pixel by the number of windows that cover it: an inverse of im2col, where its adjoint was asked."""
    total = _scatter(cols, shape, kernel, stride, padding)
    times = _scatter(np.ones_like(cols), shape, kernel, stride, padding)
    ph, pw = pair(padding)
    image = total / np.maximum(times, 1)
    return image[:, :, ph : ph + shape[2], pw : pw + shape[3]]


@mistake("col2im", "raises", where="x")
def steps_over_the_border(cols, *, shape, kernel, stride=1, padding=0):
    """Adds to the image itself and forgets to ask whether a pixel of the window lies on it."""
    (kh, kw), (sh, sw), (ph, pw) = pair(kernel), pair(stride), pair(padding)
    oh, ow = counts(shape[2:], kernel, stride, padding)
    image = np.zeros(shape, dtype=cols.dtype)
    patches = cols.reshape(*shape[:2], kh, kw, oh, ow)
    for i in range(oh):
        for j in range(ow):
            for p in range(kh):
                for q in range(kw):
                    image[:, :, i * sh + p - ph, j * sw + q - pw] += patches[:, :, p, q, i, j]
    return image


@mistake("col2im", "transposed", where="x")
def takes_channels_for_the_inner_axis(cols, *, shape, kernel, stride=1, padding=0):
    """Reshapes a column to (kh*kw, C), though it comes channel by channel."""
    kh, kw = pair(kernel)
    n, c = shape[:2]
    mixed = cols.reshape(n, kh * kw, c, -1).transpose(0, 2, 1, 3).reshape(cols.shape)
    ph, pw = pair(padding)
    return _scatter(mixed, shape, kernel, stride, padding)[:, :, ph : ph + shape[2], pw : pw + shape[3]]
