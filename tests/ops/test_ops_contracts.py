"""What every operation promises, whoever fills its slot: dtypes, hands off the inputs, any memory order.

A new operation needs an entry in EXAMPLES, which calls it once on arrays of the dtype asked for.
"""

import numpy as np
import pytest
from strategies import ORDERS, normal

from minicnn.backend import Key, slots

pytestmark = pytest.mark.usefixtures("backend")

GEOMETRY = {"kernel": (2, 3), "stride": (2, 1), "padding": (1, 1)}
CONV = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2}
IMAGE = (2, 4, 5, 6)
LABELS = np.array([[[0, 3], [1, 2]], [[3, 3], [0, 1]]])
LENGTHS = np.array([5, 1, 3])
WORDS = np.array([[1, 4, 1, 0], [2, 1, 4, 4]])
KEY = Key(1, 2, 3)
FUSED_CONV = {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2)}
POOL = {"pool_kernel": 2, "pool_stride": (1, 2), "pool_padding": (1, 0)}


class Numbers:
    """Arrays of one dtype, each call another one."""

    def __init__(self, dtype):
        self.dtype, self.drawn = dtype, 0

    def __call__(self, *shape, positive=False):
        self.drawn += 1
        x = normal(self.drawn, *shape, dtype=self.dtype)
        return np.abs(x) + self.dtype(0.5) if positive else x


def elementwise(r, **options):
    return [r(*IMAGE)], options


def elementwise_backward(r, **options):
    return [r(*IMAGE), r(*IMAGE)], options


def batch_norm_arrays(r):
    return [r(*IMAGE), r(4), r(4)]


def _first_pixels(*shape):
    """An argmax: in the upper row of windows, which lie half outside, the lower left pixel, elsewhere any."""
    where = np.arange(np.prod(shape)).reshape(shape) % 4
    where[:, :, 0] = 2
    where[:, :, 3] = 0
    return where.astype(np.uint8)


ROWS, COLUMNS = ((0, 2), (1, 4), (3, 5)), ((0, 1), (1, 3), (3, 5), (5, 6))


def _winners():
    """The row of each region's maximum, and the column of each row's: the last one of each region."""
    row = np.broadcast_to(np.array([stop - 1 for _, stop in ROWS])[:, None], (2, 4, 3, 4)).astype(np.int32)
    column = np.broadcast_to(np.array([stop - 1 for _, stop in COLUMNS]), (2, 4, 5, 4)).astype(np.int32)
    return [row, column]


TRANSPOSED = {"stride": (2, 3), "padding": (1, 0), "output_padding": (1, 2), "dilation": (1, 2), "groups": 2}


def _rois(r):
    """Regions inside, across an edge and outside."""
    return np.array([[1, 0, 1, 4, 3], [0, 3.5, 2, 9, 9], [1, 7, 1, 8, 3]], dtype=r.dtype)


def _roi_maxima():
    """Maxima of three regions: some pixel, the same one in the first column of bins, none in the last region."""
    where = np.arange(72, dtype=np.int32).reshape(3, 4, 2, 3) % 30
    where[:, :, :, 0] = 7
    where[2] = -1
    return where


EXAMPLES = {
    "im2col": lambda r: ([r(*IMAGE)], {**GEOMETRY, "dilation": (2, 1)}),
    "col2im": lambda r: ([r(2, 24, 18)], {"shape": IMAGE, **GEOMETRY}),
    "conv2d_forward": lambda r: ([r(*IMAGE), r(6, 2, 3, 2), r(6)], CONV),
    "conv2d_backward": lambda r: ([r(2, 6, 3, 8), r(*IMAGE), r(6, 2, 3, 2)], CONV),
    "conv2d_relu_forward": lambda r: ([r(*IMAGE), r(6, 4, 3, 2), r(6)], FUSED_CONV),
    "conv2d_relu_backward": lambda r: ([r(2, 6, 3, 8), r(2, 6, 3, 8), r(*IMAGE), r(6, 4, 3, 2)], FUSED_CONV),
    "conv2d_relu_max_pool2d_forward": lambda r: ([r(*IMAGE), r(6, 4, 3, 2), r(6)], {**FUSED_CONV, **POOL}),
    "conv2d_relu_max_pool2d_backward": lambda r: (
        [r(2, 6, 4, 4), r(2, 6, 4, 4), _first_pixels(2, 6, 4, 4), r(*IMAGE), r(6, 4, 3, 2)],
        {**FUSED_CONV, **POOL},
    ),
    "batch_norm_relu_forward": lambda r: (batch_norm_arrays(r), {"eps": 1e-3}),
    "batch_norm_relu_backward": lambda r: ([r(*IMAGE), r(*IMAGE), r(4), r(4), r(4), r(4, positive=True)], {}),
    "batch_norm_inference_relu_forward": lambda r: ([*batch_norm_arrays(r), r(4), r(4, positive=True)], {}),
    "linear_forward": lambda r: ([r(3, 4), r(5, 4), r(5)], {}),
    "linear_backward": lambda r: ([r(3, 5), r(3, 4), r(5, 4)], {}),
    "max_pool2d_forward": lambda r: ([r(*IMAGE)], GEOMETRY),
    "max_pool2d_backward": lambda r: (
        [r(2, 4, 3, 6), np.arange(144).reshape(2, 4, 3, 6) % 5],
        {"shape": IMAGE, **GEOMETRY},
    ),
    "avg_pool2d_forward": lambda r: ([r(*IMAGE)], GEOMETRY),
    "avg_pool2d_backward": lambda r: ([r(2, 4, 3, 6)], {"shape": IMAGE, **GEOMETRY}),
    "global_avg_pool2d_forward": lambda r: ([r(*IMAGE)], {}),
    "global_avg_pool2d_backward": lambda r: ([r(2, 4)], {"shape": IMAGE}),
    "batch_norm_forward": lambda r: (batch_norm_arrays(r), {"eps": 1e-3}),
    "batch_norm_backward": lambda r: ([r(*IMAGE), r(*IMAGE), r(4), r(4), r(4, positive=True)], {}),
    "batch_norm_inference_forward": lambda r: ([*batch_norm_arrays(r), r(4), r(4, positive=True)], {}),
    "batch_norm_inference_backward": lambda r: ([r(*IMAGE), r(*IMAGE), r(4), r(4), r(4, positive=True)], {}),
    "layer_norm_forward": lambda r: ([r(*IMAGE), r(5, 6), r(5, 6)], {"eps": 1e-3}),
    "layer_norm_backward": lambda r: ([r(*IMAGE), r(*IMAGE), r(5, 6), r(2, 4), r(2, 4, positive=True)], {}),
    "group_norm_forward": lambda r: (batch_norm_arrays(r), {"groups": 2, "eps": 1e-3}),
    "group_norm_backward": lambda r: (
        [r(*IMAGE), r(*IMAGE), r(4), r(2, 2), r(2, 2, positive=True)],
        {"groups": 2},
    ),
    "rnn_forward": lambda r: ([r(3, 5, 2), r(4, 2), r(4, 4), r(4), r(3, 4)], {"lengths": LENGTHS}),
    "rnn_backward": lambda r: (
        [r(3, 5, 4), r(3, 5, 2), r(4, 2), 0.3 * r(4, 4), r(3, 4), 0.3 * r(3, 5, 4)],
        {"lengths": LENGTHS},
    ),
    "lstm_forward": lambda r: ([r(3, 5, 2), r(16, 2), r(16, 4), r(16), r(3, 4), r(3, 4)], {"lengths": LENGTHS}),
    "lstm_backward": lambda r: (
        [
            *(r(3, 5, 4), r(3, 5, 2), r(16, 2), 0.3 * r(16, 4), r(3, 4), r(3, 4)),
            *(r(3, 5, 4), r(3, 5, 4), 0.3 * r(3, 5, 16, positive=True)),
        ],
        {"lengths": LENGTHS},
    ),
    "embedding_forward": lambda r: ([WORDS, r(5, 3)], {}),
    "embedding_backward": lambda r: ([r(2, 4, 3), WORDS, r(5, 3)], {}),
    "relu_forward": elementwise,
    "add_relu_forward": elementwise_backward,
    "relu_backward": elementwise_backward,
    "leaky_relu_forward": lambda r: elementwise(r, slope=0.3),
    "leaky_relu_backward": lambda r: elementwise_backward(r, slope=0.3),
    "elu_forward": lambda r: elementwise(r, alpha=0.7),
    "elu_backward": lambda r: elementwise_backward(r, alpha=0.7),
    "selu_forward": elementwise,
    "selu_backward": elementwise_backward,
    "gelu_forward": elementwise,
    "gelu_backward": elementwise_backward,
    "silu_forward": elementwise,
    "silu_backward": elementwise_backward,
    "sigmoid_forward": elementwise,
    "sigmoid_backward": elementwise_backward,
    "tanh_forward": elementwise,
    "tanh_backward": elementwise_backward,
    "softplus_forward": lambda r: elementwise(r, beta=2.0, threshold=1.0),
    "softplus_backward": lambda r: elementwise_backward(r, beta=2.0, threshold=1.0),
    "dropout_forward": lambda r: elementwise(r, p=0.3, key=KEY),
    "dropout_backward": lambda r: ([r(*IMAGE), r(*IMAGE) > 0], {"p": 0.3}),
    "drop_connect_forward": lambda r: ([r(3, 4), r(5, 4), r(5)], {"p": 0.3, "key": KEY}),
    "drop_connect_backward": lambda r: ([r(3, 5), r(3, 4), r(5, 4), r(3, 5, 5) > 0], {}),
    "drop_connect_inference_forward": lambda r: ([r(3, 4), r(5, 4), r(5)], {"p": 0.3, "z": (-1.0, 0.5)}),
    "drop_connect_inference_backward": lambda r: (
        [r(2, 3, 5), r(3, 4), r(5, 4), r(5)],
        {"p": 0.3, "z": (-1.0, 0.5)},
    ),
    "fractional_max_pool2d_forward": lambda r: ([r(*IMAGE)], {"rows": ROWS, "columns": COLUMNS}),
    "fractional_max_pool2d_backward": lambda r: (
        [r(2, 4, 3, 4), *_winners()],
        {"shape": IMAGE, "rows": ROWS, "columns": COLUMNS},
    ),
    "conv_transpose2d_forward": lambda r: ([r(2, 4, 3, 4), r(4, 3, 3, 2), r(6)], TRANSPOSED),
    "conv_transpose2d_backward": lambda r: ([r(2, 6, 6, 14), r(2, 4, 3, 4), r(4, 3, 3, 2)], TRANSPOSED),
    "upsample_nearest_forward": lambda r: ([r(*IMAGE)], {"size": (7, 12)}),
    "upsample_nearest_backward": lambda r: ([r(2, 4, 7, 12)], {"shape": IMAGE}),
    "upsample_bilinear_forward": lambda r: ([r(*IMAGE)], {"size": (7, 12)}),
    "upsample_bilinear_backward": lambda r: ([r(2, 4, 7, 12)], {"shape": IMAGE}),
    "adaptive_avg_pool2d_forward": lambda r: ([r(*IMAGE)], {"output_size": (3, 4)}),
    "adaptive_avg_pool2d_backward": lambda r: ([r(2, 4, 3, 4)], {"shape": IMAGE}),
    "max_unpool2d_forward": lambda r: (
        [r(2, 4, 3, 6), (np.arange(144).reshape(2, 4, 3, 6) % 5).astype(np.uint8)],
        {"shape": IMAGE, **GEOMETRY},
    ),
    "max_unpool2d_backward": lambda r: (
        [r(*IMAGE), (np.arange(144).reshape(2, 4, 3, 6) % 5).astype(np.uint8)],
        GEOMETRY,
    ),
    "roi_max_pool2d_forward": lambda r: ([r(*IMAGE), _rois(r)], {"output_size": (2, 3), "spatial_scale": 1.0}),
    "roi_max_pool2d_backward": lambda r: ([r(3, 4, 2, 3), _roi_maxima(), _rois(r)], {"shape": IMAGE}),
    "softmax_cross_entropy_forward": lambda r: (
        [r(2, 4, 2, 2), LABELS],
        {"label_smoothing": 0.1, "class_weights": r(4, positive=True)},
    ),
    "softmax_cross_entropy_backward": lambda r: (
        [r(2, 4, 2, 2, positive=True), LABELS],
        {"label_smoothing": 0.1, "class_weights": r(4, positive=True)},
    ),
    "soft_cross_entropy_forward": lambda r: ([r(2, 4, 2, 2), r(2, 4, 2, 2, positive=True)], {}),
    "soft_cross_entropy_backward": lambda r: ([r(2, 4, 2, 2, positive=True), r(2, 4, 2, 2, positive=True)], {}),
    "sgd_update": lambda r: (
        [r(3, 4), r(3, 4), r(3, 4)],
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam_update": lambda r: (
        [r(3, 4), r(3, 4), r(3, 4), r(3, 4, positive=True)],
        {"step": 3, "lr": 0.1, "weight_decay": 0.1},
    ),
    "sgd_update_all": lambda r: (
        [[r(3, 4), r(5)], [r(3, 4), r(5)], [r(3, 4), r(5)]],
        {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam_update_all": lambda r: (
        [[r(3, 4), r(5)], [r(3, 4), r(5)], [r(3, 4), r(5)], [r(3, 4, positive=True), r(5, positive=True)]],
        {"steps": [3, 1], "lr": 0.1, "weight_decay": 0.1},
    ),
    "warp": lambda r: ([r(*IMAGE), 2 + 3 * r(2, 2, 3, 4)], {"fill": r(4)}),
}
NO_FLOATS = {"random_bits"}
UPDATES = {"sgd_update", "adam_update", "sgd_update_all", "adam_update_all"}  # they may write to all but the gradient

operations = pytest.mark.parametrize("name", sorted(slots().keys() - NO_FLOATS))
both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def example(name, dtype=np.float64):
    assert name in EXAMPLES, f"the new operation {name} needs an entry in EXAMPLES"
    return EXAMPLES[name](Numbers(dtype))


def results_of(name, args, options):
    """The operation's results, in a list; those of lists one by one."""
    operation = slots()[name]
    results = operation(*args, **options)
    return arrays_in(results if len(operation.returns) > 1 else (results,))


def arrays_in(values):
    """All arrays among values, and in lists among them; a loss is a number, which is let through too."""
    return [array for value in values for array in (value if isinstance(value, list) else [value])]


def array_arguments(args, options):
    return [value for value in arrays_in([*args, *options.values()]) if isinstance(value, np.ndarray)]


def reordered(order, value):
    """An array, or the arrays of a list, in another memory order."""
    if isinstance(value, list):
        return [reordered(order, item) for item in value]
    return order(value) if isinstance(value, np.ndarray) else value


@operations
@both_dtypes
def test_dtype_in_is_dtype_out(name, dtype):
    for result in results_of(name, *example(name, dtype)):
        if result.dtype.kind == "f":
            assert result.dtype == dtype


@operations
def test_there_are_as_many_results_as_declared(name):
    args, options = example(name)
    results = slots()[name](*args, **options)
    assert (len(results) if isinstance(results, tuple) else 1) == len(slots()[name].returns)


@operations
def test_inputs_and_dy_are_not_written_to(name):
    args, options = example(name)
    guarded = arrays_in([args[1]]) if name in UPDATES else array_arguments(args, options)
    before = [array.copy() for array in guarded]
    for array in guarded:
        array.flags.writeable = False  # a write by NumPy raises; the comparison catches a compiled kernel's
    results_of(name, args, options)
    for array, copy in zip(guarded, before, strict=True):
        np.testing.assert_array_equal(array, copy)


@operations
def test_results_are_new_arrays(name):
    args, options = example(name)
    guarded = arrays_in([args[1]]) if name in UPDATES else array_arguments(args, options)
    for result in results_of(name, args, options):
        for array in guarded:
            assert not np.shares_memory(result, array)


@operations
@both_dtypes
@pytest.mark.parametrize("order", ORDERS)
def test_memory_order_makes_no_difference(name, dtype, order):
    want = results_of(name, *example(name, dtype))
    args, options = example(name, dtype)
    args, options = [reordered(order, value) for value in args], {k: reordered(order, v) for k, v in options.items()}
    for got, result in zip(results_of(name, args, options), want, strict=True):
        assert got.shape == result.shape
        assert got.dtype == result.dtype
        scale = np.abs(result.astype(np.float64)).max()
        np.testing.assert_allclose(got, result, rtol=0, atol=64 * np.finfo(dtype).eps * scale)


@operations
def test_the_same_call_gives_the_same_bits(name):
    for first, second in zip(results_of(name, *example(name)), results_of(name, *example(name)), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_random_bits_do_not_depend_on_the_array_that_they_are_for(dtype):
    bits = slots()["random_bits"](KEY, count=7, like=np.ones(3, dtype=dtype))
    np.testing.assert_array_equal(bits, slots()["random_bits"](KEY, count=7))
