"""A cell under the phase contrast microscope: darker than its surroundings, with a bright halo and granules inside."""

from dataclasses import dataclass, fields

import numpy as np

from minicnn.backend import CounterRng
from minicnn.ops import random_normal, random_uniform

SMALLEST = 3.2
"""Radius of a cell that was just born, in pixels; it divides with the double area."""
REACH = SMALLEST * np.sqrt(2) + 1.5
"""A cell's centre comes no closer to the image's edge than this, in pixels."""
BACKGROUND, BODY, HALO = 0.45, -0.12, 0.22
CONTRAST, LOG_SPREAD = 0.06, 0.8
"""Brightness of a granule where the granularity is 0, and how much of its logarithm a unit of granularity is."""
GRANULES, GRANULE_RADIUS = 20, 0.8
STAYS = 5.0
"""For so many frames the sister of a cell that has divided is seen beside it; then it has drifted out of focus."""


@dataclass(frozen=True, eq=False)
class Cells:
    """What is drawn, one row an image; lengths in pixels."""

    centre: np.ndarray  # (F, 2), row and column
    radius: np.ndarray  # (F,)
    stretch: np.ndarray  # (F,), the long axis over the short one
    angle: np.ndarray  # (F,), of the long axis
    granules: np.ndarray  # (F, GRANULES, 2), row and column, as shares of the radius
    contrast: np.ndarray  # (F,), brightness of a granule
    weight: np.ndarray  # (F,), from 0, not there, to 1

    def __getitem__(self, part: slice | np.ndarray) -> "Cells":
        return Cells(*(getattr(self, field.name)[part] for field in fields(self)))


def grown(
    phase: np.ndarray, cycle: float, positions: np.ndarray, granularity: np.ndarray, rng: CounterRng
) -> tuple[Cells, Cells]:
    """Return the cells of all frames, film by film, and their sisters, as far as they are seen.

    phase : (N, T), whole at every division   positions : (N, T, 2)   granularity : (N, T)
    """
    n, frames = phase.shape
    born = (phase % 1) * cycle  # frames since the last division
    roundness = np.minimum(np.minimum(born, cycle - born) / 3, 1)  # a cell that divides is a ball
    lengthened, turn, away = random_uniform(rng.next_key(), shape=(3, n, 1))
    wobble = random_normal(rng.next_key(), shape=(n, frames)).cumsum(axis=1) * 0.15
    places = random_uniform(rng.next_key(), shape=(2, n, 1, GRANULES))
    jitter = random_normal(rng.next_key(), shape=(n, frames, GRANULES, 2)) * 0.03
    r, theta = 0.75 * np.sqrt(places[0]), 2 * np.pi * places[1]  # evenly over a disc
    granules = np.stack([r * np.sin(theta), r * np.cos(theta)], axis=-1) + jitter
    cell = Cells(
        positions,
        SMALLEST * np.sqrt(2 ** (phase % 1)),
        1 + 0.35 * lengthened * roundness,
        np.pi * turn + wobble,
        granules,
        CONTRAST * np.exp(LOG_SPREAD * granularity),
        np.ones((n, frames)),
    )
    apart = (1.6 * SMALLEST + born)[..., None]
    beside = np.stack([np.sin(2 * np.pi * away), np.cos(2 * np.pi * away)], axis=-1) * apart
    sister = Cells(
        positions + beside,
        cell.radius,
        cell.stretch,
        cell.angle + 1,
        -granules,
        cell.contrast,
        np.maximum(1 - born / STAYS, 0),
    )
    return flat(cell), flat(sister)


def flat(cells: Cells) -> Cells:
    """Return cells (N, T, ...) as (N T, ...)."""
    return Cells(*(a.reshape(-1, *a.shape[2:]) for a in (getattr(cells, field.name) for field in fields(cells))))


def draw_cells(images: np.ndarray, cells: Cells) -> None:
    """Add cells to images (F, H, W), in place."""
    size = images.shape[1]
    pixels = np.arange(size, dtype=np.float32)
    centre, radius = cells.centre.astype(np.float32), cells.radius.astype(np.float32)
    down, right = pixels[:, None] - centre[:, 0, None, None], pixels - centre[:, 1, None, None]
    c, s = (f(cells.angle).astype(np.float32)[:, None, None] for f in (np.cos, np.sin))
    root = np.sqrt(cells.stretch).astype(np.float32)[:, None, None]
    q = np.hypot((c * right + s * down) / root, (c * down - s * right) * root) / radius[:, None, None]  # edge: 1
    inside = (1 - np.tanh((q - 1) * 5)) / 2
    halo = np.exp(-(((q - 1.25) / 0.18) ** 2))
    place = centre[:, None] + radius[:, None, None] * cells.granules.astype(np.float32)
    dots = np.exp(-((pixels - place[..., None]) ** 2) / (2 * GRANULE_RADIUS**2))  # (F, GRANULES, 2, size)
    bright = cells.contrast.astype(np.float32)[:, None] * np.where(np.arange(GRANULES) % 2, -1, 1).astype(np.float32)
    grain = np.swapaxes(dots[:, :, 0], 1, 2) @ (bright[..., None] * dots[:, :, 1])  # half dark: the mean stays
    weight = cells.weight.astype(np.float32)[:, None, None]
    images += weight * (inside * (BODY + grain) + HALO * halo)
