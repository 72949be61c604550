"""Slopes by finite differences, and whether there is a slope at all.

    central difference   D(h) = (f(a + h) - f(a - h)) / 2h          error of order h^2 on a smooth function
    bend                 B(h) = |f(a + h) - 2 f(a) + f(a - h)| / h    slope on the right minus slope on the left

On a smooth function B halves when h halves, and D hardly changes. At a kink (ReLU at 0, two equal maxima) one of the
two fails: B stays as it is if the kink lies in the middle, and falls to zero, or moves D, if it lies aside.
Nocedal and Wright, "Numerical optimization", 2006, section 8.1, for the errors of differences.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

STEP = 1e-5
ROUNDING = 16 * np.finfo(np.float64).eps  # relative error of an output that went through a few layers


@dataclass(frozen=True)
class Slope:
    """The slope of sum(dy * y) in one entry, from the smaller of two steps, and what may have spoilt it."""

    value: float
    change: float  # |D(h) - D(h/2)|
    bend: float  # B(h)
    half_bend: float  # B(h/2)
    noise: float  # what rounding alone may add to the value

    def on_kink(self, tolerance: float) -> bool:
        """Return whether a kink within the step spoils the slope by more than `tolerance` (in the slope's units)."""
        if self.bend <= tolerance + 2 * self.noise:
            return False  # the slopes to both sides agree, so their mean is right
        halves = 0.45 < self.half_bend / self.bend < 0.55
        # A kink a third of the step away halves the bend too, but then it moves D by a quarter of the bend.
        return not halves or self.change > max(tolerance, 0.05 * self.bend)


def slope(forward: Callable[[], np.ndarray], dy: np.ndarray, entry: np.ndarray, y: np.ndarray) -> Slope:
    """Measure the slope of sum(dy * y) in one number, which `entry` (an array view without axes) lets us change.

    y is the output at the point itself. The number is put back.
    """
    point = float(entry)
    h = STEP * max(1.0, abs(point))
    try:
        d, bend, _ = _differences(forward, dy, entry, point, h, y)
        half_d, half_bend, noise = _differences(forward, dy, entry, point, h / 2, y)
    finally:
        entry[...] = point
    return Slope(half_d, abs(d - half_d), bend, half_bend, noise)


def _differences(
    forward: Callable[[], np.ndarray], dy: np.ndarray, entry: np.ndarray, point: float, h: float, y: np.ndarray
) -> tuple[float, float, float]:
    """Return D(h), B(h) and the rounding noise of D(h)."""
    entry[...] = point + h
    right, above = float(entry), np.array(forward())
    entry[...] = point - h
    left, below = float(entry), np.array(forward())
    # Subtract before summing: what the entry does not touch cancels exactly, and rounding stays small.
    central = float((dy * (above - below)).sum()) / (right - left)
    bend = float(np.abs(dy * ((above - y) - (y - below))).sum()) / h
    size = np.abs(dy * y)
    noise = ROUNDING * float((size * (above != below)).sum() / h + size.sum())
    return central, bend, noise
