"""Warping against SciPy's interpolation, and whole coordinates against indexing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import dtypes, memory_orders, normal, pairs, seeds

from minicnn import ops
from minicnn.backend import Key, plain_body, use_backend

pytestmark = pytest.mark.usefixtures("backend")


def scipy_warp(x, coordinates, fill):
    """Each plane by `map_coordinates`, of order 1."""
    mode = "nearest" if fill is None else "grid-constant"
    y = np.empty((*x.shape[:2], *coordinates.shape[2:]))
    for n, c in np.ndindex(*x.shape[:2]):
        cval = 0.0 if fill is None else fill[c]
        y[n, c] = ndimage.map_coordinates(x[n, c].astype(np.float64), coordinates[n], order=1, mode=mode, cval=cval)
    return y


@st.composite
def problems(draw):
    (n, c), size, out, seed = draw(pairs(1, 3)), draw(pairs(1, 6)), draw(pairs(1, 5)), draw(seeds)
    rng = np.random.default_rng(seed)
    coordinates = rng.uniform(-3, max(size) + 2, (n, 2, *out))
    coordinates = np.where(rng.random(coordinates.shape) < 0.3, np.rint(coordinates), coordinates)
    return normal(seed, n, c, *size), coordinates, draw(st.none() | st.just(rng.normal(size=c)))


@given(problems(), memory_orders)
def test_float64_is_scipys(problem, order):
    x, coordinates, fill = problem
    y = ops.warp(order(x), order(coordinates), fill=fill)
    np.testing.assert_allclose(y, scipy_warp(x, coordinates, fill), rtol=0, atol=1e-12)


@given(problems())
def test_float32_is_rounded_in_the_last_digits_only(problem):
    x, coordinates, fill = problem
    fill = None if fill is None else fill.astype(np.float32)
    y = ops.warp(x.astype(np.float32), coordinates, fill=fill)
    bound = 8 * np.finfo(np.float32).eps * max(np.abs(x).max(), np.abs(0 if fill is None else fill).max())
    np.testing.assert_allclose(y, scipy_warp(x, coordinates, fill), rtol=0, atol=bound)


@given(problems(), dtypes)
def test_both_backends_give_the_same_bits(problem, dtype):
    x, coordinates, fill = problem
    x, fill = x.astype(dtype), None if fill is None else fill.astype(dtype)
    with use_backend("numba"):
        got = ops.warp(x, coordinates, fill=fill)
    np.testing.assert_array_equal(got, plain_body("warp")(x, coordinates, fill=fill))


@given(pairs(1, 6), seeds, dtypes, st.booleans())
def test_whole_coordinates_give_pixels_to_the_bit(size, seed, dtype, filled):
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(2, 3, *size)) * 10.0 ** rng.integers(-30, 30, (2, 3, *size))).astype(dtype)
    rows, columns = (rng.integers(0, length, (2, 4, 5)) for length in size)
    y = ops.warp(x, np.stack([rows, columns], axis=1).astype(float), fill=np.ones(3, dtype) if filled else None)
    for n, i, j in np.ndindex(2, 4, 5):
        np.testing.assert_array_equal(y[n, :, i, j], x[n, :, rows[n, i, j], columns[n, i, j]])


@pytest.mark.parametrize("far", [-1e300, 1e300, 2.0**40])
def test_coordinates_far_outside_give_the_edge_or_the_fill(far):
    x = normal(0, 1, 2, 3, 4)
    coordinates = np.full((1, 2, 1, 1), far)
    corner = x[0, :, 0, 0] if far < 0 else x[0, :, -1, -1]
    np.testing.assert_array_equal(ops.warp(x, coordinates)[0, :, 0, 0], corner)
    np.testing.assert_array_equal(ops.warp(x, coordinates, fill=np.array([7.0, 8.0]))[0, :, 0, 0], [7, 8])


def test_no_images_are_no_images():
    assert ops.warp(np.zeros((0, 1, 3, 3)), np.zeros((0, 2, 4, 5))).shape == (0, 1, 4, 5)


def test_keys_made_of_a_key_are_its_bits_and_do_not_depend_on_how_many_there_are():
    key = Key(2**63 + 5, 7, 2**40 + 1)
    a, b, c, d = (int(word) for word in ops.random_bits(key, count=8)[4:])
    keys = ops.random_keys(key, 3)
    assert keys[1] == Key(a + (b << 32), c, d)
    assert keys[:2] == ops.random_keys(key, 2)
    assert len(set(keys)) == 3
    for each in keys:
        ops.random_uniform(each, shape=(3,))  # they are keys
