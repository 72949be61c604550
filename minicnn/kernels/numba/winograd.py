"""Convolution with fewer multiplications: Winograd's minimal filtering, forwards and backwards.

m x m outputs of a kernel of r x r need (m + r - 1)^2 multiplications a channel instead of m^2 r^2, once image and
kernel are brought into another basis. That is called F(m x m, r x r):

    F(4x4, 3x3)    36 instead of 144
    F(2x2, 5x5)    36 instead of 100
    F(2x2, 3x3)    16 instead of 36, for what is too narrow to fill tiles of 4 x 4

    Y = A^T [ sum over c of (G g G^T) * (B^T d B) ] A         d: a tile of x,  g: a kernel,  * entry by entry

In the new basis every entry of a tile is a matrix product of its own, V[p] (tiles, C) times U[p] (C, F). The backward
passes are the adjoints of the same transforms, in reverse:

    dM = A dY A^T      dU[p] = V[p]^T dM[p]      dg = G^T dU G      dV[p] = dM[p] U[p]^T      dd = B dV B^T

Its rounding error is a few times that of the plain sum, and it is spread over a tile: an output next to a very large
number is no more exact than that number's neighbours are, and one next to an infinity becomes a NaN. float64, for
gradient checks, never comes here unless it is asked to.

Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016, sections 3 and 4. The transforms are in
`transforms.py`.
"""

import math
from typing import Any

import numpy as np
from numba import njit

from minicnn.backend import in_threads, parts_of, run_parts
from minicnn.geometry import Pair
from minicnn.kernels.numba import blocks
from minicnn.kernels.numba.frame import clear
from minicnn.kernels.numba.memory import workspace
from minicnn.kernels.numba.product import MOST_HEIGHT, cut_into_panels, rounded_up
from minicnn.kernels.numba.setup import NO_IMAGES, Geometry, Order, filled_up, sum_of_parts
from minicnn.kernels.numba.transforms import to_kernel, to_kernel_tile
from minicnn.kernels.numba.vector import VECTOR_BYTES, load, store

TILE_SIZES = {3: (4, 2), 5: (2,)}
"""The m of every F(m x m, r x r) that there is, by r; the largest first."""
TILES_A_BLOCK = 64
"""Enough for the kernels to be read seldom, few enough to stay in the cache."""
MANY_KERNELS = 128 * 128
"""Of more, reading them and writing their gradients weighs so much that blocks of twice as many tiles pay."""


@njit(nogil=True, cache=True)
def transform_kernels(w, m, r, order, panels, lanes, first, last, planes):  # type: ignore[no-untyped-def]
    """U = G g G^T for rows `first` to `last` of the matrices that follow: planes (alpha^2, K * width), packed.

    w : kernels (F, C, r, r), flat, seen as matrices (K, N) by `order`
    """
    alpha = m + r - 1
    spare, kernels = np.empty(r * alpha * lanes, dtype=w.dtype), np.zeros(r * r * lanes, dtype=w.dtype)
    size, target = planes.shape[1], planes.reshape(-1)
    for k in range(first, last):
        n0 = 0
        for vectors in panels:
            wide = vectors * lanes
            for n in range(0, wide, lanes):
                used = min(lanes, order.n - n0 - n)
                if used < lanes:
                    clear(kernels)
                for lane in range(used):
                    kernel = w[k * order.k_step + (n0 + n + lane) * order.n_step :]
                    for t in range(r * r):
                        kernels[t * lanes + lane] = kernel[t]
                to = n0 * order.k + k * wide + n
                to_kernel_tile(m, r, kernels, 0, r * lanes, lanes, target, to, alpha * size, size, spare, lanes)
            n0 += wide


@njit(nogil=True, cache=True)
def kernel_gradients(sums, m, r, features, width, lanes, first, last, dw):  # type: ignore[no-untyped-def]
    """dg = G^T dU G for channels `first` to `last`, dU the sum of the threads' sums (threads, alpha^2 * plane).

    dw : (F, C, r, r), flat
    """
    alpha = m + r - 1
    planes = alpha * alpha
    spare, total = np.empty(r * alpha * lanes, dtype=dw.dtype), np.empty(planes * lanes, dtype=dw.dtype)
    kernels, channels = np.empty(r * r * lanes, dtype=dw.dtype), dw.size // (features * r * r)
    plane = sums.shape[1] // planes
    for c in range(first, last):
        for f in range(0, width, lanes):
            for p in range(planes):
                u = load(sums[0], p * plane + c * width + f)
                for other in range(1, len(sums)):
                    u = u + load(sums[other], p * plane + c * width + f)
                store(total, p * lanes, u)
            to_kernel(m, r, total, 0, alpha * lanes, lanes, kernels, 0, r * lanes, lanes, spare, lanes)
            for lane in range(min(lanes, features - f)):
                to = ((f + lane) * channels + c) * r * r
                for t in range(r * r):
                    dw[to + t] = kernels[t * lanes + lane]


def tiles_of(geometry: Geometry, m: int) -> Pair:
    """Return how many tiles of m x m cover an output: down, and across."""
    oh, ow = geometry.out
    return -(-oh // m), -(-ow // m)


def multiplications(geometry: Geometry, m: int) -> int:
    """Return how many an output needs by F(m x m, r x r), for each pair of a channel and a kernel."""
    return (m + geometry.kernel[0] - 1) ** 2 * math.prod(tiles_of(geometry, m))


def tile_size(geometry: Geometry) -> int:
    """Return the m that needs the fewest multiplications, the larger where two need as many."""
    return min(TILE_SIZES[geometry.kernel[0]], key=lambda m: multiplications(geometry, m))


class Winograd:
    """Fewer multiplications, for kernels of 3 x 3 and 5 x 5."""

    name = "winograd"

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.lanes = VECTOR_BYTES // np.dtype(geometry.dtype).itemsize
        self.panels = cut_into_panels(geometry.f, self.lanes)
        self.turned_panels = cut_into_panels(geometry.c, self.lanes)
        self.f, self.c = rounded_up(geometry.f, self.lanes), rounded_up(geometry.c, self.lanes)
        m, r, ((top, _), (left, _)) = tile_size(geometry), geometry.kernel[0], geometry.pads
        alpha, (down, across) = m + r - 1, tiles_of(geometry, m)
        self.planes = alpha * alpha
        threads = len(parts_of(geometry.n * down * across, cost=self.planes * self.c * self.f // self.lanes))
        most = TILES_A_BLOCK if geometry.c * geometry.f <= MANY_KERNELS else 2 * TILES_A_BLOCK
        tiles = min(most, max(8, geometry.n * down * across // threads))
        group = max(1, min(geometry.n, tiles // (down * across)))
        rows = down if down * across <= tiles or geometry.pool.kh else max(1, tiles // across)
        self.blocks = blocks.Blocks(m, r, alpha, top, left, across, rows, -(-down // rows), group, self.lanes)
        self.groups = -(-geometry.n // group)
        self.space = blocks.space_needed(self.blocks, self.c, self.f)
        self.cost = self.planes * group * down * across * self.c * self.f // self.lanes  # of a group
        self.z_shape = (group, *geometry.out, geometry.f)

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (F, C, r, r), b (F,) or None -> y, argmax (N, oh, ow, F), after pooling if there is any."""
        g, cut, r = self.geometry, self.blocks, self.blocks.r
        kernels = self._transformed(w, Order(g.c, g.f, r * r, g.c * r * r), self.panels, self.f)
        bias = filled_up(b, self.f, g.dtype)
        z_size = math.prod(self.z_shape) if g.pool.kh else 0

        def work(first: int, last: int) -> None:
            space = workspace(self.space + z_size, g.dtype)
            z = space[self.space :].reshape(self.z_shape) if z_size else NO_IMAGES[g.dtype]
            blocks.forward(
                x, kernels, self.panels, bias, relu, g.pool, cut, space[: self.space], first, last, z, y, argmax
            )

        in_threads(work, self.groups * cut.bands, cost=self.cost // cut.bands)

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, F) of what came out -> dx (N, H, W, C) or nothing, dw (F, C, r, r), db (F,)"""
        g, cut, r = self.geometry, self.blocks, self.blocks.r
        dx = np.empty(x.shape, dtype=g.dtype) if need_dx else NO_IMAGES[g.dtype]
        kernels = np.empty((self.planes, 0), dtype=g.dtype)
        if need_dx:
            kernels = self._transformed(w, Order(g.f, g.c, g.c * r * r, r * r), self.turned_panels, self.c)
        parts = parts_of(self.groups, cost=self.cost * (2 if need_dx else 1))
        plane = (self.c + MOST_HEIGHT) * self.f
        sums = np.empty((len(parts), self.planes * plane), dtype=g.dtype)
        db = np.zeros((len(parts), self.f), dtype=g.dtype)
        z_size = math.prod(self.z_shape) if g.pool.kh else 0

        def work(first: int, last: int) -> None:
            part = parts.index((first, last))
            space = workspace(self.space + z_size, g.dtype)
            z = space[self.space :].reshape(self.z_shape) if z_size else NO_IMAGES[g.dtype]
            blocks.backward(
                dy, y, argmax, relu, g.pool, x, kernels, self.panels, self.turned_panels, cut,
                space[: self.space], first, last, z, sums[part], db[part], dx,
            )  # fmt: skip

        run_parts(work, parts)
        dw = np.empty(w.shape, dtype=g.dtype)
        in_threads(
            lambda a, b: kernel_gradients(sums, cut.m, r, g.f, self.f, self.lanes, a, b, dw.reshape(-1)),
            g.c,
            cost=self.planes * len(sums) * self.f // self.lanes,
        )
        return dx, dw, sum_of_parts(db)[: g.f]

    def _transformed(self, w: np.ndarray, order: Order, panels: np.ndarray, width: int) -> np.ndarray:
        """Return kernels in Winograd's basis: planes (alpha^2, K * width)."""
        m, r = self.blocks.m, self.blocks.r
        planes, source = np.empty((self.planes, order.k * width), dtype=w.dtype), np.ascontiguousarray(w).reshape(-1)
        in_threads(
            lambda a, b: transform_kernels(source, m, r, order, panels, self.lanes, a, b, planes),
            order.k,
            cost=2 * self.planes * width // self.lanes,
        )
        return planes
