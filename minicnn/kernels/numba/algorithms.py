"""The algorithms of convolution, each set up for one geometry.

`algorithm_for(geometry)` chooses; what it returns knows its tiles, panels and workspaces, and does

    forward     y (, argmax) = what the convolution, ReLU and max pooling make of x
    backward    dw and db, and dx where it is needed

on channels-last arrays. Setting one up takes longer than a small convolution, so they are kept.
"""

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from minicnn.backend import get_num_threads, in_threads, parts_of, run_parts
from minicnn.errors import ArgumentError
from minicnn.geometry import Pads, Pair
from minicnn.kernels.numba import direct, winograd
from minicnn.kernels.numba.frame import Pooling
from minicnn.kernels.numba.memory import workspace
from minicnn.kernels.numba.product import MOST_HEIGHT, cut_into_panels, rounded_up
from minicnn.kernels.numba.transforms import ALPHA, PLANES
from minicnn.kernels.numba.vector import VECTOR_BYTES

ALGORITHMS = ("direct", "winograd")
NO_IMAGES = {dtype: np.empty((0, 0, 0, 0), dtype=dtype) for dtype in ("float32", "float64", "uint8")}
TILES_A_BLOCK = 64
"""Of Winograd's: enough for the kernels to be read seldom, few enough to stay in the cache."""


class Geometry(NamedTuple):
    """A convolution: of images (n, c, h, w) by f kernels, followed by ReLU and max pooling or not."""

    dtype: str
    n: int
    c: int
    h: int
    w: int
    f: int
    kernel: Pair
    stride: Pair
    dilation: Pair
    pads: Pads
    out: Pair
    pool: Pooling
    pooled: Pair


@functools.lru_cache(maxsize=512)
def algorithm_for(geometry: Geometry, name: str, threads: int) -> Any:
    """Return an algorithm set up for this geometry and number of threads.

    name : "direct", "winograd", or "auto" for the one that is faster
    Raises `ArgumentError` if the one that is asked for cannot do this.
    """
    problem = winograd_problem(geometry)
    if name == "winograd" and problem:
        raise ArgumentError(f'algorithm="winograd" {problem}; "direct" and "im2col" do any convolution')
    if name == "direct" or problem or (name == "auto" and not winograd_pays(geometry)):
        return Direct(geometry)
    return Winograd(geometry, threads)


def winograd_problem(geometry: Geometry) -> str | None:
    """Return why this convolution cannot be done in Winograd's way, or None."""
    if geometry.kernel not in ((3, 3), (5, 5)):
        return f"is for kernels of 3 x 3 and 5 x 5, not {geometry.kernel[0]} x {geometry.kernel[1]}"
    if geometry.stride != (1, 1) or geometry.dilation != (1, 1):
        return f"is for stride 1 and dilation 1, not {geometry.stride} and {geometry.dilation}"
    return None


def winograd_pays(geometry: Geometry) -> bool:
    """Return whether Winograd's way is exact enough and faster: enough channels, and tiles that fill the image."""
    (oh, ow), r = geometry.out, geometry.kernel[0]
    m = ALPHA + 1 - r
    share = PLANES * -(-oh // m) * -(-ow // m) / (oh * ow * r * r)
    return geometry.dtype == "float32" and min(geometry.c, geometry.f) >= 16 and share <= 0.6


def laid_out(kernels: np.ndarray, width: int) -> np.ndarray:
    """Return kernels (kh, kw, K, N) flat and contiguous, N filled up with zeros to `width`."""
    if kernels.shape[3] == width:
        return np.ascontiguousarray(kernels).reshape(-1)
    padded = np.zeros((*kernels.shape[:3], width), dtype=kernels.dtype)
    padded[..., : kernels.shape[3]] = kernels
    return padded.reshape(-1)


def filled_up(vector: np.ndarray | None, width: int, dtype: str) -> np.ndarray:
    """Return a bias of that width, with zeros for what there is none of."""
    wide = np.zeros(width, dtype=dtype)
    if vector is not None:
        wide[: len(vector)] = vector
    return wide


class Winograd:
    """Fewer multiplications, for 3 x 3 and 5 x 5: see `winograd.py`."""

    name = "winograd"

    def __init__(self, geometry: Geometry, threads: int) -> None:
        self.geometry = geometry
        self.lanes = VECTOR_BYTES // np.dtype(geometry.dtype).itemsize
        self.panels = cut_into_panels(geometry.f, self.lanes)
        self.turned_panels = cut_into_panels(geometry.c, self.lanes)
        self.f, self.c = rounded_up(geometry.f, self.lanes), rounded_up(geometry.c, self.lanes)
        r, ((top, _), (left, _)), (oh, ow) = geometry.kernel[0], geometry.pads, geometry.out
        m = ALPHA + 1 - r
        down, across = -(-oh // m), -(-ow // m)
        tiles = min(TILES_A_BLOCK, max(8, geometry.n * down * across // threads))
        group = max(1, min(geometry.n, tiles // (down * across)))
        rows = down if down * across <= tiles or geometry.pool.kh else max(1, tiles // across)
        self.blocks = winograd.Blocks(m, r, top, left, across, rows, -(-down // rows), group, self.lanes)
        self.groups = -(-geometry.n // group)
        self.space = winograd.space_needed(self.blocks, self.c, self.f)
        self.cost = PLANES * group * down * across * self.c * self.f // self.lanes  # of a group
        self.z_shape = (group, *geometry.out, geometry.f)

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (F, C, r, r), b (F,) or None -> y and argmax (N, oh, ow, F), after pooling if there is any."""
        g, blocks = self.geometry, self.blocks
        planes = self._transformed(w.transpose(2, 3, 1, 0), g.c, self.f, self.panels)
        bias = filled_up(b, self.f, g.dtype)
        z_size = math.prod(self.z_shape) if g.pool.kh else 0

        def work(first: int, last: int) -> None:
            space = workspace(self.space + z_size, g.dtype)
            z = space[self.space :].reshape(self.z_shape) if z_size else NO_IMAGES[g.dtype]
            winograd.forward(
                x, planes, self.panels, bias, relu, g.pool, blocks, space[: self.space], first, last, z, y, argmax
            )

        in_threads(work, self.groups * blocks.bands, cost=self.cost // blocks.bands)

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, F) of what came out -> dx (N, H, W, C) or nothing, dw (r, r, C, F), db (F,)"""
        g, blocks, r = self.geometry, self.blocks, self.blocks.r
        dx = np.empty(x.shape, dtype=g.dtype) if need_dx else NO_IMAGES[g.dtype]
        planes = self._transformed(w.transpose(2, 3, 0, 1), g.f, self.c, self.turned_panels) if need_dx else None
        planes = np.empty((PLANES, 0), dtype=g.dtype) if planes is None else planes
        parts = parts_of(self.groups, cost=self.cost * (2 if need_dx else 1))
        plane = (self.c + MOST_HEIGHT) * self.f
        sums = np.empty((len(parts), PLANES * plane), dtype=g.dtype)
        db = np.zeros((len(parts), self.f), dtype=g.dtype)
        z_size = math.prod(self.z_shape) if relu else 0

        def work(first: int, last: int) -> None:
            part = parts.index((first, last))
            space = workspace(self.space + z_size, g.dtype)
            z = space[self.space :].reshape(self.z_shape) if z_size else NO_IMAGES[g.dtype]
            winograd.backward(
                dy, y, argmax, relu, g.pool, x, planes, self.panels, self.turned_panels, blocks,
                space[: self.space], first, last, z, sums[part], db[part], dx,
            )  # fmt: skip

        run_parts(work, parts)
        dw = np.empty(r * r * g.c * self.f, dtype=g.dtype)
        in_threads(
            lambda a, b: winograd.kernel_gradients(sums, r, plane, g.c, self.f, self.lanes, a, b, dw),
            g.c,
            cost=PLANES * len(sums) * self.f // self.lanes,
        )
        return dx, dw.reshape(r, r, g.c, self.f)[..., : g.f], db.sum(axis=0)[: g.f]

    def _transformed(self, kernels: np.ndarray, depth: int, width: int, panels: np.ndarray) -> np.ndarray:
        """Return kernels (r, r, K, N) in Winograd's basis: planes (36, K * width)."""
        r, source = self.blocks.r, laid_out(kernels, width)
        planes = np.empty((PLANES, depth * width), dtype=source.dtype)
        target = planes.reshape(-1)
        in_threads(
            lambda a, b: winograd.transform_kernels(source, r, depth, width, panels, self.lanes, a, b, target),
            depth,
            cost=2 * PLANES * width // self.lanes,
        )
        return planes


class Direct:
    """The tile walks over the image itself: see `direct.py`."""

    name = "direct"

    def __init__(self, geometry: Geometry) -> None:
        g = self.geometry = geometry
        self.lanes = VECTOR_BYTES // np.dtype(g.dtype).itemsize
        self.f = rounded_up(g.f, self.lanes)
        self.panels = cut_into_panels(g.f, self.lanes)
        (kh, kw), (dh, dw), ((top, bottom), (left, right)) = g.kernel, g.dilation, g.pads
        self.window = direct.Window(top + g.h + bottom, left + g.w + right, g.c, top, left, kh, kw, dh, dw, self.lanes)
        self.starts = self._frame_places(g.out, g.stride, self.window)
        self.places = np.arange(math.prod(g.out))
        pixels = self._frame_places(g.kernel, g.dilation, self.window)
        self.k_offsets = (pixels[:, None] + np.arange(g.c)).reshape(-1)
        self.cost = math.prod(g.out) * kh * kw * g.c * self.f // self.lanes  # of an image
        self.classes = [self._class(i, j) for i in range(g.stride[0]) for j in range(g.stride[1])]

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (F, C, kh, kw), b (F,) or None -> y and argmax (N, oh, ow, F), after pooling if there is any."""
        g = self.geometry
        bias = filled_up(b, self.f, g.dtype)
        self._run(x, self.window, self.starts, w.transpose(2, 3, 1, 0), self.panels, bias, relu, self.places, y, argmax)

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, F) of what came out -> dx (N, H, W, C) or nothing, dw (kh, kw, C, F), db (F,)"""
        g, (kh, kw), (sh, sw) = self.geometry, self.geometry.kernel, self.geometry.stride
        dz = np.empty((g.n, *g.out, g.f), dtype=g.dtype) if relu and need_dx else NO_IMAGES[g.dtype]
        parts, depth = parts_of(g.n, cost=self.cost), len(self.k_offsets)
        sums = np.zeros((len(parts), depth + MOST_HEIGHT, self.f), dtype=g.dtype)
        db = np.zeros((len(parts), self.f), dtype=g.dtype)

        def work(first: int, last: int) -> None:
            part = parts.index((first, last))
            z = np.empty((1, *g.out, g.f if relu else 0), dtype=g.dtype)
            wide_dy = np.zeros((*g.out, self.f), dtype=g.dtype)
            direct.weights(
                x, self.window, sh, sw, dy, y, argmax, relu, g.pool, self.k_offsets, self.panels,
                first, last, z, wide_dy, dz, sums[part], db[part],
            )  # fmt: skip

        run_parts(work, parts)
        dw = sums.sum(axis=0)[:depth, : g.f].reshape(kh, kw, g.c, g.f)
        dx = self._input_gradients(dz if relu else dy, w) if need_dx else None
        return dx, dw, db.sum(axis=0)[: g.f]

    def _input_gradients(self, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
        g = self.geometry
        none_missing = all(self.classes)
        dx = (np.empty if none_missing else np.zeros)((g.n, g.h, g.w, g.c), dtype=g.dtype)
        panels = cut_into_panels(g.c, self.lanes)
        bias = np.zeros(rounded_up(g.c, self.lanes), dtype=g.dtype)
        for rows, columns, window, starts, places in filter(None, self.classes):
            kernels = w[:, :, rows][:, :, :, columns].transpose(2, 3, 0, 1)
            self._run(dy, window, starts, kernels, panels, bias, False, places, dx, NO_IMAGES["uint8"], pool=Pooling())
        return dx

    def _run(
        self, x: Any, window: Any, starts: Any, kernels: Any, panels: Any, bias: Any, relu: bool, places: Any,
        y: Any, argmax: Any, *, pool: Pooling | None = None,
    ) -> None:  # fmt: skip
        """Convolve all images of x with kernels (kh, kw, K, N)."""
        pool, n = self.geometry.pool if pool is None else pool, len(x)
        rows, width = math.prod(kernels.shape[:3]), kernels.shape[3]
        source = np.ascontiguousarray(kernels).reshape(-1)
        packed = np.empty(rows * len(bias), dtype=source.dtype)
        in_threads(
            lambda a, b: direct.pack(source, rows, width, panels, self.lanes, a, b, packed), rows, cost=len(bias)
        )
        parts = 1 if pool.kh else max(1, min(get_num_threads() // n, len(starts)))
        z_shape = (1, *self.geometry.out, width) if pool.kh else (0, 0, 0, 0)

        def work(first: int, last: int) -> None:
            z = np.empty(z_shape, dtype=x.dtype)
            direct.forward(
                x, window, starts, packed, panels, bias, relu, pool, parts, places, first, last, z, y, argmax
            )

        in_threads(work, n * parts, cost=len(starts) * rows * len(bias) // self.lanes // parts)

    def _class(self, i: int, j: int) -> tuple | None:
        """Return how pixels i, i + stride, ... (and j alike) get their gradients; None if no kernel ever met them.

        With row p of the kernel over it, pixel i belongs to output (i + top - p * dilation) / stride, where that is whole.
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
        window = direct.Window(*spans, g.f, *borders, len(taps[0]), len(taps[1]), *steps, self.lanes)
        corner = [border + first for border, first in zip(borders, firsts, strict=True)]
        starts = self._frame_places((counts[0], counts[1]), (1, 1), window) + (corner[0] * spans[1] + corner[1]) * g.f
        rows, columns = np.arange(i, g.h, g.stride[0]), np.arange(j, g.w, g.stride[1])
        return taps[0], taps[1], window, starts, (rows[:, None] * g.w + columns).reshape(-1)

    @staticmethod
    def _frame_places(counts: Pair, steps: Pair, window: direct.Window) -> np.ndarray:
        """Return where the pixels (i * step, j * step) of a frame begin."""
        rows, columns = np.arange(counts[0]) * steps[0], np.arange(counts[1]) * steps[1]
        return ((rows[:, None] * window.width + columns) * window.channels).reshape(-1)
