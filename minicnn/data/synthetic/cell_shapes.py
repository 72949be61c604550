"""What lies in a slice through a cell: membranes, microtubules, actin filaments and ribosomes, in nanometres.

A shape knows how far every point is from it, in nm; its mask and its density follow from that distance alone, so the
truth about a pixel is a formula and not a drawing. Points are (z, x): z down the rows, x along the columns.
"""

from dataclasses import dataclass

import numpy as np

BACKGROUND, MEMBRANE, FILAMENT, RIBOSOME = range(4)


@dataclass(frozen=True)
class Vesicle:
    """A closed membrane r(phi) = radius (1 + sum over k = 2, 3 of a_k cos(k phi + psi_k)) around (z, x).

    A bilayer of lipids: two leaflets of phosphate groups about 4 nm apart, 7 nm with what sticks out of them. Nagle and
    Tristram-Nagle, "Structure of lipid bilayers", 2000.
    """

    z: float
    x: float
    radius: float
    amplitudes: tuple[float, float] = (0.0, 0.0)
    phases: tuple[float, float] = (0.0, 0.0)

    label = MEMBRANE
    half_width = 3.5

    def distance(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return (r - r(phi)) / sqrt(1 + (r'(phi) / r(phi))^2): the distance from the mid-line, negative inside.

        It is right to first order, as a contour that is nearly straight over the thickness of a membrane wants it.
        """
        r, phi = np.hypot(z - self.z, x - self.x), np.arctan2(z - self.z, x - self.x)
        contour, slope = np.ones_like(phi), np.zeros_like(phi)
        for k, a, psi in zip((2, 3), self.amplitudes, self.phases, strict=True):
            contour += a * np.cos(k * phi + psi)
            slope -= k * a * np.sin(k * phi + psi)
        return (r - self.radius * contour) / np.hypot(1, slope / contour)

    def density(self, d: np.ndarray, blur: float) -> np.ndarray:
        """Two leaflets, 4 nm from each other."""
        return 0.9 * (bump(d - 2, 1.0, blur) + bump(d + 2, 1.0, blur))


@dataclass(frozen=True)
class Filament:
    """An arc through (z, x) that runs at `angle` to the x axis and bends with `curvature`, in 1 / nm, out of the frame.

    A microtubule is a tube of 25 nm: cut along its axis, two walls with a dark lumen between them, which is part of the
    object (Nogales et al., "High-resolution model of the microtubule", 1999). Actin is a single thread of 7 nm (Holmes
    et al., "Atomic model of the actin filament", 1990).
    """

    z: float
    x: float
    angle: float
    curvature: float
    microtubule: bool

    label = FILAMENT

    @property
    def half_width(self) -> float:
        """Half the outer diameter, in nm."""
        return 12.5 if self.microtubule else 3.5

    def distance(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the signed distance from the axis, (kappa (u^2 + v^2) - 2 v) / (1 + s), s^2 = (kappa u)^2 +
        (1 - kappa v)^2, with u along the tangent and v along the normal: it holds for straight ones, too.
        """
        cos, sin, kappa = np.cos(self.angle), np.sin(self.angle), self.curvature
        u = (x - self.x) * cos + (z - self.z) * sin
        v = (z - self.z) * cos - (x - self.x) * sin
        return (kappa * (u * u + v * v) - 2 * v) / (1 + np.hypot(kappa * u, 1 - kappa * v))

    def density(self, d: np.ndarray, blur: float) -> np.ndarray:
        """Two walls with their middles 10.5 nm from the axis, or one thread."""
        if self.microtubule:
            return bump(d - 10.5, 1.7, blur) + bump(d + 10.5, 1.7, blur)
        return bump(d, 2.0, blur)


@dataclass(frozen=True)
class Ribosome:
    """Two round subunits, of 20 and 15 nm, that touch along `angle`: 25.5 nm long, and dense, since half of it is RNA.

    Ben-Shem et al., "The structure of the eukaryotic ribosome at 3.0 A resolution", 2011.
    """

    z: float
    x: float
    angle: float

    label = RIBOSOME
    half_width = 0.0

    def distance(self, z: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Return the distance from the nearer subunit's surface, negative inside."""
        sin, cos = np.sin(self.angle), np.cos(self.angle)
        large = np.hypot(z - self.z + 2.75 * sin, x - self.x + 2.75 * cos) - 10
        small = np.hypot(z - self.z - 5.25 * sin, x - self.x - 5.25 * cos) - 7.5
        return np.minimum(large, small)

    def density(self, d: np.ndarray, blur: float) -> np.ndarray:
        """1.6 inside, with a surface 1 nm soft."""
        return 1.6 / (1 + np.exp(np.clip(d / np.hypot(0.5, blur), -50, 50)))


Shape = Vesicle | Filament | Ribosome


def inside(shape: Shape, d: np.ndarray, *, gap: float = 0.0) -> np.ndarray:
    """Return the mask of a shape, from what its `distance` gave; with a gap, all that is as near to it, in nm."""
    near = d if isinstance(shape, Ribosome) else np.abs(d)
    return near <= shape.half_width + gap


def bump(d: np.ndarray, sigma: float, blur: float) -> np.ndarray:
    """Return exp(-d^2 / 2 sigma^2), smoothed with a Gaussian of standard deviation `blur`."""
    wide = np.hypot(sigma, blur)
    return sigma / wide * np.exp(-((d / wide) ** 2) / 2)
