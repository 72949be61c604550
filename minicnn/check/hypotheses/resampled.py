"""Wrong formulas for where numbers are read or put by resizing, warping and transposed convolution.

Resizing goes along one direction after the other, so each direction is a matrix (count, length) of weights, and a wrong
place is another matrix: y = R x C^T on the way forwards, dx = R^T dy C on the way back.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minicnn.backend.slots import slots
from minicnn.check.kinds import Kind
from minicnn.geometry import pair

Arguments = Mapping[str, Any]
Formula = Callable[[Arguments], np.ndarray | None]
Weights = Callable[[int, int], np.ndarray]


def centres(length: int, count: int) -> np.ndarray:
    """Return where new pixels' centres lie among the old ones, also beyond the first and the last."""
    return (np.arange(count) + 0.5) * length / count - 0.5


def _clipped(length: int, count: int) -> np.ndarray:
    return np.clip(centres(length, count), 0, length - 1)


def _corners(length: int, count: int) -> np.ndarray:
    return np.arange(count) * (length - 1) / max(count - 1, 1)


def _without_half(length: int, count: int) -> np.ndarray:
    return np.arange(count) * length / count


def neighbour_weights(place: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of the pixel before each place and of the one after it, (count, length) both."""
    first, pixel = np.floor(place), np.arange(length)
    share = (place - first)[:, None]
    before = (np.clip(first, 0, length - 1)[:, None] == pixel) * (1 - share)
    after = (np.clip(first + 1, 0, length - 1)[:, None] == pixel) * share
    return before, after


def _between(places: Callable[[int, int], np.ndarray]) -> Weights:
    return lambda length, count: sum(neighbour_weights(places(length, count), length))  # type: ignore[return-value]


def _exchanged(length: int, count: int) -> np.ndarray:
    place = _clipped(length, count)
    first, pixel = np.floor(place), np.arange(length)
    share = (place - first)[:, None]
    after = np.minimum(first + 1, length - 1)[:, None] == pixel
    return (first[:, None] == pixel) * share + after * (1 - share)


def _wrapped(length: int, count: int) -> np.ndarray:
    """Index -1 is the last pixel."""
    place = centres(length, count)
    first, pixel = np.floor(place), np.arange(length)
    share = (place - first)[:, None]
    after = np.minimum(first + 1, length - 1)[:, None] == pixel
    return ((first % length)[:, None] == pixel) * (1 - share) + after * share


def _halved(length: int, count: int) -> np.ndarray:
    """Both neighbours get the same weight."""
    place = _clipped(length, count)
    return sum((w > 0) * 0.5 for w in neighbour_weights(np.floor(place) + 0.5, length))  # type: ignore[return-value]


def _extrapolated(length: int, count: int) -> np.ndarray:
    """The first and the last line go on beyond the image."""
    place = centres(length, count)
    first, pixel = np.clip(np.floor(place), 0, max(length - 2, 0)), np.arange(length)
    share = (place - first)[:, None]
    after = np.minimum(first + 1, length - 1)[:, None] == pixel
    return (first[:, None] == pixel) * (1 - share) + after * share


def _picked(place: Callable[[int, int], np.ndarray]) -> Weights:
    """Return weights of 1 for one pixel each."""
    return lambda length, count: (place(length, count)[:, None] == np.arange(length)).astype(np.float64)


def _nearest(length: int, count: int) -> np.ndarray:
    return np.arange(count) * length // count


_PICKED = {
    "floor": _picked(_nearest),
    "rounded": _picked(lambda length, count: np.rint(_clipped(length, count))),
    "corner": _picked(lambda length, count: np.minimum(np.rint(_without_half(length, count)), length - 1)),
    "tiles": _picked(lambda length, count: np.arange(count) % length),
    "corners": _picked(lambda length, count: np.rint(_corners(length, count))),
    "centres": _picked(lambda length, count: np.clip(np.floor(centres(length, count) + 0.5), 0, length - 1)),
}


def from_changed(operation: str, result: str, change: Callable[[Arguments], dict[str, Any]]) -> Formula:
    """Return a formula: the right result for other arguments."""

    def formula(a: Arguments) -> np.ndarray:
        given = {**a, **change(a)}
        results = slots()[operation].body(**given)
        names = slots()[operation].returns
        return results if len(names) == 1 else results[names.index(result)]

    return formula


def resized(down: Weights, across: Weights | None = None) -> Callable[[Arguments], np.ndarray]:
    """Return a formula: resizing, forwards or backwards, with these weights; across with the same unless given."""

    def formula(a: Arguments) -> np.ndarray:
        old, new = (a["shape"], a["dy"].shape) if "dy" in a else (a["x"].shape, (0, 0, *pair(a["size"], "size")))
        rows, columns = down(old[2], new[2]), (across or down)(old[3], new[3])
        return rows.T @ a["dy"] @ columns if "dy" in a else rows @ a["x"] @ columns.T

    return formula


def _resized_back(weights: Weights) -> Formula:
    """The gradient, resized to the old size as if it were an image."""
    return lambda a: resized(weights)({"x": a["dy"], "size": a["shape"][2:]})


def _averaged(weights: Weights) -> Formula:
    """The gradient, divided by the sum of the weights with which it came."""

    def formula(a: Arguments) -> np.ndarray:
        total = resized(weights)({**a, "dy": np.ones_like(a["dy"])})
        return resized(weights)(a) / np.where(total == 0, 1, total)

    return formula


def _added_once(a: Arguments) -> np.ndarray:
    """The gradient, added by index: of the new pixels that list an old one, the last counts, for each neighbour."""
    sides = []
    for length, count in zip(a["shape"][2:], a["dy"].shape[2:], strict=True):
        place = _clipped(length, count)
        first = np.floor(place)
        listed = (first, np.minimum(first + 1, length - 1))
        lasts = [np.append(index[1:] != index[:-1], True)[:, None] for index in listed]
        sides.append([w * last for w, last in zip(neighbour_weights(place, length), lasts, strict=True)])
    return sum(rows.T @ a["dy"] @ columns for rows in sides[0] for columns in sides[1])


def _written_over(a: Arguments) -> np.ndarray:
    """The gradient, written with = in a loop over the new pixels, neighbour by neighbour."""
    sides = []
    for length, count in zip(a["shape"][2:], a["dy"].shape[2:], strict=True):
        place = _clipped(length, count)
        first = np.floor(place).astype(int)
        sides.append([(first, 1 - place + first), (np.minimum(first + 1, length - 1), place - first)])
    dx = np.zeros(a["shape"])
    for i, j in np.ndindex(*a["dy"].shape[2:]):
        for r, t in sides[0]:
            for s, u in sides[1]:
                dx[:, :, r[i], s[j]] = t[i] * u[j] * a["dy"][:, :, i, j]
    return dx


def _transposed(a: Arguments, **changes: Any) -> np.ndarray:
    return slots()["conv_transpose2d_forward"].body(**{**a, **changes})


def _transposed_corner(a: Arguments) -> np.ndarray:
    """A transposed convolution of which all of the padding was cut off at the end."""
    (ph, pw), whole = pair(a["padding"], "padding", least=0), _transposed(a, padding=0)
    return whole[:, :, : whole.shape[2] - 2 * ph, : whole.shape[3] - 2 * pw]


def _padded_before(a: Arguments) -> np.ndarray:
    """A transposed convolution whose output_padding is at the top and at the left."""
    (mh, mw), y = pair(a["output_padding"], "output_padding", least=0), _transposed(a, output_padding=0, b=None)
    y = np.pad(y, ((0, 0), (0, 0), (mh, 0), (mw, 0)))
    return y if a["b"] is None else y + a["b"][:, None, None]


def _bias_each_time(a: Arguments) -> np.ndarray | None:
    """A transposed convolution that adds its bias with every kernel."""
    if a["b"] is None:
        return None
    ones = {"x": np.ones((1, 1, *a["x"].shape[2:])), "w": np.ones((1, 1, *a["w"].shape[2:])), "b": None, "groups": 1}
    return _transposed(a, b=None) + a["b"][:, None, None] * _transposed(a, **ones)


def _nearest_by(words: str) -> Formula:
    return resized(_PICKED[words])


def _nearer_less(a: Arguments) -> dict[str, Any]:
    edge = 0 if a["fill"] is None else 1
    place = np.clip(a["coordinates"], -edge, np.reshape(a["x"].shape[2:], (1, 2, 1, 1)) - 1 + edge)
    return {"coordinates": 2 * np.floor(place) + 1 - place}


def _from_minus_one(a: Arguments) -> dict[str, Any]:
    return {"coordinates": (a["coordinates"] + 1) / 2 * (np.reshape(a["x"].shape[2:], (1, 2, 1, 1)) - 1)}


def _without_a_seam(a: Arguments) -> np.ndarray | None:
    """Images that are filled as soon as a coordinate lies outside."""
    if a["fill"] is None:
        return None
    size = np.array(a["x"].shape[2:]).reshape(1, 2, 1, 1)
    outside = ((a["coordinates"] < 0) | (a["coordinates"] > size - 1)).any(axis=1, keepdims=True)
    return np.where(outside, a["fill"][:, None, None], slots()["warp"].body(a["x"], a["coordinates"]))


_BILINEAR = _between(_clipped)
_ALIGNED = "the corners are aligned, i * (H - 1) / (oh - 1); pixels have centres here, (i + 1/2) * H / oh - 1/2"
_ASIDE = "places are half a pixel aside, i * H / oh; they are (i + 1/2) * H / oh - 1/2"
_WEIGHTS = "the weights of the two neighbours are exchanged: the nearer one counts less"
_BACK = "dy is resized like an image; the gradient is the sum over all pixels that a number went to"
_MEAN = "it is a mean over the pixels that a number went to, where their sum belongs"
RESAMPLED: list[tuple[str, str, Kind, str, Formula]] = [
    *(
        (f"upsample_bilinear_{way}", result, kind, message, resized(weights))
        for way, result, differs, weighed in (
            ("forward", "y", Kind.FORWARD_DIFFERS, Kind.FORWARD_DIFFERS),
            ("backward", "dx", Kind.SHIFTED, Kind.SCALE),
        )
        for kind, message, weights in (
            (differs, _ALIGNED, _between(_corners)),
            (Kind.SHIFTED, _ASIDE, _between(_without_half)),
            (differs, "the first place lies before the first pixel, and index -1 is the last pixel", _wrapped),
            (differs, "beyond the outermost centres the line goes on; there it is the nearest pixel", _extrapolated),
            (weighed, _WEIGHTS, _exchanged),
            (weighed, "all neighbours count alike; the nearer ones count more", _halved),
        )
    ),
    *(
        (
            f"upsample_bilinear_{way}",
            result,
            kind,
            f"{words}, one pixel is taken; the two around each place belong there",
            resized(*((weights, _BILINEAR) if words == "downwards" else (_BILINEAR, weights))),
        )
        for way, result, kind in (("forward", "y", Kind.FORWARD_DIFFERS), ("backward", "dx", Kind.MISSING_TERM))
        for words in ("downwards", "across")
        for weights in _PICKED.values()
    ),
    *(
        (f"upsample_bilinear_{way}", result, kind, message, _nearest_by(words))
        for words in _PICKED
        for way, result, kind, message in (
            ("forward", "y", Kind.FORWARD_DIFFERS, "one pixel is taken; the four around each place belong there"),
            ("backward", "dx", Kind.MISSING_TERM, "one pixel gets all of dy; the other three neighbours are missing"),
        )
    ),
    *(
        ("upsample_bilinear_backward", "dx", kind, message, formula)
        for kind, message, formula in (
            (Kind.NOT_ACCUMULATED, "where an index comes several times, dx[index] += adds it once", _added_once),
            (Kind.NOT_ACCUMULATED, "each new pixel writes over what others gave, with = instead of +=", _written_over),
            (Kind.NOT_SUMMED, _BACK, _resized_back(_BILINEAR)),
            (Kind.NOT_SUMMED, _BACK, _resized_back(_between(_corners))),
            (Kind.NOT_SUMMED, _MEAN, _averaged(_BILINEAR)),
        )
    ),
    *(
        (f"upsample_nearest_{way}", result, kind, message, _nearest_by(words))
        for way, result, differs in (("forward", "y", Kind.FORWARD_DIFFERS), ("backward", "dx", Kind.SHIFTED))
        for words, kind, message in (
            ("tiles", Kind.TRANSPOSED, "the image is repeated, i % H, and not its pixels, floor(i * H / oh)"),
            ("corner", differs, "i * H / oh is rounded to the nearest number; it is rounded down"),
            ("corners", differs, "the corners are aligned, i * (H - 1) / (oh - 1); it is floor(i * H / oh)"),
            ("centres", differs, "the pixel is that of the centre; the upper left corner decides, floor(i * H / oh)"),
        )
    ),
    ("upsample_nearest_backward", "dx", Kind.NOT_SUMMED, _BACK, _resized_back(_PICKED["floor"])),
    ("upsample_nearest_backward", "dx", Kind.NOT_SUMMED, _BACK, _resized_back(_BILINEAR)),
    ("upsample_nearest_backward", "dx", Kind.NOT_SUMMED, _MEAN, _averaged(_PICKED["floor"])),
    *(
        ("warp", "y", kind, message, from_changed("warp", "y", change))
        for kind, message, change in (
            (
                Kind.TRANSPOSED,
                "row and column are exchanged: coordinates[:, 0] is the row",
                lambda a: {"coordinates": a["coordinates"][:, ::-1]},
            ),
            (
                Kind.FORWARD_DIFFERS,
                "the nearest pixel is taken; the four around each place belong there",
                lambda a: {"coordinates": np.rint(a["coordinates"])},
            ),
            (Kind.FORWARD_DIFFERS, _WEIGHTS, _nearer_less),
            *(
                (Kind.SHIFTED, "places are half a pixel aside; a pixel's centre is a whole number", change)
                for change in (
                    lambda a: {"coordinates": a["coordinates"] - 0.5},
                    lambda a: {"coordinates": a["coordinates"] + 0.5},
                )
            ),
            (Kind.SCALE, "coordinates are taken for numbers from -1 to 1; they are in pixels", _from_minus_one),
            (Kind.IGNORES_ARGUMENT, "fill is ignored", lambda a: {"fill": None}),
        )
    ),
    (
        "warp",
        "y",
        Kind.FORWARD_DIFFERS,
        "all that lies outside is filled; within a pixel of the border, image and fill are mixed",
        _without_a_seam,
    ),
    *(
        ("conv_transpose2d_forward", "y", kind, message, formula)
        for kind, message, formula in (
            (Kind.SHIFTED, "the padding is cut off on the wrong side", _transposed_corner),
            (Kind.SHIFTED, "output_padding is added at the top and the left; it belongs at the end", _padded_before),
            (Kind.FORWARD_DIFFERS, "the bias is added with every kernel; it is added once", _bias_each_time),
        )
    ),
]
