"""The kernels that are a single loop: activations, averages, the loss, dropout, columns and the optimizers' steps."""

import inspect

import numpy as np
import pytest
from bodies import agree
from hypothesis import given
from hypothesis import strategies as st
from strategies import ORDERS, channels_last, contiguous, conv_cases, memory_orders, normal, pool_cases, seeds

from minicnn import ops
from minicnn.backend import Key, slots, use_backend

pytest.importorskip("numba", reason="Numba is not installed")

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SHAPES = st.sampled_from([(1,), (13,), (7, 9), (3, 130), (1, 17, 7, 9), (4, 3, 13, 1), (2, 3, 2, 3, 5)])
IMAGES = st.sampled_from([(1, 17, 7, 9), (3, 1, 13, 13), (4, 40, 1, 5), (2, 16, 8, 8)])
KEYS = st.builds(Key, st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1))

ACTIVATIONS = {
    "relu": {},
    "leaky_relu": {"slope": 0.2},
    "elu": {"alpha": 1.5},
    "selu": {},
    "gelu": {},
    "silu": {},
    "sigmoid": {},
    "tanh": {},
    "softplus": {"beta": 2.0, "threshold": 3.0},
}
EXTREME = [np.nan, -1e4, -100.0, -30.0, -1e-4, -0.0, 0.0, 1e-4, 30.0, 100.0, 1e4]


def test_every_kernel_takes_what_its_operation_takes():
    from minicnn.kernels.numba import FILLINGS

    for name, kernel in FILLINGS.items():
        parameters = slots()[name].signature.parameters.values()
        positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        keywords = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        inspect.signature(kernel).bind(*positional, **dict.fromkeys(keywords))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", ACTIVATIONS)
@both_dtypes
@given(SHAPES, seeds, memory_orders, memory_orders)
def test_activations(dtype, name, shape, seed, order, dy_order):
    x, dy = 3 * normal(seed, *shape, dtype=dtype), normal(seed + 1, *shape, dtype=dtype)
    few = x.reshape(-1)[: len(EXTREME)]
    few[:] = EXTREME[: few.size]
    x, dy, options = order(x), dy_order(dy), ACTIVATIONS[name]
    size = 1 + np.nan_to_num(np.abs(x))
    agree(slots()[f"{name}_forward"], (x,), options, dtype, terms=size)
    takes_output = "y" in inspect.signature(slots()[f"{name}_backward"].body).parameters
    z = slots()[f"{name}_forward"].body(x, **options) if takes_output else x
    agree(slots()[f"{name}_backward"], (dy, z), options, dtype, terms=np.abs(dy) * size)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(SHAPES, seeds, memory_orders, memory_orders)
def test_a_sum_and_its_relu(dtype, shape, seed, order, other_order):
    x, shortcut = (normal(seed + number, *shape, dtype=dtype) for number in (0, 1))
    few = x.reshape(-1)[: len(EXTREME)]
    few[:] = EXTREME[: few.size]
    agree(
        ops.add_relu_forward,
        (order(x), other_order(shortcut)),
        {},
        dtype,
        terms=1 + np.nan_to_num(np.abs(x)) + np.abs(shortcut),
    )


def test_a_sum_of_arrays_of_two_shapes_is_broadcast_as_by_its_body():
    x, shortcut = normal(0, 2, 3, 4, 4), normal(1, 3, 1, 1)
    with use_backend("numba"):
        np.testing.assert_array_equal(ops.add_relu_forward(x, shortcut), np.maximum(x + shortcut, 0))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_have_the_defaults_of_their_bodies(name):
    x, dy = 3 * normal(0, 5, 9), normal(1, 5, 9)
    agree(slots()[f"{name}_forward"], (x,), {}, np.float64, terms=1 + np.abs(x))
    agree(slots()[f"{name}_backward"], (dy, x), {}, np.float64, terms=np.abs(dy) * (1 + np.abs(x)))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_of_infinity_are_those_of_their_bodies(name):
    x, dy = np.array([np.inf, -np.inf]), np.ones(2)
    for operation, args in ((slots()[f"{name}_forward"], (x,)), (slots()[f"{name}_backward"], (dy, x))):
        with np.errstate(invalid="ignore"), use_backend("numba"):
            np.testing.assert_array_equal(operation(*args), operation.body(*args))


@pytest.mark.parametrize("name", ["elu", "selu", "tanh", "silu"])
def test_small_numbers_keep_their_digits(name):
    x = np.array([-1e-12, 1e-12, -3e-9, 3e-9])
    with use_backend("numba"):
        y = slots()[f"{name}_forward"](x)
    np.testing.assert_allclose(y, slots()[f"{name}_forward"].body(x), rtol=1e-14)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(pool_cases(min_batch=1), st.sampled_from([1, 3, 16, 40]), memory_orders, memory_orders)
def test_average_pooling(dtype, case, channels, order, dy_order):
    x = order(normal(case.seed, case.batch, channels, *case.size, dtype=dtype))
    agree(ops.avg_pool2d_forward, (x,), case.options, dtype)
    dy = normal(case.seed + 1, *ops.avg_pool2d_forward.body(x, **case.options).shape, dtype=dtype)
    agree(ops.avg_pool2d_backward, (dy_order(dy),), {**case.options, "shape": x.shape}, dtype)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(IMAGES, seeds, memory_orders)
def test_global_average_pooling(dtype, shape, seed, order):
    agree(ops.global_avg_pool2d_forward, (order(normal(seed, *shape, dtype=dtype)),), {}, dtype)
    dy = order(normal(seed, *shape[:2], dtype=dtype))
    agree(ops.global_avg_pool2d_backward, (dy,), {"shape": shape}, dtype)


def test_the_mean_of_many_equal_numbers_is_that_number():
    with use_backend("numba"):
        y = ops.global_avg_pool2d_forward(np.full((1, 3, 200, 200), 0.1, dtype=np.float32))
    np.testing.assert_allclose(y, np.float32(0.1), rtol=4e-6)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(IMAGES, seeds, memory_orders, st.sampled_from([0, "same"]))
def test_max_pooling_of_four_finds_the_first_maximum_or_the_last_nan(dtype, shape, seed, order, padding):
    if min(shape[2:]) < 2 and padding == 0:
        return
    x = np.round(normal(seed, *shape, dtype=dtype))
    x[np.random.default_rng(seed).random(shape) < 0.2] = np.nan
    agree(ops.max_pool2d_forward, (order(x),), {"kernel": 2, "padding": padding}, dtype, terms=0)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(
    shape=st.sampled_from([(1, 1), (1, 10), (7, 1), (64, 10), (13, 37)]),
    seed=seeds,
    order=memory_orders,
    kind=st.sampled_from([np.uint8, np.int32, np.int64]),
    label_smoothing=st.sampled_from([0.0, 0.1]),
    weighted=st.booleans(),
    beyond=st.booleans(),
)
def test_the_loss(dtype, shape, seed, order, kind, label_smoothing, weighted, beyond):
    rng, k = np.random.default_rng(seed), shape[1]
    logits, labels = order(10 * normal(seed, *shape, dtype=dtype)), rng.integers(0, k, shape[0])
    labels[-1:] += k * beyond  # a label that there is no class for
    labels = np.repeat(labels, 2).astype(kind)[::2]
    weights = rng.uniform(0.2, 3, k).astype(dtype) if weighted and not (beyond and shape[0] == 1) else None
    options = {"label_smoothing": label_smoothing, "class_weights": weights}
    size = 1 + np.ptp(logits.astype(np.float64))
    agree(ops.softmax_cross_entropy_forward, (logits, labels), options, dtype, terms=size)
    p = order(ops.softmax_cross_entropy_forward.body(logits, labels, **options)[1])
    agree(ops.softmax_cross_entropy_backward, (p, labels), options, dtype, terms=(1 if weights is None else 15))


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, -np.inf])
def test_a_loss_of_what_is_not_finite_is_not_hidden(spoiled):
    logits, labels = normal(0, 3, 4), np.array([0, 2, 1])
    logits[1, 3] = spoiled
    with use_backend("numba"):
        loss, p = ops.softmax_cross_entropy_forward(logits, labels)
    with np.errstate(invalid="ignore"):
        want, want_p = ops.softmax_cross_entropy_forward.body(logits, labels)
    assert np.isnan(loss)
    assert np.isnan(want)
    np.testing.assert_allclose(p, want_p, rtol=1e-14)


@pytest.mark.usefixtures("threads")
@given(KEYS, st.sampled_from([1, 2, 3, 4, 5, 31, 64, 1000, 4099]))
def test_random_bits(key, count):
    with use_backend("numba"):
        bits = ops.random_bits(key, count=count)
    assert bits.dtype == np.uint32
    np.testing.assert_array_equal(bits, ops.random_bits.body(key, count=count))


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(SHAPES, KEYS, seeds, st.sampled_from([0, 0.3, 0.5, 1]), memory_orders, memory_orders)
def test_dropout(dtype, shape, key, seed, p, order, dy_order):
    x, dy = order(normal(seed, *shape, dtype=dtype)), dy_order(normal(seed + 1, *shape, dtype=dtype))
    x.flat[0] = np.nan
    agree(ops.dropout_forward, (x,), {"p": p, "key": key}, dtype)
    _, mask = ops.dropout_forward.body(x, p=p, key=key)
    agree(ops.dropout_backward, (dy, order(mask)), {"p": p}, dtype)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(conv_cases(min_batch=1, extra=9), memory_orders, memory_orders)
def test_columns(dtype, case, order, cols_order):
    x = order(case.x(dtype))
    agree(ops.im2col, (x,), case.windows, dtype, terms=0)
    cols = normal(case.seed, *ops.im2col.body(x, **case.windows).shape, dtype=dtype)
    agree(ops.col2im, (cols_order(cols),), {**case.windows, "shape": x.shape}, dtype)


UPDATES = {
    "sgd_update": (1, {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.1}),
    "sgd_update, Nesterov's": (1, {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    "adam_update": (2, {"lr": 0.05, "step": 3, "weight_decay": 0.1}),
}


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("name", UPDATES)
@both_dtypes
@given(SHAPES, seeds, memory_orders, memory_orders)
def test_updates(dtype, name, shape, seed, order, dw_order):
    moments, options = UPDATES[name]
    w, *memory = (order(np.abs(normal(seed + i, *shape, dtype=dtype))) for i in range(1 + moments))
    dw = dw_order(normal(seed + 9, *shape, dtype=dtype))
    before = dw.copy()
    agree(slots()[name.partition(",")[0]], (w, dw, *memory), options, dtype, terms=1 + np.abs(dw) + dw**2)
    np.testing.assert_array_equal(dw, before)


@pytest.mark.parametrize("order", [contiguous, channels_last, np.asfortranarray])
@pytest.mark.parametrize("name", UPDATES)
def test_updates_write_where_the_parameter_lies(name, order):
    moments, options = UPDATES[name]
    w, dw, *memory = (order(np.ones((3, 2, 5, 4))) for _ in range(2 + moments))
    with use_backend("numba"):
        results = slots()[name.partition(",")[0]](w, dw, *memory, **options)
    assert all(result is given for result, given in zip(results, (w, *memory), strict=True))


@pytest.mark.parametrize("name", UPDATES)
def test_updates_leave_memory_that_is_not_theirs_to_write_alone(name):
    moments, options = UPDATES[name]
    whole = np.ones((4, 6))
    w = whole[:, :3]
    locked = np.ones((4, 3))
    locked.flags.writeable = False
    for parameter in (w, locked):
        memory = [np.ones((4, 3)) for _ in range(moments)]
        agree(slots()[name.partition(",")[0]], (parameter, normal(0, 4, 3), *memory), options, np.float64, terms=9)
    assert (whole[:, 3:] == 1).all()
    assert (locked == 1).all()


@pytest.mark.parametrize("order", ORDERS)
def test_results_lie_in_memory_as_what_they_come_from(order):
    x = order(normal(0, 3, 5, 4, 4))
    with use_backend("numba"):
        results = [ops.silu_forward(x), ops.silu_backward(np.ones(x.shape), x)]
        results += ops.dropout_forward(x, p=0.5, key=Key(1, 2, 3))
    layout = np.argsort(np.empty_like(x).strides, kind="stable")
    assert all((np.argsort(result.strides, kind="stable") == layout).all() for result in results)


def test_averages_are_channels_last():
    x = normal(0, 3, 5, 4, 4)
    with use_backend("numba"):
        y = ops.avg_pool2d_forward(x, kernel=2)
        results = y, ops.avg_pool2d_backward(y, shape=x.shape, kernel=2)
        results = *results, ops.global_avg_pool2d_backward(y[:, :, 0, 0], shape=x.shape)
    assert all(result.transpose(0, 2, 3, 1).flags.c_contiguous for result in results)


def ones(*shape):
    return np.ones(shape)


@pytest.mark.parametrize(
    ("name", "args", "keywords"),
    [
        ("sigmoid_backward", (ones(3, 4), ones(4, 3)), {}),
        ("elu_backward", (ones(12), ones(2, 5)), {}),
        ("dropout_backward", (ones(3, 4), ones(4, 3) > 0), {"p": 0.5}),
        ("avg_pool2d_backward", (ones(2, 3, 3, 3),), {"kernel": 2, "shape": (2, 3, 4, 4)}),
        ("avg_pool2d_backward", (ones(3, 3, 2, 2),), {"kernel": 2, "shape": (2, 3, 4, 4)}),
        ("global_avg_pool2d_backward", (ones(2, 3),), {"shape": (3, 3, 4, 4)}),
        ("col2im", (ones(2, 12, 10),), {"kernel": 2, "shape": (2, 3, 4, 4)}),
        ("im2col", (ones(2, 3, 4, 4, 4),), {"kernel": 2}),
        ("softmax_cross_entropy_forward", (ones(3, 4), np.zeros(2, int)), {}),
        ("softmax_cross_entropy_forward", (ones(3, 4), np.zeros(3, int)), {"class_weights": ones(3)}),
        ("softmax_cross_entropy_backward", (ones(3, 4), np.zeros(4, int)), {}),
        ("sgd_update", (ones(3, 4), ones(4, 3), ones(3, 4)), {"lr": 0.1}),
        ("sgd_update", (ones(3, 4), ones(3, 4), ones(4, 3)), {"lr": 0.1}),
        ("adam_update", (ones(3, 4), ones(3, 4), ones(3, 4), ones(2, 4)), {"lr": 0.1, "step": 1}),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_and_never_read_past_their_end(name, args, keywords):
    with use_backend("numba"), pytest.raises(ValueError, match=r"shape|broadcast|remapped|unpack"):
        slots()[name](*args, **keywords)
