"""Depthwise convolution: every channel has one kernel of its own, and vectors of channels go through it side by side.

    y[i, j, c] = b[c] + sum over p, q of w[p, q, c] * x[i * stride + p * dilation, j * stride + q * dilation, c]

There is no sum over channels, so there is no matrix product; an image in its frame is read, and a result written, in
one pass. Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from minicnn.backend import in_threads, parts_of, run_parts
from minicnn.kernels.numba.frame import clear, gradients_before, pool_images, put
from minicnn.kernels.numba.product import rounded_up
from minicnn.kernels.numba.setup import NO_IMAGES, Geometry, filled_up, sum_of_parts
from minicnn.kernels.numba.vector import VECTOR_BYTES, load, positive_part, store


class Walk(NamedTuple):
    """How a kernel walks over a framed image (height, width, channels) whose first pixel is at (top, left)."""

    height: int
    width: int
    channels: int
    top: int
    left: int
    kh: int
    kw: int
    stride_h: int
    stride_w: int
    down: int
    across: int
    lanes: int


@njit(nogil=True, cache=True)
def forward(x, walk, w, bias, relu, pool, first, last, z, out, y, argmax):  # type: ignore[no-untyped-def]
    """y = x (N, H, W, C) through w (kh, kw, channels), flat, for images `first` to `last`, as in `direct.forward`.

    z : (1, oh, ow, C), where an image waits for being pooled
    out : (oh, ow, channels), where it is computed if its channels do not fill vectors
    """
    oh, ow, c = out.shape
    row, zero = walk.width * walk.channels, np.int64(0)  # see product.py
    frame = np.zeros(walk.height * row, dtype=x.dtype)
    for n in range(first, last):
        put(x, n, zero, walk.left, frame[walk.top * row :], zero, x.shape[1], walk.width, c)
        images, place = (z, zero) if pool.kh else (y, n)
        image = images[place]
        if image.shape[2] == c:
            _convolve(frame, walk, w, bias, relu, oh, ow, image.reshape(-1))
        else:
            _convolve(frame, walk, w, bias, relu, oh, ow, out.reshape(-1))
            image[:] = out[:, :, : image.shape[2]]
        if pool.kh:
            pool_images(z, np.int64(1), pool, y, argmax, n)


@njit(nogil=True)
def _convolve(frame, walk, w, bias, relu, oh, ow, y):  # type: ignore[no-untyped-def]
    """y (oh, ow, channels), flat = a framed image through w, with bias and perhaps ReLU.

    Four pixels side by side are computed at once, so that a weight is fetched once for them; where a row ends before
    the fourth, its last pixel comes again.
    """
    c, lanes, row = walk.channels, walk.lanes, walk.width * walk.channels
    for i in range(oh):
        for j in range(0, ow, 4):
            j1, j2, j3 = min(j + 1, ow - 1), min(j + 2, ow - 1), min(j + 3, ow - 1)
            at, step, to = i * walk.stride_h * row, walk.stride_w * c, i * ow * c
            at0, at1, at2, at3 = at + j * step, at + j1 * step, at + j2 * step, at + j3 * step
            for k in range(0, c, lanes):
                v0 = load(bias, k)
                v1, v2, v3 = v0, v0, v0
                for p in range(walk.kh):
                    for q in range(walk.kw):
                        weight = load(w, (p * walk.kw + q) * c + k)
                        there = p * walk.down * row + q * walk.across * c + k
                        v0 = v0 + weight * load(frame, at0 + there)
                        v1 = v1 + weight * load(frame, at1 + there)
                        v2 = v2 + weight * load(frame, at2 + there)
                        v3 = v3 + weight * load(frame, at3 + there)
                if relu:
                    v0, v1, v2, v3 = positive_part(v0), positive_part(v1), positive_part(v2), positive_part(v3)
                store(y, to + j * c + k, v0)
                store(y, to + j1 * c + k, v1)
                store(y, to + j2 * c + k, v2)
                store(y, to + j3 * c + k, v3)


@njit(nogil=True, cache=True)
def backward(dy, y, argmax, relu, pool, x, walk, w, first, last, z, out, dw, db, dx):  # type: ignore[no-untyped-def]
    """Add to dw (kh, kw, channels) and db (channels,), flat, and set dx (N, H, W, C) if there is one, for some images.

    z, out : as in `forward`, for the gradient of the convolution's own output
    """
    oh, ow, c = out.shape
    lanes, row, zero = walk.lanes, walk.width * walk.channels, np.int64(0)  # see product.py
    frame, gradients = np.zeros(walk.height * row, dtype=x.dtype), out.reshape(-1)
    dx_frame = np.zeros(walk.height * row if dx.size else 0, dtype=x.dtype)
    for n in range(first, last):
        put(x, n, zero, walk.left, frame[walk.top * row :], zero, x.shape[1], walk.width, c)
        if relu:
            gradients_before(dy, y, argmax, pool, n, np.int64(1), z)
            put(z, zero, zero, zero, gradients, zero, oh, ow, c)
        else:
            put(dy, n, zero, zero, gradients, zero, oh, ow, c)
        clear(dx_frame)
        for i in range(oh):
            for k in range(0, c, lanes):
                total = load(db, k)
                for j in range(ow):
                    total = total + load(gradients, (i * ow + j) * c + k)
                store(db, k, total)
                for p in range(walk.kh):
                    for q in range(walk.kw):
                        tap = (p * walk.kw + q) * c + k
                        weight, total = load(w, tap), load(dw, tap)
                        at = (i * walk.stride_h + p * walk.down) * row + q * walk.across * c + k
                        for j in range(ow):
                            gradient, there = load(gradients, (i * ow + j) * c + k), at + j * walk.stride_w * c
                            total = total + gradient * load(frame, there)
                            if dx.size:
                                store(dx_frame, there, load(dx_frame, there) + gradient * weight)
                        store(dw, tap, total)
        if dx.size:
            _, h, wide, channels = dx.shape
            for i in range(h):
                for j in range(wide):
                    pixel, at = dx[n, i, j], (walk.top + i) * row + (walk.left + j) * c
                    for k in range(channels):
                        pixel[k] = dx_frame[at + k]


class Depthwise:
    """One kernel a channel."""

    name = "depthwise"

    def __init__(self, geometry: Geometry) -> None:
        g = self.geometry = geometry
        self.lanes = VECTOR_BYTES // np.dtype(g.dtype).itemsize
        self.c = rounded_up(g.c, self.lanes)
        (top, bottom), (left, right) = g.pads
        height, width = top + g.h + bottom, left + g.w + right
        self.walk = Walk(height, width, self.c, top, left, *g.kernel, *g.stride, *g.dilation, self.lanes)
        self.cost = 2 * math.prod(g.out) * math.prod(g.kernel) * self.c // self.lanes

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (C, 1, kh, kw), b (C,) or None -> y, argmax (N, oh, ow, C), after pooling if any."""
        g = self.geometry
        kernels, bias = self._laid_out(w), filled_up(b, self.c, g.dtype)

        def work(first: int, last: int) -> None:
            z, out = np.empty((1, *g.out, g.c), dtype=g.dtype), np.empty((*g.out, self.c), dtype=g.dtype)
            forward(x, self.walk, kernels, bias, relu, g.pool, first, last, z, out, y, argmax)

        in_threads(work, g.n, cost=self.cost)

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, C) of what came out -> dx (N, H, W, C) or nothing, dw (C, 1, kh, kw), db (C,)"""
        g = self.geometry
        kernels = self._laid_out(w)
        dx = np.empty(x.shape, dtype=g.dtype) if need_dx else NO_IMAGES[g.dtype]
        parts = parts_of(g.n, cost=2 * self.cost)
        dw = np.zeros((len(parts), *g.kernel, self.c), dtype=g.dtype)
        db = np.zeros((len(parts), self.c), dtype=g.dtype)

        def work(first: int, last: int) -> None:
            part = parts.index((first, last))
            z, out = np.empty((1, *g.out, g.c), dtype=g.dtype), np.zeros((*g.out, self.c), dtype=g.dtype)
            backward(
                dy, y, argmax, relu, g.pool, x, self.walk, kernels, first, last, z, out,
                dw[part].reshape(-1), db[part], dx,
            )  # fmt: skip

        run_parts(work, parts)
        dw = sum_of_parts(dw)[..., : g.c].transpose(2, 0, 1)
        return dx, np.ascontiguousarray(dw).reshape(w.shape), sum_of_parts(db)[: g.c]

    def _laid_out(self, w: np.ndarray) -> np.ndarray:
        """Return kernels (C, 1, kh, kw) as (kh, kw, C), C filled up, flat."""
        kernels = np.zeros((*self.geometry.kernel, self.c), dtype=w.dtype)
        kernels[..., : len(w)] = w[:, 0].transpose(1, 2, 0)
        return kernels.reshape(-1)
