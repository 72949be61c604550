"""Cases of operations on images: convolution, unfolding and pooling."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.case import PAIRS, Case, normal, reference


def conv_cases() -> Iterator[Case]:
    """Convolutions."""
    for number, (label, n, c, f, size, kernel, options) in enumerate(_CONVOLUTIONS):
        groups = options.get("groups", 1)
        arrays = {
            "x": normal(number, 0, n, c, *size),
            "w": normal(number, 1, f, c // groups, *kernel),
            "b": normal(number, 2, f),
        }
        full = {"stride": (1, 1), "padding": (0, 0), **in_pairs(options)}
        yield Case(label, arrays, full)
        if number == 0:
            yield Case("no bias", {**arrays, "b": None}, full, optional=True)


_CONVOLUTIONS: list[tuple[str, int, int, int, tuple[int, int], tuple[int, int], dict[str, Any]]] = [
    ("plain", 3, 2, 4, (5, 6), (3, 2), {}),
    ("a batch of one", 1, 2, 4, (5, 6), (3, 2), {}),
    ("square", 3, 3, 3, (5, 5), (3, 3), {}),
    ("one channel and one kernel", 2, 1, 1, (6, 5), (2, 3), {}),
    ("a kernel of one pixel", 2, 3, 4, (3, 4), (1, 1), {}),
    ("stride 2", 2, 2, 3, (6, 7), (3, 2), {"stride": 2}),
    ("stride (2, 1)", 2, 2, 3, (6, 5), (2, 3), {"stride": (2, 1)}),
    ("stride 2, square", 2, 2, 2, (7, 7), (3, 3), {"stride": 2}),
    ("padding 1", 2, 2, 3, (4, 5), (3, 2), {"padding": 1}),
    ("padding (2, 1)", 2, 3, 2, (4, 4), (3, 3), {"padding": (2, 1)}),
    ("stride 2 and padding 1", 3, 2, 3, (6, 5), (3, 3), {"stride": 2, "padding": 1}),
    ("dilation 2", 2, 2, 3, (6, 7), (2, 3), {"dilation": 2}),
    ("two groups", 2, 4, 6, (4, 5), (2, 3), {"groups": 2}),
    (
        "everything at once",
        2,
        4,
        6,
        (5, 6),
        (3, 2),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
    ),
    ("depthwise", 2, 3, 3, (5, 4), (3, 2), {"groups": 3}),
]


def fused_conv_cases() -> Iterator[Case]:
    """Convolutions with all options spelt out, as a fused operation gets them."""
    for case in conv_cases():
        yield replace(case, options={**case.options, "dilation": (1, 1), "groups": 1, **case.options})


def conv_pool_cases() -> Iterator[Case]:
    """Convolutions that are pooled."""
    pools = ({"pool_kernel": (2, 2)}, {"pool_kernel": (2, 2), "pool_stride": (1, 1)})
    for number, case in enumerate(fused_conv_cases()):
        sizes = reference(slots()["conv2d_forward"], case)["y"].shape[2:]
        if min(sizes) >= 2 and case.label != "no bias":
            pool = {"pool_stride": None, "pool_padding": (0, 0), **pools[number % 2]}
            yield replace(case, options={**case.options, **pool})


def _window_options(case: Case) -> dict[str, Any]:
    return {"kernel": case.args["w"].shape[2:], **{n: v for n, v in case.options.items() if n != "groups"}}


def im2col_cases() -> Iterator[Case]:
    """The images of the convolutions."""
    for case in conv_cases():
        if "groups" not in case.options and case.label != "no bias":
            yield Case(case.label, {"x": case.args["x"]}, _window_options(case))


def col2im_cases() -> Iterator[Case]:
    """Columns for the images of the convolutions."""
    for number, case in enumerate(im2col_cases()):
        shape = case.args["x"].shape
        cols = reference(slots()["im2col"], case)["cols"]
        yield Case(case.label, {"cols": normal(number, 3, *cols.shape)}, {"shape": shape, **case.options})


def pool_cases(*, ties: bool = False) -> Iterator[Case]:
    """Poolings."""
    for number, (label, n, c, size, options) in enumerate(_POOLINGS):
        full = {"stride": None, "padding": (0, 0), **in_pairs(options)}
        yield Case(label, {"x": normal(number, 4, n, c, *size) - 0.5}, full)
    if ties:
        x = np.floor(2 * normal(0, 5, 2, 2, 4, 6))
        yield Case("equal maxima", {"x": x}, {"kernel": (2, 3), "stride": None, "padding": (0, 0)}, tied=True)


_POOLINGS: list[tuple[str, int, int, tuple[int, int], dict[str, Any]]] = [
    ("plain", 3, 2, (4, 6), {"kernel": 2}),
    ("a batch of one", 1, 2, (4, 6), {"kernel": 2}),
    ("one channel", 2, 1, (4, 6), {"kernel": 2}),
    ("square", 3, 3, (6, 6), {"kernel": 3}),
    ("a kernel of 2 x 3", 2, 2, (4, 6), {"kernel": (2, 3)}),
    ("pixels left over", 2, 2, (5, 7), {"kernel": 2}),
    ("stride 1: windows overlap", 2, 2, (4, 5), {"kernel": (2, 3), "stride": 1}),
    ("kernel 3, stride 2: windows overlap", 2, 2, (7, 7), {"kernel": 3, "stride": 2}),
    ("stride (2, 1)", 2, 2, (5, 5), {"kernel": (2, 3), "stride": (2, 1)}),
    ("padding 1", 2, 2, (5, 4), {"kernel": (3, 2), "stride": (2, 2), "padding": 1}),
    ("padding (1, 0)", 2, 2, (5, 4), {"kernel": (3, 2), "stride": (2, 2), "padding": (1, 0)}),
]


def in_pairs(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with (2, 2) for a stride of 2, as a layer gives them."""
    return {n: (v, v) if n in PAIRS and isinstance(v, int) else v for n, v in options.items()}


def warp_cases() -> Iterator[Case]:
    """Coordinates inside, on pixels, and outside with and without a fill."""
    for number, (label, n, c, size, out, reach, filled) in enumerate(_WARPS):
        h, w = size
        scale = np.array([h - 1, w - 1]).reshape(1, 2, 1, 1)
        share = 1 / (1 + np.exp(-normal(number, 25, n, 2, *out)))  # from 0 to 1: from the first pixel to the last
        coordinates = scale / 2 + reach * (share - 0.5) * scale
        if label == "whole coordinates":
            coordinates = np.rint(coordinates)
        fill = normal(number, 26, c) if filled else None
        yield Case(label, {"x": normal(number, 24, n, c, *size), "coordinates": coordinates}, {"fill": fill})


_WARPS: list[tuple[str, int, int, tuple[int, int], tuple[int, int], float, bool]] = [
    ("plain", 3, 2, (5, 6), (4, 3), 1, False),
    ("a batch of one", 1, 2, (5, 6), (4, 3), 1, False),
    ("square", 2, 2, (5, 5), (5, 5), 1, False),
    ("whole coordinates", 2, 2, (5, 6), (4, 3), 1, False),
    ("outside, nearest pixels", 2, 2, (5, 4), (5, 6), 4, False),
    ("outside, filled", 2, 2, (5, 4), (5, 6), 4, True),
]


def fractional_pool_cases() -> Iterator[Case]:
    """Poolings over regions of many kinds."""
    disjoint, overlapping = ((0, 1), (1, 3), (3, 4), (4, 6)), ((0, 3), (2, 4), (3, 6))
    for number, (label, n, c, rows, columns) in enumerate(
        [
            ("plain", 3, 2, disjoint[:3], disjoint),
            ("a batch of one", 1, 2, disjoint[:3], disjoint),
            ("one channel", 2, 1, disjoint, disjoint[:3]),
            ("square", 3, 3, disjoint, disjoint),
            ("regions overlap", 2, 2, overlapping, overlapping[:2]),
            ("regions overlap, square", 2, 2, overlapping, overlapping),
        ]
    ):
        x = normal(number, 27, n, c, rows[-1][1], columns[-1][1])
        yield Case(label, {"x": x}, {"rows": rows, "columns": columns})
    ties = np.floor(2 * normal(0, 28, 2, 2, 6, 6))
    yield Case("equal maxima", {"x": ties}, {"rows": overlapping, "columns": disjoint}, tied=True)
