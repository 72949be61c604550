"""Fractional max pooling: what the paper says of its sequences, and maxima and gradients against plain loops."""

import itertools
import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from oracles import assert_close64, needs_torch, tensor, torch
from strategies import normal, seeds

from minicnn import ops
from minicnn.backend import Key
from minicnn.ops.fractional_pool import pseudorandom_edges, random_edges, regions_between

words = st.integers(0, 2**32 - 1)


@st.composite
def lengths(draw):
    """What regions of steps 1 and 2 (or 2 and 3) can cover: total, count and longest step."""
    longest, count = draw(st.integers(2, 3)), draw(st.integers(1, 40))
    return draw(st.integers(count * (longest - 1), count * longest)), count, longest


def steps_of(edges):
    return np.diff(edges).tolist()


# Sequences


@given(lengths(), seeds)
def test_random_steps_are_of_two_lengths_as_many_as_needed(length, seed):
    total, count, longest = length
    edges = random_edges(Key(seed, 1, 2), total=total, count=count, longest=longest)
    assert (edges[0], edges[-1]) == (0, total)
    assert sorted(steps_of(edges)) == sorted(
        [longest] * (total - count * (longest - 1)) + [longest - 1] * (count * longest - total)
    )


@given(lengths(), words)
def test_pseudorandom_edges_are_the_paper_s_formula(length, bits):
    total, count, _ = length
    edges = pseudorandom_edges(bits, total=total, count=count)
    assert (edges[0], edges[-1]) == (0, total)
    alpha, u = total / count, bits / 2**32
    assert set(steps_of(edges)) <= {math.floor(alpha), math.ceil(alpha)}
    for i, edge in enumerate(edges):
        exact = [alpha * (i + u), alpha * u]
        if all(
            abs(value - round(value)) > 1e-9 for value in exact
        ):  # elsewhere floating point may round to either side
            assert edge == math.ceil(exact[0]) - math.ceil(exact[1])


@given(lengths(), words)
def test_pseudorandom_steps_are_spread_evenly(length, bits):
    """Any stretch of edges is as long as alpha says, to within a pixel; that tells them from shuffled ones."""
    total, count, _ = length
    edges = pseudorandom_edges(bits, total=total, count=count)
    for i, j in itertools.combinations(range(count + 1), 2):
        assert abs(edges[j] - edges[i] - (j - i) * total / count) < 1


def test_shuffled_steps_are_not_spread_evenly_and_every_order_comes():
    seen = {tuple(steps_of(random_edges(Key(0, 0, step), total=6, count=4))) for step in range(200)}
    assert seen == set(itertools.permutations([1, 1, 2, 2]))


def test_u_decides_where_the_pattern_begins():
    patterns = {tuple(steps_of(pseudorandom_edges(i * 2**28, total=7, count=5))) for i in range(16)}
    assert patterns == {tuple(np.roll([1, 1, 2, 1, 2], shift).tolist()) for shift in range(5)}


@given(lengths(), words, st.booleans())
def test_disjoint_regions_cover_every_pixel_once_and_overlapping_ones_share_their_edges(length, bits, overlapping):
    total, count, longest = length
    regions = regions_between(pseudorandom_edges(bits, total=total, count=count), overlapping=overlapping)
    covered = [pixel for start, stop in regions for pixel in range(start, stop)]
    sizes = {stop - start for start, stop in regions}
    assert len(regions) == count
    assert sizes <= {longest - 1 + overlapping, longest + overlapping}
    assert set(covered) == set(range(total + overlapping)), "the whole image"
    assert len(covered) == total + overlapping + (count - 1) * overlapping


# Maxima


def regions_of(draw, size):
    """Regions along one axis, of sizes 1 to 4 that begin one after the other and may overlap."""
    starts = sorted(draw(st.sets(st.integers(0, size - 1), min_size=1, max_size=size)))
    regions = []
    for start in starts:
        least = max(start + 1, regions[-1][1] + 1) if regions else start + 1
        if least <= size:
            regions.append((start, draw(st.integers(least, min(size, max(least, start + 4))))))
    return tuple(regions)


@st.composite
def poolings(draw):
    h, w = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    x = normal(draw(seeds), draw(st.integers(1, 3)), draw(st.integers(1, 3)), h, w)
    if draw(st.booleans()):
        x = np.floor(2 * x)  # with many equal maxima
    return x, regions_of(draw, h), regions_of(draw, w)


def by_loops(x, rows, columns, dy):
    """Each region's first largest pixel, row by row, and the gradient that it gets."""
    y, dx = np.zeros((*x.shape[:2], len(rows), len(columns))), np.zeros_like(x)
    for n, c, i, j in np.ndindex(*y.shape):
        pixels = itertools.product(range(*rows[i]), range(*columns[j]))
        row, column = max(pixels, key=lambda place: x[n, c, place[0], place[1]])  # the first of equal ones
        y[n, c, i, j] = x[n, c, row, column]
        dx[n, c, row, column] += dy[n, c, i, j]
    return y, dx


@given(poolings(), seeds)
def test_maxima_and_gradients_are_those_of_plain_loops(pooling, seed):
    x, rows, columns = pooling
    y, row, column = ops.fractional_max_pool2d_forward(x, rows=rows, columns=columns)
    dy = normal(seed, *y.shape)
    want_y, want_dx = by_loops(x, rows, columns, dy)
    np.testing.assert_array_equal(y, want_y)
    dx = ops.fractional_max_pool2d_backward(dy, row, column, shape=x.shape, rows=rows, columns=columns)
    assert_close64(dx, want_dx)


@needs_torch
@given(st.integers(2, 3), st.integers(5, 12), st.integers(5, 12), seeds)
def test_over_pytorch_s_regions_the_result_is_pytorch_s(kernel, h, w, seed):
    """Its regions have one size and begin at floor(alpha (i + u)) - floor(alpha u), alpha = (H - k) / (oh - 1)."""
    oh, ow = max(2, int(0.6 * h)), max(2, int(0.6 * w))
    u = np.random.default_rng(seed).random(2)  # PyTorch takes the horizontal one first

    def regions(size, count, u):
        alpha = (size - kernel) / (count - 1)
        starts = [int((i + u) * alpha) - int(u * alpha) for i in range(count - 1)] + [size - kernel]
        return tuple((start, start + kernel) for start in starts)

    x, dy = normal(seed, 2, 3, h, w), normal(seed + 1, 2, 3, oh, ow)
    rows, columns = regions(h, oh, u[1]), regions(w, ow, u[0])
    theirs = tensor(x, grad=True)
    samples = tensor(np.broadcast_to(u, (2, 3, 2)))
    want = torch.nn.functional.fractional_max_pool2d(theirs, kernel, (oh, ow), _random_samples=samples)
    want.backward(tensor(dy))
    y, row, column = ops.fractional_max_pool2d_forward(x, rows=rows, columns=columns)
    np.testing.assert_array_equal(y, want.detach().numpy())
    dx = ops.fractional_max_pool2d_backward(dy, row, column, shape=x.shape, rows=rows, columns=columns)
    assert_close64(dx, theirs.grad)


def test_a_nan_is_not_hidden():
    x = np.ones((1, 1, 4, 4))
    x[0, 0, 1, 1] = np.nan
    y, _, _ = ops.fractional_max_pool2d_forward(x, rows=((0, 2), (2, 4)), columns=((0, 2), (2, 4)))
    np.testing.assert_array_equal(np.isnan(y[0, 0]), [[True, False], [False, False]])


def test_an_empty_batch_stays_one():
    regions = {"rows": ((0, 2),), "columns": ((0, 1), (1, 3))}
    y, row, column = ops.fractional_max_pool2d_forward(np.ones((0, 2, 2, 3)), **regions)
    assert y.shape == (0, 2, 1, 2)
    assert ops.fractional_max_pool2d_backward(y, row, column, shape=(0, 2, 2, 3), **regions).shape == (0, 2, 2, 3)
