"""Slopes by finite differences, and whether there is a slope at all.

    central difference   D(h) = (f(a + h) - f(a - h)) / 2h          error of order h^2 on a smooth function
    bend                 B(h) = |f(a + h) - 2 f(a) + f(a - h)| / h    slope on the right minus slope on the left

On a smooth function B halves when h halves, and D stays. At a kink (ReLU at 0, two equal maxima) one of the two fails:
if the kink lies in the middle B stays as it is, and if it lies aside D changes. Nocedal and Wright, "Numerical
optimization", 2006, section 8.1, for the errors of differences.
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
        return self.change > tolerance or (self.bend > tolerance and self.half_bend > 0.55 * self.bend)


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
    touched = np.abs(dy * y)[above != below].sum() if y.ndim else abs(float(dy * y))
    return central, bend, ROUNDING * float(touched) / h
