"""Skin lesions as a camera sees them, benign and malignant, with the four signs that a physician looks for."""

from dataclasses import dataclass

import numpy as np

from minicnn.backend import CounterRng, Key
from minicnn.data.synthetic.pixel_noise import pixel_noise
from minicnn.data.synthetic.skin_drawing import FIELD, draw_hairs, draw_skin, shapes_of
from minicnn.errors import ArgumentError, at_least, probability, whole_number
from minicnn.ops import random_normal, random_uniform

STREAM = int.from_bytes(b"skin", "big")
CLASSES = ("benign", "malignant")
LARGEST = np.array([0.2, 0.08, 0.8, 10.0])
"""No asymmetry, border irregularity, colour variegation or diameter reaches this."""
SMALLEST = np.array([0.0, 0.0, 0.0, 2.5])
CHUNK = 128


@dataclass(frozen=True, eq=False)
class SkinLesions:
    """Lesions and the truth about them.

    images : (N, 3, H, W), float32, red, green and blue from 0 to 1
    labels : (N,), int64, 0 benign, 1 malignant
    masks : (N, 1, H, W), bool, where the lesion is
    abcd : (N, 4), float64, as drawn: asymmetry A and border irregularity B (shares of the radius), colour variegation C
        (standard deviation of log melanin), diameter D (mm)
    evidence : (N,), float64, log p(abcd | malignant) - log p(abcd | benign), in nats. No classifier is better than this
        score (the lemma of Neyman and Pearson, 1933), and none that looks at the images alone can be as good.
    centres : (N, 2), float64, row and column of the point from which the outline's radius is measured, in pixels
    pixel_mm : how wide a pixel is, in mm
    """

    images: np.ndarray
    labels: np.ndarray
    masks: np.ndarray
    abcd: np.ndarray
    evidence: np.ndarray
    centres: np.ndarray
    pixel_mm: float
    classes: tuple[str, ...] = CLASSES

    def __len__(self) -> int:
        return len(self.labels)

    def probability(self, prevalence: float) -> np.ndarray:
        """Return P(malignant | abcd), (N,), where this share of all lesions is malignant (Bayes' rule).

        Raises `ArgumentError` unless the prevalence lies between 0 and 1.
        """
        share = probability("prevalence", prevalence)
        if not 0 < share < 1:
            raise ArgumentError(f"prevalence must lie between 0 and 1, not be {prevalence}: there is nothing to tell")
        return _sigmoid(self.evidence + np.log(share / (1 - share)))

    def __repr__(self) -> str:
        return f"SkinLesions({len(self)} of {self.images.shape[2]} pixels, {int(self.labels.sum())} malignant)"


def skin_lesions(
    n: int,
    *,
    size: int = 64,
    prevalence: float = 0.2,
    difference: float = 2.0,
    tones: float = 1.0,
    hairs: float = 3.0,
    illumination: float = 0.2,
    noise: float = 0.02,
    seed: int = 0,
) -> SkinLesions:
    """Draw skin lesions by the ABCD rule, in a field of 20 x 20 mm.

    The signs are A, B and C of Nachbar et al., "The ABCD rule of dermatoscopy", 1994, as numbers that can be drawn, and
    D of the older rule for the naked eye, the diameter (Friedman, Rigel and Kopf, "Early detection of malignant
    melanoma", 1985):

        A   slow lobes of the outline, waves 3 to 5 around it: their root mean square, as a share of the mean radius
        B   quick notches, waves 7 to 15, in the same way
        C   standard deviation of log melanin inside; where it is large, the blood varies as well
        D   diameter of a circle of the same area, mm

    Each is a bounded, rising function of a normal number with standard deviation 1, whose mean lies half of
    `difference` higher in malignant lesions. With four signs the classes lie `difference` apart and overlap: the best
    possible score has an area under the ROC curve of Phi(difference / sqrt(2)), which is 0.921 for 2. (Nachbar et al.
    report mean scores of 6.79 and 4.27, 2.6 standard deviations apart.)

    Colours are made by Beer and Lambert's law, I = exp(-(melanin a + blood b)): melanin absorbs as wavelength^-3.48
    (Jacques, "Melanosome absorption coefficient", 1998), taken at 600, 540 and 460 nm; blood mostly green and blue.
    Tsumura, Haneishi and Miyake, "Independent-component analysis of skin color image", 1999, take skin apart so.

    Parameters
    ----------
    n : int
        How many.
    size : int
        Height and width, in pixels; at least 16.
    prevalence : float
        The probability that a lesion is malignant.
    difference : float
        How far the classes' means lie apart, in standard deviations; 0: the images say nothing.
    tones : float
        From 0, all skin is fair, to 1, all tones.
    hairs : float
        How many hairs there are on average.
    illumination : float
        The largest change of brightness from the middle to a side; below 1.
    noise : float
        Standard deviation of a white pixel's noise, which is that of counted photons: darker ones have less. (Besides,
        the sensor's own, a fifth as much everywhere.)
    seed : int
        The same seed draws the same lesions; tones, hairs, illumination and noise change nothing else.

    Raises
    ------
    ArgumentError
        If an argument makes no sense.
    """
    n, size = whole_number("n", n), whole_number("size", size, least=16)
    prevalence, tones = probability("prevalence", prevalence), probability("tones", tones)
    for name, value in (("difference", difference), ("hairs", hairs), ("noise", noise)):
        at_least(name, value)
    if not at_least("illumination", illumination) < 1:
        raise ArgumentError(f"illumination must be below 1, where a side would be black, not {illumination}")
    rng = CounterRng(seed, STREAM)
    labels = (random_uniform(rng.next_key(), shape=(n,)) < prevalence).astype(np.int64)
    signs = random_normal(rng.next_key(), shape=(n, 4)) + labels[:, None] * difference / 2  # 4 (1/2)^2 = 1
    evidence = difference / 2 * signs.sum(axis=1) - difference**2 / 2
    abcd = SMALLEST + (LARGEST - SMALLEST) * _sigmoid(signs - 0.5)
    lesions = shapes_of(abcd, rng, tones=tones, illumination=illumination)
    images, masks = np.empty((n, 3, size, size), np.float32), np.empty((n, 1, size, size), bool)
    for start in range(0, n, CHUNK):
        part = slice(start, start + CHUNK)
        images[part], masks[part, 0] = draw_skin(lesions[part], size, rng.next_key())
        draw_hairs(images[part], hairs, rng.next_key())
        _expose(images[part], lesions.light[part], noise, rng.next_key())
    centres = (size - 1) / 2 + lesions.centre * size / FIELD
    return SkinLesions(images, labels, masks, abcd, evidence, centres, FIELD / size)


def _expose(images: np.ndarray, light: np.ndarray, noise: float, key: Key) -> None:
    """Light the skin from one side and take the picture, in place.   light : (N, 2), per field to the bottom, right"""
    n, _, size, _ = images.shape
    across = np.linspace(-1, 1, size)
    lit = 1 + light[:, :1, None] * across[None, :, None] + light[:, 1:, None] * across[None, None, :]
    images *= lit[:, None].astype(np.float32)
    counted, read = pixel_noise(key, shape=(2, *images.shape))
    images += np.float32(noise) * (np.sqrt(images) * counted + np.float32(0.2) * read)
    np.clip(images, 0, 1, out=images)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))
