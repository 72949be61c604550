"""Convolution without columns: the tile walks over the image itself.

The numbers under a window stand at the same distances from its beginning, wherever it is. So the tile of `tile.py`
reads them where they are, by two lists: where the windows begin, and what leads from there to each of their numbers.

    forward     y[position, f]   = sum over (p, q, c) of x  times  kernels     A = x, B = the kernels, packed
    weights     dw[(p, q, c), f] = sum over positions of x  times  dy          A = x, its lists exchanged, B = dy
    input       dx               = the forward pass over dy, with the kernels turned by 180 degrees and transposed

Nothing is unfolded. With a stride, the pixels of dx fall into stride * stride classes, each of which has met its own
part of the kernel: a forward pass of its own over dy.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from minicnn.backend import get_num_threads, in_threads, parts_of, pieces_of, run_parts
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

FRAMES = 1 << 17
"""Bytes of images that go through a convolution together."""


class Frame(NamedTuple):
    """The border of an image: (height, width, channels) with its first pixel at (top, left)."""

    height: int
    width: int
    channels: int
    top: int
    left: int
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
    taps : where the `depth` numbers under a window stand, from its beginning; the last comes again too
    places : the pixel of the output that each position gives, counted from the group's first
    """

    frame: Frame
    starts: np.ndarray
    taps: np.ndarray
    depth: int
    places: np.ndarray
    group: int


@njit(nogil=True)
def _put_images(x, n, images, frame, frames):  # type: ignore[no-untyped-def]
    """Copy images n, n + 1, ... into their frames."""
    row, zero = frame.width * frame.channels, np.int64(0)  # see product.py
    for i in range(images):
        inside = frames[(i * frame.height + frame.top) * row :]
        put(x, n + i, zero, frame.left, inside, zero, x.shape[1], frame.width, frame.channels)


@njit(nogil=True)
def _positions(n, sweep, packed, panels, bias, floor, first, last, frames, out, y):  # type: ignore[no-untyped-def]
    """Compute positions `first` to `last` of the images in the frames, for y[n], y[n + 1], ..."""
    _, h, w, features = y.shape
    frame, starts, taps, depth, places, _ = sweep
    target, zero, f0 = y.reshape(-1), np.int64(0), 0  # see product.py
    for vectors in panels:
        wide, tall = vectors * frame.lanes, HEIGHTS[vectors]
        used = min(wide, features - f0)
        for t in range(first, last, tall):
            here, place = min(tall, last - t), places[t]
            whole = used == wide and here == tall and places[t + tall - 1] == place + tall - 1
            to, row = address(out, zero), wide
            if whole:  # the tile's rows are neighbours in y
                to, row = address(target, (n * h * w + place) * features + f0), features
            start, a, b = address(bias, f0), address(frames, zero), address(packed, f0 * depth)
            tile(vectors, to, row, start, zero, floor, a, address(starts, t), address(taps, zero), b, wide, depth)
            if not whole:
                for m in range(here):
                    copy(out, m * wide, target, (n * h * w + places[t + m]) * features + f0, used)
        f0 += wide


@njit(nogil=True, cache=True)
def forward(x, sweep, packed, panels, bias, floor, pool, parts, first, last, z, y, argmax):  # type: ignore[no-untyped-def]
    """y (N, oh, ow, F) = x (N, H, W, C) through packed kernels, for units `first` to `last`: a group's part each.

    A panel of kernels goes over all images of a group before the next one is fetched.

    bias : as wide as all panels; what is below `floor` then becomes so, and max pooling follows if `pool` has a size
    z : (group, oh, ow, F), where images wait for being pooled
    """
    frame, group = sweep.frame, sweep.group
    frames = np.zeros(group * frame.height * frame.width * frame.channels, dtype=x.dtype)
    out = np.empty(MOST_HEIGHT * MAX_VECTORS * frame.lanes, dtype=x.dtype)
    held, zero = -1, np.int64(0)  # see product.py
    for unit in range(first, last):
        n, part = unit // parts * group, unit % parts
        images = min(group, len(x) - n)
        if n != held:
            _put_images(x, n, images, frame, frames)
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
    x, sweep, dy, y, argmax, relu, pool, panels, first, last, z, wide_dy, dz, sums, db
):
    """Add dw (kh * kw * C, f) to sums and db to db (f,), over groups `first` to `last`.

    A tile of sums stays in the registers while it goes over all images of a group.

    z : (group, oh, ow, F), where gradients of the convolution's own output wait
    wide_dy : (group, oh, ow, f), the same with channels filled up
    dz : all gradients of the convolution's output, for `forward` to go on with; empty if nobody needs them
    """
    _, oh, ow, f = wide_dy.shape
    frame, starts, taps, depth, _, group = sweep
    frames, zero = np.zeros(group * frame.height * frame.width * frame.channels, dtype=x.dtype), np.int64(0)
    total, lowest, size = sums.reshape(-1), x.dtype.type(-np.inf), oh * ow * f
    for block in range(first, last):
        n = block * group
        images = min(group, len(x) - n)
        _put_images(x, n, images, frame, frames)
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
        for k in range(0, f, frame.lanes):
            sum_of_k = load(db, k)
            for position in range(images * oh * ow):
                sum_of_k = sum_of_k + load(gradient, begin_at + position * f + k)
            store(db, k, sum_of_k)
        f0 = 0
        for vectors in panels:
            width, tall = vectors * frame.lanes, HEIGHTS[vectors]
            a, steps, b = address(frames, zero), address(starts, zero), address(gradient, begin_at + f0)
            for k in range(0, depth, tall):
                to = address(total, k * f + f0)
                tile(vectors, to, f, to, f, lowest, a, address(taps, k), steps, b, f, images * oh * ow)
            f0 += width


class Direct:
    """The tile walks over the image itself."""

    name = "direct"

    def __init__(self, geometry: Geometry) -> None:
        g = self.geometry = geometry
        self.lanes = VECTOR_BYTES // np.dtype(g.dtype).itemsize
        self.f = rounded_up(g.f, self.lanes)
        self.panels = cut_into_panels(g.f, self.lanes)
        (kh, kw), ((top, bottom), (left, right)) = g.kernel, g.pads
        self.size = kh * kw
        self.taps = np.arange(kh * kw)
        frame = Frame(top + g.h + bottom, left + g.w + right, g.c, top, left, self.lanes)
        self.cost = math.prod(g.out) * kh * kw * g.c * self.f // self.lanes  # of an image
        self.most_images = -(-g.n // len(parts_of(g.n, cost=self.cost)))
        starts, pixels = _places(frame, g.out, g.stride), _places(frame, g.kernel, g.dilation)
        self.sweep = self._sweep(frame, starts, pixels, np.arange(math.prod(g.out)), math.prod(g.out))
        self.classes = [self._class(i, j) for i in range(g.stride[0]) for j in range(g.stride[1])]

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (F, C, kh, kw), b (F,) or None -> y, argmax (N, oh, ow, F), after pooling if any."""
        g = self.geometry
        bias = filled_up(b, self.f, g.dtype)
        packed = self._packed(w, self.taps, Order(g.c, g.f, self.size, g.c * self.size), self.panels)
        self._run(x, [(self.sweep, packed)], self.panels, bias, relu, g.pool, y, argmax)

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, F) of what came out -> dx (N, H, W, C) or nothing, dw (F, C, kh, kw), db (F,)"""
        g = self.geometry
        dz = np.empty((g.n, *g.out, g.f), dtype=g.dtype) if relu and need_dx else NO_IMAGES[g.dtype]
        group, depth = self.sweep.group, self.sweep.depth
        parts = parts_of(-(-g.n // group), cost=group * self.cost)
        sums = np.zeros((len(parts), depth + MOST_HEIGHT, self.f), dtype=g.dtype)
        db = np.zeros((len(parts), self.f), dtype=g.dtype)

        def work(first: int, last: int) -> None:
            part = parts.index((first, last))
            z = np.empty((group, *g.out, g.f if relu else 0), dtype=g.dtype)
            wide_dy = np.zeros((1 if g.f == self.f else group, *g.out, self.f), dtype=g.dtype)
            weights(
                x, self.sweep, dy, y, argmax, relu, g.pool, self.panels, first, last, z, wide_dy, dz,
                sums[part], db[part],
            )  # fmt: skip

        run_parts(work, parts)
        dw = np.empty((g.f, g.c, self.size), dtype=g.dtype)
        in_threads(lambda a, b: unpack(sums, dw, a, b), g.f, cost=depth * len(sums))
        dx = self.input_gradients(dz if relu else dy, w) if need_dx else None
        return dx, dw.reshape(w.shape), sum_of_parts(db)[: g.f]

    def input_gradients(self, dy: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        """dy (N, oh, ow, F), w (F, C, kh, kw) -> dx (N, H, W, C), to which b (C,) is added: transposed convolution."""
        g = self.geometry
        dx = np.empty((g.n, g.h, g.w, g.c), dtype=g.dtype)
        if not all(self.classes):  # some pixels met no kernel
            dx[...] = 0 if b is None else b
        panels = cut_into_panels(g.c, self.lanes)
        bias = filled_up(b, rounded_up(g.c, self.lanes), g.dtype)
        order = Order(g.f, g.c, g.c * self.size, self.size)
        sweeps = [(sweep, self._packed(w, taps, order, panels)) for taps, sweep in filter(None, self.classes)]
        self._run(dy, sweeps, panels, bias, False, Pooling(), dx, NO_IMAGES["uint8"])
        return dx

    def _packed(self, w: np.ndarray, taps: np.ndarray, order: Order, panels: np.ndarray) -> np.ndarray:
        rows, width = len(taps) * order.k, int(panels.sum()) * self.lanes
        packed, source = np.empty(rows * width, dtype=w.dtype), np.ascontiguousarray(w).reshape(-1)
        in_threads(lambda a, b: pack(source, taps, order, panels, self.lanes, a, b, packed), rows, cost=width)
        return packed

    def _run(
        self, x: Any, sweeps: list[tuple[Sweep, np.ndarray]], panels: Any, bias: Any, relu: bool, pool: Pooling,
        y: Any, argmax: Any,
    ) -> None:  # fmt: skip
        """Convolve all images of x, in every sweep with its packed kernels; together they fill y."""
        floor = x.dtype.type(0 if relu else -np.inf)
        jobs: list[tuple] = []
        for sweep, packed in sweeps:
            groups, positions = -(-len(x) // sweep.group), len(sweep.places)
            parts = 1 if pool.kh else max(1, min(get_num_threads() // groups, positions))
            cost = positions * len(packed) // self.lanes // parts
            jobs += [(sweep, packed, parts, *piece) for piece in pieces_of(groups * parts, cost=cost)]

        def work(sweep: Sweep, packed: np.ndarray, parts: int, first: int, last: int) -> None:
            z = np.empty((sweep.group, *self.geometry.out, y.shape[3]) if pool.kh else (0, 0, 0, 0), dtype=x.dtype)
            forward(x, sweep, packed, panels, bias, floor, pool, parts, first, last, z, y, argmax)

        run_parts(work, jobs)

    def _sweep(self, frame: Frame, starts: np.ndarray, pixels: np.ndarray, places: np.ndarray, to: int) -> Sweep:
        """Lay out the positions of as many images as stay in the cache, each with `to` pixels of the output.

        starts, pixels : where windows begin, and from there their pixels;   places : the pixels that they give
        """
        size = frame.height * frame.width * frame.channels
        group = max(1, min(self.most_images, FRAMES // (size * VECTOR_BYTES // self.lanes)))
        image = np.arange(group)[:, None]
        taps = (pixels[:, None] + np.arange(frame.channels)).reshape(-1)
        all_starts, all_places = (image * size + starts).reshape(-1), (image * to + places).reshape(-1)
        return Sweep(frame, padded(all_starts), padded(taps), len(taps), all_places, group)

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
        (height, width), (top, left) = spans, borders
        frame = Frame(height, width, g.f, top, left, self.lanes)
        corner = [border + first for border, first in zip(borders, firsts, strict=True)]
        starts = _places(frame, (counts[0], counts[1]), (1, 1)) + (corner[0] * width + corner[1]) * g.f
        pixels = _places(frame, (len(taps[0]), len(taps[1])), (steps[0], steps[1]))
        rows, columns = np.arange(i, g.h, g.stride[0]), np.arange(j, g.w, g.stride[1])
        positions = np.array(taps[0])[:, None] * g.kernel[1] + np.array(taps[1])
        places = (rows[:, None] * g.w + columns).reshape(-1)
        return positions.reshape(-1), self._sweep(frame, starts, pixels, places, g.h * g.w)


def _places(frame: Frame, counts: Pair, steps: Pair) -> np.ndarray:
    """Return where the pixels (i * step, j * step) of a frame begin."""
    rows, columns = np.arange(counts[0]) * steps[0], np.arange(counts[1]) * steps[1]
    return ((rows[:, None] * frame.width + columns) * frame.channels).reshape(-1)
