"""What a detector counts: whole photons, drawn by chance, and the electronics' own noise on top."""

import numpy as np

from minicnn.backend import Key
from minicnn.ops import random_keys, random_normal, random_uniform


def poisson(key: Key, mean: np.ndarray) -> np.ndarray:
    """Return whole numbers with P(k) = mean^k exp(-mean) / k!, float64, shaped like `mean` (at least 0 everywhere).

    One uniform number u makes one count: the least k whose distribution function reaches u. Devroye, "Non-uniform
    random variate generation", 1986, section III.2.1 (inversion).
    """
    from scipy.special import pdtr, pdtrik

    u = random_uniform(key, shape=mean.shape)
    some = mean > 0
    counts = np.zeros(mean.shape)
    k = np.ceil(np.maximum(pdtrik(u[some], mean[some]), 0))
    less = np.maximum(k - 1, 0)
    counts[some] = np.where(pdtr(less, mean[some]) >= u[some], less, k)  # pdtrik is right to rounding alone
    return counts


def detected(key: Key, expected: np.ndarray, *, frames: int = 1, read_noise: float = 0.0) -> np.ndarray:
    """Return what a mean of `frames` frames shows, in photons a pixel and frame, float64.

    expected : photons a pixel and frame; the sum of independent Poisson counts is a Poisson count of the summed mean
    read_noise : standard deviation of a frame's electronic noise, in photons
    """
    light, electronics = random_keys(key, 2)
    noise = read_noise / np.sqrt(frames) * random_normal(electronics, shape=expected.shape)
    return poisson(light, frames * expected) / frames + noise
