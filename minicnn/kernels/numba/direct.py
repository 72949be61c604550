"""Convolution without columns: the tile walks over the image itself.

In channels-last memory the numbers that one row of a window covers lie side by side, kw * C of them. So a window is kh
stretches, and the tile of `tile.py` reads them where they are:

    forward     y[position, f]   = sum over stretches of x  times  kernels     A = x, B = the kernels, packed
    weights     dw[(p, q, c), f] = sum over positions of x  times  dy          A = x, B = dy
    input       dx               = the forward pass over dy, with the kernels turned by 180 degrees and transposed

Nothing is unfolded. A dilated window has kh * kw stretches of C numbers each. With a stride, the pixels of dx fall into
stride * stride classes, each of which has met its own part of the kernel: a forward pass of its own over dy.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from minicnn.backend import get_num_threads, in_threads, parts_of, run_parts
from minicnn.geometry import Pair
from minicnn.kernels.numba.frame import Pooling, copy, gradients_before, pool_images, put
from minicnn.kernels.numba.product import (
    HEIGHTS,
    MOST_HEIGHT,
    cut_into_panels,
    pack,
    rounded_up,
    tile,
)
from minicnn.kernels.numba.setup import NO_IMAGES, Geometry, Order, filled_up, padded, sum_of_parts
from minicnn.kernels.numba.tile import MAX_VECTORS
from minicnn.kernels.numba.vector import VECTOR_BYTES, address, load, store

FRAMES = 1 << 15
"""Bytes of images that go through a convolution together."""


class Window(NamedTuple):
    """How a kernel lies on a framed image (height, width, channels) whose first pixel is at (top, left)."""

    height: int
    width: int
    channels: int
    top: int
    left: int
    kh: int
    kw: int
    down: int
    across: int
    """Dilation: pixels from one row, or column, of the kernel to the next."""
    lanes: int


@njit(nogil=True, cache=True)
def unpack(sums, dw, first, last):  # type: ignore[no-untyped-def]
    """dw (F, C, taps) = the sum of the threads' sums (threads, (tap, C), f), for kernels `first` to `last`."""
    _, channels, taps = dw.shape
    for f in range(first, last):
        for c in range(channels):
            for t in range(taps):
                total = sums[0, t * channels + c, f]
                for other in range(1, len(sums)):
                    total += sums[other, t * channels + c, f]
                dw[f, c, t] = total


class Sweep(NamedTuple):
    """All positions of a kernel on a group of framed images, which stand in memory one after the other.

    starts : where in the frames the window of each position begins; for a tile that is not full, the last comes again
    places : the pixel of the output that each position gives, counted from the group's first
    """

    window: Window
    starts: np.ndarray
    places: np.ndarray
    group: int


@njit(nogil=True)
def _put_images(x, n, images, window, frames):  # type: ignore[no-untyped-def]
    """Copy images n, n + 1, ... into their frames."""
    row, zero = window.width * window.channels, np.int64(0)  # see product.py
    for i in range(images):
        inside = frames[(i * window.height + window.top) * row :]
        put(x, n + i, zero, window.left, inside, zero, x.shape[1], window.width, window.channels)


@njit(nogil=True)
def _positions(n, sweep, packed, panels, bias, floor, first, last, frames, out, y):  # type: ignore[no-untyped-def]
    """Compute positions `first` to `last` of the images in the frames, for y[n], y[n + 1], ..."""
    _, h, w, features = y.shape
    window, starts, places, _ = sweep
    lanes, target, zero, one = window.lanes, y.reshape(-1), np.int64(0), np.int64(1)  # see product.py
    c, kh, kw, down = window.channels, window.kh, window.kw, window.down * window.width * window.channels
    lowest, dilated, f0, at = frames.dtype.type(-np.inf), window.across > 1 and kw > 1, 0, 0
    for vectors in panels:
        wide, tall, start = vectors * lanes, HEIGHTS[vectors], address(bias, f0)
        used = min(wide, features - f0)
        for t in range(first, last, tall):
            here, place = min(tall, last - t), places[t]
            whole = used == wide and here == tall and places[t + tall - 1] == place + tall - 1
            to, row = address(out, zero), wide
            if whole:  # the tile's rows are neighbours in y
                to, row = address(target, (n * h * w + place) * features + f0), features
            a, offsets, b = address(frames, zero), address(starts, t), address(packed, at)
            if not dilated:  # a row of the window is one stretch
                step = kw * c * wide
                tile(vectors, to, row, start, zero, floor, a, offsets, down, one, b, step, wide, kh, kw * c)
            else:
                for p in range(kh):
                    begin, begin_row = (start, zero) if p == 0 else (to, row)
                    a, b = address(frames, p * down), address(packed, at + p * kw * c * wide)
                    low, step = floor if p == kh - 1 else lowest, window.across * c
                    tile(vectors, to, row, begin, begin_row, low, a, offsets, step, one, b, c * wide, wide, kw, c)
            if not whole:
                for m in range(here):
                    copy(out, m * wide, target, (n * h * w + places[t + m]) * features + f0, used)
        f0 += wide
        at += kh * kw * c * wide


@njit(nogil=True, cache=True)
def forward(x, sweep, packed, panels, bias, floor, pool, parts, first, last, z, y, argmax):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, F) = x (N, H, W, C) through packed kernels, for units `first` to `last`: a group's part each.

    A panel of kernels goes over all images of a group before the next one is fetched.

    bias : as wide as all panels; what is below `floor` then becomes so, and max pooling follows if `pool` has a size
    z : (group, oh, ow, F), where images wait for being pooled
    """
    window, group = sweep.window, sweep.group
    frames = np.zeros(group * window.height * window.width * window.channels, dtype=x.dtype)
    out = np.empty(MOST_HEIGHT * MAX_VECTORS * window.lanes, dtype=x.dtype)
    held, zero = -1, np.int64(0)  # see product.py
    for unit in range(first, last):
        n, part = unit // parts * group, unit % parts
        images = min(group, len(x) - n)
        if n != held:
            _put_images(x, n, images, window, frames)
            held = n
        positions = len(sweep.places) // group * images
        a, b = positions * part // parts, positions * (part + 1) // parts
        if pool.kh:
            _positions(zero, sweep, packed, panels, bias, floor, a, b, frames, out, z)
            pool_images(z, images, pool, y, argmax, n)
        else:
            _positions(n, sweep, packed, panels, bias, floor, a, b, frames, out, y)


@njit(nogil=True, cache=True)
def weights(  # type: ignore[no-untyped-def]
    x, window, group, stride_h, stride_w, dy, y, argmax, relu, pool, k_offsets, panels, first, last, z, wide_dy, dz,
    sums, db
):  # fmt: skip
    """Add dw (kh * kw * C, f) to sums and db to db (f,), over groups `first` to `last`.

    A tile of sums stays at hand while it goes over all images of a group.

    k_offsets : where in the frame each row of dw has its pixel for the first position; the last is repeated
    z : (group, oh, ow, F), where gradients of the convolution's own output wait
    wide_dy : (group, oh, ow, f), the same with channels filled up
    dz : all gradients of the convolution's output, for `forward` to go on with; empty if nobody needs them
    """
    _, oh, ow, f = wide_dy.shape
    depth, row = window.kh * window.kw * window.channels, window.width * window.channels
    frames, zero = np.zeros(group * window.height * row, dtype=x.dtype), np.int64(0)  # see product.py
    total, lowest = sums.reshape(-1), x.dtype.type(-np.inf)
    a_row, a_step, size = stride_h * row, stride_w * window.channels, oh * ow * f
    for block in range(first, last):
        n = block * group
        images = min(group, len(x) - n)
        _put_images(x, n, images, window, frames)
        if relu:
            gradients_before(dy, y, argmax, pool, n, images, z)
            if dz.size:
                own = oh * ow * dz.shape[3]
                copy(z.reshape(-1), zero, dz.reshape(-1), n * own, images * own)
        source, begin = (z, zero) if relu else (dy, n)
        gradient, begin_at = source.reshape(-1), begin * size
        if dy.shape[3] < f:  # whole vectors are needed
            for i in range(images):
                put(source, begin + i, zero, zero, wide_dy.reshape(-1), i * size, oh, ow, f)
            gradient, begin_at = wide_dy.reshape(-1), zero
        for k in range(0, f, window.lanes):
            sum_of_k = load(db, k)
            for position in range(images * oh * ow):
                sum_of_k = sum_of_k + load(gradient, begin_at + position * f + k)
            store(db, k, sum_of_k)
        f0 = 0
        for vectors in panels:
            width, tall = vectors * window.lanes, HEIGHTS[vectors]
            for k in range(0, depth, tall):
                to, offsets = address(total, k * f + f0), address(k_offsets, k)
                for i in range(images):
                    a, b = address(frames, i * window.height * row), address(gradient, begin_at + i * size + f0)
                    tile(vectors, to, f, to, f, lowest, a, offsets, a_row, a_step, b, ow * f, f, oh, ow)
            f0 += width


class Direct:
    """The tile walks over the image itself."""

    name = "direct"

    def __init__(self, geometry: Geometry) -> None:
        g = self.geometry = geometry
        self.lanes = VECTOR_BYTES // np.dtype(g.dtype).itemsize
        self.f = rounded_up(g.f, self.lanes)
        self.panels = cut_into_panels(g.f, self.lanes)
        (kh, kw), (dh, dw), ((top, bottom), (left, right)) = g.kernel, g.dilation, g.pads
        self.size = kh * kw
        self.taps = np.arange(kh * kw)
        self.window = Window(top + g.h + bottom, left + g.w + right, g.c, top, left, kh, kw, dh, dw, self.lanes)
        self.cost = math.prod(g.out) * kh * kw * g.c * self.f // self.lanes  # of an image
        self.most_images = -(-g.n // len(parts_of(g.n, cost=self.cost)))
        starts = self._frame_places(g.out, g.stride, self.window)
        self.sweep = self._sweep(self.window, starts, np.arange(math.prod(g.out)), math.prod(g.out))
        pixels = self._frame_places(g.kernel, g.dilation, self.window)
        self.k_offsets = padded((pixels[:, None] + np.arange(g.c)).reshape(-1))
        self.classes = [self._class(i, j) for i in range(g.stride[0]) for j in range(g.stride[1])]

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (F, C, kh, kw), b (F,) or None -> y, argmax (N, oh, ow, F), after pooling if any."""
        g = self.geometry
        bias = filled_up(b, self.f, g.dtype)
        packed = self._packed(w, self.taps, Order(g.c, g.f, self.size, g.c * self.size), self.panels)
        self._run(x, self.sweep, packed, self.panels, bias, relu, y, argmax)

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, F) of what came out -> dx (N, H, W, C) or nothing, dw (F, C, kh, kw), db (F,)"""
        g, (kh, kw), (sh, sw) = self.geometry, self.geometry.kernel, self.geometry.stride
        dz = np.empty((g.n, *g.out, g.f), dtype=g.dtype) if relu and need_dx else NO_IMAGES[g.dtype]
        group, depth = self.sweep.group, kh * kw * g.c
        parts = parts_of(-(-g.n // group), cost=group * self.cost)
        sums = np.zeros((len(parts), depth + MOST_HEIGHT, self.f), dtype=g.dtype)
        db = np.zeros((len(parts), self.f), dtype=g.dtype)

        def work(first: int, last: int) -> None:
            part = parts.index((first, last))
            z = np.empty((group, *g.out, g.f if relu else 0), dtype=g.dtype)
            wide_dy = np.zeros((1 if g.f == self.f else group, *g.out, self.f), dtype=g.dtype)
            weights(
                x, self.window, group, sh, sw, dy, y, argmax, relu, g.pool, self.k_offsets, self.panels,
                first, last, z, wide_dy, dz, sums[part], db[part],
            )  # fmt: skip

        run_parts(work, parts)
        dw = np.empty((g.f, g.c, self.size), dtype=g.dtype)
        in_threads(lambda a, b: unpack(sums, dw, a, b), g.f, cost=depth * len(sums))
        dx = self._input_gradients(dz if relu else dy, w) if need_dx else None
        return dx, dw.reshape(w.shape), sum_of_parts(db)[: g.f]

    def _input_gradients(self, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
        g = self.geometry
        none_missing = all(self.classes)
        dx = (np.empty if none_missing else np.zeros)((g.n, g.h, g.w, g.c), dtype=g.dtype)
        panels = cut_into_panels(g.c, self.lanes)
        bias = np.zeros(rounded_up(g.c, self.lanes), dtype=g.dtype)
        for taps, sweep in filter(None, self.classes):
            packed = self._packed(w, taps, Order(g.f, g.c, g.c * self.size, self.size), panels)
            self._run(dy, sweep, packed, panels, bias, False, dx, NO_IMAGES["uint8"], pool=Pooling())
        return dx

    def _packed(self, w: np.ndarray, taps: np.ndarray, order: Order, panels: np.ndarray) -> np.ndarray:
        rows, width = len(taps) * order.k, int(panels.sum()) * self.lanes
        packed, source = np.empty(rows * width, dtype=w.dtype), np.ascontiguousarray(w).reshape(-1)
        in_threads(lambda a, b: pack(source, taps, order, panels, self.lanes, a, b, packed), rows, cost=width)
        return packed

    def _run(
        self, x: Any, sweep: Sweep, packed: Any, panels: Any, bias: Any, relu: bool, y: Any, argmax: Any,
        *, pool: Pooling | None = None,
    ) -> None:  # fmt: skip
        """Convolve all images of x with packed kernels."""
        pool = self.geometry.pool if pool is None else pool
        floor = x.dtype.type(0 if relu else -np.inf)
        groups, positions = -(-len(x) // sweep.group), len(sweep.places)
        parts = 1 if pool.kh else max(1, min(get_num_threads() // groups, positions))
        z_shape = (sweep.group, *self.geometry.out, y.shape[3]) if pool.kh else (0, 0, 0, 0)

        def work(first: int, last: int) -> None:
            z = np.empty(z_shape, dtype=x.dtype)
            forward(x, sweep, packed, panels, bias, floor, pool, parts, first, last, z, y, argmax)

        in_threads(work, groups * parts, cost=positions * len(packed) // self.lanes // parts)

    def _sweep(self, window: Window, starts: np.ndarray, places: np.ndarray, pixels: int) -> Sweep:
        """Lay out the positions of as many images as stay in the cache, `pixels` of the output each."""
        size = window.height * window.width * window.channels
        itemsize = VECTOR_BYTES // self.lanes
        group = max(1, min(self.most_images, FRAMES // (size * itemsize)))
        image = np.arange(group)[:, None]
        return Sweep(window, padded((image * size + starts).reshape(-1)), (image * pixels + places).reshape(-1), group)

    def _class(self, i: int, j: int) -> tuple | None:
        """Return how pixels i, i + stride, ... (and j alike) get their gradients; None if no kernel ever met them.

        With row p of the kernel over it, pixel i belongs to output (i + top - p * dilation) / stride, if that is whole.
        """
        g = self.geometry
        taps, firsts, counts, steps = [], [], [], []
        for axis, at in enumerate((i, j)):
            s, d, before = g.stride[axis], g.dilation[axis], g.pads[axis][0]
            whole = [p for p in range(g.kernel[axis]) if (at + before - p * d) % s == 0]
            count = len(range(at, (g.h, g.w)[axis], s))
            if not whole or not count:
                return None
            taps.append(whole[::-1])
            firsts.append((at + before - whole[-1] * d) // s)
            counts.append(count)
            steps.append(d // math.gcd(s, d))
        borders = [max(0, -first) for first in firsts]
        spans = [
            max(border + out, border + first + count - 1 + (len(tap) - 1) * step + 1)
            for border, out, first, count, tap, step in zip(borders, g.out, firsts, counts, taps, steps, strict=True)
        ]
        (height, width), (top, left), (down, across) = spans, borders, steps
        window = Window(height, width, g.f, top, left, len(taps[0]), len(taps[1]), down, across, self.lanes)
        corner = [border + first for border, first in zip(borders, firsts, strict=True)]
        starts = self._frame_places((counts[0], counts[1]), (1, 1), window) + (corner[0] * spans[1] + corner[1]) * g.f
        rows, columns = np.arange(i, g.h, g.stride[0]), np.arange(j, g.w, g.stride[1])
        positions = np.array(taps[0])[:, None] * g.kernel[1] + np.array(taps[1])
        places = (rows[:, None] * g.w + columns).reshape(-1)
        return positions.reshape(-1), self._sweep(window, starts, places, g.h * g.w)

    @staticmethod
    def _frame_places(counts: Pair, steps: Pair, window: Window) -> np.ndarray:
        """Return where the pixels (i * step, j * step) of a frame begin."""
        rows, columns = np.arange(counts[0]) * steps[0], np.arange(counts[1]) * steps[1]
        return ((rows[:, None] * window.width + columns) * window.channels).reshape(-1)
