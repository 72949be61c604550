"""Slices of electron cryo-tomograms: what is in a frozen cell, how little of it the microscope shows, and the truth.

    density  --CTF-->  --missing wedge-->  contrast turned round  --+ noise-->  slice

A slice lies in the xz plane: x along the columns, z, the direction of the electrons, down the rows; the specimen was
tilted about y, which stands on the slice. The wedge of directions that no tilt has reached is the same for all ky, so
in this plane, and in no other, it is a wedge in two dimensions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import CounterRng, Key
from minicnn.data.synthetic.cell_shapes import BACKGROUND, RIBOSOME, Filament, Ribosome, Shape, Vesicle, inside
from minicnn.errors import ArgumentError, at_least, whole_number
from minicnn.ops import random_keys, random_normal, random_uniform

STREAM = int.from_bytes(b"tomo", "big")
CLASSES = ("background", "membrane", "filament", "ribosome")
TRIES = 20
"""How often a place is looked for before a shape is left out."""
GAP_NM = 4.0
"""How near two shapes come to each other."""
GRAIN = 0.5
"""A ribosome is not even inside: it is filled with lumps as the cell is with proteins, this densely."""


@dataclass(frozen=True, eq=False)
class TomogramSlices:
    """What `tomogram_slices` draws.

    x : (N, 1, H, W), float32; what the microscope shows, dense is dark
    y : (N, H, W), int64; the class of each pixel's centre: 0 background, 1 membrane, 2 filament, 3 ribosome
    density : (N, H, W), float32; what is there, before microscope and noise; dense protein is about 1
    shapes : for each slice the shapes in it, with their places in nm from the centre of the first pixel
    pixel_nm : the side of a pixel in nm
    """

    x: np.ndarray
    y: np.ndarray
    density: np.ndarray
    shapes: tuple[tuple[Shape, ...], ...]
    pixel_nm: float
    classes: tuple[str, ...] = CLASSES


def tomogram_slices(
    n: int,
    *,
    size: int = 96,
    pixel_nm: float = 2.0,
    snr: float | None = 0.5,
    tilt: float = 60.0,
    defocus_um: float | None = 6.0,
    vesicles: tuple[int, int] = (1, 2),
    microtubules: tuple[int, int] = (0, 2),
    actin: tuple[int, int] = (0, 2),
    ribosomes: tuple[int, int] = (3, 7),
    crowding: float = 0.3,
    seed: int = 0,
) -> TomogramSlices:
    """Draw n slices of tomograms of a cell, and the class of every pixel.

    The case is that of Chen et al., "Convolutional neural networks for automated annotation of cellular cryo-electron
    tomograms", Nature Methods 2017. What is shown of the density follows from `transfer_function` and
    `missing_wedge`, which act on a slice with a margin around it that is cut off afterwards; the noise is that of
    `tomogram_noise`. The density is taken not to change along y over the few nm that the transfer function reaches.

    Parameters
    ----------
    n : int
        How many slices.
    size : int
        Their height and width in pixels.
    pixel_nm : float
        The side of a pixel in nm. The two leaflets of a membrane are 4 nm apart, and want 2 nm or less to be seen.
    snr : float or None
        The mean variance of what the microscope shows over the variance of the noise, one for all slices, as one dose
        of electrons was spent on all; None for no noise.
    tilt : float
        How far the specimen was tilted to both sides, in degrees; 90 leaves no wedge out.
    defocus_um : float or None
        How far the lens was under focus, in micrometres; None for a microscope that shows the density as it is.
    vesicles, microtubules, actin, ribosomes : (int, int)
        The least and the most a slice holds. Shapes keep a few nm apart; one that finds no place is left out, so there
        may be fewer.
    crowding : float
        How much of the remaining area small proteins of about 5 nm cover, which belong to no class, from 0 to 1.
    seed : int
        The same draws the same, and the first slices of many have the shapes of fewer.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or there is noise to be measured by what is shown, and nothing is.
    """
    n, size = whole_number("n", n), whole_number("size", size, least=8)
    wanted = {"microtubules": microtubules, "vesicles": vesicles, "actin": actin, "ribosomes": ribosomes}
    counts = {name: _least_and_most(name, pair) for name, pair in wanted.items()}
    at_least("pixel_nm", pixel_nm, above=True)
    if at_least("crowding", crowding) > 1:
        raise ArgumentError(f"crowding is a share of the area and lies between 0 and 1, not {crowding!r}")
    if snr is not None:
        at_least("snr", snr, above=True)
    margin = max(size // 4, 8)
    wide = size + 2 * margin
    shown = missing_wedge(wide, tilt)
    if defocus_um is not None:
        shown = shown * transfer_function(wide, pixel_nm, defocus_um)

    keys = [random_keys(key, 4) for key in random_keys(CounterRng(seed, STREAM).next_key(), n)]
    shapes = [place(counts, key, size=size, pixel_nm=pixel_nm) for key, *_ in keys]
    drawn = [draw(some, wide, margin, pixel_nm) for some in shapes]
    density, y = (np.stack(part) for part in zip(*drawn, strict=True))
    for i, (_, key_of_crowd, key_of_grain, _) in enumerate(keys):
        density[i] += crowd(crowding, wide, pixel_nm, key_of_crowd) * (y[i] == BACKGROUND)
        density[i] += crowd(GRAIN, wide, pixel_nm, key_of_grain) * (y[i] == RIBOSOME)

    cut = (slice(None), slice(margin, -margin), slice(margin, -margin))
    x = -filtered(density, shown)[cut]
    if snr is not None:
        power = float(x.var(axis=(1, 2)).mean())
        if power == 0:
            raise ArgumentError("there is nothing in these slices, so snr has no meaning; snr=None draws no noise")
        noise = np.stack([tomogram_noise(key, wide, tilt) for *_, key in keys])
        x += np.sqrt(power / snr) * noise[cut]
    return TomogramSlices(
        x[:, None].astype(np.float32),
        y[cut],
        density[cut].astype(np.float32),
        tuple(tuple(some) for some in shapes),
        float(pixel_nm),
    )


def place(counts: dict[str, tuple[int, int]], key: Key, *, size: int, pixel_nm: float) -> list[Shape]:
    """Draw the shapes of one slice, long ones first, each at the first place that keeps off those before it."""
    key_of_counts, *keys = random_keys(key, 1 + len(counts))
    shares = random_uniform(key_of_counts, shape=(len(counts),))
    z, x = np.indices((size, size)) * pixel_nm
    occupied = np.zeros((size, size), dtype=bool)
    placed: list[Shape] = []
    for name, key_of_kind, share in zip(MAKERS, keys, shares, strict=True):
        least, most = counts[name]
        for key_of_one in random_keys(key_of_kind, least + int(share * (most - least + 1))):
            for numbers in random_uniform(key_of_one, shape=(TRIES, 7)):
                shape = MAKERS[name](numbers, size * pixel_nm)
                d = shape.distance(z, x)
                if not (inside(shape, d, gap=GAP_NM) & occupied).any():
                    occupied |= inside(shape, d)
                    placed.append(shape)
                    break
    return placed


def make_vesicle(u: np.ndarray, side: float) -> Vesicle:
    """A radius of 18 to 60 nm, smaller ones more often, and a contour that leaves the circle by up to 16 per cent."""
    radius = 18 * (60 / 18) ** u[2]
    phases = (float(2 * np.pi * u[5]), float(2 * np.pi * u[6]))
    return Vesicle(u[0] * side, u[1] * side, radius, (float(0.12 * u[3]), float(0.04 * u[4])), phases)


def make_microtubule(u: np.ndarray, side: float) -> Filament:
    """Any direction, and an arc of at least 1 micrometre radius."""
    return Filament(u[0] * side, u[1] * side, np.pi * u[2], (2 * u[3] - 1) / 1000, microtubule=True)


def make_actin(u: np.ndarray, side: float) -> Filament:
    """Any direction, and an arc of at least 0.4 micrometres radius."""
    return Filament(u[0] * side, u[1] * side, np.pi * u[2], (2 * u[3] - 1) / 400, microtubule=False)


def make_ribosome(u: np.ndarray, side: float) -> Ribosome:
    """Any direction."""
    return Ribosome(u[0] * side, u[1] * side, 2 * np.pi * u[2])


MAKERS: dict[str, Any] = {
    "microtubules": make_microtubule,
    "vesicles": make_vesicle,
    "actin": make_actin,
    "ribosomes": make_ribosome,
}
"""How a shape is made of 7 numbers in [0, 1) and the side of the slice in nm, in the order in which they are placed."""


def draw(shapes: list[Shape], wide: int, margin: int, pixel_nm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return density and classes (wide, wide) of shapes, with a margin of pixels around the slice."""
    z, x = (np.indices((wide, wide)) - margin) * pixel_nm
    density, labels = np.zeros((wide, wide)), np.zeros((wide, wide), dtype=np.int64)
    for shape in shapes:
        d = shape.distance(z, x)
        mask = inside(shape, d) & (labels == BACKGROUND)  # in the margin, where nobody looks, shapes may meet
        labels[mask] = shape.label
        density += shape.density(d, _blur(pixel_nm))
    return density, labels


def crowd(crowding: float, wide: int, pixel_nm: float, key: Key) -> np.ndarray:
    """Return the density (wide, wide) of small proteins: Gaussians of 1.5, 2 and 3 nm with a peak of 0.5 each.

    A third of `crowding` is the area of those of each size, a Gaussian being taken for a disc of 1.2 times its width.
    """
    from scipy.ndimage import gaussian_filter  # here, as only who draws needs it

    density = np.zeros((wide, wide))
    for key_of_size, sigma in zip(random_keys(key, 3), (1.5, 2.0, 3.0), strict=True):
        area = (crowding / 3) * (wide * pixel_nm) ** 2
        count = round(area / (np.pi * (1.2 * sigma) ** 2))
        at = (random_uniform(key_of_size, shape=(2, count)) * wide).astype(int)
        points = np.bincount(at[0] * wide + at[1], minlength=wide * wide).reshape(wide, wide).astype(np.float64)
        peak = 2 * np.pi * (sigma / pixel_nm) ** 2  # what a Gaussian of sum 1 has to be multiplied by
        seen = np.hypot(sigma, _blur(pixel_nm)) / pixel_nm
        density += 0.5 * peak * gaussian_filter(points, seen, mode="wrap")
    return density


def missing_wedge(size: int, tilt: float = 60.0) -> np.ndarray:
    """Return the share of each spatial frequency that a tilt series has seen: 1 where |kz| <= |kx| tan(tilt), else 0.

    Shaped (size, size), in the order of `numpy.fft.fft2`. A projection at some tilt is a line through the origin of the
    slice's Fourier transform, turned by that tilt (Lucic, Rigort and Baumeister, "Cryo-electron tomography: the
    challenge of doing structural biology in situ", 2013); we take the tilts to lie densely. The mean, at k = 0, is
    kept. A membrane whose normal is z has all its frequencies in the wedge that is missing, and is not seen.

    Raises `ArgumentError` unless the tilt lies above 0 and up to 90 degrees.
    """
    if at_least("tilt", tilt, above=True) > 90:
        raise ArgumentError(f"tilt is an angle of at most 90 degrees to each side, not {tilt!r}")
    kz, kx = _frequencies(size)
    return (np.arctan2(np.abs(kz), np.abs(kx)) <= np.deg2rad(tilt) + 1e-12).astype(np.float64)


def transfer_function(
    size: int,
    pixel_nm: float,
    defocus_um: float,
    *,
    voltage_kv: float = 300.0,
    cs_mm: float = 2.7,
    amplitude_contrast: float = 0.07,
) -> np.ndarray:
    """Return the contrast transfer function of a microscope, sin(pi lambda df k^2 - pi/2 Cs lambda^3 k^4 + asin A).

    Shaped (size, size), in the order of `numpy.fft.fft2`; df > 0 is under focus, Cs the spherical aberration, A the
    amplitude contrast, lambda the electrons' wavelength, 1.97 pm at 300 kV. Little is shown of what is large and even,
    most of what is about sqrt(2 lambda df) wide; beyond 1 / sqrt(lambda df) contrast turns round. Rohou and Grigorieff,
    "CTFFIND4: Fast and accurate defocus estimation from electron micrographs", 2015.

    Raises `ArgumentError` if an argument makes no sense.
    """
    for name, value in {"pixel_nm": pixel_nm, "voltage_kv": voltage_kv}.items():
        at_least(name, value, above=True)
    df, cs = at_least("defocus_um", defocus_um) * 1e3, at_least("cs_mm", cs_mm) * 1e6
    if at_least("amplitude_contrast", amplitude_contrast) > 1:
        raise ArgumentError(f"amplitude_contrast must lie between 0 and 1, not {amplitude_contrast!r}")
    volts = voltage_kv * 1e3
    wavelength = 1.226426 / np.sqrt(volts * (1 + 0.978476e-6 * volts))  # nm; the bracket is relativity's
    kz, kx = _frequencies(size, pixel_nm)
    k2 = kz**2 + kx**2
    phase = np.pi * wavelength * df * k2 - np.pi / 2 * cs * wavelength**3 * k2**2
    return np.sin(phase + np.arcsin(amplitude_contrast))


def tomogram_noise(key: Key, size: int, tilt: float = 60.0) -> np.ndarray:
    """Return noise (size, size) of variance 1 as a weighted back-projection of noisy images holds it.

    The images' noise is white, electrons being counted. Back-projection puts all images into the slice's Fourier
    transform as lines through the origin, whose density falls as 1 / |k|, and multiplies them by |k|; so the power of
    the noise is |k|^2 / |k| = |k|. Where no line lies, in the missing wedge, there is no noise either.
    """
    kz, kx = _frequencies(size)
    amplitude = np.sqrt(np.hypot(kz, kx)) * missing_wedge(size, tilt)
    amplitude /= np.sqrt((amplitude**2).mean())  # so that each pixel's variance is 1
    return filtered(random_normal(key, shape=(size, size)), amplitude)


def filtered(image: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Return images (..., H, W) with each spatial frequency multiplied by its transfer (H, W)."""
    return np.fft.ifft2(np.fft.fft2(image) * transfer).real


def _frequencies(size: int, pixel_nm: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return kz (size, 1) and kx (1, size) in cycles per nm, in the order of `numpy.fft.fft2`."""
    k = np.fft.fftfreq(size, pixel_nm)
    return k[:, None], k[None]


def _blur(pixel_nm: float) -> float:
    """Return the standard deviation of a pixel's area along an axis, in nm: it shows the mean over that."""
    return pixel_nm / float(np.sqrt(12))


def _least_and_most(name: str, value: Any) -> tuple[int, int]:
    pair = tuple(value) if isinstance(value, tuple | list) else ()
    if len(pair) != 2:
        raise ArgumentError(f"{name} must be a pair (the least, the most) of whole numbers, not {value!r}")
    least, most = (whole_number(f"{name}: the least and the most", number, least=0) for number in pair)
    if least > most:
        raise ArgumentError(f"{name} must be a pair (the least, the most), the smaller first, not {value!r}")
    return least, most
