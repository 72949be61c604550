"""warp as students write it."""

import numpy as np

from mistakes.registry import mistake


def _seen(x, r, s, fill=None):
    """x[n, :, r, s], outside the nearest pixel or the fill: r, s (N, H', W') to (N, C, H', W')."""
    h, w = x.shape[2:]
    n = np.arange(len(x))[:, None, None]
    pixels = np.moveaxis(x[n, :, np.clip(r, 0, h - 1), np.clip(s, 0, w - 1)], -1, 1)
    if fill is None:
        return pixels
    inside = (r >= 0) & (r < h) & (s >= 0) & (s < w)
    return np.where(inside[:, None], pixels, fill.astype(x.dtype)[:, None, None])


def _split(x, row, column, fill):
    """Whole parts of the coordinates, and what is left; with a fill, there is one pixel more at each side."""
    edge = 0 if fill is None else 1
    row, column = (np.clip(a, -edge, n - 1 + edge) for a, n in zip((row, column), x.shape[2:], strict=True))
    r, s = np.floor(row), np.floor(column)
    return r.astype(int), s.astype(int), (row - r).astype(x.dtype)[:, None], (column - s).astype(x.dtype)[:, None]


def _bilinear(x, row, column, fill=None):
    r, s, t, u = _split(x, row, column, fill)
    above = (1 - u) * _seen(x, r, s, fill) + u * _seen(x, r, s + 1, fill)
    below = (1 - u) * _seen(x, r + 1, s, fill) + u * _seen(x, r + 1, s + 1, fill)
    return (1 - t) * above + t * below


@mistake("warp", "transposed", where="y")
def x_before_y(x, coordinates, *, fill=None):
    """Takes the first coordinate for the column, as in (x, y)."""
    return _bilinear(x, coordinates[:, 1], coordinates[:, 0], fill)


@mistake("warp", "forward-differs", where="y")
def looks_at_the_nearest_pixel(x, coordinates, *, fill=None):
    """Rounds the coordinates and does not interpolate."""
    r, s = np.rint(coordinates[:, 0]).astype(int), np.rint(coordinates[:, 1]).astype(int)
    return _seen(x, r, s, fill)


@mistake("warp", "missing-term", where="y", also=("forward-differs",))
def the_pixel_below_on_the_right_is_missing(x, coordinates, *, fill=None):
    """Adds three of the four neighbours."""
    r, s, t, u = _split(x, coordinates[:, 0], coordinates[:, 1], fill)
    upper = (1 - t) * (1 - u) * _seen(x, r, s, fill) + (1 - t) * u * _seen(x, r, s + 1, fill)
    return upper + t * (1 - u) * _seen(x, r + 1, s, fill)


@mistake("warp", "forward-differs", where="y")
def the_nearer_neighbour_counts_less(x, coordinates, *, fill=None):
    """Exchanges t and 1 - t, u and 1 - u."""
    r, s, t, u = _split(x, coordinates[:, 0], coordinates[:, 1], fill)
    above = u * _seen(x, r, s, fill) + (1 - u) * _seen(x, r, s + 1, fill)
    below = u * _seen(x, r + 1, s, fill) + (1 - u) * _seen(x, r + 1, s + 1, fill)
    return t * above + (1 - t) * below


@mistake("warp", "ignores-argument", where="y")
def nothing_is_filled_in(x, coordinates, *, fill=None):
    """Takes the nearest pixel outside, whether there is a fill or not."""
    return _bilinear(x, coordinates[:, 0], coordinates[:, 1])


@mistake("warp", "forward-differs", where="y", also=("ignores-argument",))
def fills_without_a_seam(x, coordinates, *, fill=None):
    """Fills whatever lies outside at once; within a pixel of the border, image and fill are mixed."""
    h, w = x.shape[2:]
    row, column = coordinates[:, 0], coordinates[:, 1]
    y = _bilinear(x, row, column)
    if fill is None:
        return y
    outside = (row < 0) | (row > h - 1) | (column < 0) | (column > w - 1)
    return np.where(outside[:, None], fill.astype(x.dtype)[:, None, None], y)


@mistake("warp", "raises", where="y")
def looks_below_the_last_row(x, coordinates, *, fill=None):
    """Clips the coordinates and then looks at r + 1, which is not there for the last row."""
    r, s, t, u = _split(x, coordinates[:, 0], coordinates[:, 1], None)
    n = np.arange(len(x))[:, None, None]
    corners = [np.moveaxis(x[n, :, i, j], -1, 1) for i in (r, r + 1) for j in (s, s + 1)]
    above = (1 - u) * corners[0] + u * corners[1]
    return (1 - t) * above + t * ((1 - u) * corners[2] + u * corners[3])


@mistake("warp", "wrong-cache", where="y")
def the_first_images_coordinates_for_all(x, coordinates, *, fill=None):
    """Reads coordinates[0] for every image of the batch."""
    first = np.broadcast_to(coordinates[:1], coordinates.shape)
    return _bilinear(x, first[:, 0], first[:, 1], fill)


@mistake("warp", "mutates-input", where="coordinates")
def clips_the_callers_coordinates(x, coordinates, *, fill=None):
    """Clips with out=coordinates."""
    edge = 0 if fill is None else 1
    np.clip(coordinates[:, 0], -edge, x.shape[2] - 1 + edge, out=coordinates[:, 0])
    np.clip(coordinates[:, 1], -edge, x.shape[3] - 1 + edge, out=coordinates[:, 1])
    return _bilinear(x, coordinates[:, 0], coordinates[:, 1], fill)


@mistake("warp", "scale", where="y")
def coordinates_from_minus_one_to_one(x, coordinates, *, fill=None):
    """Takes the image's middle for 0 and its borders for -1 and 1, as PyTorch's grid_sample does."""
    h, w = x.shape[2:]
    return _bilinear(x, (coordinates[:, 0] + 1) / 2 * (h - 1), (coordinates[:, 1] + 1) / 2 * (w - 1), fill)


@mistake("warp", "shifted", where="y")
def pixels_with_centres_at_a_half(x, coordinates, *, fill=None):
    """Subtracts half a pixel, as for upsampling."""
    return _bilinear(x, coordinates[:, 0] - 0.5, coordinates[:, 1] - 0.5, fill)
