"""Every kernel against the plain body that it stands for, over shapes that tiles and vectors do not divide.

The tests of operations and layers run on both backends too; here are the cases that only a kernel finds hard.
"""

import numpy as np
import pytest
from bodies import agree
from hypothesis import given
from hypothesis import strategies as st

from minicnn import ops
from minicnn.backend import use_backend

pytest.importorskip("numba", reason="Numba is not installed")

ORDERS = {
    "channels first": lambda x: x,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "with gaps": lambda x: np.repeat(x, 2, axis=0)[::2],
    "backwards": lambda x: np.ascontiguousarray(x[:, :, ::-1])[:, :, ::-1],
}
SIDES = st.sampled_from([(1, 1), (4, 4), (7, 9), (13, 13), (14, 3)])
CHANNELS = st.sampled_from([1, 3, 8, 16, 17, 40, 70])


def draw(shape, dtype, order, seed):
    return ORDERS[order](np.random.default_rng(seed).normal(size=shape).astype(dtype))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    n=st.integers(1, 4),
    side=st.sampled_from([(4, 4), (7, 9), (13, 13), (14, 3)]),
    channels=CHANNELS,
    kernel=st.sampled_from([(2, 2), (3, 3), (2, 3), (3, 1)]),
    stride=st.sampled_from([None, (1, 1), (2, 2), (4, 3)]),
    padding=st.sampled_from([0, (1, 0), "same"]),
    order=st.sampled_from(list(ORDERS)),
)
def test_max_pooling(dtype, n, side, channels, kernel, stride, padding, order):
    x = np.round(draw((n, channels, *side), dtype, order, 0))  # many equal maxima
    options = {"kernel": kernel, "stride": stride, "padding": padding}
    agree(ops.max_pool2d_forward, (x,), options, dtype, terms=0)
    y, argmax = ops.max_pool2d_forward.body(x, **options)
    dy = draw(y.shape, dtype, order, 1)
    agree(ops.max_pool2d_backward, (dy, argmax), {**options, "shape": x.shape}, dtype, terms=9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("options", [{"kernel": 3, "stride": 2, "padding": 1}, {"kernel": 2}], ids=str)
def test_a_maximum_that_is_not_a_number(options, dtype):
    x = draw((3, 19, 8, 8), dtype, "channels last", 0)
    x[np.random.default_rng(1).random(x.shape) < 0.1] = np.nan
    agree(ops.max_pool2d_forward, (x,), options, dtype, terms=0)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    n=st.integers(2, 5),
    side=SIDES,
    channels=CHANNELS,
    order=st.sampled_from(list(ORDERS)),
    shift=st.sampled_from([0, 50]),
)
def test_batch_norm(dtype, n, side, channels, order, shift):
    x = draw((n, channels, *side), dtype, order, 0) + dtype(shift)
    gamma, beta = (draw((channels, 1, 1, 1), dtype, "channels first", s)[:, 0, 0, 0] for s in (1, 2))
    size = 1 + shift  # the mean is subtracted from numbers of that size
    inv_std = ops.batch_norm_forward.body(x.astype(np.float64), gamma, beta)[2].max()
    agree(ops.batch_norm_forward, (x, gamma, beta), {}, dtype, terms=100 * size * max(inv_std, inv_std**3))
    _, mean, inv = ops.batch_norm_forward.body(x, gamma, beta)
    dy = draw(x.shape, dtype, order, 3)
    agree(
        ops.batch_norm_backward, (dy, x, gamma, mean, inv), {}, dtype, terms=100 * size * max(inv_std, inv_std**3) * n
    )


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(n=st.integers(1, 300), side=SIDES, channels=CHANNELS, order=st.sampled_from(list(ORDERS)))
def test_relu(dtype, n, side, channels, order):
    x = draw((n, channels, *side), dtype, order, 0)
    x[0, 0, 0, 0] = np.nan
    agree(ops.relu_forward, (x,), {}, dtype, terms=0)
    agree(ops.relu_backward, (draw(x.shape, dtype, "channels last", 1), ops.relu_forward.body(x)), {}, dtype, terms=0)


def test_layers_hand_on_channels_last_memory():
    with use_backend("numba"):
        y = ops.conv2d_forward(np.ones((2, 3, 8, 8)), np.ones((5, 3, 3, 3)), None, padding=1)
        for out in (y, ops.relu_forward(y), ops.max_pool2d_forward(y, kernel=2)[0]):
            assert out.transpose(0, 2, 3, 1).flags.c_contiguous


ORDERS_OF_PARTS = {
    "first to last": enumerate,
    "last to first": lambda parts: reversed(list(enumerate(parts))),
    "odd ones first": lambda parts: iter([p for k in (1, 0) for p in enumerate(parts) if p[0] % 2 == k]),
}


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_the_same_number_of_threads_gives_the_same_bits(monkeypatch, algorithm, dtype):
    """Also when threads take their parts of the work in another order."""
    x, w = (draw(shape, dtype, "channels first", seed) for seed, shape in enumerate([(9, 17, 13, 13), (20, 17, 3, 3)]))
    pooling, runs = {"pool_kernel": 3, "pool_stride": 2}, []
    for order in [*ORDERS_OF_PARTS.values(), enumerate]:
        monkeypatch.setattr("minicnn.backend.threads.enumerate", order, raising=False)
        with use_backend("numba"):
            y = ops.conv2d_forward(x, w, None, algorithm=algorithm)
            gradients = ops.conv2d_backward(y, x, w, algorithm=algorithm)
            pooled = ops.conv2d_relu_max_pool2d_forward(x, w, None, algorithm=algorithm, **pooling)
            args = pooled[0], *pooled, x, w
            runs.append((y, *gradients, *pooled, *ops.conv2d_relu_max_pool2d_backward(
                *args, algorithm=algorithm, **pooling
            )))  # fmt: skip
    for run in runs[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(runs[0], run, strict=True))


def ones(*shape):
    return np.ones(shape)


def places(*shape):
    return np.zeros(shape, dtype=np.uint8)


IMAGES, W, DY = ones(2, 3, 6, 6), ones(4, 3, 3, 3), ones(2, 4, 4, 4)
POOLED, PLACES = ones(2, 4, 2, 2), places(2, 4, 2, 2)


@pytest.mark.parametrize(
    ("name", "args", "keywords"),
    [
        ("conv2d_backward", (ones(2, 4, 7, 7), ones(2, 3, 6, 6), ones(4, 3, 3, 3)), {}),
        ("conv2d_backward", (ones(2, 5, 4, 4), ones(2, 3, 6, 6), ones(4, 3, 3, 3)), {}),
        ("conv2d_backward", (ones(3, 4, 4, 4), ones(2, 3, 6, 6), ones(4, 3, 3, 3)), {}),
        ("conv2d_backward", (ones(2, 4, 4, 4), ones(2, 2, 6, 6), ones(4, 3, 3, 3)), {}),
        ("max_pool2d_backward", (ones(2, 3, 4, 4), np.zeros((2, 3, 2, 2), int)), {"kernel": 2, "shape": (2, 3, 4, 4)}),
        ("max_pool2d_backward", (ones(2, 3, 3, 3), np.zeros((2, 3, 3, 3), int)), {"kernel": 2, "shape": (2, 3, 4, 4)}),
        ("batch_norm_forward", (ones(2, 3, 4, 4), ones(2), ones(2)), {}),
        ("batch_norm_backward", (ones(2, 3, 5, 5), ones(2, 3, 4, 4), ones(3), ones(3), ones(3)), {}),
        ("batch_norm_backward", (ones(2, 3, 4, 4), ones(2, 3, 4, 4), ones(2), ones(3), ones(3)), {}),
        ("conv2d_relu_forward", (ones(2, 4, 6, 6), W, None), {}),
        ("conv2d_relu_forward", (IMAGES, W, ones(3)), {}),
        ("conv2d_relu_backward", (DY, ones(2, 4, 5, 4), IMAGES, W), {}),
        ("conv2d_relu_backward", (ones(2, 4, 5, 4), DY, IMAGES, W), {}),
        ("conv2d_relu_backward", (ones(3, 4, 4, 4), ones(3, 4, 4, 4), IMAGES, W), {}),
        ("conv2d_relu_backward", (ones(2, 3, 4, 4), ones(2, 3, 4, 4), IMAGES, W), {}),
        ("conv2d_relu_backward", (DY, DY, ones(2, 2, 6, 6), W), {}),
        ("conv2d_relu_max_pool2d_forward", (ones(2, 2, 6, 6), W, None), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_forward", (IMAGES, W, ones(5)), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_backward", (DY, DY, places(2, 4, 4, 4), IMAGES, W), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_backward", (POOLED, ones(2, 4, 3, 2), PLACES, IMAGES, W), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_backward", (POOLED, POOLED, places(2, 4, 3, 2), IMAGES, W), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_backward", (POOLED, POOLED, places(3, 4, 2, 2), IMAGES, W), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_backward", (POOLED, POOLED, PLACES, ones(3, 3, 6, 6), W), {"pool_kernel": 2}),
        ("conv2d_relu_max_pool2d_backward", (POOLED, POOLED, PLACES, ones(2, 2, 6, 6), W), {"pool_kernel": 2}),
        ("batch_norm_relu_forward", (ones(2, 3, 4, 4), ones(3), ones(2)), {}),
        ("batch_norm_relu_backward", (*[ones(2, 3, 4, 4)] * 2, ones(3), ones(3), ones(3), ones(2)), {}),
        ("batch_norm_relu_backward", (*[ones(2, 3, 4, 4)] * 2, ones(3), ones(2), ones(3), ones(3)), {}),
        ("batch_norm_relu_backward", (ones(2, 3, 4, 5), ones(2, 3, 4, 4), *[ones(3)] * 4), {}),
        ("batch_norm_inference_relu_forward", (ones(2, 3, 4, 4), ones(3), ones(3), ones(2), ones(3)), {}),
        ("linear_forward", (ones(70, 40), ones(90, 41), None), {}),
        ("linear_forward", (ones(70, 40), ones(90, 40), ones(91)), {}),
        ("linear_backward", (ones(70, 91), ones(70, 40), ones(90, 40)), {}),
        ("linear_backward", (ones(71, 90), ones(70, 40), ones(90, 40)), {}),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused_and_never_read_past_their_end(name, args, keywords, monkeypatch):
    monkeypatch.setattr("minicnn.kernels.numba.linear.SMALL", 0)
    with use_backend("numba"), pytest.raises(ValueError, match=r"shape|broadcast|channels|mismatch|one entry"):
        getattr(ops, name)(*args, **keywords)
