"""Winograd's change of basis: the transforms of F(4x4, 3x3), F(2x2, 5x5) and F(2x2, 3x3), and their adjoints.

Polynomials are multiplied by evaluating them at points, multiplying the values, and interpolating: n values instead of
n^2 products. Convolutions of short lines are products of polynomials, transposed. With alpha = m + r - 1 points, one of
them infinity, one line of alpha numbers gives m outputs of a kernel of r:

    B^T  (input)    rows: the coefficients of the product of (x - point) over all other points
    G    (kernel)   rows: (1, point, point^2, ...) / N(point),  N = the product of the differences to the other points
    A^T  (output)   columns: (1, point, point^2, ...)

F(2, 3) has the points 0, +-1 and infinity; F(4, 3) and F(2, 5) have 0, +-P, +-Q and infinity. The customary P, Q = 1, 2
are exact too, but 3/4 and 3/2 halve the rounding error, since no power of them is large.
Lavin and Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; Barabasz, Anderson, Soodhalter and
Gregg, "Error analysis and improving the accuracy of Winograd convolution for deep neural networks", ACM TOMS 2020.

Every line function reads vectors `step` apart from `source` and writes vectors `pace` apart to `target`. One that ends
in _43 is for F(4, 3), and one that ends in _6 for all with six points. An adjoint is the transposed matrix: what the
backward pass needs.
"""

from collections.abc import Callable

from numba import njit

from minicnn.kernels.numba.vector import load, store

P, Q = 3 / 4, 3 / 2
P2, Q2, P3, Q3, P4, Q4 = P**2, Q**2, P**3, Q**3, P**4, Q**4
N0, NP, NQ = 1 / (P2 * Q2), 1 / (2 * P2 * (P2 - Q2)), 1 / (2 * Q2 * (Q2 - P2))


@njit(nogil=True)
def _six(source, at, step):  # type: ignore[no-untyped-def]
    return (
        load(source, at),
        load(source, at + step),
        load(source, at + 2 * step),
        load(source, at + 3 * step),
        load(source, at + 4 * step),
        load(source, at + 5 * step),
    )


@njit(nogil=True)
def input_line_6(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """B^T d for six points: 6 to 6."""
    d0, d1, d2, d3, d4, d5 = _six(source, at, step)
    even_p, odd_p = d4 - Q2 * d2, P * (d3 - Q2 * d1)
    even_q, odd_q = d4 - P2 * d2, Q * (d3 - P2 * d1)
    store(target, to, P2 * Q2 * d0 - (P2 + Q2) * d2 + d4)
    store(target, to + pace, even_p + odd_p)
    store(target, to + 2 * pace, even_p - odd_p)
    store(target, to + 3 * pace, even_q + odd_q)
    store(target, to + 4 * pace, even_q - odd_q)
    store(target, to + 5 * pace, P2 * Q2 * d1 - (P2 + Q2) * d3 + d5)


@njit(nogil=True)
def input_adjoint_line_6(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """B v for six points: 6 to 6."""
    v0, v1, v2, v3, v4, v5 = _six(source, at, step)
    sum_p, difference_p, sum_q, difference_q = v1 + v2, v1 - v2, v3 + v4, v3 - v4
    store(target, to, P2 * Q2 * v0)
    store(target, to + pace, P2 * Q2 * v5 - P * Q2 * difference_p - Q * P2 * difference_q)
    store(target, to + 2 * pace, -(P2 + Q2) * v0 - Q2 * sum_p - P2 * sum_q)
    store(target, to + 3 * pace, P * difference_p + Q * difference_q - (P2 + Q2) * v5)
    store(target, to + 4 * pace, v0 + sum_p + sum_q)
    store(target, to + 5 * pace, v5)


@njit(nogil=True)
def output_line_43(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """A^T v for F(4, 3): 6 to 4."""
    v0, v1, v2, v3, v4, v5 = _six(source, at, step)
    sum_p, difference_p, sum_q, difference_q = v1 + v2, v1 - v2, v3 + v4, v3 - v4
    store(target, to, v0 + sum_p + sum_q)
    store(target, to + pace, P * difference_p + Q * difference_q)
    store(target, to + 2 * pace, P2 * sum_p + Q2 * sum_q)
    store(target, to + 3 * pace, P3 * difference_p + Q3 * difference_q + v5)


@njit(nogil=True)
def output_line_25(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """A^T v for F(2, 5): 6 to 2."""
    v0, v1, v2, v3, v4, v5 = _six(source, at, step)
    store(target, to, v0 + (v1 + v2) + (v3 + v4))
    store(target, to + pace, P * (v1 - v2) + Q * (v3 - v4) + v5)


@njit(nogil=True)
def output_adjoint_line_43(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """A y for F(4, 3): 4 to 6."""
    y0, y1, y2, y3 = (
        load(source, at), load(source, at + step), load(source, at + 2 * step), load(source, at + 3 * step)
    )  # fmt: skip
    even_p, odd_p = y0 + P2 * y2, P * y1 + P3 * y3
    even_q, odd_q = y0 + Q2 * y2, Q * y1 + Q3 * y3
    store(target, to, y0)
    store(target, to + pace, even_p + odd_p)
    store(target, to + 2 * pace, even_p - odd_p)
    store(target, to + 3 * pace, even_q + odd_q)
    store(target, to + 4 * pace, even_q - odd_q)
    store(target, to + 5 * pace, y3)


@njit(nogil=True)
def output_adjoint_line_25(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """A y for F(2, 5): 2 to 6."""
    y0, y1 = load(source, at), load(source, at + step)
    store(target, to, y0)
    store(target, to + pace, y0 + P * y1)
    store(target, to + 2 * pace, y0 - P * y1)
    store(target, to + 3 * pace, y0 + Q * y1)
    store(target, to + 4 * pace, y0 - Q * y1)
    store(target, to + 5 * pace, y1)


@njit(nogil=True)
def kernel_line_43(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """G g for F(4, 3): 3 to 6."""
    g0, g1, g2 = load(source, at), load(source, at + step), load(source, at + 2 * step)
    even_p, odd_p = NP * (g0 + P2 * g2), NP * P * g1
    even_q, odd_q = NQ * (g0 + Q2 * g2), NQ * Q * g1
    store(target, to, N0 * g0)
    store(target, to + pace, even_p + odd_p)
    store(target, to + 2 * pace, even_p - odd_p)
    store(target, to + 3 * pace, even_q + odd_q)
    store(target, to + 4 * pace, even_q - odd_q)
    store(target, to + 5 * pace, g2)


@njit(nogil=True)
def kernel_line_25(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """G g for F(2, 5): 5 to 6."""
    g0, g1, g2 = load(source, at), load(source, at + step), load(source, at + 2 * step)
    g3, g4 = load(source, at + 3 * step), load(source, at + 4 * step)
    even_p, odd_p = NP * (g0 + P2 * g2 + P4 * g4), NP * (P * g1 + P3 * g3)
    even_q, odd_q = NQ * (g0 + Q2 * g2 + Q4 * g4), NQ * (Q * g1 + Q3 * g3)
    store(target, to, N0 * g0)
    store(target, to + pace, even_p + odd_p)
    store(target, to + 2 * pace, even_p - odd_p)
    store(target, to + 3 * pace, even_q + odd_q)
    store(target, to + 4 * pace, even_q - odd_q)
    store(target, to + 5 * pace, g4)


@njit(nogil=True)
def kernel_adjoint_line_43(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """G^T u for F(4, 3): 6 to 3."""
    u0, u1, u2, u3, u4, u5 = _six(source, at, step)
    sum_p, difference_p, sum_q, difference_q = NP * (u1 + u2), NP * (u1 - u2), NQ * (u3 + u4), NQ * (u3 - u4)
    store(target, to, N0 * u0 + sum_p + sum_q)
    store(target, to + pace, P * difference_p + Q * difference_q)
    store(target, to + 2 * pace, P2 * sum_p + Q2 * sum_q + u5)


@njit(nogil=True)
def kernel_adjoint_line_25(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """G^T u for F(2, 5): 6 to 5."""
    u0, u1, u2, u3, u4, u5 = _six(source, at, step)
    sum_p, difference_p, sum_q, difference_q = NP * (u1 + u2), NP * (u1 - u2), NQ * (u3 + u4), NQ * (u3 - u4)
    store(target, to, N0 * u0 + sum_p + sum_q)
    store(target, to + pace, P * difference_p + Q * difference_q)
    store(target, to + 2 * pace, P2 * sum_p + Q2 * sum_q)
    store(target, to + 3 * pace, P3 * difference_p + Q3 * difference_q)
    store(target, to + 4 * pace, P4 * sum_p + Q4 * sum_q + u5)


# F(2, 3). Its factors are 1 and 1/2, and so it needs no names for them.


@njit(nogil=True)
def _four(source, at, step):  # type: ignore[no-untyped-def]
    return load(source, at), load(source, at + step), load(source, at + 2 * step), load(source, at + 3 * step)


@njit(nogil=True)
def input_line_4(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """B^T d for four points: 4 to 4."""
    d0, d1, d2, d3 = _four(source, at, step)
    store(target, to, d2 - d0)
    store(target, to + pace, d2 + d1)
    store(target, to + 2 * pace, d2 - d1)
    store(target, to + 3 * pace, d3 - d1)


@njit(nogil=True)
def input_adjoint_line_4(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """B v for four points: 4 to 4."""
    v0, v1, v2, v3 = _four(source, at, step)
    store(target, to, -1 * v0)
    store(target, to + pace, v1 - v2 - v3)
    store(target, to + 2 * pace, v0 + v1 + v2)
    store(target, to + 3 * pace, v3)


@njit(nogil=True)
def output_line_23(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """A^T v for F(2, 3): 4 to 2."""
    v0, v1, v2, v3 = _four(source, at, step)
    store(target, to, v0 + v1 + v2)
    store(target, to + pace, v1 - v2 + v3)


@njit(nogil=True)
def output_adjoint_line_23(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """A y for F(2, 3): 2 to 4."""
    y0, y1 = load(source, at), load(source, at + step)
    store(target, to, y0)
    store(target, to + pace, y0 + y1)
    store(target, to + 2 * pace, y0 - y1)
    store(target, to + 3 * pace, y1)


@njit(nogil=True)
def kernel_line_23(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """G g for F(2, 3): 3 to 4."""
    g0, g1, g2 = load(source, at), load(source, at + step), load(source, at + 2 * step)
    even, odd = 0.5 * (g0 + g2), 0.5 * g1
    store(target, to, -1 * g0)
    store(target, to + pace, even + odd)
    store(target, to + 2 * pace, even - odd)
    store(target, to + 3 * pace, g2)


@njit(nogil=True)
def kernel_adjoint_line_23(source, at, step, target, to, pace):  # type: ignore[no-untyped-def]
    """G^T u for F(2, 3): 4 to 3."""
    u0, u1, u2, u3 = _four(source, at, step)
    even, odd = 0.5 * (u1 + u2), 0.5 * (u1 - u2)
    store(target, to, even - u0)
    store(target, to + pace, odd)
    store(target, to + 2 * pace, even + u3)


def both_ways(line: Callable, n: int, m: int) -> Callable:
    """Return the transform of a square of n x n vectors into one of m x m: every column, then every row, by `line`.

    source[at + i * down + j * along] holds vector (i, j), target[to + i * to_down + j * to_along] receives it;
    spare has room for n * m vectors. Inlined, since a call with so many arguments takes as long as a transform does.
    """

    @njit(nogil=True, forceinline=True)
    def transform(  # type: ignore[no-untyped-def]
        source, at, down, along, target, to, to_down, to_along, spare, lanes
    ):
        for j in range(n):
            line(source, at + j * along, down, spare, j * lanes, n * lanes)
        for i in range(m):
            line(spare, i * n * lanes, lanes, target, to + i * to_down, to_along)

    return transform


def for_points(six: Callable, four: Callable) -> Callable:
    """Return the transform that is, with m and r before its arguments, the one for their number of points."""

    @njit(nogil=True, inline="always")
    def transform(  # type: ignore[no-untyped-def]
        m, r, source, at, down, along, target, to, to_down, to_along, spare, lanes
    ):
        if m + r - 1 == 6:
            six(source, at, down, along, target, to, to_down, to_along, spare, lanes)
        else:
            four(source, at, down, along, target, to, to_down, to_along, spare, lanes)

    return transform


def for_sizes(f43: Callable, f25: Callable, f23: Callable) -> Callable:
    """Return the transform that is, with m and r before its arguments, the one for F(m x m, r x r)."""

    @njit(nogil=True, inline="always")
    def transform(  # type: ignore[no-untyped-def]
        m, r, source, at, down, along, target, to, to_down, to_along, spare, lanes
    ):
        if m == 4:
            f43(source, at, down, along, target, to, to_down, to_along, spare, lanes)
        elif r == 5:
            f25(source, at, down, along, target, to, to_down, to_along, spare, lanes)
        else:
            f23(source, at, down, along, target, to, to_down, to_along, spare, lanes)

    return transform


to_input_tile = for_points(both_ways(input_line_6, 6, 6), both_ways(input_line_4, 4, 4))
to_input = for_points(both_ways(input_adjoint_line_6, 6, 6), both_ways(input_adjoint_line_4, 4, 4))
to_output = for_sizes(both_ways(output_line_43, 6, 4), both_ways(output_line_25, 6, 2), both_ways(output_line_23, 4, 2))
to_output_tile = for_sizes(
    both_ways(output_adjoint_line_43, 4, 6),
    both_ways(output_adjoint_line_25, 2, 6),
    both_ways(output_adjoint_line_23, 2, 4),
)
to_kernel_tile = for_sizes(
    both_ways(kernel_line_43, 3, 6), both_ways(kernel_line_25, 5, 6), both_ways(kernel_line_23, 3, 4)
)
to_kernel = for_sizes(
    both_ways(kernel_adjoint_line_43, 6, 3),
    both_ways(kernel_adjoint_line_25, 6, 5),
    both_ways(kernel_adjoint_line_23, 4, 3),
)
