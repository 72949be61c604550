"""A kernel against the plain body that it stands for."""

import numpy as np

from minicnn.backend import use_backend


def agree(slot, args, keywords, dtype, *, terms=None, algorithm=None):
    """The kernel's results are the plain body's, up to rounding: 8 eps times the absolute values of its terms, summed.

    That sum is `terms`, or where it is not given what the operation makes of absolute values. An `algorithm` is the
    kernel's alone: the plain body has no other than its own.
    """
    exact = in_float64(args)
    want, sizes = slot.body(*exact, **keywords), None
    if terms is None:
        sizes = slot.body(*absolute(exact), **keywords)
    with use_backend("numba"):
        got = slot(*args, **keywords, **({} if algorithm is None else {"algorithm": algorithm}))
    got, want = (results if isinstance(results, tuple) else (results,) for results in (got, want))
    close(got, want, [terms] * len(want) if sizes is None else sizes, dtype)


def close(got, want, sizes, dtype, *, factor=8):
    """Results are what they should be, each up to `factor` eps times the size of its terms; the dtype's if floats."""
    sizes = sizes if isinstance(sizes, tuple | list) else (sizes,)
    for a, b, size in zip(got, want, sizes, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.shape == b.shape
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        assert a.dtype == dtype
        within = (np.abs(a - b) <= factor * np.finfo(dtype).eps * size) | (np.isnan(a) & np.isnan(b))
        assert within.all(), f"off by up to {np.nanmax(np.abs(a - b))}"


def in_float64(arrays):
    """The same numbers with room for more digits; whole numbers and None as they are."""
    return [a.astype(np.float64) if a is not None and a.dtype.kind == "f" else a for a in arrays]


def absolute(arrays):
    """Their sizes: what an operation makes of these is the size of all the terms that it adds up."""
    return [None if a is None else np.abs(a) for a in arrays]
