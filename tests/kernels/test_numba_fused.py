"""Operations that run as one, against their parts' plain bodies one after another, in float64."""

import numpy as np
import pytest
from bodies import absolute, close, in_float64
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import memory_orders, normal, pairs

from minicnn.backend import slots, use_backend
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import conv_windows, pool_windows

pytest.importorskip("numba", reason="Numba is not installed")

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CHANNELS = st.sampled_from([1, 3, 16, 17, 40])
POOLS = st.fixed_dictionaries(
    {"kernel": pairs(1, 3), "stride": st.none() | pairs(1, 4), "padding": st.sampled_from([0, 1, (1, 0), "same"])}
)
WINOGRAD = 200
"""Times eps and the largest sum of terms: what Winograd's algorithm may be off by for these numbers."""


def plain(name, *args, **keywords):
    """The plain body, and plain bodies in it."""
    with use_backend("numpy"):
        return slots()[name].body(*args, **keywords)


def fused(name, *args, **keywords):
    with use_backend("numba"):
        return slots()[name](*args, **keywords)


def named(pool):
    return {f"pool_{name}": value for name, value in pool.items()}


def fit(shape, w, geometry, pool):
    """The shape of what is pooled, if there are windows for both."""
    try:
        _, out = conv_windows(shape, w.shape[2:], geometry["stride"], geometry["padding"], geometry["dilation"])
        pool_windows((shape[0], len(w), *out), **pool)
    except (ShapeError, ArgumentError):
        assume(False)
    return shape[0], len(w), *out


def check_convolution(dtype, arrays, geometry, pool, algorithm, need_dx, order, *, exact=False):
    """Both fused operations, both ways: equal where all sums are exact, up to the bound of the algorithm otherwise."""
    x, w, b = arrays
    shape, options = fit(x.shape, w, geometry, pool), {**geometry, "algorithm": algorithm}
    wide = in_float64(arrays)
    z, size = plain("conv2d_forward", *wide, **geometry), plain("conv2d_forward", *absolute(wide), **geometry)
    z = plain("relu_forward", z)

    def check(got, want, sizes):
        if algorithm == "winograd":
            close(got, want, [None if s is None else np.nanmax(s) for s in sizes], dtype, factor=WINOGRAD)
        else:
            close(got, want, [0] * len(want) if exact else sizes, dtype)

    y = fused("conv2d_relu_forward", *arrays, **options)
    check([y], [z], [size])
    pooled, argmax = fused("conv2d_relu_max_pool2d_forward", *arrays, **options, **named(pool))
    want, where = plain("max_pool2d_forward", z, **pool)
    check([pooled], [want], [plain("max_pool2d_forward", size, **pool)[0]])
    if exact:
        np.testing.assert_array_equal(argmax, where)
    else:  # equal but for rounding, and certainly a place inside the image
        picked = plain("max_pool2d_backward", np.ones(want.shape), argmax, shape=shape, **pool)
        assert picked.sum() == want.size
        check([pooled], [at_places(z, argmax, pool)], [plain("max_pool2d_forward", size, **pool)[0]])

    for dy, values, name, more in (
        (normal(3, *shape, dtype=dtype), y, "conv2d_relu_backward", {}),
        (normal(4, *pooled.shape, dtype=dtype), pooled, "conv2d_relu_max_pool2d_backward", named(pool)),
    ):
        dy = order(np.round(dy) if exact else dy)
        places = [order(argmax)] if more else []
        got = fused(name, dy, order(values), *places, x, w, **options, **more, need_dx=need_dx)
        masked = plain("relu_backward", dy.astype(np.float64), values)
        if more:
            dz, dz_size = (
                plain("max_pool2d_backward", g, argmax, shape=shape, **pool) for g in (masked, np.abs(masked))
            )
        else:
            dz, dz_size = masked, np.abs(masked)
        want = plain("conv2d_backward", dz, *wide[:2], **geometry, need_dx=need_dx)
        sizes = plain("conv2d_backward", dz_size, *absolute(wide[:2]), **geometry, need_dx=need_dx)
        assert (got[0] is None) == (not need_dx)
        check(got, want, sizes)


def at_places(z, argmax, pool):
    """The numbers of z (N, F, h, w) that argmax points to."""
    n, f, h, w = z.shape
    kernel, stride, ((top, _), (left, _)), (oh, ow) = pool_windows(z.shape, **pool)
    rows = np.arange(oh)[:, None] * stride[0] - top + argmax // kernel[1]
    columns = np.arange(ow) * stride[1] - left + argmax % kernel[1]
    assert ((rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)).all()
    return z[np.arange(n)[:, None, None, None], np.arange(f)[:, None, None], rows, columns]


def draw_arrays(dtype, n, side, channels, kernels, kernel, groups, order):
    x = normal(0, n, channels, *side, dtype=dtype)
    w = normal(1, kernels, channels // groups, *kernel, dtype=dtype)
    return order(x), order(w), normal(2, kernels, dtype=dtype)


GEOMETRIES = st.fixed_dictionaries(
    {"stride": pairs(1, 2), "padding": st.sampled_from([0, 1, 3, "same"]), "dilation": pairs(1, 2)}
)
SIDES = st.sampled_from([(1, 1), (4, 4), (7, 9), (13, 13), (14, 3)])
BATCH = st.integers(1, 4)
KERNELS = st.sampled_from([(1, 1), (3, 3), (2, 3), (5, 5)])


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("whole", [False, True], ids=["any numbers", "whole numbers"])
@both_dtypes
@given(BATCH, SIDES, CHANNELS, CHANNELS, KERNELS, GEOMETRIES, POOLS, st.booleans(), memory_orders)
def test_direct(dtype, whole, n, side, channels, kernels, kernel, geometry, pool, need_dx, order):
    """Of whole numbers all sums are exact, and many maxima are equal: then argmax is the plain body's too."""
    arrays = draw_arrays(dtype, n, side, channels, kernels, kernel, 1, order)
    arrays = [np.round(array) for array in arrays] if whole else arrays
    check_convolution(dtype, arrays, geometry, pool, "direct", need_dx, order, exact=whole)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("groups", ["depthwise", "two groups"])
@both_dtypes
@given(BATCH, SIDES, CHANNELS, KERNELS, GEOMETRIES, POOLS, st.booleans(), memory_orders)
def test_groups(dtype, groups, n, side, channels, kernel, geometry, pool, need_dx, order):
    groups, kernels = (channels, channels) if groups == "depthwise" else (2, 10)
    channels = 2 * channels if groups == 2 else channels
    arrays = [np.round(array) for array in draw_arrays(dtype, n, side, channels, kernels, kernel, groups, order)]
    check_convolution(dtype, arrays, {**geometry, "groups": groups}, pool, "auto", need_dx, order, exact=True)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(
    BATCH, st.sampled_from([(13, 13), (7, 9), (40, 33)]), CHANNELS, CHANNELS, st.sampled_from([3, 5]),
    st.sampled_from([0, 1, 2, "same"]), POOLS, st.booleans(), memory_orders,
)  # fmt: skip
def test_winograd(dtype, n, side, channels, kernels, r, padding, pool, need_dx, order):
    arrays = draw_arrays(dtype, n, side, channels, kernels, (r, r), 1, order)
    geometry = {"stride": 1, "padding": padding, "dilation": 1}
    check_convolution(dtype, arrays, geometry, pool, "winograd", need_dx, order)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("groups", [1, 17])
@both_dtypes
@given(n=BATCH, pool=POOLS, geometry=GEOMETRIES, seed=st.integers(0, 99))
def test_what_is_not_a_number_is_not_hidden(dtype, groups, n, pool, geometry, seed):
    x, w, b = draw_arrays(dtype, n, (7, 9), 17, 17, (3, 3), groups, np.ascontiguousarray)
    x[tuple(np.random.default_rng(seed).integers(x.shape))] = np.nan
    geometry, algorithm = {**geometry, "groups": groups}, "direct" if groups == 1 else "auto"
    check_convolution(dtype, [np.round(a) for a in (x, w, b)], geometry, pool, algorithm, True, np.copy, exact=True)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(n=BATCH, pool=POOLS, seed=st.integers(0, 99))
def test_what_is_not_a_number_is_not_hidden_by_winograd(dtype, n, pool, seed):
    """It reaches the whole of each tile that it is in, and no other image."""
    x, w, b = draw_arrays(dtype, n, (7, 9), 17, 17, (3, 3), 1, np.ascontiguousarray)
    geometry = {"stride": 1, "padding": 1, "dilation": 1}
    fit(x.shape, w, geometry, pool)
    place = np.random.default_rng(seed).integers(x.shape)
    x[tuple(place)] = np.nan
    options = {"padding": 1, "algorithm": "winograd"}
    want = plain("relu_forward", plain("conv2d_forward", x, w, b, padding=1))
    y = fused("conv2d_relu_forward", x, w, b, **options)
    pooled, _ = fused("conv2d_relu_max_pool2d_forward", x, w, b, **options, **named(pool))
    for got, expected in ((y, want), (pooled, plain("max_pool2d_forward", want, **pool)[0])):
        assert np.isnan(got[np.isnan(expected)]).all()
        assert not np.isnan(np.delete(got, place[0], axis=0)).any()


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(
    n=st.integers(2, 5), side=SIDES, channels=CHANNELS, order=memory_orders, dy_order=memory_orders,
    shift=st.sampled_from([0, 50]),
)  # fmt: skip
def test_batch_norm(dtype, n, side, channels, order, dy_order, shift):
    x = order(normal(0, n, channels, *side, dtype=dtype) + dtype(shift))
    gamma, beta = normal(1, channels, dtype=dtype), normal(2, channels, dtype=dtype)
    beta[0] = 0.1  # what is left of the first channel is what ReLU is about
    wide = in_float64((x, gamma, beta))
    z, mean, inv_std = plain("batch_norm_forward", *wide)
    size = 100 * (1 + shift) * max(inv_std.max(), inv_std.max() ** 3)
    got = fused("batch_norm_relu_forward", x, gamma, beta)
    want = plain("relu_forward", z), mean, inv_std
    close(got, want, [size] * 3, dtype)

    y, mean, inv_std = got
    dy = dy_order(normal(3, *x.shape, dtype=dtype))
    got = fused("batch_norm_relu_backward", dy, x, gamma, beta, mean, inv_std)
    masked = plain("relu_backward", *in_float64((dy, y)))
    want = plain("batch_norm_backward", masked, *in_float64((x, gamma, mean, inv_std)))
    close(got, want, [n * size] * 3, dtype)


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(n=BATCH, side=SIDES, channels=CHANNELS, order=memory_orders)
def test_batch_norm_for_inference(dtype, n, side, channels, order):
    x, (gamma, beta, mean) = normal(0, n, channels, *side, dtype=dtype), normal(1, 3, channels, dtype=dtype)
    x.flat[0] = np.nan
    x, inv_std = order(x), np.abs(normal(2, channels, dtype=dtype))
    wide = in_float64((x, gamma, beta, mean, inv_std))
    want = plain("relu_forward", plain("batch_norm_inference_forward", *wide))
    x_size, g_size, b_size, mean_size, _ = absolute(wide)
    size = plain("batch_norm_inference_forward", x_size, g_size, b_size, -mean_size, inv_std)
    close([fused("batch_norm_inference_relu_forward", x, gamma, beta, mean, inv_std)], [want], [size], dtype)
    assert np.isnan(want).sum() == 1


@pytest.mark.usefixtures("threads")
@both_dtypes
def test_batch_norm_does_not_hide_what_is_not_a_number(dtype):
    x, ones = normal(0, 3, 17, 7, 9, dtype=dtype), np.ones(17, dtype=dtype)
    x[1, 5, 2, 3] = np.nan
    y, mean, inv_std = fused("batch_norm_relu_forward", x, ones, ones)
    for result in (np.isnan(y).all(axis=(0, 2, 3)), np.isnan(y).any(axis=(0, 2, 3)), np.isnan(mean), np.isnan(inv_std)):
        assert result.tolist() == [c == 5 for c in range(17)]


def test_results_are_channels_last():
    x, w = np.ones((2, 3, 8, 8)), np.ones((5, 3, 3, 3))
    results = [
        fused("conv2d_relu_forward", x, w, None),
        *fused("conv2d_relu_max_pool2d_forward", x, w, None, pool_kernel=2),
    ]
    results += [fused("batch_norm_relu_forward", x, np.ones(3), np.ones(3))[0]]
    assert all(result.transpose(0, 2, 3, 1).flags.c_contiguous for result in results)
