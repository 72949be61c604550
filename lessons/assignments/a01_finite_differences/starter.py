"""Assignment 1: gradients by finite differences. README.md, next to this file, says what to write."""

from collections.abc import Callable

import numpy as np

ASSIGNMENT = "a01_finite_differences"


def numeric_gradient(f: Callable[[np.ndarray], float], x: np.ndarray, *, h: float = 1e-5) -> np.ndarray:
    """Return the gradient of f at x by central differences: gradient[i] = (f(x + h e_i) - f(x - h e_i)) / 2h.

    f : takes an array of x's shape and returns one number
    x : any shape, float64; after the call it holds the same bits as before
    h : the step, the same for every entry
    gradient : the shape of x; entry i is the slope of f in entry i of x
    """
    raise NotImplementedError


def relative_error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the largest |a - b| / max(|a|, |b|) over all entries; an entry where both are 0 counts as 0.

    a, b : arrays of one shape
    """
    raise NotImplementedError
