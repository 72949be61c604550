"""Two-photon calcium imaging: neurons that light up when they fire, as mean frames and as movies.

    light(t) = vignette * shadows * blur(neuropil (1 + n(t)) + sum over cells of brightness_k (1 + c_k(t)) footprint_k)
    frame(t) = Poisson(photons * light(t)) + read noise

A cell body is a ring, as the indicator stays out of the nucleus; c_k is its relative change of fluorescence (dF/F),
one rise and decay a spike. Cells are found on the mean of many frames, where the noise is averaged: Apthorpe et al.,
"Automatic neuron detection in calcium imaging data using convolutional networks", NIPS 2016.
"""

from dataclasses import dataclass

import numpy as np

from minicnn.backend import CounterRng, Key
from minicnn.data.synthetic.calcium_tissue import (
    Neurons,
    neuropil_field,
    out_of_focus_cells,
    place_neurons,
    vessel_shadows,
    vignette,
)
from minicnn.data.synthetic.photons import detected, poisson
from minicnn.errors import ArgumentError, at_least, is_number, is_pair, listed, whole_number
from minicnn.geometry import PairLike, pair
from minicnn.ops import random_keys, random_normal

STREAM = int.from_bytes(b"Ca2+", "big")
PARTS = ("neurons", "others", "neuropil", "vessels", "rates", "spikes", "web", "detector", "drift")
WEB = 100
"""How many unseen neurons' fibres make up the neuropil."""

INDICATORS = {"GCaMP6f": (0.19, 0.01937, 0.17835), "GCaMP6s": (0.23, 0.07873, 0.68605)}
"""Peak dF/F after one spike, and time constants (s) of its rise and decay.

Chen et al., "Ultrasensitive fluorescent proteins for imaging neuronal activity", Nature 2013, figure 3 and
supplementary table 3: in mouse visual cortex the peak comes 45 ms after the spike (GCaMP6f) or 179 ms (GCaMP6s), and
half of it is left another 142 or 550 ms later. The constants give those four times.
"""


@dataclass(frozen=True)
class CalciumImaging:
    """What the tissue and the microscope are like; `calcium_frames` and `calcium_movie` draw from it.

    Attributes
    ----------
    size : int or (int, int)
        Height and width in pixels; a pixel is about 1 micrometre.
    neurons : int
        Cells in focus.
    radius : (float, float)
        The least and the largest radius of a cell, in pixels.
    nucleus : float
        The nucleus' radius, as a share of the cell's; 0 for cells without a dark middle.
    elongation : float
        How far outlines may differ from circles, as a share of the radius.
    overlap : float
        How far cells may reach into each other, as a share of the sum of their radii: 0 lets them touch.
    contrast, spread : float
        Median brightness of a cell at rest, where the neuropil is 1, and the standard deviation of its logarithm.
    out_of_focus : int
        Cells above and below the plane: spots that are no neurons of this plane.
    texture : float
        Standard deviation of the neuropil's light, whose mean is 1.
    vessels : int
        Blood vessels that throw shadows.
    vignetting : float
        The share of the light that is missing in the corners.
    blur : float
        Standard deviation of the point-spread function across the plane, in pixels.
    indicator : "GCaMP6f" or "GCaMP6s"
        See `INDICATORS`. The response is taken as linear in the spikes.
    rate : float
        Spikes a second of the mean neuron. Cells differ: their rates are log-normal, with a sigma of 1.
    frame_rate : float
        Frames a second.
    photons : float
        Detected photons a pixel and frame from neuropil in the middle of the field.
    read_noise : float
        Standard deviation of the electronic noise of a pixel in one frame, in photons.

    Raises
    ------
    ArgumentError
        If a value makes no sense.
    """

    size: PairLike = 128
    neurons: int = 20
    radius: tuple[float, float] = (5.0, 7.0)
    nucleus: float = 0.6
    elongation: float = 0.1
    overlap: float = 0.2
    contrast: float = 1.0
    spread: float = 0.4
    out_of_focus: int = 12
    texture: float = 0.2
    vessels: int = 1
    vignetting: float = 0.4
    blur: float = 1.0
    indicator: str = "GCaMP6f"
    rate: float = 0.5
    frame_rate: float = 30.0
    photons: float = 1.0
    read_noise: float = 0.5

    def __post_init__(self) -> None:
        pair(self.size, "size")
        for name in ("neurons", "out_of_focus", "vessels"):
            whole_number(name, getattr(self, name), least=0)
        if not (is_pair(self.radius) and 1 <= self.radius[0] <= self.radius[1] < np.inf):
            raise ArgumentError(f"radius must be the least and the largest, (low, high), at least 1, not {self.radius}")
        for name, top in (("nucleus", 0.9), ("elongation", 0.3), ("overlap", 1.0), ("vignetting", 0.95)):
            value = getattr(self, name)
            if not (is_number(value) and 0 <= value <= top):
                raise ArgumentError(f"{name} must lie between 0 and {top:g}, not {value!r}")
        for name in ("contrast", "spread", "texture", "blur", "rate", "read_noise"):
            at_least(name, getattr(self, name))
        for name in ("frame_rate", "photons"):
            at_least(name, getattr(self, name), above=True)
        if self.indicator not in INDICATORS:
            raise ArgumentError(f"indicator must be one of {listed(INDICATORS)}, not {self.indicator!r}")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return pair(self.size, "size")


@dataclass(frozen=True)
class CalciumFrames:
    """Mean frames of N fields, and the truth about each.

    Attributes
    ----------
    images : array (N, 1, H, W)
        Photons a pixel and frame, float32.
    expected : array (N, 1, H, W)
        What infinitely many frames of the same activity would show: the images without noise.
    labels : array (N, H, W)
        0 for tissue, k + 1 for the field's neuron k, int32.
    neurons : list of N `Neurons`
        Centres, radii and outlines; `neurons[i].masks(shape)` has one mask a cell, which may overlap.
    out_of_focus : list of N arrays (M, 2)
        Centres of the spots that are no neurons of the plane.
    """

    images: np.ndarray
    expected: np.ndarray
    labels: np.ndarray
    neurons: list[Neurons]
    out_of_focus: list[np.ndarray]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class CalciumMovie:
    """A movie of one field, and the truth about it.

    Attributes
    ----------
    frames, expected : array (T, H, W)
        Photons a pixel, float32; `expected` without noise.
    labels : array (H, W)
        0 for tissue, k + 1 for neuron k, where there is no drift.
    neurons : Neurons
        The K cells.
    spikes : array (K, T)
        Spikes of each neuron in each frame's time, int64.
    traces : array (K, T)
        Its dF/F.
    shifts : array (T, 2)
        How far down and to the right the tissue has moved, in pixels.
    """

    frames: np.ndarray
    expected: np.ndarray
    labels: np.ndarray
    neurons: Neurons
    spikes: np.ndarray
    traces: np.ndarray
    shifts: np.ndarray


def calcium_frames(
    count: int, imaging: CalciumImaging | None = None, *, frames: int = 100, seed: int = 0
) -> CalciumFrames:
    """Return mean frames of `count` fields: each is the mean of so many `frames`, as of a registered movie.

    Field i depends on `imaging`, `frames`, the seed and i alone. What only concerns the detector (`photons`,
    `read_noise`) leaves the tissue and its activity as they are, and what concerns one part leaves the others.

    Parameters
    ----------
    count : int
        Fields.
    imaging : CalciumImaging, optional
        Tissue and microscope.
    frames : int
        How many frames are averaged; noise falls with the root of their number.
    seed : int
        Of everything drawn.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or the neurons do not fit into the field.
    """
    imaging, count, frames = _checked(imaging), whole_number("count", count), whole_number("frames", frames)
    shape = imaging.shape
    images, expected = (np.empty((count, 1, *shape), dtype=np.float32) for _ in range(2))
    labels = np.empty((count, *shape), dtype=np.int32)
    neurons, others = [], []
    for i in range(count):
        keys = _keys(seed, i)
        field = _Field(imaging, keys)
        _, traces = _activity(imaging, keys, len(field.cells), frames)
        clean = imaging.photons * field.instrument * field.seen(traces.mean(axis=1))
        images[i] = detected(keys["detector"], clean, frames=frames, read_noise=imaging.read_noise)
        expected[i], labels[i] = clean, field.neurons.labels(shape)
        neurons.append(field.neurons)
        others.append(field.others)
    return CalciumFrames(images, expected, labels, neurons, others)


def calcium_movie(
    frames: int, imaging: CalciumImaging | None = None, *, drift: float = 0.0, seed: int = 0
) -> CalciumMovie:
    """Return a movie of the field that is the first of `calcium_frames` with the same settings and seed.

    Without drift, the mean of its frames is what that function gives: the same mean light, other noise. It takes about
    two seconds for a million pixels.

    Parameters
    ----------
    frames : int
        How many, T.
    imaging : CalciumImaging, optional
        Tissue and microscope.
    drift : float
        Standard deviation of the tissue's step between two frames, down and across, in pixels: a random walk. Beyond
        the field's border the tissue is taken to go on as it is at the border.
    seed : int
        Of everything drawn.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or the neurons do not fit into the field.
    """
    from scipy.ndimage import shift

    imaging, frames = _checked(imaging), whole_number("frames", frames)
    at_least("drift", drift)
    keys = _keys(seed, 0)
    field = _Field(imaging, keys)
    spikes, traces = _activity(imaging, keys, len(field.cells), frames)
    shifts = drift * random_normal(keys["drift"], shape=(frames, 2)).cumsum(axis=0)
    clean = np.empty((frames, *imaging.shape))
    for t in range(frames):
        light = field.seen(traces[:, t])
        clean[t] = shift(light, shifts[t], order=1, mode="nearest") if drift else light
    clean *= imaging.photons * field.instrument
    noisy = detected(keys["detector"], clean, read_noise=imaging.read_noise)
    K = len(field.neurons)
    return CalciumMovie(
        frames=noisy.astype(np.float32),
        expected=clean.astype(np.float32),
        labels=field.neurons.labels(imaging.shape),
        neurons=field.neurons,
        spikes=spikes[:K],
        traces=traces[:K],
        shifts=shifts,
    )


def spike_response(indicator: str, seconds: np.ndarray) -> np.ndarray:
    """Return dF/F so many seconds after one spike: A (1 - exp(-t / rise)) exp(-t / decay), with A for the right peak.

    Raises `ArgumentError` for an unknown indicator.
    """
    if indicator not in INDICATORS:
        raise ArgumentError(f"indicator must be one of {listed(INDICATORS)}, not {indicator!r}")
    peak, rise, decay = INDICATORS[indicator]

    def shape_at(t: np.ndarray) -> np.ndarray:
        return -np.expm1(-t / rise) * np.exp(-t / decay)

    return peak * shape_at(np.maximum(seconds, 0)) / shape_at(np.array(rise * np.log1p(decay / rise)))


class _Field:
    """One field of view: what lies in it, blurred by the microscope, and what the light does on its way."""

    def __init__(self, imaging: CalciumImaging, keys: dict[str, Key]) -> None:
        from scipy.ndimage import gaussian_filter

        shape = imaging.shape
        self.neurons = place_neurons(
            keys["neurons"],
            shape,
            count=imaging.neurons,
            radius=imaging.radius,
            elongation=imaging.elongation,
            overlap=imaging.overlap,
            contrast=imaging.contrast,
            spread=imaging.spread,
        )
        self.others, spots = out_of_focus_cells(
            keys["others"], shape, count=imaging.out_of_focus, radius=imaging.radius, contrast=imaging.contrast
        )
        own = self.neurons.brightness[:, None, None] * self.neurons.footprints(shape, imaging.nucleus)
        blur = (0, imaging.blur, imaging.blur)
        self.cells = gaussian_filter(np.concatenate([own, spots]), blur, mode="nearest")
        self.neuropil = gaussian_filter(neuropil_field(keys["neuropil"], shape, imaging.texture), blur[1:])
        self.instrument = vignette(shape, imaging.vignetting) * vessel_shadows(keys["vessels"], shape, imaging.vessels)

    def seen(self, dff: np.ndarray) -> np.ndarray:
        """Return the light (H, W) when the cells' dF/F, and last the neuropil's, are these: (cells + 1,)."""
        return self.neuropil * (1 + dff[-1]) + np.tensordot(1 + dff[:-1], self.cells, axes=1)


def _activity(imaging: CalciumImaging, keys: dict[str, Key], cells: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Return spikes (cells, T) and dF/F (cells + 1, T); the last trace is the neuropil's, the mean of many fibres."""
    from scipy.signal import fftconvolve

    rates = imaging.rate * np.exp(random_normal(keys["rates"], shape=(cells, 1)) - 0.5)  # the mean of exp is 1
    spikes = poisson(keys["spikes"], np.broadcast_to(rates / imaging.frame_rate, (cells, frames)))
    web = poisson(keys["web"], np.full((1, frames), WEB * imaging.rate / imaging.frame_rate)) / WEB
    response = spike_response(imaging.indicator, np.arange(frames) / imaging.frame_rate)
    traces = fftconvolve(np.concatenate([spikes, web]), response[None], axes=1)[:, :frames]
    return spikes.astype(np.int64), traces


def _checked(imaging: CalciumImaging | None) -> CalciumImaging:
    if imaging is None:
        return CalciumImaging()
    if not isinstance(imaging, CalciumImaging):
        raise ArgumentError(f"imaging must be a CalciumImaging(...), not {imaging!r}")
    return imaging


def _keys(seed: int, index: int) -> dict[str, Key]:
    return dict(zip(PARTS, random_keys(CounterRng(seed, STREAM, index).next_key(), len(PARTS)), strict=True))
