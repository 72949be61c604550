"""The persistent random walk: how cells crawl, and how likely a path is."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Walk:
    """A path whose velocity v, in each direction, is a process of Ornstein and Uhlenbeck (Physical Review 36, 1930).

        mean of v(s) . v(s + t) = S^2 exp(-t / P)        for both directions together
        mean square displacement after t = 2 S^2 P^2 (t / P - 1 + exp(-t / P))

    The second is Fürth's formula (Zeitschrift für Physik 2, 1920). P is the persistence, in frames, and S the root mean
    square of the speed, in pixels a frame. Displacements from frame to frame are normal, so their covariance says all.
    """

    persistence: float
    speed: float

    def covariance(self, steps: int) -> np.ndarray:
        """Return the covariance of successive displacements in one direction, (steps, steps), in pixels squared.

        Between steps k >= 1 frames apart it is S^2 P^2 (1 - a)^2 a^(k - 1) / 2 with a = exp(-1 / P): the velocity's
        covariance, integrated over both frames. A step's own is half of Fürth's formula at t = 1.
        """
        P, S = self.persistence, self.speed
        u, a, e = 1 / P, np.exp(-1 / P), -np.expm1(-1 / P)  # e = 1 - a
        apart = np.abs(np.subtract.outer(np.arange(steps), np.arange(steps)))
        # u - e would be rounded away for large P: u - e = u^2/2 - u^3/6 + ...
        own = S**2 * (1 / 2 - u / 6 + u**2 / 24 - u**3 / 120 + u**4 / 720) if u < 1e-2 else S**2 * P**2 * (u - e)
        return np.where(apart == 0, own, S**2 * P**2 * e**2 * a ** np.maximum(apart - 1.0, 0) / 2)

    def steps(self, normals: np.ndarray) -> np.ndarray:
        """Return displacements (..., T) with this covariance, made of standard normal numbers (..., T)."""
        return normals @ np.linalg.cholesky(self.covariance(normals.shape[-1])).T

    def log_likelihood(self, steps: np.ndarray) -> np.ndarray:
        """Return log p of the displacements up to each frame, (..., T), in nats."""
        return log_normal(steps, np.zeros(steps.shape[-1]), self.covariance(steps.shape[-1]))


def log_normal(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Return log p(x_0 ... x_t) for every t, where x is normal with this mean (T,) and covariance (T, T).

    x : (..., T)   returns (..., T)
    With C = L L^T, e = L^-1 (x - mean) are standard normal, and e_t depends on x_0 ... x_t alone.
    """
    from scipy.linalg import solve_triangular  # slow to import: not before it is needed

    if x.size == 0:
        return np.zeros(x.shape)
    lower = np.linalg.cholesky(covariance)
    e = solve_triangular(lower, (x - mean).reshape(-1, len(mean)).T, lower=True).T.reshape(x.shape)
    return np.cumsum(-(e**2) / 2 - np.log(np.diag(lower)) - np.log(2 * np.pi) / 2, axis=-1)


def reflected(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return where a path is between two walls that reflect it."""
    across = high - low
    return low + across - np.abs((x - low) % (2 * across) - across)
