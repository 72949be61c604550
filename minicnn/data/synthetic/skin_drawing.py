"""How a lesion is drawn: an outline, pigment inside, the colour of pigment, hairs over it."""

from dataclasses import dataclass, fields

import numpy as np

from minicnn.backend import CounterRng, Key
from minicnn.ops import random_keys, random_normal, random_uniform

FIELD = 20.0
"""Height and width of what the camera sees, in mm."""
ANGLES = 360
LOBES, NOTCHES = range(3, 6), range(7, 16)
MELANIN = (600.0 / np.array([600.0, 540.0, 460.0])) ** 3.48
"""Absorption of melanin in red, green and blue, as a multiple of that in red."""
BLOOD = np.array([0.1, 1.0, 0.9])
HAIR = np.array([0.25, 0.2, 0.15], dtype=np.float32)
"""How much of the light a hair lets through."""


@dataclass(frozen=True, eq=False)
class Lesions:
    """What is drawn, one row a lesion; lengths in mm."""

    radius: np.ndarray  # (N, ANGLES), of the outline
    centre: np.ndarray  # (N, 2), down and right of the middle of the field
    fade: np.ndarray  # (N,), outside the outline the pigment falls to 1 / e over this
    skin: np.ndarray  # (N, 2), melanin and blood
    melanin: np.ndarray  # (N,), added inside
    variegation: np.ndarray  # (N,)
    light: np.ndarray  # (N, 2)

    def __getitem__(self, part: slice) -> "Lesions":
        return Lesions(*(getattr(self, field.name)[part] for field in fields(self)))


def shapes_of(abcd: np.ndarray, rng: CounterRng, *, tones: float, illumination: float) -> Lesions:
    """Draw what the four signs leave open."""
    n = len(abcd)
    asymmetry, border, variegation, diameter = abcd.T
    theta = 2 * np.pi * np.arange(ANGLES) / ANGLES
    stretch, turn, fade, pigment, tone, blood, side, strength = random_uniform(rng.next_key(), shape=(8, n))
    lobes = waves(LOBES, random_normal(rng.next_key(), shape=(2, n, len(LOBES))), theta)
    notches = waves(NOTCHES, random_normal(rng.next_key(), shape=(2, n, len(NOTCHES))), theta)
    ellipse = 0.12 * stretch[:, None] * np.cos(2 * (theta - np.pi * turn[:, None]))
    r = np.maximum(1 + ellipse + asymmetry[:, None] * lobes + border[:, None] * notches, 0.1)
    r *= diameter[:, None] / 2 / np.sqrt((r**2).mean(axis=1, keepdims=True))  # the area is the integral of r^2 / 2
    room = np.maximum(FIELD / 2 - 0.5 - r.max(axis=1), 0)
    centre = (2 * random_uniform(rng.next_key(), shape=(n, 2)) - 1) * 0.5 * room[:, None]
    skin = np.stack([0.06 + 0.5 * tones * tone**2, 0.2 + 0.15 * blood], axis=1)
    towards = 2 * np.pi * side
    light = (illumination * strength)[:, None] * np.stack([np.sin(towards), np.cos(towards)], axis=1)
    return Lesions(r, centre, 0.15 + 0.35 * fade, skin, 0.3 + 0.4 * pigment, variegation, light / np.sqrt(2))


def waves(numbers: range, coefficients: np.ndarray, theta: np.ndarray) -> np.ndarray:
    """Return f(theta) = sum over k of a_k cos(k theta) + b_k sin(k theta), scaled to a root mean square of 1.

    coefficients : (2, N, K), a and b   returns (N, ANGLES)
    """
    a, b = coefficients / np.sqrt((coefficients**2).sum(axis=(0, 2)) / 2)[:, None]
    k = np.array(numbers)[:, None]
    return a @ np.cos(k * theta) + b @ np.sin(k * theta)


def draw_skin(lesions: Lesions, size: int, key: Key) -> tuple[np.ndarray, np.ndarray]:
    """Return images (N, 3, H, W), lit evenly and without noise, and masks (N, H, W)."""
    mm = ((np.arange(size) + 0.5) / size - 0.5) * FIELD
    down, right = mm[:, None] - lesions.centre[:, 0, None, None], mm - lesions.centre[:, 1, None, None]
    distance = np.hypot(down, right)
    place = np.arctan2(down, right) / (2 * np.pi) * ANGLES % ANGLES
    first = place.astype(np.int64) % ANGLES
    rows = np.arange(len(first))[:, None, None]
    here, there = lesions.radius[rows, first], lesions.radius[rows, (first + 1) % ANGLES]
    outline = here + (place - np.floor(place)) * (there - here)
    masks = distance < outline
    pigment = np.where(masks, 1, np.exp((outline - distance) / lesions.fade[:, None, None]))
    dark, red = (within(masks, smooth_fields(k, size, len(masks))) for k in random_keys(key, 2))
    spread = lesions.variegation[:, None, None]
    melanin = lesions.skin[:, :1, None] + pigment * lesions.melanin[:, None, None] * np.exp(spread * dark)
    blood = lesions.skin[:, 1:, None] * np.exp(0.7 * spread * red * pigment)
    density = melanin[:, None] * MELANIN[:, None, None] + blood[:, None] * BLOOD[:, None, None]
    return np.exp(-density), masks


def smooth_fields(key: Key, size: int, n: int, *, grain: float = 1.6) -> np.ndarray:
    """Return random smooth fields (N, H, W): bumps of normal height on a grid, each `grain` mm wide."""
    points = np.arange(-grain, FIELD + 2 * grain, grain)
    mm = (np.arange(size) + 0.5) / size * FIELD
    bump = np.exp(-((mm[:, None] - points) ** 2) / (2 * grain**2))
    return bump @ random_normal(key, shape=(n, len(points), len(points))) @ bump.T


def within(masks: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Return fields with mean 0 and standard deviation 1 within the masks (those of a pixel or two: 0)."""
    count = np.maximum(masks.sum(axis=(1, 2), keepdims=True), 1)
    f = f - (f * masks).sum(axis=(1, 2), keepdims=True) / count
    spread = np.sqrt((f**2 * masks).sum(axis=(1, 2), keepdims=True) / count)
    return f / np.maximum(spread, 1e-9)


def draw_hairs(images: np.ndarray, mean: float, key: Key) -> None:
    """Lay hairs over images (N, 3, H, W), in place: arcs of circles, as wide as 0.1 to 0.3 mm."""
    n, _, size, _ = images.shape
    slots = max(2 * int(np.ceil(mean)), 1)
    draws = random_uniform(key, shape=(7, n, slots, 1, 1)).astype(np.float32)
    there, row, column, turn, bend, width, length = draws
    pixel = FIELD / size
    mm = ((np.arange(size) + 0.5) * pixel).astype(np.float32)
    down, right = mm[:, None] - row * FIELD, mm - column * FIELD  # from the middle of the hair
    c, s = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    along, across = c * right + s * down, c * down - s * right
    radius = 6 + 40 * bend
    off = np.abs(np.hypot(along, across - radius) - radius)
    covered = np.clip((0.1 + 0.2 * width) / pixel / 2 + 0.5 - off / pixel, 0, 1)
    ends = np.clip((2 + 5 * length - np.abs(along)) / pixel, 0, 1)
    # a circle comes back on the far side: that is no hair
    covered = covered * ends * (across < radius) * np.minimum((0.1 + 0.2 * width) / pixel, 1)
    bare = np.prod(1 - covered * (there < mean / slots), axis=1)[:, None]
    images *= bare + (1 - bare) * HAIR[:, None, None]
