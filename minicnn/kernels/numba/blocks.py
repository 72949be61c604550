"""Winograd's convolution of blocks of tiles: image to tiles, 36 matrix products, tiles to image, and all the way back.

A block is worked on from beginning to end, so that what lies between stays in the cache. See `winograd.py`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minicnn.kernels.numba.frame import clear, gradients_before, pool_images, put, take
from minicnn.kernels.numba.product import MOST_HEIGHT, multiply, row_offsets
from minicnn.kernels.numba.transforms import (
    PLANES,
    to_input,
    to_input_tile,
    to_output_2,
    to_output_4,
    to_output_tile_2,
    to_output_tile_4,
)
from minicnn.kernels.numba.vector import load, store


class Blocks(NamedTuple):
    """How an output (oh, ow) is cut into tiles of m x m, and tiles into blocks.

    A block is `group` whole images or, of larger ones, a band of `rows` rows of tiles; `bands` cover an image.
    """

    m: int
    r: int
    top: int
    left: int
    across: int
    rows: int
    bands: int
    group: int
    lanes: int


@njit(nogil=True)
def _to_input_tiles(frame, images, height, width, c, blocks, v, plane, spare):  # type: ignore[no-untyped-def]
    """V = B^T d B for all tiles of a block: v (36, tiles, c). Return the number of tiles."""
    lanes, t = blocks.lanes, 0
    for n in range(images):
        for i in range(blocks.rows):
            for j in range(blocks.across):
                at = ((n * height + i * blocks.m) * width + j * blocks.m) * c
                for k in range(0, c, lanes):
                    to_input_tile(frame, at + k, width * c, c, v, t * c + k, 6 * plane, plane, spare, lanes)
                t += 1
    return t


@njit(nogil=True)
def _to_input(v, plane, images, height, width, c, blocks, frame, spare):  # type: ignore[no-untyped-def]
    """dd = B dV B^T, added up where tiles overlap."""
    lanes, t, tile = blocks.lanes, 0, spare[PLANES * blocks.lanes :]
    for n in range(images):
        for i in range(blocks.rows):
            for j in range(blocks.across):
                at = ((n * height + i * blocks.m) * width + j * blocks.m) * c
                for k in range(0, c, lanes):
                    to_input(v, t * c + k, 6 * plane, plane, tile, 0, 6 * lanes, lanes, spare, lanes)
                    for p in range(6):
                        for q in range(6):
                            to = at + (p * width + q) * c + k
                            store(frame, to, load(frame, to) + load(tile, (6 * p + q) * lanes))
                t += 1


@njit(nogil=True)
def _to_output(products, plane, images, f, blocks, out, spare):  # type: ignore[no-untyped-def]
    """Y = A^T M A for all tiles of a block: out (images, rows * m, across * m, f)."""
    m, lanes, t = blocks.m, blocks.lanes, 0
    row = blocks.across * m * f
    for n in range(images):
        for i in range(blocks.rows):
            for j in range(blocks.across):
                to = ((n * blocks.rows + i) * m) * row + j * m * f
                for k in range(0, f, lanes):
                    if m == 4:
                        to_output_4(products, t * f + k, 6 * plane, plane, out, to + k, row, f, spare, lanes)
                    else:
                        to_output_2(products, t * f + k, 6 * plane, plane, out, to + k, row, f, spare, lanes)
                t += 1


@njit(nogil=True)
def _to_output_tiles(out, images, f, blocks, gradients, plane, spare):  # type: ignore[no-untyped-def]
    """dM = A dY A^T for all tiles of a block, from dy in frames (images, rows * m, across * m, f)."""
    m, lanes, t = blocks.m, blocks.lanes, 0
    row = blocks.across * m * f
    for n in range(images):
        for i in range(blocks.rows):
            for j in range(blocks.across):
                at = ((n * blocks.rows + i) * m) * row + j * m * f
                for k in range(0, f, lanes):
                    if m == 4:
                        to_output_tile_4(out, at + k, row, f, gradients, t * f + k, 6 * plane, plane, spare, lanes)
                    else:
                        to_output_tile_2(out, at + k, row, f, gradients, t * f + k, 6 * plane, plane, spare, lanes)
                t += 1


@njit(nogil=True, cache=True)
def forward(x, planes, panels, bias, relu, pool, blocks, space, first, last, z, y, argmax):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, F) = x (N, H, W, C) through the kernels in planes (36, C * f), for blocks `first` to `last`.

    bias : (f,), as wide as all panels; ReLU comes after it if `relu`, and max pooling if `pool` has a size
    z : (group, oh, ow, F), where images wait for being pooled
    """
    m, r, top, left, across, rows, bands, group, lanes = blocks
    depth, c, f = x.shape[3], (x.shape[3] + lanes - 1) // lanes * lanes, len(bias)
    height, width, out_height, out_width = rows * m + r - 1, across * m + r - 1, rows * m, across * m
    zero, one, anew = np.int64(0), np.int64(1), np.bool_(False)  # see product.py
    zeros = np.zeros(max(c, f), dtype=x.dtype)
    v_plane, m_plane = plane_sizes(blocks, c, f)
    frame, space = cut(space, group * height * width * c)
    v, space = cut(space, PLANES * v_plane)
    products, space = cut(space, PLANES * m_plane)
    out, spare = cut(space, group * out_height * out_width * f)
    clear(frame)
    for block in range(first, last):
        n0, row = block // bands * group, block % bands * rows * m
        images = min(group, len(x) - n0)
        for n in range(images):
            put(x, n0 + n, row - top, left, frame, n * height * width * c, height, width, c)
        tiles = _to_input_tiles(frame, images, height, width, c, blocks, v, v_plane, spare)
        tile_rows = row_offsets(tiles, c)
        for p in range(PLANES):
            multiply(
                products, p * m_plane, f, anew, zeros, v, p * v_plane, tile_rows, one, tiles,
                planes[p], zero, depth, zero, depth, panels, lanes,
            )  # fmt: skip
        _to_output(products, m_plane, images, f, blocks, out, spare)
        for n in range(images):
            at = n * out_height * out_width * f
            if pool.kh:
                take(out, at, out_width, f, z, n, row, out_height, bias, relu, lanes)
            else:
                take(out, at, out_width, f, y, n0 + n, row, out_height, bias, relu, lanes)
        if pool.kh:
            pool_images(z, images, pool, y, argmax, n0)


@njit(nogil=True, cache=True)
def backward(  # type: ignore[no-untyped-def]
    dy, y, argmax, relu, pool, x, planes, panels, turned_panels, blocks, space, first, last, z, sums, bias_sums, dx
):
    """Add dU to sums (36 * plane) and db to bias_sums, and set dx (N, H, W, C) if there is one, for some groups.

    planes : the kernels transposed, (36, F * c); what follows the convolution is passed through on the way back
    z : (group, oh, ow, F), where the gradient of the convolution's own output waits
    """
    m, r, top, left, across, rows, bands, group, lanes = blocks
    depth, c = x.shape[3], (x.shape[3] + lanes - 1) // lanes * lanes
    features, f = dy.shape[3], len(bias_sums)
    height, width, out_height, out_width = rows * m + r - 1, across * m + r - 1, rows * m, across * m
    zero, one, anew = np.int64(0), np.int64(1), np.bool_(False)  # see product.py
    zeros = np.zeros(max(c, f), dtype=x.dtype)
    v_plane, m_plane = plane_sizes(blocks, c, f)
    frame, space = cut(space, group * height * width * c)
    v, space = cut(space, PLANES * v_plane)
    gradients, space = cut(space, PLANES * m_plane)
    out, spare = cut(space, group * out_height * out_width * f)
    clear(frame)
    clear(out)
    channel_rows = row_offsets(depth, one)
    for block in range(first * bands, last * bands):
        n0, band = block // bands * group, block % bands
        row, images = band * rows * m, min(group, len(x) - n0)
        if dx.size:
            clear(frame)  # of the gradient of the block before
        for n in range(images):
            put(x, n0 + n, row - top, left, frame, n * height * width * c, height, width, c)
        tiles = _to_input_tiles(frame, images, height, width, c, blocks, v, v_plane, spare)
        if relu and band == 0:
            gradients_before(dy, y, argmax, pool, n0, images, z)
        for n in range(images):
            at = n * out_height * out_width * f
            if relu:
                put(z, n, row, zero, out, at, out_height, out_width, f)
            else:
                put(dy, n0 + n, row, zero, out, at, out_height, out_width, f)
        for pixel in range(images * out_height * out_width):
            for k in range(0, f, lanes):
                store(bias_sums, k, load(bias_sums, k) + load(out, pixel * f + k))
        _to_output_tiles(out, images, f, blocks, gradients, m_plane, spare)
        tile_rows = row_offsets(tiles, f)
        for p in range(PLANES):
            multiply(
                sums, p * (len(sums) // PLANES), f, block > first * bands, zeros, v, p * v_plane, channel_rows, c,
                depth, gradients, p * m_plane, one, f, tiles, panels, lanes,
            )  # fmt: skip
            if dx.size:  # V[p] has served: its place is taken by dV[p]
                multiply(
                    v, p * v_plane, c, anew, zeros, gradients, p * m_plane, tile_rows, one, tiles,
                    planes[p], zero, features, zero, features, turned_panels, lanes,
                )  # fmt: skip
        if dx.size:
            clear(frame)
            _to_input(v, v_plane, images, height, width, c, blocks, frame, spare)
            for n in range(images):
                _take_gradient(frame, n * height * width * c, height, width, c, dx, n0 + n, row - top, left, band, r)


@njit(nogil=True)
def _take_gradient(frame, at, height, width, channels, dx, n, row, left, band, r):  # type: ignore[no-untyped-def]
    """Write a frame's rows to dx[n], from `row` on; the first r - 1 of a later band add to those of the one above."""
    _, h, w, c = dx.shape
    for i in range(max(0, -row), min(height, h - row)):
        add = band > 0 and i < r - 1
        for j in range(w):
            pixel, start = dx[n, row + i, j], at + (i * width + left + j) * channels
            source = frame[start : start + c]
            if add:
                for k in range(c):
                    pixel[k] += source[k]
            else:
                for k in range(c):
                    pixel[k] = source[k]


@njit(nogil=True)
def plane_sizes(blocks, c, f):  # type: ignore[no-untyped-def]
    """Return the numbers from one plane of V, and of M, to the next.

    Each is a vector longer than it need be, or all planes would compete for the same lines of the cache.
    """
    most = blocks.group * blocks.rows * blocks.across + MOST_HEIGHT
    return most * c + blocks.lanes, most * f + blocks.lanes


@njit(nogil=True)
def cut(space, size):  # type: ignore[no-untyped-def]
    """Return the first `size` numbers of a workspace, and the rest."""
    return space[:size], space[size:]


def space_needed(blocks: Blocks, c: int, f: int) -> int:
    """Return how many numbers `forward` and `backward` need for their workspace."""
    height, width = blocks.rows * blocks.m + blocks.r - 1, blocks.across * blocks.m + blocks.r - 1
    frames = blocks.group * (height * width * c + blocks.rows * blocks.across * blocks.m**2 * f)
    return frames + PLANES * sum(plane_sizes.py_func(blocks, c, f)) + 2 * PLANES * blocks.lanes
