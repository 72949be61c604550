"""upsample_nearest_* and upsample_bilinear_* as students write them."""

import numpy as np

from mistakes.honest import pair
from mistakes.registry import mistake


def _nearest(length, count):
    """Which old pixel each new one shows."""
    return np.arange(count) * length // count


@mistake("upsample_nearest_forward", "transposed", where="y", also=("forward-differs",))
def lays_the_image_out_like_tiles(x, *, size):
    """Takes pixel i % H, which repeats the image and not its pixels."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    return x[:, :, np.arange(oh)[:, None] % h, np.arange(ow) % w]


@mistake("upsample_nearest_forward", "transposed", where="y", also=("shape",))
def width_before_height(x, *, size):
    """Reads size as (width, height), as an image library has it."""
    (h, w), (ow, oh) = x.shape[2:], pair(size)
    return x[:, :, _nearest(h, oh)[:, None], _nearest(w, ow)]


@mistake("upsample_nearest_forward", "forward-differs", where="y")
def rounds_to_the_nearest_corner(x, *, size):
    """Rounds i * H / oh, so that half of the pixels come from the next one."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    rows = np.minimum(np.rint(np.arange(oh) * h / oh), h - 1).astype(int)
    columns = np.minimum(np.rint(np.arange(ow) * w / ow), w - 1).astype(int)
    return x[:, :, rows][:, :, :, columns]


@mistake("upsample_nearest_forward", "shape", where="y", also=("ignores-argument",))
def one_factor_for_both_directions(x, *, size):
    """Finds the factor from the heights and repeats the columns as often."""
    factor = pair(size)[0] // x.shape[2]
    return x.repeat(factor, axis=2).repeat(factor, axis=3)


@mistake("upsample_nearest_forward", "ignores-argument", where="y", also=("shape",))
def always_twice_as_large(x, *, size):
    """Doubles the image, which was the example on the slide."""
    return x.repeat(2, axis=2).repeat(2, axis=3)


@mistake("upsample_nearest_forward", "dtype", where="y")
def repeats_into_double_precision(x, *, size):
    """Fills np.zeros((n, c, oh, ow))."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    y = np.zeros((*x.shape[:2], oh, ow))
    for i in range(oh):
        for j in range(ow):
            y[:, :, i, j] = x[:, :, i * h // oh, j * w // ow]
    return y


@mistake("upsample_nearest_backward", "not-accumulated", where="dx")
def copies_overwrite(dy, *, shape):
    """Writes each new pixel's gradient into the old one with =."""
    (h, w), (oh, ow) = shape[2:], dy.shape[2:]
    dx = np.zeros(shape, dtype=dy.dtype)
    for i in range(oh):
        for j in range(ow):
            dx[:, :, i * h // oh, j * w // ow] = dy[:, :, i, j]
    return dx


@mistake("upsample_nearest_backward", "not-accumulated", where="dx")
def copies_added_by_index_once(dy, *, shape):
    """Uses dx[..., rows, columns] += dy, which adds once for an index that comes several times."""
    dx = np.zeros(shape, dtype=dy.dtype)
    dx[:, :, _nearest(shape[2], dy.shape[2])[:, None], _nearest(shape[3], dy.shape[3])] += dy
    return dx


@mistake("upsample_nearest_backward", "not-summed", where="dx", also=("not-accumulated",))
def takes_one_copy_of_each(dy, *, shape):
    """Makes dy small again by the nearest pixel, as if that undid the enlargement."""
    return dy[:, :, _nearest(dy.shape[2], shape[2])[:, None], _nearest(dy.shape[3], shape[3])]


@mistake("upsample_nearest_backward", "not-summed", where="dx", also=("scale",))
def averages_the_copies(dy, *, shape):
    """Divides by the number of new pixels that show an old one."""
    rows, columns = _nearest(shape[2], dy.shape[2]), _nearest(shape[3], dy.shape[3])
    dx = np.zeros(shape, dtype=dy.dtype)
    np.add.at(dx, (slice(None), slice(None), rows[:, None], columns), dy)
    times = np.bincount(rows, minlength=shape[2])[:, None] * np.bincount(columns, minlength=shape[3])
    return dx / np.maximum(times, 1).astype(dy.dtype)


@mistake("upsample_nearest_backward", "transposed", where="dx", also=("shifted",))
def adds_up_as_if_tiled(dy, *, shape):
    """Sends dy[i] to pixel i % H, where repeated images lie and not repeated pixels."""
    dx = np.zeros(shape, dtype=dy.dtype)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, i % shape[2], j % shape[3]] += dy[:, :, i, j]
    return dx


def _centres(length, count):
    """Where the new pixels' centres lie among the old ones."""
    return np.clip((np.arange(count) + 0.5) * length / count - 0.5, 0, length - 1)


def _corners(length, count):
    """Where they would lie if the first and the last centres were in the same place."""
    return np.arange(count) * (length - 1) / max(count - 1, 1)


def _neighbours(place, length):
    """The pixel before, the one after, and how near the second one is."""
    first = np.floor(place).astype(int)
    return first, np.minimum(first + 1, length - 1), place - first


def _interpolated(x, rows, columns):
    """Bilinear between the four neighbours; rows and columns as from `_neighbours`."""
    (r, r2, t), (s, s2, u) = rows, columns
    t, u = t.astype(x.dtype)[:, None], u.astype(x.dtype)
    above = x[:, :, r][..., s] * (1 - u) + x[:, :, r][..., s2] * u
    below = x[:, :, r2][..., s] * (1 - u) + x[:, :, r2][..., s2] * u
    return above * (1 - t) + below * t


@mistake("upsample_bilinear_forward", "forward-differs", where="y", also=("shifted",))
def aligns_the_corners(x, *, size):
    """Puts the first and last pixels of both images on each other: PyTorch's align_corners=True."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    return _interpolated(x, _neighbours(_corners(h, oh), h), _neighbours(_corners(w, ow), w))


@mistake("upsample_bilinear_forward", "shifted", where="y", also=("forward-differs",))
def forgets_that_pixels_have_centres(x, *, size):
    """Looks at i * H / oh, half a pixel aside."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    rows, columns = np.arange(oh) * h / oh, np.arange(ow) * w / ow
    return _interpolated(x, _neighbours(rows, h), _neighbours(columns, w))


@mistake("upsample_bilinear_forward", "forward-differs", where="y")
def rows_before_the_first_are_the_last(x, *, size):
    """Does not clip: the first new pixel lies before the first old one, and index -1 is the last."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    rows, columns = ((np.arange(o) + 0.5) * n / o - 0.5 for n, o in ((h, oh), (w, ow)))
    return _interpolated(x, _neighbours(rows, h), _neighbours(columns, w))


@mistake("upsample_bilinear_forward", "forward-differs", where="y")
def the_nearer_pixel_counts_less(x, *, size):
    """Exchanges the two weights, t and 1 - t."""
    y = np.empty((*x.shape[:2], *pair(size)), dtype=x.dtype)
    rows, columns = (_neighbours(_centres(n, o), n) for n, o in zip(x.shape[2:], pair(size), strict=True))
    for i, (r, r2, t) in enumerate(zip(*rows, strict=True)):
        for j, (s, s2, u) in enumerate(zip(*columns, strict=True)):
            above = u * x[:, :, r, s] + (1 - u) * x[:, :, r, s2]
            below = u * x[:, :, r2, s] + (1 - u) * x[:, :, r2, s2]
            y[:, :, i, j] = t * above + (1 - t) * below
    return y


@mistake("upsample_bilinear_forward", "missing-term", where="y", also=("forward-differs",))
def the_diagonal_neighbour_is_missing(x, *, size):
    """Adds three of the four neighbours."""
    (r, r2, t), (s, s2, u) = (_neighbours(_centres(n, o), n) for n, o in zip(x.shape[2:], pair(size), strict=True))
    t, u = t.astype(x.dtype)[:, None], u.astype(x.dtype)
    r, r2 = r[:, None], r2[:, None]
    return (1 - t) * (1 - u) * x[:, :, r, s] + (1 - t) * u * x[:, :, r, s2] + t * (1 - u) * x[:, :, r2, s]


@mistake("upsample_bilinear_forward", "dtype", where="y")
def weights_in_double_precision(x, *, size):
    """Multiplies float32 pixels by float64 weights."""
    (r, r2, t), (s, s2, u) = (_neighbours(_centres(n, o), n) for n, o in zip(x.shape[2:], pair(size), strict=True))
    between = x[:, :, r] * (1 - t)[:, None] + x[:, :, r2] * t[:, None]
    return between[..., s] * (1 - u) + between[..., s2] * u


@mistake("upsample_bilinear_forward", "forward-differs", where="y")
def interpolates_downwards_alone(x, *, size):
    """Interpolates between rows and repeats columns."""
    (h, w), (oh, ow) = x.shape[2:], pair(size)
    r, r2, t = _neighbours(_centres(h, oh), h)
    t = t.astype(x.dtype)[:, None]
    return (x[:, :, r] * (1 - t) + x[:, :, r2] * t)[..., _nearest(w, ow)]


def _shared_out(dy, rows, columns, shape):
    """Give each of the four neighbours its part of dy; rows and columns as from `_neighbours`."""
    (r, r2, t), (s, s2, u) = rows, columns
    t, u = t.astype(dy.dtype)[:, None], u.astype(dy.dtype)
    dx = np.zeros(shape, dtype=dy.dtype)
    for i, a in ((r, 1 - t), (r2, t)):
        for j, b in ((s, 1 - u), (s2, u)):
            np.add.at(dx, (slice(None), slice(None), i[:, None], j), a * b * dy)
    return dx


@mistake("upsample_bilinear_backward", "not-accumulated", where="dx")
def four_neighbours_added_by_index_once(dy, *, shape):
    """Adds to dx[..., rows, columns] for each of the four neighbours; a pixel that is listed twice gets one of both."""
    (r, r2, t), (s, s2, u) = (_neighbours(_centres(n, o), n) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    t, u, r, r2 = t.astype(dy.dtype)[:, None], u.astype(dy.dtype), r[:, None], r2[:, None]
    dx = np.zeros(shape, dtype=dy.dtype)
    dx[:, :, r, s] += (1 - t) * (1 - u) * dy
    dx[:, :, r, s2] += (1 - t) * u * dy
    dx[:, :, r2, s] += t * (1 - u) * dy
    dx[:, :, r2, s2] += t * u * dy
    return dx


@mistake("upsample_bilinear_backward", "missing-term", where="dx")
def the_diagonal_neighbour_gets_nothing(dy, *, shape):
    """Gives three of the four neighbours their part."""
    (r, r2, t), (s, s2, u) = (_neighbours(_centres(n, o), n) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    dx = np.zeros(shape, dtype=dy.dtype)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, r[i], s[j]] += (1 - t[i]) * (1 - u[j]) * dy[:, :, i, j]
            dx[:, :, r[i], s2[j]] += (1 - t[i]) * u[j] * dy[:, :, i, j]
            dx[:, :, r2[i], s[j]] += t[i] * (1 - u[j]) * dy[:, :, i, j]
    return dx


@mistake("upsample_bilinear_backward", "not-summed", where="dx", also=("missing-term",))
def makes_dy_small_again(dy, *, shape):
    """Interpolates dy at the old size; a gradient adds up and does not interpolate."""
    rows, columns = (_neighbours(_centres(o, n), o) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    return _interpolated(dy, rows, columns)


@mistake("upsample_bilinear_backward", "shifted", where="dx", also=("wrong-cache",))
def dx_with_corners_aligned(dy, *, shape):
    """Aligns the corners on the way back, though not on the way forwards."""
    rows, columns = (_neighbours(_corners(n, o), n) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    return _shared_out(dy, rows, columns, shape)


@mistake("upsample_bilinear_backward", "shifted", where="dx", also=("wrong-cache",))
def dx_half_a_pixel_aside(dy, *, shape):
    """Forgets the half pixel on the way back."""
    rows, columns = (_neighbours(np.arange(o) * n / o, n) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    return _shared_out(dy, rows, columns, shape)


@mistake("upsample_bilinear_backward", "missing-term", where="dx")
def the_nearest_pixel_gets_it_all(dy, *, shape):
    """Sends dy to the nearest pixel alone, as for upsample_nearest."""
    dx = np.zeros(shape, dtype=dy.dtype)
    rows, columns = (_nearest(n, o) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    np.add.at(dx, (slice(None), slice(None), rows[:, None], columns), dy)
    return dx


@mistake("upsample_bilinear_backward", "not-accumulated", where="dx")
def each_neighbour_is_written_over(dy, *, shape):
    """Writes = for each of the four neighbours in the loop over the new pixels."""
    (r, r2, t), (s, s2, u) = (_neighbours(_centres(n, o), n) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    dx = np.zeros(shape, dtype=dy.dtype)
    for i in range(dy.shape[2]):
        for j in range(dy.shape[3]):
            dx[:, :, r[i], s[j]] = (1 - t[i]) * (1 - u[j]) * dy[:, :, i, j]
            dx[:, :, r[i], s2[j]] = (1 - t[i]) * u[j] * dy[:, :, i, j]
            dx[:, :, r2[i], s[j]] = t[i] * (1 - u[j]) * dy[:, :, i, j]
            dx[:, :, r2[i], s2[j]] = t[i] * u[j] * dy[:, :, i, j]
    return dx


@mistake("upsample_bilinear_backward", "scale", where="dx")
def a_quarter_for_each_neighbour(dy, *, shape):
    """Shares dy out in four equal parts."""
    rows, columns = (_neighbours(_centres(n, o), n) for n, o in zip(shape[2:], dy.shape[2:], strict=True))
    return _shared_out(dy, (*rows[:2], 0 * rows[2] + 0.5), (*columns[:2], 0 * columns[2] + 0.5), shape)
