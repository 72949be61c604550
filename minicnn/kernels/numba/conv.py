"""Convolution without columns: the tile walks over the image itself.

In channels-last memory the numbers that one row of a window covers lie side by side, kw * C of them. So a window is kh
stretches, and the tile of `tile.py` reads them where they are:

    forward     y[position, f]   = sum over stretches of x  times  kernels     A = x, B = the kernels, packed
    weights     dw[(p, q, c), f] = sum over positions of x  times  dy          A = x, B = dy
    input       dx               = the forward pass over dy, with the kernels turned by 180 degrees and transposed

Nothing is unfolded, and a sum leaves its register once (for the weights, once an image). Each image is copied into a
frame of zeros that stays in the cache; images are divided among the threads.

The tile knows no bounds: arrays whose shapes do not fit together must never reach it. They go to the plain body, which
refuses them.
"""

import itertools
from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import Array, in_threads, plain_body
from minicnn.geometry import PaddingLike, Pads, Pair, PairLike, conv_windows, pair
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float
from minicnn.kernels.numba.tile import MAX_VECTORS, TILE_1, TILE_2, TILE_3, TILE_4, VECTOR_BYTES, tile_height

HEIGHTS = np.array([0, *(tile_height(vectors) for vectors in range(1, MAX_VECTORS + 1))])
MOST_HEIGHT = int(HEIGHTS.max())


def conv2d_forward(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
) -> Array:
    """Tiles of up to 8 positions and up to 4 vectors of channels; the bias is added on the way out."""
    if not _supported(x, w, dilation, groups) or (b is not None and (b.shape != w.shape[:1] or not is_float(x, b))):
        geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return plain_body("conv2d_forward")(x, w, b, **geometry)
    pads, out = conv_windows(x.shape, w.shape[2:], stride, padding)
    bias = np.zeros(len(w), dtype=x.dtype) if b is None else np.ascontiguousarray(b)
    return _correlate(x, pads, (1, 1), w.transpose(2, 3, 1, 0), bias, pair(stride, "stride"), out)


def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    need_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    """Weights: each thread sums over its own images. Input: the forward kernel, over dy spread out by the stride."""
    kh, kw = w.shape[2:]
    pads, out = conv_windows(x.shape, (kh, kw), stride, padding, dilation)
    narrow = max(pads[0]) < kh and max(pads[1]) < kw  # a wider border would have to be cut off dy
    fits = dy.shape == (len(x), len(w), *out) and is_float(dy, x)
    if not (_supported(x, w, dilation, groups) and narrow and fits):
        geometry: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return plain_body("conv2d_backward")(dy, x, w, **geometry, need_dx=need_dx)
    sh, sw = pair(stride, "stride")
    dw, db = _weight_gradients(x, pads, dy, w.shape, (sh, sw))
    if not need_dx:
        return None, dw, db
    (top, _), (left, _) = pads
    h, width = x.shape[2:]
    oh, ow = dy.shape[2:]
    around = (kh - 1 - top, h - 1 - (oh - 1) * sh + top), (kw - 1 - left, width - 1 - (ow - 1) * sw + left)
    turned = w[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
    no_bias = np.zeros(w.shape[1], dtype=x.dtype)
    return _correlate(dy, around, (sh, sw), turned, no_bias, (1, 1), (h, width)), dw, db


def _supported(x: Array, w: Array, dilation: PairLike, groups: int) -> bool:
    """Return whether the kernels know this case; the plain body knows them all, and refuses what is wrong."""
    fits = x.ndim == w.ndim == 4 and x.shape[1] == w.shape[1] and is_float(x, w)
    return fits and x.size > 0 and groups == 1 and pair(dilation, "dilation") == (1, 1)


def _panels(channels: int, lanes: int) -> np.ndarray:
    """Cut channels into panels of equal width, of at most MAX_VECTORS vectors; return the vectors of each."""
    vectors = -(-channels // lanes)
    count = -(-vectors // MAX_VECTORS)
    return np.array([vectors * (i + 1) // count - vectors * i // count for i in range(count)])


def _correlate(x: Array, pads: Pads, gaps: Pair, kernels: Array, bias: Array, stride: Pair, out: Pair) -> Array:
    """Return y (N, F, oh, ow) of x (N, C, H, W), pixels `gaps` apart in a border, and kernels (kh, kw, C, F)."""
    kh, kw, c, f = kernels.shape
    oh, ow = out
    (top, bottom), (left, right) = pads
    height = top + (x.shape[2] - 1) * gaps[0] + 1 + bottom
    width = left + (x.shape[3] - 1) * gaps[1] + 1 + right
    lanes = VECTOR_BYTES // x.itemsize
    panels = _panels(f, lanes)
    packed = _pack(kernels.reshape(kh * kw * c, f), panels, lanes)
    starts = ((np.arange(oh)[:, None] * stride[0] * width + np.arange(ow) * stride[1]) * c).reshape(-1)
    last_x, y = channels_last(x), np.empty((len(x), oh * ow, f), dtype=x.dtype)
    frame = height, width, top, left, *gaps
    in_threads(
        lambda a, b: _forward(last_x[a:b], *frame, starts, kh, kw * c, packed, panels, lanes, bias, y[a:b]),
        len(x),
        cost=kernels.size * oh * ow // lanes,
    )
    return channels_first(y.reshape(len(x), oh, ow, f))


def _weight_gradients(x: Array, pads: Pads, dy: Array, shape: tuple[int, ...], stride: Pair) -> tuple[Array, Array]:
    """Return dw (F, C, kh, kw) and db (F,) from x (N, C, H, W) and dy (N, F, oh, ow)."""
    f, c, kh, kw = shape
    (top, bottom), (left, right) = pads
    height, width = top + x.shape[2] + bottom, left + x.shape[3] + right
    lanes = VECTOR_BYTES // x.itemsize
    panels = _panels(f, lanes)
    offsets = (np.arange(kh)[:, None] * width * c + np.arange(kw * c)).reshape(-1)
    last_x, last_dy = channels_last(x), channels_last(dy, multiple=lanes)
    wide = last_dy.shape[3]
    frame = height, width, top, left, 1, 1

    def work(a: int, b: int) -> np.ndarray:
        sums = np.zeros((kh * kw * c + 1, wide), dtype=x.dtype)  # dw, and db in the last row
        _weights(last_x[a:b], *frame, last_dy[a:b], offsets, *stride, panels, lanes, sums)
        return sums

    sums = sum(in_threads(work, len(x), cost=f * c * kh * kw * last_dy.shape[1] * last_dy.shape[2] // lanes))
    dw = sums[:-1, :f].reshape(kh, kw, c, f).transpose(3, 2, 0, 1)
    return np.ascontiguousarray(dw), sums[-1, :f].copy()


def _pack(kernels: np.ndarray, panels: np.ndarray, lanes: int) -> np.ndarray:
    """Lay (K, F) down panel after panel, each (K, its width), the last filled up with zeros."""
    padded = np.zeros((len(kernels), int(panels.sum()) * lanes), dtype=kernels.dtype)
    padded[:, : kernels.shape[1]] = kernels
    edges = np.concatenate(([0], np.cumsum(panels))) * lanes
    return np.concatenate([padded[:, a:b].reshape(-1) for a, b in itertools.pairwise(edges)])


@njit(nogil=True, cache=True, inline="never")
def _tile(vectors, out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth):  # type: ignore[no-untyped-def]
    if vectors == 4:
        TILE_4(out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth)
    elif vectors == 3:
        TILE_3(out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth)
    elif vectors == 2:
        TILE_2(out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth)
    else:
        TILE_1(out, a, offsets, a_row, a_step, b, b_row, b_step, rows, depth)


@njit(nogil=True, cache=True)
def _put(image, top, left, gap_h, gap_w, frame):  # type: ignore[no-untyped-def]
    """Put the pixels of an image (H, W, C) into a frame that is zero wherever none goes."""
    h, w, channels = image.shape
    for i in range(h):
        for j in range(w):
            pixel, place = image[i, j], frame[top + i * gap_h, left + j * gap_w]
            for c in range(channels):
                place[c] = pixel[c]


@njit(nogil=True, cache=True)
def _forward(  # type: ignore[no-untyped-def]
    x, height, width, top, left, gap_h, gap_w, starts, kh, depth, packed, panels, lanes, bias, y
):
    images, positions, channels = y.shape
    frame = np.zeros((height, width, x.shape[3]), dtype=x.dtype)
    flat, row = frame.reshape(-1), width * x.shape[3]
    out = np.empty(MOST_HEIGHT * MAX_VECTORS * lanes, dtype=x.dtype)
    offsets = np.empty(MOST_HEIGHT, dtype=np.int64)
    for n in range(images):
        _put(x[n], top, left, gap_h, gap_w, frame)
        f0, at = 0, 0
        for vectors in panels:
            wide, tall = vectors * lanes, HEIGHTS[vectors]
            kernels = packed[at : at + kh * depth * wide]
            used = min(wide, channels - f0)
            shift = bias[f0 : f0 + used]
            for t in range(0, positions, tall):
                here = min(tall, positions - t)
                for m in range(tall):
                    offsets[m] = starts[t + min(m, here - 1)]  # a tile that is not full repeats its last row
                _tile(vectors, out, flat, offsets, row, 1, kernels, depth * wide, wide, kh, depth)
                for m in range(here):
                    result, sums = y[n, t + m, f0 : f0 + used], out[m * wide : (m + 1) * wide]
                    for f in range(used):
                        result[f] = sums[f] + shift[f]
            f0 += wide
            at += kh * depth * wide


@njit(nogil=True, cache=True)
def _weights(  # type: ignore[no-untyped-def]
    x, height, width, top, left, gap_h, gap_w, dy, k_offsets, stride_h, stride_w, panels, lanes, sums
):
    images, oh, ow, wide_all = dy.shape
    depth = len(k_offsets)
    frame = np.zeros((height, width, x.shape[3]), dtype=x.dtype)
    flat = frame.reshape(-1)
    a_row, a_step = stride_h * width * x.shape[3], stride_w * x.shape[3]
    out = np.empty(MOST_HEIGHT * MAX_VECTORS * lanes, dtype=x.dtype)
    offsets = np.empty(MOST_HEIGHT, dtype=np.int64)
    bias_sums = sums[depth]
    for n in range(images):
        _put(x[n], top, left, gap_h, gap_w, frame)
        gradient = dy[n].reshape(-1)
        for i in range(oh):
            for j in range(ow):
                pixel = dy[n, i, j]
                for f in range(wide_all):
                    bias_sums[f] += pixel[f]
        f0 = 0
        for vectors in panels:
            wide, tall = vectors * lanes, HEIGHTS[vectors]
            for k in range(0, depth, tall):
                here = min(tall, depth - k)
                for m in range(tall):
                    offsets[m] = k_offsets[k + min(m, here - 1)]
                _tile(vectors, out, flat, offsets, a_row, a_step, gradient[f0:], ow * wide_all, wide_all, oh, ow)
                for m in range(here):
                    total, part = sums[k + m, f0 : f0 + wide], out[m * wide : (m + 1) * wide]
                    for f in range(wide):
                        total[f] += part[f]
            f0 += wide
