"""Brain tissue as a two-photon microscope meets it: cell bodies, the web between them, and blood vessels above.

Lengths are in pixels; a pixel is about a micrometre, so that a cell body of 5 to 7 pixels is as large as one in the
cortex. Light is in units of the mean light of the neuropil.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from minicnn.backend import Key
from minicnn.errors import ArgumentError
from minicnn.ops import random_keys, random_normal, random_uniform

TRIES = 400
"""How many places are tried for a cell before the field is said to be full."""
NUCLEAR_LIGHT = 0.15
"""What a nucleus shows of the cytoplasm above and below it, which the long focus of the microscope takes in."""
COARSE, FINE = 10.0, 1.5
"""Standard deviations in pixels of the neuropil's two textures: bundles and layers; single fibres, unresolved."""


@dataclass(frozen=True)
class Neurons:
    """The truth about the K cell bodies of a field.

    The outline lies at r(theta) = radius (1 + elongation cos 2 (theta - angle)) from the centre.

    Attributes
    ----------
    centres : array (K, 2)
        Row and column, in pixels; the first pixel's middle is (0, 0).
    radii : array (K,)
        In pixels.
    elongations, angles : array (K,)
        Of the outlines; angles in radians, from the rows' direction to the columns'.
    brightness : array (K,)
        Of the cytoplasm at rest, where the mean neuropil is 1.
    """

    centres: np.ndarray
    radii: np.ndarray
    elongations: np.ndarray
    angles: np.ndarray
    brightness: np.ndarray

    def __len__(self) -> int:
        return len(self.centres)

    def windows(self, shape: tuple[int, int]) -> Iterator[tuple[int, tuple[slice, slice], np.ndarray, np.ndarray]]:
        """Walk over the cells: the cell's number, the part of the image about it, and for each pixel there its
        distance from the centre and that of the outline in its direction, both (h, w).
        """
        for k, (centre, radius, e, angle) in enumerate(
            zip(self.centres, self.radii, self.elongations, self.angles, strict=True)
        ):
            reach = radius * (1 + e) + 1
            low = np.maximum(np.floor(centre - reach), 0).astype(int)
            high = np.ceil(centre + reach).astype(int) + 1
            place = slice(low[0], min(high[0], shape[0])), slice(low[1], min(high[1], shape[1]))
            row = np.arange(place[0].start, place[0].stop)[:, None] - centre[0]
            column = np.arange(place[1].start, place[1].stop) - centre[1]
            theta = np.arctan2(column, row)
            yield k, place, np.hypot(row, column), radius * (1 + e * np.cos(2 * (theta - angle)))

    def masks(self, shape: tuple[int, int]) -> np.ndarray:
        """Return which pixels lie inside each outline, the nucleus included: bool, (K, H, W). They may overlap."""
        masks = np.zeros((len(self), *shape), dtype=bool)
        for k, place, distance, outline in self.windows(shape):
            masks[k][place] = distance <= outline
        return masks

    def labels(self, shape: tuple[int, int]) -> np.ndarray:
        """Return 0 for tissue and k + 1 for neuron k: int32, (H, W). Where two overlap the deeper one inside wins."""
        labels, least = np.zeros(shape, dtype=np.int32), np.full(shape, np.inf)
        for k, place, distance, outline in self.windows(shape):
            share = distance / outline
            deeper = (share <= 1) & (share < least[place])
            labels[place][deeper] = k + 1
            least[place][deeper] = share[deeper]
        return labels

    def footprints(self, shape: tuple[int, int], nucleus: float) -> np.ndarray:
        """Return how much of each cell's light each pixel shows, before any blur: 0 to 1, (K, H, W).

        A ring: the indicator stays out of the nucleus, whose radius is `nucleus` times the cell's. An edge is one pixel
        wide.
        """
        footprints = np.zeros((len(self), *shape))
        for k, place, distance, outline in self.windows(shape):
            cell = np.clip(outline - distance + 0.5, 0, 1)
            core = np.clip(nucleus * outline - distance + 0.5, 0, 1) if nucleus else 0
            footprints[k][place] = cell - (1 - NUCLEAR_LIGHT) * core
        return footprints


def place_neurons(
    key: Key,
    shape: tuple[int, int],
    *,
    count: int,
    radius: tuple[float, float],
    elongation: float,
    overlap: float,
    contrast: float,
    spread: float,
) -> Neurons:
    """Return cell bodies at random places, whole inside the image.

    Two centres are at least (1 - overlap) (radius_a + radius_b) apart. Brightness is log-normal about `contrast`.
    Raises `ArgumentError` if no place is left for one of them.
    """
    of_radii, of_places, of_shapes, of_angles, of_light = random_keys(key, 5)
    radii = radius[0] + (radius[1] - radius[0]) * random_uniform(of_radii, shape=(count,))
    tried = random_uniform(of_places, shape=(count, TRIES, 2))
    reach = radii * (1 + elongation)
    room = np.array(shape) - 1 - 2 * reach[:, None]
    if count and (room <= 0).any():
        raise ArgumentError(f"a cell of radius {radii.max():.1f} does not fit into {shape[0]} x {shape[1]} pixels")
    centres = np.zeros((count, 2))
    for k in range(count):
        places = reach[k] + room[k] * tried[k]
        apart = np.hypot(*np.moveaxis(places[:, None] - centres[:k], -1, 0))
        free = np.flatnonzero((apart >= (1 - overlap) * (radii[k] + radii[:k])).all(axis=1))
        if len(free) == 0:
            raise ArgumentError(
                f"only {k} of {count} neurons found a place on {shape[0]} x {shape[1]} pixels; ask for fewer, a larger "
                f"size, or an overlap above {overlap}"
            )
        centres[k] = places[free[0]]
    return Neurons(
        centres=centres,
        radii=radii,
        elongations=elongation * random_uniform(of_shapes, shape=(count,)),
        angles=np.pi * random_uniform(of_angles, shape=(count,)),
        brightness=contrast * np.exp(spread * random_normal(of_light, shape=(count,))),
    )


def out_of_focus_cells(
    key: Key, shape: tuple[int, int], *, count: int, radius: tuple[float, float], contrast: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return cells above or below the plane: centres (M, 2) and what each pixel shows of them (M, H, W).

    The focus is short along the axis, so they appear as spots without a nucleus, dimmer and wider, with a Gaussian
    profile. Some lie beneath cells that are in focus.
    """
    of_places, of_widths, of_light = random_keys(key, 3)
    centres = np.array(shape) * random_uniform(of_places, shape=(count, 2)) - 0.5
    widths = radius[0] * (0.7 + 0.5 * random_uniform(of_widths, shape=(count, 1, 1)))  # standard deviations
    light = contrast * (0.3 + 0.5 * random_uniform(of_light, shape=(count, 1, 1)))
    row, column = (np.arange(side) - centres[:, axis, None] for axis, side in enumerate(shape))
    square = row[:, :, None] ** 2 + column[:, None, :] ** 2
    return centres, light * np.exp(-square / (2 * widths**2))


def neuropil_field(key: Key, shape: tuple[int, int], texture: float) -> np.ndarray:
    """Return the light of the web of axons and dendrites: (H, W), mean 1 and standard deviation `texture`, about.

    Gaussian noise smoothed at two lengths. Smooth neuropil is what Pachitariu et al., "Suite2p: beyond 10,000 neurons
    with standard two-photon microscopy", bioRxiv 061507, 2016, subtract from each cell.
    """
    from scipy.ndimage import gaussian_filter

    field = np.zeros(shape)
    for own, length, share in zip(random_keys(key, 2), (COARSE, FINE), (0.8, 0.6), strict=True):
        white = random_normal(own, shape=shape)
        unit = 2 * length * np.sqrt(np.pi)  # smoothing in two dimensions leaves a standard deviation of 1 / unit
        field += share * unit * gaussian_filter(white, length, mode="wrap")
    return np.maximum(1 + texture * field, 0)


def vessel_shadows(key: Key, shape: tuple[int, int], count: int) -> np.ndarray:
    """Return the share of the light that blood above the plane lets through: (H, W), 0.4 to 1.

    Haemoglobin absorbs; a vessel runs along a quadratic Bezier curve from one border to the other, and its shadow has a
    Gaussian profile, as the light comes through it as a wide cone.
    """
    from scipy.ndimage import distance_transform_edt

    light = np.ones(shape)
    t = np.linspace(0, 1, 4 * max(shape))[:, None]
    for own in random_keys(key, count):
        u = random_uniform(own, shape=(5,))
        across = np.array([[-0.1, u[0]], [0.5, 1.6 * u[1] - 0.3], [1.1, u[2]]])
        points = (across if u[3] < 0.5 else across[:, ::-1]) * np.array(shape)
        curve = np.rint((1 - t) ** 2 * points[0] + 2 * t * (1 - t) * points[1] + t**2 * points[2]).astype(int)
        inside = ((curve >= 0) & (curve < shape)).all(axis=1)
        elsewhere = np.ones(shape, dtype=bool)
        elsewhere[tuple(curve[inside].T)] = False
        if inside.any():
            width = 2 + 3 * u[4]
            light *= 1 - 0.6 * np.exp(-((distance_transform_edt(elsewhere) / width) ** 2) / 2)
    return light


def vignette(shape: tuple[int, int], strength: float) -> np.ndarray:
    """Return the share of the light that is left towards the corners: 1 - strength (distance / half diagonal)^2."""
    row, column = (np.linspace(-1, 1, side) for side in shape)
    down, across = (side - 1 for side in shape)
    square = (down * row[:, None]) ** 2 + (across * column) ** 2
    return 1 - strength * square / max(down**2 + across**2, 1)
