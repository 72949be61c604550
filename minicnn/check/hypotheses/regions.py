"""Wrong formulas for pooling over regions, adaptive, fractional or of interest, and for putting maxima back."""

from collections.abc import Callable
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.hypotheses.resampled import Arguments, Formula, from_changed, resized
from minicnn.check.kinds import Kind
from minicnn.geometry import pair, pool_windows


def _adaptive(end: Callable[[int, int, int], int], area: Callable[[int, int], float] | None = None) -> Formula:
    """Adaptive pooling, forwards or backwards, with regions that end elsewhere, or one area for all of them."""

    def weights(length: int, count: int) -> np.ndarray:
        pixel, found = np.arange(length), []
        for i in range(count):
            inside = (pixel >= i * length // count) & (pixel < end(i, length, count))
            found.append(inside / (area(length, count) if area else max(inside.sum(), 1)))
        return np.array(found)

    return lambda a: resized(weights)({**a, "size": a.get("output_size")})


def _one_region(area: Callable[[int, int], Any]) -> Formula:
    """The gradient of adaptive pooling, where each pixel gets the share of one region alone."""

    def weights(length: int, count: int) -> np.ndarray:
        region = np.arange(length) * count // length
        return (np.arange(count)[:, None] == region) / area(length, count)

    return resized(weights)


def _areas(length: int, count: int) -> np.ndarray:
    return np.array([[_ceil_end(i, length, count) - i * length // count] for i in range(count)])


def _mean_area(length: int, count: int) -> float:
    return length / count


def _no_area(length: int, count: int) -> float:
    return 1.0


def _floor_end(i: int, length: int, count: int) -> int:
    return (i + 1) * length // count


def _ceil_end(i: int, length: int, count: int) -> int:
    return -(-(i + 1) * length // count)


def _one_window(a: Arguments) -> np.ndarray:
    """Average pooling with one stride and one kernel."""
    size, out = a["x"].shape[2:], pair(a["output_size"], "output_size")
    stride = tuple(n // o for n, o in zip(size, out, strict=True))
    kernel = tuple(n - (o - 1) * s for n, o, s in zip(size, out, stride, strict=True))
    views = np.lib.stride_tricks.sliding_window_view(a["x"], kernel, axis=(2, 3)).mean(axis=(4, 5))
    rows, columns = (np.arange(o) * s for o, s in zip(out, stride, strict=True))
    return views[:, :, rows][:, :, :, columns]


def _on_the_map(rounded: Callable[[np.ndarray], np.ndarray]) -> Callable[[Arguments], dict[str, Any]]:
    """Regions that were brought to the map in another way."""

    def change(a: Arguments) -> dict[str, Any]:
        rois = a["rois"].copy()
        rois[:, 1:] = rounded(rois[:, 1:] * a["spatial_scale"])
        return {"rois": rois, "spatial_scale": 1.0}

    return change


def _without_the_last(scaled: np.ndarray) -> np.ndarray:
    corners = np.trunc(scaled + np.copysign(0.5, scaled))
    corners[:, 2:] = np.maximum(corners[:, 2:] - 1, corners[:, :2])
    return corners


def _binned(edges: Callable[[int, int, int, int], tuple[int, int]]) -> Formula:
    """Return a formula: maxima over bins with other edges, from (first, last) pixel, the bin's number, their count."""

    def formula(a: Arguments) -> np.ndarray:
        x, out = a["x"], pair(a["output_size"], "output_size")
        scaled = a["rois"][:, 1:] * a["spatial_scale"]
        corners = np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int64)
        y = np.zeros((len(corners), x.shape[1], *out))
        for r, (left, top, right, bottom) in enumerate(corners):
            for i, j in np.ndindex(*out):
                rows = slice(*np.clip(edges(top, bottom, i, out[0]), 0, x.shape[2]))
                columns = slice(*np.clip(edges(left, right, j, out[1]), 0, x.shape[3]))
                inside = x[int(a["rois"][r, 0]), :, rows, columns]
                if inside.size:
                    y[r, :, i, j] = inside.max(axis=(1, 2))
        return y

    return formula


def _ends_down(first: int, last: int, i: int, count: int, *, least: int = 1) -> tuple[int, int]:
    length = max(last - first + 1, least)
    return first + i * length // count, first + (i + 1) * length // count


def _at_least_a_pixel_each(first: int, last: int, i: int, count: int) -> tuple[int, int]:
    return _ends_down(first, last, i, count, least=count)


def _one_pixel_short(first: int, last: int, i: int, count: int) -> tuple[int, int]:
    length = max(last - first, 1)
    return first + i * length // count, first + _ceil_end(i, length, count)


def _counted_down(a: Arguments) -> np.ndarray:
    k = slots()["roi_max_pool2d_forward"].body(**a)[1].astype(np.int64)
    h, w = a["x"].shape[2:]
    return np.where(k < 0, -1, k % w * h + k // w)


def _first_image(a: Arguments) -> dict[str, Any]:
    return {"rois": a["rois"] * [0, 1, 1, 1, 1]}


def _longer(a: Arguments) -> dict[str, Any]:
    return {name: tuple((first, end + 1) for first, end in a[name]) for name in ("rows", "columns")}


def _in_the_output(a: Arguments) -> np.ndarray:
    """The gradient, sent to the column that stands in the output's row instead of the winner's."""
    n, c, i, j = np.indices(a["dy"].shape)
    dx = np.zeros(a["shape"])
    np.add.at(dx, (n, c, a["row"], a["column"][n, c, i, j]), a["dy"])
    return dx


def _place_in_image(a: Arguments) -> np.ndarray:
    """Unpooling that takes argmax for row * W + column."""
    y = np.zeros((*a["shape"][:2], a["shape"][2] * a["shape"][3]))
    n, c = np.indices(a["x"].shape)[:2]
    np.add.at(y, (n, c, a["argmax"].astype(np.int64)), a["x"])
    return y.reshape(a["shape"])


def _own_maximum(a: Arguments) -> np.ndarray:
    """Max pooling of dy."""
    windows = {name: a[name] for name in ("kernel", "stride", "padding") if name in a}
    return slots()["max_pool2d_forward"].body(a["dy"], **windows)[0]


def _without_border(a: Arguments) -> np.ndarray:
    """The gradient of unpooling, read as if windows began at the image's first pixel."""
    kernel, stride, pads, _ = pool_windows(a["dy"].shape, a["kernel"], a.get("stride"), a.get("padding", 0))
    dy = np.pad(a["dy"], ((0, 0), (0, 0), (0, sum(pads[0])), (0, sum(pads[1]))), mode="edge")
    return slots()["max_unpool2d_backward"].body(dy, a["argmax"], kernel=kernel, stride=stride)


def _unpooled_corner(a: Arguments) -> np.ndarray:
    """Unpooling whose border was cut off at the end."""
    n, c, h, w = a["shape"]
    kernel, stride, pads, _ = pool_windows(a["shape"], a["kernel"], a.get("stride"), a.get("padding", 0))
    shape = (n, c, h + sum(pads[0]), w + sum(pads[1]))
    whole = slots()["max_unpool2d_forward"].body(a["x"], a["argmax"], shape=shape, kernel=kernel, stride=stride)
    return whole[:, :, :h, :w]


def _fractional(a: Arguments) -> tuple[np.ndarray, ...]:
    return slots()["fractional_max_pool2d_forward"].body(a["x"], rows=a["rows"], columns=a["columns"])


def _no_place(a: Arguments) -> dict[str, Any]:
    h, w = a["shape"][2:]
    return {"argmax": np.where(a["argmax"] < 0, h * w - 1, a["argmax"])}


def _down_the_map(a: Arguments) -> dict[str, Any]:
    h, w = a["shape"][2:]
    k = a["argmax"].astype(np.int64)
    return {"argmax": np.where(k < 0, -1, k % h * w + k // h)}


_FLOOR = "regions end at floor((i + 1) * H / oh); they end at the ceiling of it, so that neighbours may share a pixel"
_UNDIVIDED = "it is not divided by the area of the region"
_AREA = "the area is that of a mean region, H*W / (oh*ow); each region has its own"
_DOWN = "the ends of bins are rounded down; they are rounded up, so that neighbours may share a pixel"
_EXCHANGED = {"rows": "columns", "columns": "rows"}
_IMAGE = "every region is taken for one of the first image; rois[:, 0] says of which it is"
REGIONS: list[tuple[str, str, Kind, str, Formula]] = [
    ("adaptive_avg_pool2d_forward", "y", Kind.SCALE, _UNDIVIDED, _adaptive(_ceil_end, _no_area)),
    ("adaptive_avg_pool2d_backward", "dx", Kind.SCALE, _UNDIVIDED, _adaptive(_ceil_end, _no_area)),
    ("adaptive_avg_pool2d_forward", "y", Kind.FORWARD_DIFFERS, _FLOOR, _adaptive(_floor_end)),
    ("adaptive_avg_pool2d_forward", "y", Kind.FORWARD_DIFFERS, _AREA, _adaptive(_ceil_end, _mean_area)),
    (
        "adaptive_avg_pool2d_forward",
        "y",
        Kind.FORWARD_DIFFERS,
        "all regions have one size and one stride; they differ where H is no multiple of oh",
        _one_window,
    ),
    ("adaptive_avg_pool2d_backward", "dx", Kind.SHIFTED, _FLOOR, _adaptive(_floor_end)),
    *(
        (
            "adaptive_avg_pool2d_backward",
            "dx",
            Kind.NOT_ACCUMULATED,
            "each pixel gets the share of one region; where regions overlap, shares add up",
            _one_region(area),
        )
        for area in (_areas, _mean_area)
    ),
    ("adaptive_avg_pool2d_backward", "dx", Kind.SCALE, _AREA, _adaptive(_ceil_end, _mean_area)),
    *(
        ("roi_max_pool2d_forward", result, kind, message, from_changed("roi_max_pool2d_forward", result, change))
        for result in ("y", "argmax")
        for kind, message, change in (
            (
                Kind.TRANSPOSED,
                "x and y of the regions are exchanged; a region is (image, x1, y1, x2, y2)",
                lambda a: {"rois": a["rois"][:, [0, 2, 1, 4, 3]]},
            ),
            (Kind.SHIFTED, "x2 and y2 are left out; both ends belong to a region", _on_the_map(_without_the_last)),
            (Kind.FORWARD_DIFFERS, "coordinates are cut off, not rounded to the nearest", _on_the_map(np.trunc)),
            (Kind.FORWARD_DIFFERS, "coordinates are rounded down, not to the nearest", _on_the_map(np.floor)),
            (Kind.FORWARD_DIFFERS, "halves are rounded to even; they go away from zero", _on_the_map(np.rint)),
            (Kind.WRONG_CACHE, _IMAGE, _first_image),
        )
    ),
    *(
        ("roi_max_pool2d_forward", "y", kind, message, _binned(edges))
        for kind, message, edges in (
            (Kind.FORWARD_DIFFERS, _DOWN, _ends_down),
            (Kind.FORWARD_DIFFERS, _DOWN, _at_least_a_pixel_each),
            (Kind.SHIFTED, "a region has y2 - y1 rows; both ends belong to it, so there is one more", _one_pixel_short),
        )
    ),
    (
        "roi_max_pool2d_forward",
        "argmax",
        Kind.TRANSPOSED,
        "places are counted down the map, column * H + row; they are row * W + column",
        _counted_down,
    ),
    *(
        ("roi_max_pool2d_backward", "dx", kind, message, from_changed("roi_max_pool2d_backward", "dx", change))
        for kind, message, change in (
            (Kind.WRONG_CACHE, _IMAGE, _first_image),
            (
                Kind.MASK,
                "an empty bin sends its gradient to a pixel: index -1 is the last one",
                _no_place,
            ),
            (Kind.TRANSPOSED, "places are read as column * H + row; they are row * W + column", _down_the_map),
        )
    ),
    *(
        (
            "fractional_max_pool2d_forward",
            result,
            kind,
            message,
            from_changed("fractional_max_pool2d_forward", result, change),
        )
        for result in ("y", "row", "column")
        for kind, message, change in (
            (Kind.SHIFTED, "the pixel after a region's last is taken for one of the region", _longer),
            (
                Kind.TRANSPOSED,
                "rows and columns are exchanged",
                lambda a: {name: a[other] for name, other in _EXCHANGED.items()},
            ),
        )
    ),
    (
        "fractional_max_pool2d_forward",
        "row",
        Kind.SHIFTED,
        "rows are counted from their region's first; they are counted from the image's",
        lambda a: _fractional(a)[1] - np.array([first for first, _ in a["rows"]])[:, None],
    ),
    (
        "fractional_max_pool2d_forward",
        "column",
        Kind.SHIFTED,
        "columns are counted from their region's first; they are counted from the image's",
        lambda a: _fractional(a)[2] - np.array([first for first, _ in a["columns"]]),
    ),
    (
        "fractional_max_pool2d_backward",
        "dx",
        Kind.WRONG_CACHE,
        "the column is looked up in the output's row; it stands in the row where the maximum was",
        _in_the_output,
    ),
    *(
        ("max_unpool2d_forward", "y", kind, message, formula)
        for kind, message, formula in (
            (
                Kind.FORWARD_DIFFERS,
                "argmax is read as a place in the image; it counts inside the window, p * kw + q",
                _place_in_image,
            ),
            (Kind.SHIFTED, "the padding is cut off on the wrong side", _unpooled_corner),
        )
    ),
    (
        "max_unpool2d_backward",
        "dx",
        Kind.WRONG_CACHE,
        "it is the maximum of dy in each window; it should be dy where x had its maximum, which argmax says",
        _own_maximum,
    ),
    (
        "max_unpool2d_backward",
        "dx",
        Kind.SHIFTED,
        "windows are counted from the image's first pixel; they begin in the border, where the padding does",
        _without_border,
    ),
]
