"""The algorithms of convolution, each set up for one geometry, and the choice between them.

`algorithm_for(geometry, ...)` chooses; what it returns knows its tiles, panels and workspaces, and does

    forward     y (, argmax) = what the convolution, ReLU and max pooling make of x
    backward    dw and db, and dx where it is needed

on channels-last arrays. Setting one up takes longer than a small convolution, so they are kept.
"""

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.errors import ArgumentError
from minicnn.kernels.numba.depthwise import Depthwise
from minicnn.kernels.numba.direct import Direct
from minicnn.kernels.numba.setup import Geometry
from minicnn.kernels.numba.winograd import Winograd, multiplications, tile_size, tiles_of

SMALL_SHARE = 0.55
"""Of the multiplications of the plain sum; above it, the transforms cost as much as is saved."""
MANY_TILES = 16
"""Fewer do not repay the transformation of the kernels."""


@functools.lru_cache(maxsize=64)
def algorithm_for(geometry: Geometry, name: str, threads: int) -> Any:
    """Return an algorithm set up for this geometry and number of threads.

    name : "direct", "winograd", or "auto" for the one that is faster
    Raises `ArgumentError` if the one that is asked for cannot do this.
    """
    if geometry.groups > 1:
        if name != "auto":
            raise ArgumentError(f'algorithm="{name}" is for one group; with groups={geometry.groups} there is "im2col"')
        return Depthwise(geometry) if geometry.groups == geometry.c == geometry.f else Grouped(geometry, threads)
    problem = winograd_problem(geometry)
    if name == "winograd" and problem:
        raise ArgumentError(f'algorithm="winograd" {problem}; "direct" and "im2col" do any convolution')
    if name == "direct" or problem or (name == "auto" and not winograd_pays(geometry)):
        return Direct(geometry)
    return Winograd(geometry)


def winograd_problem(geometry: Geometry) -> str | None:
    """Return why this convolution cannot be done in Winograd's way, or None."""
    if geometry.kernel not in ((3, 3), (5, 5)):
        return f"is for kernels of 3 x 3 and 5 x 5, not {geometry.kernel[0]} x {geometry.kernel[1]}"
    if geometry.stride != (1, 1) or geometry.dilation != (1, 1):
        return f"is for stride 1 and dilation 1, not {geometry.stride} and {geometry.dilation}"
    return None


def winograd_pays(geometry: Geometry) -> bool:
    """Return whether Winograd's way is exact enough and faster: enough channels, and tiles that fill the image."""
    m = tile_size(geometry)
    share = multiplications(geometry, m) / math.prod(geometry.out + geometry.kernel)
    many = geometry.n * math.prod(tiles_of(geometry, m)) >= MANY_TILES
    return geometry.dtype == "float32" and min(geometry.c, geometry.f) >= 16 and share <= SMALL_SHARE and many


class Grouped:
    """Groups of channels that do not see each other: each is a convolution of its own."""

    name = "grouped"

    def __init__(self, geometry: Geometry, threads: int) -> None:
        g = self.geometry = geometry
        one = g._replace(c=g.c // g.groups, f=g.f // g.groups, groups=1)
        self.one = algorithm_for(one, "auto", threads)

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None, relu: bool, y: Any, argmax: Any) -> None:
        """x (N, H, W, C), w (F, C / groups, kh, kw), b (F,) or None -> y and argmax (N, oh, ow, F)"""
        for channels, features in self._groups():
            part, where = np.empty_like(y[..., features]), np.empty_like(argmax[..., features])
            bias = None if b is None else b[features]
            self.one.forward(np.ascontiguousarray(x[..., channels]), w[features], bias, relu, part, where)
            y[..., features], argmax[..., features] = part, where

    def backward(
        self, dy: Any, y: Any, argmax: Any, x: np.ndarray, w: np.ndarray, relu: bool, need_dx: bool
    ) -> tuple[Any, np.ndarray, np.ndarray]:
        """dy (N, oh, ow, F) of what came out -> dx (N, H, W, C) or nothing, dw (F, C / groups, kh, kw), db (F,)"""
        dx, dws, dbs = np.empty_like(x) if need_dx else None, [], []
        for channels, features in self._groups():
            parts = (np.ascontiguousarray(array[..., features]) for array in (dy, y, argmax))
            inside = np.ascontiguousarray(x[..., channels])
            part, dw, db = self.one.backward(*parts, inside, w[features], relu, need_dx)
            if dx is not None:
                dx[..., channels] = part
            dws.append(dw)
            dbs.append(db)
        return dx, np.concatenate(dws), np.concatenate(dbs)

    def _groups(self) -> Iterator[tuple[slice, slice]]:
        """Walk over the channels and the kernels of each group."""
        c, f = self.one.geometry.c, self.one.geometry.f
        for i in range(self.geometry.groups):
            yield slice(i * c, (i + 1) * c), slice(i * f, (i + 1) * f)
