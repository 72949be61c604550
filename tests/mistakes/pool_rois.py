"""roi_max_pool2d_forward and roi_max_pool2d_backward as students write them."""

import numpy as np

from mistakes.honest import pair
from mistakes.registry import mistake


def _half_up(a):
    """Round to the nearest whole number, halves away from zero."""
    return (np.sign(a) * np.floor(np.abs(a) + 0.5)).astype(int)


def _edges(first, last, count, size):
    """(first, one after the last) pixel of each bin, cut off at the map's border."""
    length = last - first + 1
    for i in range(count):
        yield np.clip([first + i * length // count, first - (-(i + 1) * length // count)], 0, size)


def _pool(x, regions, out, edges=_edges):
    """y and argmax for regions in whole pixels, rows of (image, x1, y1, x2, y2)."""
    y = np.zeros((len(regions), x.shape[1], *out), dtype=x.dtype)
    argmax = np.full(y.shape, -1)
    for r, (image, x1, y1, x2, y2) in enumerate(regions):
        for i, (top, bottom) in enumerate(edges(y1, y2, out[0], x.shape[2])):
            for j, (left, right) in enumerate(edges(x1, x2, out[1], x.shape[3])):
                window = x[image, :, top:bottom, left:right]
                if window.size:
                    k = window.reshape(len(window), -1).argmax(axis=1)
                    y[r, :, i, j] = window.reshape(len(window), -1).max(axis=1)
                    argmax[r, :, i, j] = (top + k // (right - left)) * x.shape[3] + left + k % (right - left)
    return y, argmax


def _on_the_map(rois, scale):
    return np.column_stack([rois[:, 0].astype(int), _half_up(rois[:, 1:] * scale)])


@mistake("roi_max_pool2d_forward", "transposed", where="y")
def y_before_x(x, rois, *, output_size, spatial_scale=1.0):
    """Reads a region as (image, y1, x1, y2, x2), row before column."""
    return _pool(x, _on_the_map(rois, spatial_scale)[:, [0, 2, 1, 4, 3]], pair(output_size))


@mistake("roi_max_pool2d_forward", "shifted", where="y", also=("forward-differs",))
def the_last_pixel_is_left_out(x, rois, *, output_size, spatial_scale=1.0):
    """Takes x2 and y2 for the first pixel that does not belong; they are the last one that does."""
    regions = _on_the_map(rois, spatial_scale)
    regions[:, 3:] = np.maximum(regions[:, 3:] - 1, regions[:, 1:3])
    return _pool(x, regions, pair(output_size))


@mistake("roi_max_pool2d_forward", "forward-differs", where="y")
def cuts_coordinates_off(x, rois, *, output_size, spatial_scale=1.0):
    """Takes the whole part with astype(int) and does not round."""
    return _pool(x, (rois * [1, *[spatial_scale] * 4]).astype(int), pair(output_size))


@mistake("roi_max_pool2d_forward", "forward-differs", where="y", also=("ignores-argument",))
def halves_to_even(x, rois, *, output_size, spatial_scale=1.0):
    """Rounds with np.round, for which 0.5 is 0 and 2.5 is 2."""
    return _pool(x, np.round(rois * [1, *[spatial_scale] * 4]).astype(int), pair(output_size))


@mistake("roi_max_pool2d_forward", "ignores-argument", where="y")
def regions_in_pixels_of_the_map(x, rois, *, output_size, spatial_scale=1.0):
    """Forgets the scale."""
    return _pool(x, _on_the_map(rois, 1.0), pair(output_size))


@mistake("roi_max_pool2d_forward", "wrong-cache", where="y", also=("ignores-argument",))
def regions_of_the_first_image(x, rois, *, output_size, spatial_scale=1.0):
    """Looks for every region on the first image of the batch."""
    regions = _on_the_map(rois, spatial_scale)
    regions[:, 0] = 0
    return _pool(x, regions, pair(output_size))


@mistake("roi_max_pool2d_forward", "non-finite", where="y")
def nothing_is_minus_infinity(x, rois, *, output_size, spatial_scale=1.0):
    """Starts with minus infinity, which stays in bins of which nothing is on the map."""
    y, argmax = _pool(x, _on_the_map(rois, spatial_scale), pair(output_size))
    return np.where(argmax < 0, -np.inf, y).astype(x.dtype), argmax


def _disjoint(first, last, count, size):
    """The same, with ends rounded down and at least a pixel for each bin."""
    length = max(last - first + 1, count)
    for i in range(count):
        yield np.clip([first + i * length // count, first + (i + 1) * length // count], 0, size)


@mistake("roi_max_pool2d_forward", "forward-differs", where="y")
def bins_that_do_not_overlap(x, rois, *, output_size, spatial_scale=1.0):
    """Rounds the bins' ends down; they are rounded up."""
    return _pool(x, _on_the_map(rois, spatial_scale), pair(output_size), edges=_disjoint)


@mistake("roi_max_pool2d_forward", "transposed", where="argmax", also=("forward-differs",))
def winners_counted_down_the_map(x, rois, *, output_size, spatial_scale=1.0):
    """Gives column * H + row."""
    y, argmax = _pool(x, _on_the_map(rois, spatial_scale), pair(output_size))
    row, column = np.divmod(argmax, x.shape[3])
    return y, np.where(argmax < 0, -1, column * x.shape[2] + row)


def _add(dx, dy, argmax, images):
    """Add each gradient where the maximum stood."""
    w = dx.shape[3]
    for (r, c, i, j), k in np.ndenumerate(argmax):
        if k >= 0:
            dx[images[r], c, k // w, k % w] += dy[r, c, i, j]
    return dx


@mistake("roi_max_pool2d_backward", "not-accumulated", where="dx")
def the_last_region_wins(dy, argmax, rois, *, shape):
    """Writes = where regions share a maximum."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for (r, c, i, j), k in np.ndenumerate(argmax):
        if k >= 0:
            dx[int(rois[r, 0]), c, k // shape[3], k % shape[3]] = dy[r, c, i, j]
    return dx


@mistake("roi_max_pool2d_backward", "not-accumulated", where="dx")
def regions_added_by_index_once(dy, argmax, rois, *, shape):
    """Adds by index region by region: bins of one region that share their maximum count once."""
    n, c, h, w = shape
    dx = np.zeros((n, c, h * w), dtype=dy.dtype)
    channel = np.arange(c)[:, None]
    for r in range(len(dy)):
        filled = argmax[r].reshape(c, -1) >= 0
        dx[int(rois[r, 0]), channel, argmax[r].reshape(c, -1)] += dy[r].reshape(c, -1) * filled
    return dx.reshape(shape)


@mistake("roi_max_pool2d_backward", "mask", where="dx")
def empty_bins_send_to_the_last_pixel(dy, argmax, rois, *, shape):
    """Takes -1 for a place: index -1 is the last pixel."""
    n, c, h, w = shape
    dx = np.zeros((n, c, h * w), dtype=dy.dtype)
    for (r, channel, i, j), k in np.ndenumerate(argmax):
        dx[int(rois[r, 0]), channel, k] += dy[r, channel, i, j]
    return dx.reshape(shape)


@mistake("roi_max_pool2d_backward", "wrong-cache", where="dx", also=("ignores-argument", "partial-batch"))
def all_gradients_to_the_first_image(dy, argmax, rois, *, shape):
    """Forgets which image a region is of."""
    return _add(np.zeros(shape, dtype=dy.dtype), dy, argmax, np.zeros(len(dy), dtype=int))


@mistake("roi_max_pool2d_backward", "transposed", where="dx")
def places_divided_by_the_height(dy, argmax, rois, *, shape):
    """Reads argmax as column * H + row."""
    h, images = shape[2], rois[:, 0].astype(int)
    dx = np.zeros(shape, dtype=dy.dtype)
    for (r, c, i, j), k in np.ndenumerate(argmax):
        if k >= 0:
            dx[images[r], c, k % h, k // h] += dy[r, c, i, j]
    return dx


@mistake("roi_max_pool2d_backward", "partial-batch", where="dx", also=("not-summed",))
def as_many_regions_as_images(dy, argmax, rois, *, shape):
    """Loops over the images and takes region n for image n's only one."""
    count = min(len(rois), shape[0])
    return _add(np.zeros(shape, dtype=dy.dtype), dy[:count], argmax[:count], rois[:count, 0].astype(int))


@mistake("roi_max_pool2d_backward", "scale", where="dx")
def divides_by_the_number_of_regions(dy, argmax, rois, *, shape):
    """Takes the mean over the regions; the loss has its mean already."""
    return _add(np.zeros(shape, dtype=dy.dtype), dy / len(dy), argmax, rois[:, 0].astype(int))
