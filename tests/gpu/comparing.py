"""Every operation on a device, against its plain body on NumPy: for the strict device and for a real card."""

import contextlib

import numpy as np
from ops.test_ops_contracts import EXAMPLES, GEOMETRY, IMAGE, KEY, Numbers, arrays_in

from minicnn.backend import plain_body, slots, to_backend, to_host, use_backend
from minicnn.backend.backends import known_backend
from minicnn.backend.slots import kernels_of

DTYPES = [np.float32, np.float64]
EXACT = ("im2col", "max_pool2d", "relu_", "dropout_", "random_bits")
"""Operations that only choose and move numbers, or whose every step rounds alike everywhere."""


ROW_LABELS = np.array([0, 3, 2, 6, 5])
MORE_EXAMPLES = {
    "max_pool2d_backward, bytes": lambda r: (
        [r(2, 4, 3, 6), (np.arange(144).reshape(2, 4, 3, 6) % 5).astype(np.uint8)],
        {"shape": IMAGE, **GEOMETRY},
    ),
    "softmax_cross_entropy_forward, rows": lambda r: ([r(5, 7), ROW_LABELS], {"label_smoothing": 0.1}),
    "softmax_cross_entropy_forward, weighted rows": lambda r: (
        [r(5, 300), ROW_LABELS],
        {"class_weights": r(300, positive=True)},
    ),
    "softmax_cross_entropy_forward, labels out of range": lambda r: ([r(5, 6), ROW_LABELS - 1], {}),
    "softmax_cross_entropy_backward, labels out of range": lambda r: (
        [r(5, 5, positive=True), ROW_LABELS - 1],
        {"class_weights": r(5, positive=True)},
    ),
    "dropout_forward, a NumPy number": lambda r: ([r(*IMAGE)], {"p": np.float64(0.3), "key": KEY}),
    "softmax_cross_entropy_backward, rows": lambda r: ([r(5, 7, positive=True), ROW_LABELS], {"label_smoothing": 0.1}),
    "softmax_cross_entropy_backward, weighted rows": lambda r: (
        [r(5, 300, positive=True), ROW_LABELS],
        {"label_smoothing": 0.1, "class_weights": r(300, positive=True)},
    ),
    "batch_norm_relu_forward, many": lambda r: ([r(3, 2, 13, 17), r(2), r(2)], {"eps": 1e-3}),
}
"""Cases that a kernel takes, where it leaves the example of the contract to the plain body, or takes it too easily."""


def cases():
    """A case of every operation, and more: an operation's name, or its name with what is particular about the case."""
    return sorted([*slots(), *MORE_EXAMPLES])


def operation_of(case):
    return case.partition(",")[0]


def example(case, dtype):
    """The arguments of one call, on the host."""
    if case == "random_bits":
        return [KEY], {"count": 4099, "like": np.ones(3, dtype=dtype)}
    return {**EXAMPLES, **MORE_EXAMPLES}[case](Numbers(dtype))


def moved(value, backend, order=np.ascontiguousarray):
    """An argument where the backend keeps its arrays, in this memory order; lists of arrays too."""
    if isinstance(value, list) and any(isinstance(item, np.ndarray) for item in value):
        return [moved(item, backend, order) for item in value]
    return to_backend(order(value), backend) if isinstance(value, np.ndarray) else value


def results_on_numpy(case, dtype):
    """What the plain body says."""
    name = operation_of(case)
    args, options = example(case, dtype)
    with use_backend("numpy"):
        return _listed(name, plain_body(name)(*args, **options))


def results_on_device(case, dtype, watched=contextlib.nullcontext, order=np.ascontiguousarray):
    """What comes out of the backend "cupy", which must be in use; `watched` is entered around the call itself."""
    name = operation_of(case)
    args, options = example(case, dtype)
    args = [moved(value, "cupy", order) for value in args]
    options = {key: moved(value, "cupy", order) for key, value in options.items()}
    with watched():
        results = slots()[name](*args, **options)
    results = _listed(name, results)
    assert not any(isinstance(result, np.ndarray) for result in results), f"{name} returned an array of the host"
    return [to_host(result) for result in results]


def assert_same(case, got, want, dtype):
    """Equal where the operation is exact; else within a bound that knows rounding, relative to the largest number."""
    assert len(got) == len(want)
    for result, expected in zip(got, want, strict=True):
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype
        if case.startswith(EXACT):
            np.testing.assert_array_equal(result, expected)
        else:
            scale = np.abs(expected.astype(np.float64)).max(initial=0)
            np.testing.assert_allclose(result, expected, rtol=0, atol=64 * np.finfo(dtype).eps * scale)


def filled_operations():
    """The operations that have a kernel on the backend "cupy", which must be importable."""
    return sorted(kernels_of(known_backend("cupy")))


def _listed(name, results):
    return arrays_in(results if len(slots()[name].returns) > 1 else (results,))
