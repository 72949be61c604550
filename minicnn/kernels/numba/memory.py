"""How arrays lie in memory.

Kernels read and write images as contiguous (N, H, W, C), channels last: the numbers of one pixel lie side by side, so
the innermost loop runs over them and fills whole vectors. Outside, the same memory is seen as (N, C, H, W).
"""

import numpy as np

from minicnn.backend import Array


def channels_last(x: Array, *, multiple: int = 1) -> np.ndarray:
    """Return x (N, C, H, W) as contiguous (N, H, W, C), C rounded up with zeros; a view where x lies so already."""
    last = x.transpose(0, 2, 3, 1)
    spare = -x.shape[1] % multiple
    if not spare:
        return np.ascontiguousarray(last)
    wide = np.zeros((*last.shape[:3], x.shape[1] + spare), dtype=x.dtype)
    wide[..., : x.shape[1]] = last
    return wide


def channels_first(x: np.ndarray) -> Array:
    """Return (N, H, W, C) under the shape (N, C, H, W), as a view."""
    return x.transpose(0, 3, 1, 2)


def flat(*arrays: Array) -> list[np.ndarray] | None:
    """Return arrays of one shape as flat views of their memory, or None if they have gaps or do not lie alike."""
    if all(array.flags.c_contiguous for array in arrays):
        return [array.reshape(-1) for array in arrays]
    if all(array.ndim == 4 and array.transpose(0, 2, 3, 1).flags.c_contiguous for array in arrays):
        return [array.transpose(0, 2, 3, 1).reshape(-1) for array in arrays]
    return None


def is_float(*arrays: Array) -> bool:
    """Return whether all arrays are of one type, float32 or float64: what the kernels are compiled for."""
    return arrays[0].dtype in (np.float32, np.float64) and all(array.dtype == arrays[0].dtype for array in arrays)
