"""Fractional max pooling: images become smaller by a factor between 1 and 2, over regions that chance decides.

Graham, "Fractional max-pooling", 2014. Take whole numbers 0 = a_0 < a_1 < ... < a_n that grow by 1 or by 2. Then the
regions of pixels a_{i-1}, ..., a_i - 1 are **disjoint**, and have 1 or 2 pixels; the regions a_{i-1}, ..., a_i
**overlap** by one pixel, and have 2 or 3. (Section 2; the paper counts from 1.) For the regions to cover an image of H
pixels exactly, a_n is H where they are disjoint and H - 1 where they overlap; alpha = a_n / n is the pooling ratio.
"""

from itertools import pairwise

from minicnn.backend import Array, Key, array_module, slot
from minicnn.ops.random import random_permutation

Regions = tuple[tuple[int, int], ...]
"""(first pixel, the one after the last) of each region, along one axis of an image."""


def random_edges(key: Key, *, total: int, count: int, longest: int = 2) -> tuple[int, ...]:
    """Return a_0 ... a_count from 0 to `total`: as many steps of `longest` as needed, the rest one less, shuffled.

    Section 2.1, the random sequences. There must be `count * (longest - 1) <= total <= count * longest`.
    """
    long_steps = total - count * (longest - 1)
    steps = [longest if place < long_steps else longest - 1 for place in random_permutation(key, count)]
    edges = [0]
    for step in steps:
        edges.append(edges[-1] + step)
    return tuple(edges)


def pseudorandom_edges(bits: int, *, total: int, count: int) -> tuple[int, ...]:
    """Return a_i = ceil(alpha (i + u)) - ceil(alpha u) for i = 0 ... count, with alpha = total / count.

    bits : u * 2^32, a whole number; the ceilings are computed in whole numbers, so that none of them is off by rounding

    The steps are alpha rounded down or up, spread as evenly as they can be; u says where the pattern begins.
    Section 2.1, the pseudorandom sequences.
    """
    heights = [-(-total * ((i << 32) + bits) // (count << 32)) for i in range(count + 1)]
    return tuple(height - heights[0] for height in heights)


def regions_between(edges: tuple[int, ...], *, overlapping: bool) -> Regions:
    """Return the regions between neighbouring edges; if they overlap, both of them have the pixel on an edge."""
    return tuple((start, stop + overlapping) for start, stop in pairwise(edges))


@slot("y, row, column")
def fractional_max_pool2d_forward(x: Array, *, rows: Regions, columns: Regions) -> tuple[Array, Array, Array]:
    """y[n, c, i, j] = the maximum of x[n, c] over the rows of region i and the columns of region j.

    x : (N, C, H, W)   rows : oh regions   columns : ow regions   y : (N, C, oh, ow)

    The maximum of a rectangle is the maximum of its rows' maxima, so this goes along the rows first, then down:

    column : (N, C, H, ow), integers; in which column the maximum of a row over region j stands
    row : (N, C, oh, ow), integers; in which row the maximum stands, so that its column is column[n, c, row, j]

    The first of equal maxima wins (the upper one, then the left one), and a NaN counts as the largest value.
    """
    xp = array_module(x)
    n, c, h, _ = x.shape
    across = xp.empty((n, c, h, len(columns)), dtype=x.dtype)
    column = xp.empty(across.shape, dtype=xp.int32)
    for j, (left, right) in enumerate(columns):
        across[:, :, :, j] = x[:, :, :, left:right].max(axis=3)
        column[:, :, :, j] = left + x[:, :, :, left:right].argmax(axis=3)
    y = xp.empty((n, c, len(rows), len(columns)), dtype=x.dtype)
    row = xp.empty(y.shape, dtype=xp.int32)
    for i, (top, bottom) in enumerate(rows):
        y[:, :, i] = across[:, :, top:bottom].max(axis=2)
        row[:, :, i] = top + across[:, :, top:bottom].argmax(axis=2)
    return y, row, column


@slot("dx")
def fractional_max_pool2d_backward(
    dy: Array, row: Array, column: Array, *, shape: tuple[int, int, int, int], rows: Regions, columns: Regions
) -> Array:
    """Send each gradient to the pixel that was its region's maximum; where regions overlap, add.

    dy, row : (N, C, oh, ow)   column : (N, C, H, ow)   dx : (N, C, H, W) = shape
    """
    xp = array_module(dy)
    n, c, h, w = shape
    across = xp.zeros((n, c, h, len(columns)), dtype=dy.dtype)
    for i, (top, bottom) in enumerate(rows):
        is_winner = xp.arange(top, bottom)[:, None] == row[:, :, i, None]
        across[:, :, top:bottom] += xp.where(is_winner, dy[:, :, i, None], 0)
    dx = xp.zeros((n, c, h, w), dtype=dy.dtype)
    for j, (left, right) in enumerate(columns):
        is_winner = xp.arange(left, right) == column[:, :, :, j, None]
        dx[:, :, :, left:right] += xp.where(is_winner, across[:, :, :, j, None], 0)
    return dx
