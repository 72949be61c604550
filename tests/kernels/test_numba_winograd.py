"""Winograd's convolution, against the algebra that it comes from, and within the rounding that this algebra allows.

The matrices are made here from the interpolation points, in fractions. Multiplied out with them in NumPy, a
convolution and its gradients are those of the plain bodies; multiplied out with absolute values everywhere, they are
the sizes of all the terms that were added up on the way, and so what rounding is measured by.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minicnn as mc
from minicnn import nn, ops
from minicnn.errors import ArgumentError

numba = pytest.importorskip("numba", reason="Numba is not installed")

from minicnn.kernels.numba import transforms  # noqa: E402
from minicnn.kernels.numba.vector import VECTOR_BYTES  # noqa: E402

POINTS = {
    4: [Fraction(0), Fraction(1), Fraction(-1)],
    6: [Fraction(0), Fraction(3, 4), Fraction(-3, 4), Fraction(3, 2), Fraction(-3, 2)],
}
"""By alpha: the numbers among them; infinity is the last."""
SIZES = [(4, 3), (2, 5), (2, 3)]
"""All m, r of F(m x m, r x r)."""
FACTOR = 8


def matrices(m, r, points=None):
    """A^T (m, alpha), G (alpha, r) and B^T (alpha, alpha) for these points and infinity."""
    points = points or POINTS[m + r - 1]
    at = [[p**i for p in points] + [Fraction(i == m - 1)] for i in range(m)]
    g = [[p**k / scale(p, points) for k in range(r)] for p in points] + [[Fraction(k == r - 1) for k in range(r)]]
    bt = [[*coefficients([q for q in points if q != p]), Fraction(0)] for p in points] + [coefficients(points)]
    return tuple(np.array(matrix, dtype=np.float64) for matrix in (at, g, bt))


def scale(point, points):
    """The product of the differences to the other points."""
    return np.prod([point - other for other in points if other != point])


def coefficients(roots):
    """Of the product of (x - root), the constant first."""
    polynomial = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *polynomial]
        polynomial = [s - root * p for s, p in zip(shifted, [*polynomial, Fraction(0)], strict=True)]
    return polynomial


def by_hand(m, dy, x, w, padding, *, absolute=False):
    """y, dx and dw by F(m x m, r x r) in NumPy, tile by tile; with `absolute`, the sizes of all terms."""
    (f, c, r, _), (n, _, h, wide) = w.shape, x.shape
    alpha = m + r - 1
    at, g, bt = matrices(m, r)
    if absolute:
        at, g, bt, dy, x, w = (np.abs(array) for array in (at, g, bt, dy, x, w))
    oh, ow = dy.shape[2:]
    down, across = -(-oh // m), -(-ow // m)
    image = np.zeros((n, c, down * m + r - 1, across * m + r - 1))
    image[:, :, padding : padding + h, padding : padding + wide] = x
    gradient = np.zeros((n, f, down * m, across * m))
    gradient[:, :, :oh, :ow] = dy
    y, dx, du = np.zeros_like(gradient), np.zeros_like(image), np.zeros((f, c, alpha, alpha))
    u = g @ w @ g.T
    for i in range(0, down * m, m):
        for j in range(0, across * m, m):
            v = bt @ image[:, :, i : i + alpha, j : j + alpha] @ bt.T
            dm = at.T @ gradient[:, :, i : i + m, j : j + m] @ at
            y[:, :, i : i + m, j : j + m] = at @ np.einsum("ncpq,fcpq->nfpq", v, u) @ at.T
            dx[:, :, i : i + alpha, j : j + alpha] += bt.T @ np.einsum("nfpq,fcpq->ncpq", dm, u) @ bt
            du += np.einsum("nfpq,ncpq->fcpq", dm, v)
    inside = dx[:, :, padding : padding + h, padding : padding + wide]
    return y[:, :, :oh, :ow], inside, g.T @ du @ g


@pytest.mark.parametrize(("m", "r"), SIZES)
@pytest.mark.parametrize("name", ["input_tile", "input", "output_tile", "output", "kernel_tile", "kernel"])
def test_a_transform_is_its_matrix_from_both_sides(name, m, r):
    at, g, bt = matrices(m, r)
    matrix = {"input_tile": bt, "input": bt.T, "output_tile": at.T, "output": at, "kernel_tile": g, "kernel": g.T}[name]
    transform, lanes = getattr(transforms, f"to_{name}"), VECTOR_BYTES // 8
    (to, of), rng = matrix.shape, np.random.default_rng(0)
    tile, out, spare = rng.normal(size=(of, of, lanes)), np.zeros((to, to, lanes)), np.zeros(of * to * lanes)

    @numba.njit
    def run(source, target, spare):
        transform(m, r, source, 0, of * lanes, lanes, target, 0, to * lanes, lanes, spare, lanes)

    run(tile.reshape(-1), out.reshape(-1), spare)
    np.testing.assert_allclose(out, np.einsum("ai,ijv,bj->abv", matrix, tile, matrix), atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(
    n=st.integers(1, 3),
    side=st.sampled_from([(4, 4), (7, 9), (13, 13), (6, 21), (40, 33), (2, 2), (2, 3), (2, 21), (70, 2), (1, 1)]),
    channels=st.sampled_from([1, 3, 16, 17, 40]),
    kernels=st.sampled_from([1, 8, 16, 70]),
    r=st.sampled_from([3, 5]),
    padding=st.integers(0, 2),
    need_dx=st.booleans(),
    threads=st.integers(1, 3),
)
@example(n=3, side=(2, 2), channels=17, kernels=70, r=3, padding=1, need_dx=True, threads=2)  # F(2x2, 3x3)
@example(n=2, side=(2, 21), channels=40, kernels=8, r=3, padding=1, need_dx=True, threads=1)
def test_it_is_a_convolution_up_to_the_rounding_of_its_terms(
    dtype, n, side, channels, kernels, r, padding, need_dx, threads
):
    if min(side) + 2 * padding < r:
        return
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, channels, *side)).astype(dtype)
    w = rng.normal(size=(kernels, channels, r, r)).astype(dtype)
    before = mc.get_num_threads()
    mc.set_num_threads(threads)
    try:
        y = ops.conv2d_forward(x, w, None, padding=padding, algorithm="winograd")
        dy = rng.normal(size=y.shape).astype(dtype)
        dx, dw, _ = ops.conv2d_backward(dy, x, w, padding=padding, need_dx=need_dx, algorithm="winograd")
    finally:
        mc.set_num_threads(before)
    exact = [array.astype(np.float64) for array in (dy, x, w)]
    sizes = by_hand(fewest(r, y.shape), *exact, padding, absolute=True)
    want_y = ops.conv2d_forward.body(*exact[1:], None, padding=padding)
    want_dx, want_dw, _ = ops.conv2d_backward.body(*exact, padding=padding)
    assert (dx is None) == (not need_dx)
    for got, want, size in zip((y, dx, dw), (want_y, want_dx, want_dw), sizes, strict=True):
        if got is not None:
            assert got.dtype == dtype
            assert got.shape == want.shape
            excess = np.abs(got - want) - FACTOR * np.finfo(dtype).eps * size
            assert (excess <= 0).all(), f"off by {excess.max()} more than rounding explains"


def fewest(r, shape):
    """m of the F(m x m, r x r) that multiplies least for an output of this shape; the first where they are equal."""
    oh, ow = shape[2:]
    return min((m for m, of in SIZES if of == r), key=lambda m: (m + r - 1) ** 2 * -(-oh // m) * -(-ow // m))


@pytest.mark.parametrize(("m", "r"), SIZES)
def test_the_algebra_by_hand_is_a_convolution(m, r):
    rng = np.random.default_rng(0)
    x, w, dy = rng.normal(size=(2, 3, 7, 9)), rng.normal(size=(4, 3, r, r)), rng.normal(size=(2, 4, 10 - r, 12 - r))
    y, dx, dw = by_hand(m, dy, x, w, 1)
    np.testing.assert_allclose(y, ops.conv2d_forward.body(x, w, None, padding=1), atol=1e-11)
    for got, want in zip((dx, dw), ops.conv2d_backward.body(dy, x, w, padding=1), strict=False):
        np.testing.assert_allclose(got, want, atol=1e-11)


def test_its_rounding_error_is_a_few_times_that_of_the_plain_sum():
    """Of numbers and weights that are standard normal, 64 channels: what `help(nn.Conv2d)` says."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(8, 64, 16, 16)).astype("f4"), rng.normal(size=(64, 64, 3, 3)).astype("f4")
    want = ops.conv2d_forward.body(x.astype("f8"), w.astype("f8"), None, padding=1)
    errors = {
        name: np.sqrt(((ops.conv2d_forward(x, w, None, padding=1, algorithm=name) - want) ** 2).mean() / want.var())
        for name in ("direct", "winograd")
    }
    assert 1e-8 < errors["direct"] < errors["winograd"] < 1e-6


def chosen_for(monkeypatch, dtype, *, out=(8, 8), algorithm="auto", **geometry):
    """What runs, on 16 images."""
    from minicnn.kernels.numba import conv

    seen = []
    chosen = conv._algorithm
    monkeypatch.setattr(conv, "_algorithm", lambda *a, **k: seen.append(chosen(*a, **k)) or seen[-1])
    kernel, channels = geometry.pop("kernel", (3, 3)), geometry.pop("channels", 16)
    x = np.ones((16, channels, out[0] + kernel[0] - 3, out[1] + kernel[1] - 3), dtype)
    w = np.ones((16, channels // geometry.get("groups", 1), *kernel), dtype)
    ops.conv2d_forward(x, w, None, padding=1, algorithm=algorithm, **geometry)
    return seen[0]


@pytest.mark.parametrize(("geometry", "name"), [
    ({}, "winograd"), ({"kernel": (5, 5)}, "winograd"), ({"channels": 3}, "direct"), ({"stride": 2}, "direct"),
    ({"dilation": 2}, "direct"), ({"kernel": (3, 5)}, "direct"), ({"kernel": (1, 1)}, "direct"),
    ({"groups": 16}, "depthwise"), ({"groups": 4}, "grouped"),
])  # fmt: skip
def test_the_algorithm_follows_from_the_geometry(monkeypatch, geometry, name):
    assert chosen_for(monkeypatch, np.float32, **geometry).name == name


@pytest.mark.parametrize(("out", "m"), [
    ((8, 8), 4), ((3, 3), 4),  # 16 outputs from 36 products, where F(2x2) needs 64
    ((6, 6), 4),  # as many by either
    ((2, 2), 2), ((2, 8), 2), ((10, 2), 2),
])  # fmt: skip
@pytest.mark.parametrize("algorithm", ["auto", "winograd"])
def test_of_two_tiles_it_takes_the_one_that_multiplies_less(monkeypatch, algorithm, out, m):
    chosen = chosen_for(monkeypatch, np.float32, out=out, algorithm=algorithm)
    assert (chosen.name, chosen.blocks.m, chosen.blocks.alpha) == ("winograd", m, m + 2)


@pytest.mark.parametrize("out", [(1, 1), (1, 8), (2, 3), (5, 5)])
def test_where_little_is_saved_it_is_not_chosen(monkeypatch, out):
    assert chosen_for(monkeypatch, np.float32, out=out).name == "direct"


def test_gradient_checks_in_float64_never_meet_it(monkeypatch):
    assert chosen_for(monkeypatch, np.float64).name == "direct"


@pytest.mark.parametrize(("geometry", "why"), [
    ({"stride": 2}, "stride 1"), ({"dilation": 2}, "dilation 1"), ({"kernel_size": 1}, "kernels of 3 x 3 and 5 x 5"),
    ({"groups": 2}, "one group"),
])  # fmt: skip
def test_where_it_cannot_be_it_says_why(geometry, why):
    layer = nn.Conv2d(4, 4, **{"kernel_size": 3, **geometry}, algorithm="winograd")
    with pytest.raises(ArgumentError, match=why):
        layer(np.ones((1, 4, 8, 8), dtype=np.float32))


def test_the_plain_body_has_no_other_algorithm_than_its_own():
    layer = nn.Conv2d(3, 4, 3, algorithm="direct")
    with mc.use_backend("numpy"), pytest.raises(ArgumentError, match='backend "numba"'):
        layer(np.ones((1, 3, 8, 8), dtype=np.float32))


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(ArgumentError, match="one of 'auto', 'im2col', 'direct', 'winograd', not 'fft'"):
        nn.Conv2d(3, 4, 3, algorithm="fft")


def test_what_is_not_finite_spreads_over_its_tiles_and_no_further():
    x, w = np.ones((1, 16, 24, 24), dtype=np.float32), np.ones((16, 16, 3, 3), dtype=np.float32)
    x[0, 0, 9, 9] = np.inf
    finite = np.isfinite(ops.conv2d_forward(x, w, None, padding=1, algorithm="winograd"))
    assert not finite[:, :, 8:11, 8:11].any()  # where the plain body has an infinity
    assert finite[:, :, :4].all()
    assert finite[:, :, 12:].all()
    assert finite[..., :4].all()
    assert finite[..., 12:].all()


@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_a_case_that_is_left_to_the_plain_body_is_not_refused(algorithm):
    w = np.ones((16, 16, 3, 3), dtype=np.float32)
    assert ops.conv2d_forward(np.ones((0, 16, 8, 8), dtype=np.float32), w, None, algorithm=algorithm).shape[0] == 0


def test_these_points_round_half_as_much_as_the_customary_ones():
    """F(4x4, 3x3) in NumPy's float32, 16 channels: root mean square errors."""
    rng, errors = np.random.default_rng(0), []
    d, g = rng.normal(size=(300, 16, 6, 6)).astype("f4"), rng.normal(size=(300, 16, 3, 3)).astype("f4")
    want = sum(
        (d[..., p : p + 4, q : q + 4].astype("f8") * g[..., p, q, None, None]) for p in range(3) for q in range(3)
    )
    for points in (POINTS[6], [Fraction(p) for p in (0, 1, -1, 2, -2)]):
        at, kernel, bt = (matrix.astype("f4") for matrix in matrices(4, 3, points))
        products = ((kernel @ g @ kernel.T) * (bt @ d @ bt.T)).sum(axis=1)
        errors.append(np.sqrt(((at @ products @ at.T - want.sum(axis=1)) ** 2).mean()))
    assert 1.6 * errors[0] < errors[1]
