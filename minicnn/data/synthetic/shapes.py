"""Five shapes and a bar: how far a point is from the edge, and the box around the whole.

Each shape fits into a circle of its radius r about its middle, and is turned by an angle (in radians, clockwise as it
is seen, since y goes down).
"""

from typing import Any

import numpy as np

SHAPES = ("circle", "square", "triangle", "cross", "ring")
HOLE = 0.5
"""A ring's inner radius, as a share of the outer one."""
ARM = 3.0
"""A cross's arms, and a bar, are so many times as long as they are wide."""


def distance_to_edge(
    shape: str, centres: np.ndarray, radii: np.ndarray, turns: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Return the distance of each pixel's centre to the nearest edge of one shape, in pixels and below 0 inside.

    centres (N, 2) as (x, y), radii (N,), turns (N,) -> distances (N, H, W)

    It is exact along straight edges and circles; behind a corner it is the distance to the nearer edge's line.
    """
    x = np.arange(size[1]) + 0.5 - centres[:, 0, None]
    y = np.arange(size[0]) + 0.5 - centres[:, 1, None]
    x, y, r = x[:, None, :], y[:, :, None], radii[:, None, None]
    cos, sin = np.cos(turns)[:, None, None], np.sin(turns)[:, None, None]
    u, v = cos * x + sin * y, cos * y - sin * x  # turned back
    if shape == "circle":
        return np.hypot(u, v) - r
    if shape == "ring":
        return abs(np.hypot(u, v) - (1 + HOLE) / 2 * r) - (1 - HOLE) / 2 * r
    if shape == "square":
        return np.maximum(abs(u), abs(v)) - r / np.sqrt(2)
    if shape == "triangle":  # three lines at half the radius from the middle
        return np.maximum(v, abs(u) * np.sqrt(3) / 2 - v / 2) - r / 2
    long, wide = _arm(r)
    bar = np.maximum(abs(u) - long, abs(v) - wide)
    return bar if shape == "bar" else np.minimum(bar, np.maximum(abs(v) - long, abs(u) - wide))


def box_around(shape: str, radius: float, turn: float) -> np.ndarray:
    """Return the least box around one shape, (x1, y1, x2, y2) as seen from its middle."""
    if shape in ("circle", "ring"):
        reach = np.array([[radius, radius], [-radius, -radius]])
    else:
        cos, sin = np.cos(turn), np.sin(turn)
        reach = _corners(shape, radius) @ np.array([[cos, sin], [-sin, cos]])
    return np.concatenate([reach.min(axis=0), reach.max(axis=0)])


def _corners(shape: str, r: float) -> np.ndarray:
    """Return the corners that stick out, (corners, 2) as (x, y) from the middle of the shape before it is turned."""
    if shape == "triangle":  # it stands on a side
        angles = np.deg2rad([-90, 30, 150])
        return r * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    signs = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    if shape == "square":
        return signs * r / np.sqrt(2)
    long, wide = _arm(r)
    return np.concatenate([signs * [long, wide], signs * [wide, long]])


def _arm(r: Any) -> tuple[Any, Any]:
    """Return half the length and half the width of an arm whose corners are r from the middle."""
    wide = r / np.hypot(ARM, 1)
    return ARM * wide, wide
