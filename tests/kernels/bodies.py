"""A kernel against the plain body that it stands for."""

import numpy as np

from minicnn.backend import use_backend


def agree(slot, args, keywords, dtype, *, terms=None):
    """The kernel's results are the plain body's, up to rounding: 8 eps times the absolute values of its terms, summed.

    That sum is `terms`, or where it is not given what the operation makes of absolute values.
    """
    exact = [a.astype(np.float64) if a is not None and a.dtype.kind == "f" else a for a in args]
    want, sizes = slot.body(*exact, **keywords), None
    if terms is None:
        sizes = slot.body(*[None if a is None else np.abs(a) for a in exact], **keywords)
    with use_backend("numba"):
        got = slot(*args, **keywords)
    got, want = (results if isinstance(results, tuple) else (results,) for results in (got, want))
    sizes = [terms] * len(want) if sizes is None else sizes if isinstance(sizes, tuple) else (sizes,)
    for a, b, size in zip(got, want, sizes, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.shape == b.shape
        if b.dtype.kind != "f":
            np.testing.assert_array_equal(a, b)
            continue
        assert a.dtype == dtype
        close = (np.abs(a - b) <= 8 * np.finfo(dtype).eps * size) | (np.isnan(a) & np.isnan(b))
        assert close.all(), f"off by up to {np.nanmax(np.abs(a - b))}"
