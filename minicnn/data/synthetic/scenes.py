"""Scenes of coloured shapes, with a box, a class and a colour for each, and with sentences that say what is where.

A pixel (row i, column j) is the square from (x, y) = (j, i) to (j + 1, i + 1); x goes right and y down. Boxes are
(x1, y1, x2, y2) in these coordinates, in pixels, so that a box's width is x2 - x1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import CounterRng
from minicnn.data.synthetic.captions import check_names, describe, words_of
from minicnn.data.synthetic.pixel_noise import pixel_noise
from minicnn.data.synthetic.shapes import SHAPES, box_around, distance_to_edge
from minicnn.errors import ArgumentError, at_least, is_number, is_pair, listed, probability, whole_number
from minicnn.geometry import PairLike, pair
from minicnn.ops import random_normal, random_uniform

STREAM = int.from_bytes(b"scen", "big")
COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.15, 0.15),
    "green": (0.15, 0.65, 0.20),
    "blue": (0.20, 0.30, 0.85),
    "yellow": (0.90, 0.80, 0.15),
}
"""Red, green and blue of a shape's colour, from 0 to 1."""
GROUND = (0.45, 0.45, 0.45)
TRIES = 300
"""So often a shape is placed at random before it is said not to fit."""
MOST = 5
"""So many shapes are described in at most 5! orders."""
BAR = "bar"
"""What clutter is made of."""


@dataclass(frozen=True)
class ShapeScenes:
    """Scenes and the truth about them. Where scenes hold different numbers of shapes, K is a scene's own.

    Attributes
    ----------
    images : array (N, 3, H, W)
        float32 from 0 to 1.
    boxes : list of arrays (K, 4)
        (x1, y1, x2, y2) in pixels, float32: the least box around the whole shape, also where another covers it.
    classes, colours : lists of arrays (K,)
        Which of `shape_names` and `colour_names`, int64.
    visible : list of arrays (K,)
        The share of each shape's pixels that no other shape covers.
    owners : array (N, H, W)
        Which shape of the scene is seen at a pixel, int8; -1 for none. A pixel is a shape's if its centre is inside.
    captions : list of lists of str
        All sentences of the grammar that are right, each once; the first is the one to learn (`describe`).
    shape_names, colour_names : tuples of str
        The names.
    """

    images: np.ndarray
    boxes: list[np.ndarray]
    classes: list[np.ndarray]
    colours: list[np.ndarray]
    visible: list[np.ndarray]
    owners: np.ndarray
    captions: list[list[str]]
    shape_names: tuple[str, ...]
    colour_names: tuple[str, ...]

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """All words that a caption may have, behind "<pad>", "<start>" and "<end>"."""
        return words_of(self.shape_names, self.colour_names)

    def __len__(self) -> int:
        return len(self.images)


def shape_scenes(
    n: int,
    *,
    size: PairLike = 64,
    objects: tuple[int, int] = (1, 3),
    radius: tuple[float, float] = (6.0, 11.0),
    rotation: float = 180.0,
    occlusion: float = 0.3,
    clutter: int = 0,
    colour_spread: float = 0.05,
    shading: float = 0.2,
    noise: float = 0.05,
    shapes: Sequence[str] = SHAPES,
    colours: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> ShapeScenes:
    """Draw scenes of circles, squares, triangles, crosses and rings on a grey ground.

    Shapes lie on each other: where one of coverage alpha (the share of the pixel) meets what is behind it, the pixel is
    alpha * colour + (1 - alpha) * behind, the operator "over" of Porter and Duff, "Compositing digital images", 1984,
    section 4. Light falls off linearly over the scene, and each channel of a pixel has Gaussian noise of its own; the
    result is cut off at 0 and 1.

    Parameters
    ----------
    n : int
        How many scenes.
    size : int or (int, int)
        Height and width, in pixels.
    objects : (int, int)
        The least and the largest number of shapes in a scene, from 1 to 5; all in between are equally likely.
    radius : (float, float)
        The least and the largest distance from a shape's middle to its farthest point, in pixels.
    rotation : float
        Shapes are turned by up to so many degrees, either way.
    occlusion : float
        The largest share of a shape that the others may cover together, from 0 to 1.
    clutter : int
        How many thin bars lie behind the shapes, in the shapes' colours; there are no boxes or words for them.
    colour_spread : float
        Standard deviation of each channel of a shape's colour about the colour's name.
    shading : float
        The light is 1 + shading at the brightest corner and 1 - shading at the opposite one, at most; below 1.
    noise : float
        Standard deviation of the noise.
    shapes : sequence of str
        Which of `SHAPES` occur, none twice; a class is a place in this list.
    colours : mapping of names to (red, green, blue), optional
        The colours, from 0 to 1; red, green, blue and yellow by default. A name is one word,
        and none that captions have besides.
    seed : int
        The same seed draws the same scenes.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or the shapes do not fit into the scene.
    """
    H, W = pair(size, "size")
    colours = COLOURS if colours is None else colours
    n, objects, clutter = _checked_counts(n, objects, clutter)
    _check_numbers(rotation=rotation, colour_spread=colour_spread, noise=noise, occlusion=occlusion, shading=shading)
    _check_looks(radius, (H, W), shapes, colours)
    rng = CounterRng(seed, STREAM)
    things = _draw_things(rng, n, objects, radius, rotation, shapes, len(colours))
    owners, visible = _place(rng, things, (H, W), occlusion)

    rgb = np.array(list(colours.values()), dtype=np.float64)
    images = np.broadcast_to(np.array(GROUND)[:, None, None], (n, 3, H, W)).astype(np.float32)
    for _ in range(clutter):
        where = random_uniform(rng.next_key(), shape=(n, 2)) * (W, H)
        lengths, turns = _uniform(rng, *radius, n), _uniform(rng, 0, np.pi, n)
        _lay(images, distance_to_edge(BAR, where, lengths, turns, (H, W)), rgb[_choices(rng, len(colours), n)])
    rgb = rgb[things.hues] + colour_spread * random_normal(rng.next_key(), shape=(*things.hues.shape, 3))
    for k in range(objects[1]):
        for some, d in things.distances(k, np.flatnonzero(things.there[:, k]), (H, W)):
            part = images[some]
            _lay(part, d, rgb[some, k])
            images[some] = part
    images *= _light(_uniform(rng, 0, shading, n), _uniform(rng, 0, 2 * np.pi, n), (H, W))
    if noise:
        images += np.float32(noise) * pixel_noise(rng.next_key(), shape=images.shape)

    def of_each(table: np.ndarray) -> list[np.ndarray]:
        return [row[:count] for row, count in zip(table, things.there.sum(axis=1), strict=True)]

    kinds, hues, names = of_each(things.kinds), of_each(things.hues), list(colours)
    return ShapeScenes(
        images=np.clip(images, 0, 1),
        boxes=of_each(things.boxes()),
        classes=kinds,
        colours=hues,
        visible=of_each(visible),
        owners=owners,
        captions=[
            describe([f"{names[h]} {shapes[k]}" for k, h in zip(kind, hue, strict=True)], where)
            for kind, hue, where in zip(kinds, hues, of_each(things.centres), strict=True)
        ],
        shape_names=tuple(shapes),
        colour_names=tuple(colours),
    )


@dataclass(frozen=True)
class _Things:
    """The shapes of all scenes, M places a scene: which and how large they are, (N, M); and where, (N, M, 2)."""

    kinds: np.ndarray
    hues: np.ndarray
    radii: np.ndarray
    turns: np.ndarray
    there: np.ndarray
    centres: np.ndarray
    names: tuple[str, ...]

    def distances(self, k: int, some: np.ndarray, size: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield, one kind of shape after another, which of some scenes have it in place k, and `distance_to_edge`."""
        for kind, name in enumerate(self.names):
            these = some[self.kinds[some, k] == kind]
            yield (
                these,
                distance_to_edge(name, self.centres[these, k], self.radii[these, k], self.turns[these, k], size),
            )

    def boxes(self) -> np.ndarray:
        """Return the boxes, (N, M, 4)."""
        rows = zip(*(each.ravel() for each in (self.kinds, self.radii, self.turns)), strict=True)
        around = np.array([box_around(self.names[kind], radius, turn) for kind, radius, turn in rows])
        return (around.reshape(*self.kinds.shape, 4) + np.tile(self.centres, 2)).astype(np.float32)


def _draw_things(
    rng: CounterRng,
    n: int,
    objects: tuple[int, int],
    radius: tuple[float, float],
    rotation: float,
    shapes: Sequence[str],
    colours: int,
) -> _Things:
    """Draw everything about the shapes but where they are."""
    most = objects[1]
    counts = objects[0] + _choices(rng, most - objects[0] + 1, n)
    return _Things(
        kinds=_choices(rng, len(shapes), n, most),
        hues=_choices(rng, colours, n, most),
        radii=_uniform(rng, *radius, n, most),
        turns=np.deg2rad(_uniform(rng, -rotation, rotation, n, most)),
        there=np.arange(most) < counts[:, None],
        centres=np.zeros((n, most, 2)),
        names=tuple(shapes),
    )


def _place(rng: CounterRng, things: _Things, size: tuple[int, int], occlusion: float) -> tuple[np.ndarray, np.ndarray]:
    """Find centres, each shape in front of those before it, anew until none covers too much of another.

    Returns the shape seen at each pixel (N, H, W), and how much of each shape is seen (N, M).
    """
    n, most = things.kinds.shape
    owners = np.full((n, *size), -1, dtype=np.int8)
    areas, seen = np.zeros((n, most)), np.zeros((n, most))
    for k in range(most):
        waiting = np.flatnonzero(things.there[:, k])
        for _ in range(TRIES):
            r = things.radii[waiting, k, None]
            room = np.array(size[::-1]) - 2 * r
            things.centres[waiting, k] = r + room * random_uniform(rng.next_key(), shape=(len(waiting), 2))
            inside = np.zeros((n, *size), dtype=bool)
            for some, d in things.distances(k, waiting, size):
                inside[some] = d < 0
            after = np.where(inside[waiting], np.int8(k), owners[waiting])
            areas[waiting, k] = inside[waiting].sum(axis=(1, 2))
            left = np.stack([(after == j).sum(axis=(1, 2)) for j in range(k + 1)], axis=1)
            good = (left >= (1 - occlusion) * areas[waiting, : k + 1]).all(axis=1)
            owners[waiting[good]], seen[waiting[good], : k + 1] = after[good], left[good]
            waiting = waiting[~good]
            if not len(waiting):
                break
        else:
            raise ArgumentError(
                f"{most} shapes of radius {things.radii.max():.3g} do not fit into {size[0]} x {size[1]} pixels with "
                f"an occlusion of at most {occlusion}; take fewer or smaller ones, a larger size or more occlusion"
            )
    return owners, seen / np.maximum(areas, 1)


def _uniform(rng: CounterRng, low: float, high: float, *shape: int) -> np.ndarray:
    return low + (high - low) * random_uniform(rng.next_key(), shape=shape)


def _choices(rng: CounterRng, count: int, *shape: int) -> np.ndarray:
    """Draw whole numbers from 0 to count - 1."""
    return np.floor(count * random_uniform(rng.next_key(), shape=shape)).astype(np.int64)


def _lay(images: np.ndarray, distance: np.ndarray, rgb: np.ndarray) -> None:
    """Lay one shape of a colour (N, 3) over each image, in place; an edge through a pixel covers a part of it."""
    alpha = np.clip(0.5 - distance, 0, 1)[:, None].astype(images.dtype)
    images += alpha * (rgb[:, :, None, None].astype(images.dtype) - images)


def _light(strength: np.ndarray, direction: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the light at each pixel, (N, 1, H, W): 1 in the middle, and at most 1 + strength in a corner."""
    v, u = (2 * (np.arange(side) + 0.5) / side - 1 for side in size)
    plane = np.cos(direction)[:, None, None] * u + np.sin(direction)[:, None, None] * v[:, None]
    return (1 + strength[:, None, None] * plane / np.sqrt(2))[:, None].astype(np.float32)


def _checked_counts(n: int, objects: tuple[int, int], clutter: int) -> tuple[int, tuple[int, int], int]:
    n, clutter = whole_number("n", n), whole_number("clutter", clutter, least=0)
    if not is_pair(objects) or not 1 <= objects[0] <= objects[1] <= MOST:
        raise ArgumentError(
            f"objects must be the least and the largest number of shapes, from 1 to {MOST}, not {objects!r}"
        )
    return n, (whole_number("objects", objects[0]), whole_number("objects", objects[1])), clutter


def _check_numbers(*, occlusion: float, shading: float, **others: float) -> None:
    probability("occlusion", occlusion)
    if not (is_number(shading) and 0 <= shading < 1):
        raise ArgumentError(f"shading must be at least 0 and below 1, not {shading!r}")
    for name, value in others.items():
        at_least(name, value)


def _check_looks(
    radius: tuple[float, float], size: tuple[int, int], shapes: Sequence[str], colours: Mapping[str, Any]
) -> None:
    if not is_pair(radius) or not 2 <= radius[0] <= radius[1] <= min(size) / 2:
        raise ArgumentError(
            f"radius must be two numbers from 2 to {min(size) / 2:g} (half the scene), the lesser first, not {radius!r}"
        )
    if not isinstance(shapes, tuple | list) or not shapes or any(shape not in SHAPES for shape in shapes):
        raise ArgumentError(f"shapes must be a list of some of {listed(SHAPES)}, not {shapes!r}")
    if not isinstance(colours, Mapping) or not colours or not all(map(_is_rgb, colours.values())):
        raise ArgumentError(f"colours must give each name red, green and blue from 0 to 1, not {colours!r}")
    check_names(shapes, colours)


def _is_rgb(colour: Any) -> bool:
    several = isinstance(colour, tuple | list | np.ndarray) and len(colour) == 3
    return several and all(is_number(v) and 0 <= v <= 1 for v in colour)
