"""Films of cells of two lineages that look alike in every frame, and differ in how they move and change."""

from dataclasses import dataclass

import numpy as np

from minicnn.backend import CounterRng
from minicnn.data.synthetic.cell_drawing import BACKGROUND, REACH, Cells, draw_cells, grown
from minicnn.data.synthetic.pixel_noise import pixel_noise
from minicnn.data.synthetic.walk import Walk, log_normal, reflected
from minicnn.errors import ArgumentError, at_least, whole_number
from minicnn.ops import random_normal, random_uniform

STREAM = int.from_bytes(b"cell", "big")
CLASSES = ("lineage 0", "lineage 1")
SPREAD_OF_RISE, FLICKER = 0.015, 0.15
"""Standard deviations: of how fast granularity rises, per frame, among cells of a lineage; and from frame to frame."""
STRAIGHT = 1e6
"""The most frames of persistence; far beyond, from 1e14, rounding makes the covariance of a film's steps singular."""
CHUNK = 1024
Two = tuple[float, float]


@dataclass(frozen=True, eq=False)
class CellTimeLapse:
    """Films and the truth about them.

    movies : (N, T, 1, H, W), float32 from 0 to 1; after a film's end 0
    labels : (N,), int64, the lineage, 0 or 1
    lengths : (N,), int64, how many frames a film has
    positions : (N, T, 2), float64, row and column of the cell, in pixels (the middle of the first pixel is 0)
    granularity : (N, T), float64, log contrast of the granules over its mean, in units of its spread among cells
    divided : (N, T), bool, the cell has divided since the frame before
    evidence : (N, T), float64, log p(path, granularity | lineage 1) - log p(... | lineage 0) of the frames up to this
        one, in nats. No classifier that sees these frames is right more often than the sign of it.

    Positions, granularity and evidence go on after a film's end: the cell lives on.
    """

    movies: np.ndarray
    labels: np.ndarray
    lengths: np.ndarray
    positions: np.ndarray
    granularity: np.ndarray
    divided: np.ndarray
    evidence: np.ndarray
    classes: tuple[str, ...] = CLASSES

    def patches(self, side: int = 16) -> np.ndarray:
        """Return the films as a tracking program cuts them out, with the cell in the middle: (N, T, 1, side, side).

        Beyond the image's edges, there is more of the pixels at the edge. Raises `ArgumentError` for a side below 1.
        """
        side = whole_number("side", side)
        first = np.rint(self.positions - (side - 1) / 2).astype(np.int64)  # (N, T, 2), of the patch
        last = np.array(self.movies.shape[3:])[:, None] - 1
        rows, columns = np.moveaxis(np.clip(first[..., None] + np.arange(side), 0, last), 2, 0)
        n, t = np.ogrid[: first.shape[0], : first.shape[1]]
        cut = self.movies[n[..., None, None], t[..., None, None], 0, rows[..., None], columns[..., None, :]]
        return cut[:, :, None]

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        n, frames, _, h, w = self.movies.shape
        return f"CellTimeLapse({n} of up to {frames} frames of {h} x {w} pixels)"


def cell_time_lapse(
    n: int,
    frames: int = 20,
    *,
    size: int = 32,
    persistence: Two = (1.0, 5.0),
    speed: Two = (1.5, 1.5),
    rise: Two = (0.0, 0.1),
    cycle: float = 30.0,
    shortest: int | None = None,
    noise: float = 0.01,
    seed: int = 0,
) -> CellTimeLapse:
    """Film cells of two lineages, half of each on average, under the phase contrast microscope.

    The question is that of Buggenthin et al., "Prospective identification of hematopoietic lineage choice by deep
    learning", Nature Methods 14, 2017: which lineage will a blood stem cell choose, while it still looks like all
    others? The numbers are not theirs.

    A cell crawls as a persistent random walk (`Walk`). It begins anywhere in a square well whose walls reflect it, so
    it is anywhere at every time, whatever its lineage. Granularity is u = u_0 + c t + flicker, with u_0 standard normal
    and c normal around the lineage's `rise`. Between divisions a cell grows to the double area. So a single frame shows
    the same of both lineages, but for the rise, and that takes ten frames to become as large as what cells differ in.

    Parameters
    ----------
    n, frames : int
        How many films, and frames in each.
    size : int
        Height and width, in pixels; at least 24.
    persistence, speed : (float, float)
        P, in frames, from 0.001 to a million, and S, in pixels a frame, of either lineage.
    rise : (float, float)
        Of granularity, per frame, in units of its spread among cells, of either lineage.
    cycle : float
        Frames from one division to the next, at least 8; a film begins anywhere in it.
    shortest : int, optional
        Films have `shortest` to `frames` frames, each number as often as any other; by default all have `frames`.
    noise : float
        Standard deviation in each pixel.
    seed : int
        The same seed films the same cells; noise and `shortest` change nothing else about them.

    Raises
    ------
    ArgumentError
        If an argument makes no sense.
    """
    n, frames, size = whole_number("n", n), whole_number("frames", frames), whole_number("size", size, least=24)
    shortest = whole_number("shortest", frames if shortest is None else shortest)
    if shortest > frames:
        raise ArgumentError(f"shortest must be at most the number of frames, {frames}, not {shortest}")
    persistence, speed = _two("persistence", persistence, most=STRAIGHT), _two("speed", speed)
    walks = [Walk(*both) for both in zip(persistence, speed, strict=True)]
    rises = _two("rise", rise, least=-np.inf)
    noise, cycle = at_least("noise", noise), at_least("cycle", cycle, 8)
    rng = CounterRng(seed, STREAM)
    labels = (random_uniform(rng.next_key(), shape=(n,)) < 0.5).astype(np.int64)
    lengths = shortest + (random_uniform(rng.next_key(), shape=(n,)) * (frames - shortest + 1)).astype(np.int64)
    steps = np.empty((2, n, frames - 1))
    normals = random_normal(rng.next_key(), shape=steps.shape)
    for lineage, walk in enumerate(walks):
        steps[:, labels == lineage] = walk.steps(normals[:, labels == lineage])
    start = random_uniform(rng.next_key(), shape=(2, n, 1)) * (size - 1 - 2 * REACH)
    free = REACH + np.concatenate([start, start + np.cumsum(steps, axis=2)], axis=2)
    positions = np.moveaxis(reflected(free, REACH, size - 1 - REACH), 0, 2)
    u_0, c = random_normal(rng.next_key(), shape=(2, n, 1))
    slope = np.array(rises)[labels][:, None] + SPREAD_OF_RISE * c
    flicker = FLICKER * random_normal(rng.next_key(), shape=(n, frames))
    granularity = u_0 + slope * np.arange(frames) + flicker
    phase = random_uniform(rng.next_key(), shape=(n, 1)) + np.arange(frames) / cycle
    divided = np.diff(np.floor(phase), axis=1, prepend=np.floor(phase[:, :1])) > 0
    cells, sisters = grown(phase, cycle, positions, granularity, rng)
    movies = _film(cells, sisters, size, noise, rng).reshape(n, frames, 1, size, size)
    movies[np.arange(frames) >= lengths[:, None]] = 0
    evidence = _evidence(steps, granularity, walks, rises)
    return CellTimeLapse(movies, labels, lengths, positions, granularity, divided, evidence)


def _film(cells: Cells, sisters: Cells, size: int, noise: float, rng: CounterRng) -> np.ndarray:
    """Return the images of all frames, (F, H, W)."""
    images = np.full((len(cells.radius), size, size), BACKGROUND, dtype=np.float32)
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        draw_cells(part, cells[start : start + CHUNK])
        seen = start + np.flatnonzero(sisters.weight[start : start + CHUNK] > 0)
        beside = images[seen]
        draw_cells(beside, sisters[seen])
        images[seen] = beside
        part += np.float32(noise) * pixel_noise(rng.next_key(), shape=part.shape)
    return np.clip(images, 0, 1, out=images)


def _evidence(steps: np.ndarray, granularity: np.ndarray, walks: list[Walk], rises: Two) -> np.ndarray:
    """Return log p(... | lineage 1) - log p(... | lineage 0) up to each frame.   steps : (2, N, T - 1)"""
    t = np.arange(granularity.shape[1])
    covariance = 1 + SPREAD_OF_RISE**2 * np.outer(t, t) + FLICKER**2 * np.eye(len(t))
    of_path = walks[1].log_likelihood(steps) - walks[0].log_likelihood(steps)  # both directions are independent
    of_grain = log_normal(granularity, rises[1] * t, covariance) - log_normal(granularity, rises[0] * t, covariance)
    return of_grain + np.concatenate([np.zeros((len(of_grain), 1)), of_path.sum(axis=0)], axis=1)


def _two(name: str, values: Two, least: float = 1e-3, most: float = np.inf) -> Two:
    """Return both lineages' numbers."""
    if not isinstance(values, tuple | list) or len(values) != 2:
        raise ArgumentError(f"{name} must be a pair, a number for each lineage, not {values!r}")
    first, second = (at_least(name, value, least) for value in values)
    if max(first, second) > most:
        raise ArgumentError(f"{name} must be at most {most:g}, not {max(first, second)!r}")
    return first, second
