"""Winograd's convolution of blocks of tiles: image to tiles, a matrix product an entry, tiles to image, and back.

A block is worked on from beginning to end, so that what lies between stays in the cache. See `winograd.py`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from minicnn.kernels.numba.frame import clear, copy, gradients_before, pool_images, put
from minicnn.kernels.numba.product import MOST_HEIGHT, evenly, multiply
from minicnn.kernels.numba.transforms import to_input, to_input_tile, to_output, to_output_tile
from minicnn.kernels.numba.vector import load, positive_part, store, where_positive, zeros_of


class Blocks(NamedTuple):
    """How an output (oh, ow) is cut into tiles of m x m, and tiles into blocks.

    A tile's window of the input, and what both are transformed into, has alpha x alpha entries, alpha = m + r - 1.
    A block is `group` whole images or, of larger ones, a band of `rows` rows of tiles; `bands` cover an image.
    """

    m: int
    r: int
    alpha: int
    top: int
    left: int
    across: int
    rows: int
    bands: int
    group: int
    lanes: int


@njit(nogil=True)
def _to_input_tiles(frame, images, height, width, c, blocks, v, plane, spare):  # type: ignore[no-untyped-def]
    """V = B^T d B for all tiles of a block: v (planes, tiles, c). Return the number of tiles."""
    m, r, alpha, lanes, t = blocks.m, blocks.r, blocks.alpha, blocks.lanes, 0
    for n in range(images):
        for i in range(blocks.rows):
            for j in range(blocks.across):
                at = ((n * height + i * m) * width + j * m) * c
                for k in range(0, c, lanes):
                    to_input_tile(m, r, frame, at + k, width * c, c, v, t * c + k, alpha * plane, plane, spare, lanes)
                t += 1
    return t


@njit(nogil=True)
def _to_input(v, plane, images, height, width, c, blocks, frame, spare):  # type: ignore[no-untyped-def]
    """dd = B dV B^T, added up where tiles overlap."""
    m, r, alpha, lanes, t = blocks.m, blocks.r, blocks.alpha, blocks.lanes, 0
    tile = spare[alpha * alpha * lanes :]
    for n in range(images):
        for i in range(blocks.rows):
            for j in range(blocks.across):
                at = ((n * height + i * m) * width + j * m) * c
                for k in range(0, c, lanes):
                    to_input(m, r, v, t * c + k, alpha * plane, plane, tile, 0, alpha * lanes, lanes, spare, lanes)
                    for p in range(alpha):
                        for q in range(alpha):
                            to = at + (p * width + q) * c + k
                            store(frame, to, load(frame, to) + load(tile, (alpha * p + q) * lanes))
                t += 1


@njit(nogil=True)
def _to_output(products, plane, images, f, blocks, bias, relu, y, n0, row, spare):  # type: ignore[no-untyped-def]
    """Y = A^T M A for all tiles of a block, with bias and perhaps ReLU, to y[n0, row:], y[n0 + 1, row:], ..."""
    _, h, w, features = y.shape
    m, r, alpha, lanes, t = blocks.m, blocks.r, blocks.alpha, blocks.lanes, 0
    tile, target = spare[alpha * alpha * lanes :], y.reshape(-1)
    for n in range(images):
        for i in range(row, row + blocks.rows * m, m):
            for j in range(0, blocks.across * m, m):
                for k in range(0, f, lanes):
                    to_output(m, r, products, t * f + k, alpha * plane, plane, tile, 0, m * lanes, lanes, spare, lanes)
                    shift = load(bias, k)
                    for p in range(min(m, h - i)):
                        to = (((n0 + n) * h + i + p) * w + j) * features + k
                        for q in range(min(m, w - j)):
                            at = (p * m + q) * lanes
                            v = load(tile, at) + shift
                            if relu:
                                v = positive_part(v)
                            if k + lanes <= features:
                                store(target, to + q * features, v)
                            else:
                                store(tile, at, v)
                                copy(tile, at, target, to + q * features, features - k)
                t += 1


@njit(nogil=True)
def _to_output_tiles(  # type: ignore[no-untyped-def]
    dy, y, relu, images, f, blocks, n0, row, gradients, plane, bias_sums, spare
):
    """dM = A dY A^T for all tiles of a block, of dy[n0, row:], dy[n0 + 1, row:], ...; db is added up on the way.

    relu : whether to mask dy first, by what is positive in y
    """
    _, h, w, features = dy.shape
    m, r, alpha, lanes, t = blocks.m, blocks.r, blocks.alpha, blocks.lanes, 0
    source, values, tile, zeros = dy.reshape(-1), y.reshape(-1), spare[alpha * alpha * lanes :], zeros_of(dy)
    for n in range(images):
        for i in range(row, row + blocks.rows * m, m):
            for j in range(0, blocks.across * m, m):
                for k in range(0, f, lanes):
                    total = load(bias_sums, k)
                    for p in range(m):
                        at = (((n0 + n) * h + i + p) * w + j) * features + k
                        for q in range(m):
                            to = (p * m + q) * lanes
                            v = zeros
                            if i + p < h and j + q < w:
                                if k + lanes <= features:
                                    v = load(source, at + q * features)
                                    if relu:
                                        v = where_positive(load(values, at + q * features), v)
                                else:
                                    store(tile, to, zeros)
                                    copy(source, at + q * features, tile, to, features - k)
                                    v = load(tile, to)
                                    if relu:
                                        copy(values, at + q * features, tile, to, features - k)
                                        v = where_positive(load(tile, to), v)
                            store(tile, to, v)
                            total = total + v
                    store(bias_sums, k, total)
                    to_output_tile(
                        m, r, tile, 0, m * lanes, lanes, gradients, t * f + k, alpha * plane, plane, spare, lanes
                    )
                t += 1


@njit(nogil=True, cache=True)
def forward(x, kernels, panels, bias, relu, pool, blocks, space, first, last, z, y, argmax):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, F) = x (N, H, W, C) through kernels (alpha^2, C * f), for blocks `first` to `last`.

    bias : (f,), as wide as all panels; ReLU comes after it if `relu`, and max pooling if `pool` has a size
    z : (group, oh, ow, F), where images wait for being pooled
    """
    m, r, alpha, top, left, across, rows, bands, group, lanes = blocks
    depth, c, f = x.shape[3], (x.shape[3] + lanes - 1) // lanes * lanes, len(bias)
    height, width = rows * m + r - 1, across * m + r - 1
    planes, zero, one, anew = alpha * alpha, np.int64(0), np.int64(1), np.bool_(False)  # see product.py
    zeros = np.zeros(max(c, f), dtype=x.dtype)
    v_plane, m_plane = plane_sizes(blocks, c, f)
    frame, space = cut(space, group * height * width * c)
    v, space = cut(space, planes * v_plane)
    products, spare = cut(space, planes * m_plane)
    clear(frame)
    for block in range(first, last):
        n0, row = block // bands * group, block % bands * rows * m
        images = min(group, len(x) - n0)
        for n in range(images):
            put(x, n0 + n, row - top, left, frame, n * height * width * c, height, width, c)
        tiles = _to_input_tiles(frame, images, height, width, c, blocks, v, v_plane, spare)
        tile_rows, channel_steps = evenly(tiles, c), evenly(depth, one)
        for p in range(planes):
            multiply(
                products, p * m_plane, f, anew, zeros, v, p * v_plane, tile_rows, channel_steps, tiles,
                kernels[p], zero, depth, zero, depth, panels, lanes,
            )  # fmt: skip
        if pool.kh:
            _to_output(products, m_plane, images, f, blocks, bias, relu, z, zero, row, spare)
            pool_images(z, images, pool, y, argmax, n0)
        else:
            _to_output(products, m_plane, images, f, blocks, bias, relu, y, n0, row, spare)


@njit(nogil=True, cache=True)
def backward(  # type: ignore[no-untyped-def]
    dy, y, argmax, relu, pool, x, kernels, panels, turned_panels, blocks, space, first, last, z, sums, bias_sums, dx
):
    """Add dU to sums (alpha^2 * plane) and db to bias_sums, and set dx (N, H, W, C) if there is one, for some groups.

    kernels : transposed, (alpha^2, F * c); what follows the convolution is passed through on the way back
    z : (group, oh, ow, F), where gradients wait that have gone back through pooling
    """
    m, r, alpha, top, left, across, rows, bands, group, lanes = blocks
    depth, c = x.shape[3], (x.shape[3] + lanes - 1) // lanes * lanes
    features, f = dy.shape[3], len(bias_sums)
    height, width = rows * m + r - 1, across * m + r - 1
    planes, zero, one, anew = alpha * alpha, np.int64(0), np.int64(1), np.bool_(False)  # see product.py
    zeros = np.zeros(max(c, f), dtype=x.dtype)
    v_plane, m_plane = plane_sizes(blocks, c, f)
    frame, space = cut(space, group * height * width * c)
    v, space = cut(space, planes * v_plane)
    gradients, spare = cut(space, planes * m_plane)
    clear(frame)
    channel_rows, feature_steps = evenly(depth, one), evenly(features, one)
    for block in range(first * bands, last * bands):
        n0, band = block // bands * group, block % bands
        row, images = band * rows * m, min(group, len(x) - n0)
        if dx.size:
            clear(frame)  # of the gradient of the block before
        for n in range(images):
            put(x, n0 + n, row - top, left, frame, n * height * width * c, height, width, c)
        tiles = _to_input_tiles(frame, images, height, width, c, blocks, v, v_plane, spare)
        if pool.kh:
            gradients_before(dy, y, argmax, pool, n0, images, z)
            _to_output_tiles(z, z, False, images, f, blocks, zero, row, gradients, m_plane, bias_sums, spare)
        else:
            _to_output_tiles(dy, y, relu, images, f, blocks, n0, row, gradients, m_plane, bias_sums, spare)
        tile_rows, tile_steps = evenly(tiles, f), evenly(tiles, c)
        for p in range(planes):
            multiply(
                sums, p * (len(sums) // planes), f, block > first * bands, zeros, v, p * v_plane, channel_rows,
                tile_steps, depth, gradients, p * m_plane, one, f, tiles, panels, lanes,
            )  # fmt: skip
            if dx.size:  # V[p] has served: its place is taken by dV[p]
                multiply(
                    v, p * v_plane, c, anew, zeros, gradients, p * m_plane, tile_rows, feature_steps, tiles,
                    kernels[p], zero, features, zero, features, turned_panels, lanes,
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
    planes, spare = blocks.alpha**2, 2 * blocks.lanes
    return blocks.group * height * width * c + planes * (sum(plane_sizes.py_func(blocks, c, f)) + spare)
