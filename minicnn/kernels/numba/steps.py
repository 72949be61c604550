"""A recurrent network's steps, forward and back: products on the tile, and between them the gates, a row at a time."""

from collections.abc import Callable

import numpy as np
from numba import njit
from numba.extending import register_jitable

from minicnn.kernels.numba.product import MOST_HEIGHT, evenly, multiply
from minicnn.kernels.numba.squash import sigmoid, tanh

BLOCK = 48
"""Sequences that go through the steps together, a multiple of the heights of all tiles."""
DEPTH = 64
"""Rows that are collected for the gradient of the weights: each time, all of it is read and written."""


# What happens to a row between the products


@register_jitable(error_model="numpy", fastmath={"contract"})
def _lstm_gates(a, c_before, gates, c, y):  # type: ignore[no-untyped-def]
    h = len(y)
    for j in range(2 * h):
        gates[j] = sigmoid(a[j])
    for j in range(2 * h, 3 * h):
        gates[j] = tanh(a[j])
    for j in range(3 * h, 4 * h):
        gates[j] = sigmoid(a[j])
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    for j in range(h):
        c[j] = f[j] * c_before[j] + i[j] * g[j]
    for j in range(h):
        y[j] = o[j] * tanh(c[j])


@register_jitable(error_model="numpy", fastmath={"contract"})
def _lstm_gates_back(dh, c_before, gates, c, y, dc, spare, da):  # type: ignore[no-untyped-def]
    """Write da, given dh and the dc of the next step; dc becomes that of the step before."""
    h, one = len(y), dc.dtype.type(1)
    i, f, g, o = gates[:h], gates[h : 2 * h], gates[2 * h : 3 * h], gates[3 * h :]
    da_i, da_f, da_g, da_o = da[:h], da[h : 2 * h], da[2 * h : 3 * h], da[3 * h : 4 * h]
    tanh_c = spare[:h]
    for j in range(h):
        tanh_c[j] = tanh(c[j])
    for j in range(h):
        dc[j] += dh[j] * o[j] * (one - tanh_c[j] * tanh_c[j])
    for j in range(h):
        da_i[j] = dc[j] * g[j] * i[j] * (one - i[j])
    for j in range(h):
        da_f[j] = dc[j] * c_before[j] * f[j] * (one - f[j])
    for j in range(h):
        da_g[j] = dc[j] * i[j] * (one - g[j] * g[j])
    for j in range(h):
        da_o[j] = dh[j] * tanh_c[j] * o[j] * (one - o[j])
    for j in range(h):
        dc[j] *= f[j]


@register_jitable(error_model="numpy", fastmath={"contract"})
def _rnn_gates(a, c_before, gates, c, y):  # type: ignore[no-untyped-def]
    for j in range(len(y)):
        y[j] = tanh(a[j])


@register_jitable(error_model="numpy", fastmath={"contract"})
def _rnn_gates_back(dh, c_before, gates, c, y, dc, spare, da):  # type: ignore[no-untyped-def]
    one = y.dtype.type(1)
    for j in range(len(y)):
        da[j] = dh[j] * (one - y[j] * y[j])


# The steps


@njit(nogil=True)
def _block(count):  # type: ignore[no-untyped-def]
    """Return how many sequences make a block, of which all have about as many."""
    blocks = -(-count // BLOCK)
    return -(-count // blocks)


def _through_steps(gates_of: Callable) -> Callable:
    """Make the forward pass of sequences `first` to `last`.

    room : flat, for the rows (x, h) of a block and for its a
    y, c, gates : results; nothing is written behind a sequence's end
    """

    @njit(nogil=True, cache=True)
    def forward(  # type: ignore[no-untyped-def]
        x, h0, c0, ends, bias, packed, panels, lanes, width, a_row, room, xh_row, first, last, y, c, gates
    ):
        d, h, zero = x.shape[2], h0.shape[1], np.int64(0)
        depth = d + h
        xh, a = room[: BLOCK * xh_row], room[BLOCK * xh_row :]
        steps = evenly(depth, np.int64(1))
        block = _block(last - first)
        for n0 in range(first, last, block):
            count = min(block, last - n0)
            offsets = evenly(count, xh_row)
            for m in range(count):
                xh[m * xh_row + d : m * xh_row + depth] = h0[n0 + m]
            for t in range(ends[n0 : n0 + count].max()):
                for m in range(count):
                    if t < ends[n0 + m]:  # what becomes of the others' rows, nobody will look at
                        xh[m * xh_row : m * xh_row + d] = x[n0 + m, t]
                multiply(
                    a, zero, a_row, np.bool_(False), bias, xh, zero, offsets, steps, count,
                    packed, zero, depth, zero, depth, panels, lanes,
                )  # fmt: skip
                for m in range(count):
                    n = n0 + m
                    if t < ends[n]:
                        c_before = c[n, t - 1] if t > 0 else c0[n]
                        gates_of(a[m * a_row : m * a_row + width], c_before, gates[n, t], c[n, t], y[n, t])
                        xh[m * xh_row + d : m * xh_row + depth] = y[n, t]

    return forward


def _back_through_steps(gates_back: Callable) -> Callable:
    """Make the backward pass of sequences `first` to `last`: their part of dW is added to dw, that of db is returned.

    room : flat, for da and (x, h) of some steps, and for (dx, dh) and dc of a block
    """

    @njit(nogil=True, cache=True)
    def backward(  # type: ignore[no-untyped-def]
        dy, x, h0, c0, y, c, gates, ends, packed, panels, lanes, width, row, room, da_row, first, last, dx, dh0, dc0, dw
    ):
        d, h, cells, rows = x.shape[2], h0.shape[1], c0.shape[1], packed.size // width
        zero, one, nothing = np.int64(0), np.int64(1), np.zeros(width, dtype=x.dtype)
        most = DEPTH + BLOCK
        da, room = room[: most * da_row], room[most * da_row :]
        xh, room = room[: most * row], room[most * row :]
        dxh, room = room[: (BLOCK + MOST_HEIGHT) * row], room[(BLOCK + MOST_HEIGHT) * row :]
        dc, spare = room[: BLOCK * cells].reshape(BLOCK, cells), np.empty(h, dtype=x.dtype)
        db, sums = np.zeros(rows, dtype=np.float64), np.empty(rows, dtype=x.dtype)
        along_rows, down_rows = evenly(rows, one), evenly(most, da_row)
        xh[:] = 0
        block = _block(last - first)
        for n0 in range(first, last, block):
            count, filled = min(block, last - n0), 0
            offsets = evenly(count, da_row)
            dxh[:] = 0  # from behind the last step nothing comes back
            dc[:] = 0
            for t in range(ends[n0 : n0 + count].max() - 1, -1, -1):
                sums[:] = 0
                for m in range(count):
                    n, line = n0 + m, da[(filled + m) * da_row : (filled + m) * da_row + rows]
                    left = xh[(filled + m) * row : (filled + m) * row + d + h]
                    if t < ends[n]:
                        left[:d] = x[n, t]
                        left[d:] = y[n, t - 1] if t > 0 else h0[n]
                        dh, dy_t = dxh[m * row + d : m * row + d + h], dy[n, t]
                        for j in range(h):
                            dh[j] += dy_t[j]
                        c_before = c[n, t - 1] if t > 0 else c0[n]
                        gates_back(dh, c_before, gates[n, t], c[n, t], y[n, t], dc[m], spare, line)
                        for j in range(rows):
                            sums[j] += line[j]
                    else:
                        left[:] = 0
                        line[:] = 0
                for j in range(rows):
                    db[j] += sums[j]
                multiply(
                    dxh, zero, row, np.bool_(False), nothing, da, filled * da_row, offsets, along_rows, count,
                    packed, zero, rows, zero, rows, panels, lanes,
                )  # fmt: skip
                for m in range(count):
                    if t < ends[n0 + m]:
                        dx[n0 + m, t] = dxh[m * row : m * row + d]
                filled += count
                if filled >= DEPTH or t == 0:
                    multiply(
                        dw, zero, row, np.bool_(True), nothing, da, zero, along_rows, down_rows, rows,
                        xh, zero, one, row, filled, panels, lanes,
                    )  # fmt: skip
                    filled = 0
            for m in range(count):
                dh0[n0 + m] = dxh[m * row + d : m * row + d + h]
                dc0[n0 + m] = dc[m]
        return db

    return backward


lstm_steps, lstm_back = _through_steps(_lstm_gates), _back_through_steps(_lstm_gates_back)
rnn_steps, rnn_back = _through_steps(_rnn_gates), _back_through_steps(_rnn_gates_back)
