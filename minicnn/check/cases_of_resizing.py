"""Cases of operations that make images larger, and of pooling to a given size."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.case import Case, normal, reference
from minicnn.check.cases_of_images import in_pairs, pool_cases

Size = tuple[int, int]


def conv_transpose_cases() -> Iterator[Case]:
    """Transposed convolutions."""
    for number, (label, n, c, f, size, kernel, options) in enumerate(_TRANSPOSED):
        groups = options.get("groups", 1)
        arrays = {
            "x": normal(number, 40, n, c, *size),
            "w": normal(number, 41, c, f // groups, *kernel),
            "b": normal(number, 42, f),
        }
        full = {"stride": (1, 1), "padding": (0, 0), "output_padding": (0, 0), **in_pairs(options)}
        yield Case(label, arrays, full)
        if number == 0:
            yield Case("no bias", {**arrays, "b": None}, full, optional=True)


_TRANSPOSED: list[tuple[str, int, int, int, Size, Size, dict[str, Any]]] = [
    ("plain", 3, 2, 4, (4, 5), (3, 2), {}),
    ("a batch of one", 1, 2, 4, (4, 5), (3, 2), {}),
    ("square", 3, 3, 3, (4, 4), (3, 3), {}),
    ("one channel and one kernel", 2, 1, 1, (4, 3), (2, 3), {}),
    ("stride 2", 2, 2, 3, (3, 4), (2, 2), {"stride": 2}),
    ("stride 2, kernels overlap", 2, 2, 3, (3, 4), (3, 3), {"stride": 2}),
    ("stride (2, 1)", 2, 2, 3, (3, 4), (2, 3), {"stride": (2, 1)}),
    ("padding 1", 2, 2, 3, (4, 5), (3, 2), {"padding": 1}),
    ("padding (2, 1)", 2, 3, 2, (4, 4), (3, 3), {"padding": (2, 1)}),
    ("output padding 1", 2, 3, 2, (3, 3), (3, 3), {"stride": 2, "output_padding": 1}),
    ("dilation 2", 2, 2, 3, (4, 5), (2, 3), {"dilation": 2}),
    ("two groups", 2, 4, 6, (4, 5), (2, 3), {"groups": 2}),
    (
        "everything at once",
        2,
        4,
        6,
        (3, 4),
        (3, 2),
        {"stride": (2, 3), "padding": (1, 2), "output_padding": (1, 2), "dilation": (1, 2), "groups": 2},
    ),
]


def upsample_cases() -> Iterator[Case]:
    """Images that become larger, and smaller."""
    for number, (label, n, c, size, out) in enumerate(
        [
            ("plain", 3, 2, (3, 4), (6, 8)),
            ("a batch of one", 1, 2, (3, 4), (6, 8)),
            ("one channel", 2, 1, (3, 4), (6, 8)),
            ("square", 2, 3, (3, 3), (6, 6)),
            ("three times as wide", 2, 2, (3, 4), (3, 12)),
            ("no whole factor", 2, 2, (3, 4), (5, 7)),
            ("smaller", 2, 2, (5, 7), (3, 4)),
            ("one pixel", 2, 2, (1, 1), (3, 2)),
        ]
    ):
        yield Case(label, {"x": normal(number, 43, n, c, *size)}, {"size": out})


def adaptive_pool_cases() -> Iterator[Case]:
    """Regions that come out even, and regions that overlap."""
    for number, (label, n, c, size, out) in enumerate(
        [
            ("plain", 3, 2, (4, 6), (2, 3)),
            ("a batch of one", 1, 2, (4, 6), (2, 3)),
            ("one channel", 2, 1, (4, 6), (2, 3)),
            ("square", 3, 3, (6, 6), (2, 2)),
            ("all of the image", 2, 2, (4, 5), (1, 1)),
            ("regions overlap", 2, 2, (5, 7), (3, 4)),
            ("more regions than pixels", 2, 2, (2, 3), (3, 5)),
        ]
    ):
        yield Case(label, {"x": normal(number, 44, n, c, *size)}, {"output_size": out})


def unpool_cases() -> Iterator[Case]:
    """Numbers for the windows of poolings."""
    for number, pooled in enumerate(pool_cases()):
        argmax = reference(slots()["max_pool2d_forward"], pooled)["argmax"]
        shape = pooled.args["x"].shape
        yield Case(
            pooled.label,
            {"x": normal(number, 45, *argmax.shape), "argmax": argmax},
            {"shape": shape, **pooled.options},
        )


def roi_pool_cases() -> Iterator[Case]:
    """Regions inside, on edges, outside, with fewer pixels than bins, and at other scales."""
    inside = [[0, 1, 1, 4, 3], [1, 0, 0, 5, 4], [1, 2, 0, 5, 3]]
    for number, (label, n, c, rois, out, scale) in enumerate(
        [
            ("plain", 2, 3, inside, (2, 3), 1.0),
            ("one channel", 2, 1, inside, (2, 3), 1.0),
            ("one region", 2, 2, inside[1:2], (2, 2), 1.0),
            ("fewer pixels than bins", 3, 2, [[2, 1, 1, 2, 1], [0, 3, 2, 3, 2], [0, 0, 0, 4, 1]], (3, 3), 1.0),
            ("a scale of 1/2", 2, 2, [[1, 2, 1, 11, 9], [0, 0, 3, 7, 8]], (2, 2), 0.5),
            ("numbers to be rounded", 2, 2, [[1, 0.5, 1.4, 3.6, 3.5], [0, 1.5, 0.2, 4.4, 2.5]], (2, 2), 1.0),
            ("partly outside", 2, 2, [[0, -3, -1, 3, 8], [1, 4, 3, 9, 6], [1, 7, 7, 9, 9]], (2, 3), 1.0),
        ]
    ):
        arrays = {"x": normal(number, 46, n, c, 5, 6), "rois": np.array(rois, dtype=np.float64)}
        yield Case(label, arrays, {"output_size": out, "spatial_scale": scale})
    ties = {"x": np.floor(2 * normal(0, 47, 2, 2, 5, 6)), "rois": np.array(inside, dtype=np.float64)}
    yield Case("equal maxima", ties, {"output_size": (2, 2), "spatial_scale": 1.0}, tied=True)
