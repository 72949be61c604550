"""Convolution without columns and in groups, against the plain body, where windows and images hardly fit together.

Winograd's algorithm rounds otherwise, and has tests of its own.
"""

import numpy as np
import pytest
from bodies import agree
from hypothesis import assume, example, given
from hypothesis import strategies as st
from strategies import contiguous, memory_orders, normal, pairs

from minicnn import ops
from minicnn.geometry import resolve_padding

pytest.importorskip("numba", reason="Numba is not installed")

both_dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
SIDES = st.sampled_from([(1, 1), (4, 4), (7, 9), (13, 13), (14, 3)])
CHANNELS = st.sampled_from([1, 3, 8, 16, 17, 40, 70])
KERNELS = st.sampled_from([(1, 1), (3, 3), (5, 5), (2, 3), (1, 4)])
PADDINGS = st.one_of(st.integers(0, 4), pairs(0, 4), st.just("same"))


def fits(side, kernel, padding, dilation):
    """Whether there is any window."""
    pads = resolve_padding(padding, size=side, kernel=kernel, dilation=dilation)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    return padding == "same" or all(s + sum(p) >= span for s, p, span in zip(side, pads, spans, strict=True))


def convolve_both_ways(dtype, shape, kernels, kernel, order, dy_order, need_dx, algorithm, **geometry):
    """Forwards with a bias and without one, and backwards."""
    x = order(normal(0, *shape, dtype=dtype))
    w = order(normal(1, kernels, shape[1] // geometry.get("groups", 1), *kernel, dtype=dtype))
    b = normal(2, 2 * kernels, dtype=dtype)[::2]
    agree(ops.conv2d_forward, (x, w, b), geometry, dtype, algorithm=algorithm)
    agree(ops.conv2d_forward, (x, w, None), geometry, dtype, algorithm=algorithm)
    dy = dy_order(normal(3, *ops.conv2d_forward.body(x, w, b, **geometry).shape, dtype=dtype))
    agree(ops.conv2d_backward, (dy, x, w), {**geometry, "need_dx": need_dx}, dtype, algorithm=algorithm)


def case(n, side, channels, kernels, kernel, stride=(1, 1), dilation=(1, 1), padding=0):
    return example(
        n=n, side=side, channels=channels, kernels=kernels, kernel=kernel, stride=stride, dilation=dilation,
        padding=padding, order=contiguous, dy_order=contiguous, need_dx=True,
    )  # fmt: skip


@pytest.mark.usefixtures("threads")
@both_dtypes
@given(
    n=st.integers(1, 4),
    side=SIDES,
    channels=CHANNELS,
    kernels=CHANNELS,
    kernel=KERNELS,
    stride=pairs(1, 3),
    dilation=pairs(1, 3),
    padding=PADDINGS,
    order=memory_orders,
    dy_order=memory_orders,
    need_dx=st.booleans(),
)
@case(1, (1, 1), 3, 5, (1, 1), padding=4)  # nearly all windows see nothing
@case(2, (4, 4), 17, 9, (3, 3), padding=4, stride=(3, 3))
@case(3, (4, 4), 3, 17, (2, 3), padding=(4, 3), stride=(2, 3), dilation=(2, 3))  # whole classes of pixels meet nothing
@case(2, (13, 13), 8, 40, (3, 3), stride=(2, 2), dilation=(2, 2), padding=1)
@case(2, (13, 13), 8, 8, (5, 5), stride=(3, 2), dilation=(3, 1), padding=(4, 0))
@case(1, (13, 13), 16, 70, (1, 1), stride=(2, 2))
@case(1, (14, 3), 16, 8, (1, 1), stride=(3, 3))  # the last column is never met, nor are the last rows
@case(1, (13, 13), 70, 70, (3, 3), padding="same")  # one image for all threads
@case(1, (7, 9), 1, 1, (5, 5), dilation=(1, 2))  # as wide as the image: one column of windows
@case(4, (4, 4), 3, 8, (5, 5), stride=(2, 2), padding="same")
def test_direct(dtype, n, side, channels, kernels, kernel, stride, dilation, padding, order, dy_order, need_dx):
    assume(fits(side, kernel, padding, dilation))
    convolve_both_ways(
        dtype, (n, channels, *side), kernels, kernel, order, dy_order, need_dx, "direct",
        stride=stride, dilation=dilation, padding=padding,
    )  # fmt: skip


def in_groups(groups, channels, kernels):
    return st.tuples(st.sampled_from(groups), st.sampled_from(channels), st.sampled_from(kernels))


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    "group",
    [in_groups([3, 16, 17, 40], [1], [1]), in_groups([3, 16, 17, 40], [1], [2]),
     in_groups([2, 3, 4], [1, 3, 8, 17], [1, 5, 15])],  # below 16, where Winograd's algorithm begins
    ids=["depthwise", "depthwise, two kernels a channel", "grouped"],
)  # fmt: skip
@both_dtypes
@given(data=st.data())
def test_groups(dtype, group, data):
    groups, channels, kernels = data.draw(group)
    side, kernel, padding, dilation = data.draw(st.tuples(SIDES, KERNELS, PADDINGS, pairs(1, 3)))
    assume(fits(side, kernel, padding, dilation))
    order, dy_order, need_dx = data.draw(st.tuples(memory_orders, memory_orders, st.booleans()))
    shape = data.draw(st.integers(1, 4)), groups * channels, *side
    convolve_both_ways(
        dtype, shape, groups * kernels, kernel, order, dy_order, need_dx, "auto",
        groups=groups, stride=data.draw(pairs(1, 3)), dilation=dilation, padding=padding,
    )  # fmt: skip


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(("groups", "channels", "kernels"), [(3, 3, 3), (40, 40, 40), (17, 17, 34), (3, 24, 15)])
@pytest.mark.parametrize("geometry", [
    {"padding": 4}, {"stride": 2, "dilation": 2, "padding": 1}, {"stride": 3}, {"padding": "same", "stride": 2},
])  # fmt: skip
@both_dtypes
def test_groups_of_one_image(dtype, groups, channels, kernels, geometry):
    convolve_both_ways(
        dtype, (1, channels, 7, 9), kernels, (3, 3), contiguous, contiguous, True, "auto", groups=groups, **geometry
    )
