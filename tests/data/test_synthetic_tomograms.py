"""Slices of tomograms: the truth recomputed from the shapes, and each physical effect on its own."""

import numpy as np
import pytest
from scipy import constants
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree
from skimage.transform import iradon, radon

from minicnn.backend import Key
from minicnn.data.synthetic import tomogram_slices
from minicnn.data.synthetic.cell_shapes import Filament, Ribosome, Vesicle, inside
from minicnn.data.synthetic.tomograms import (
    GAP_NM,
    crowd,
    draw,
    filtered,
    missing_wedge,
    tomogram_noise,
    transfer_function,
)
from minicnn.errors import ArgumentError

NOTHING = {"vesicles": (0, 0), "microtubules": (0, 0), "actin": (0, 0), "ribosomes": (0, 0), "crowding": 0.0}
"""With these nothing is drawn."""
PLAIN = {"snr": None, "tilt": 90.0, "defocus_um": None}
"""With these the density is shown as it is."""


@pytest.fixture(scope="module")
def slices():
    return tomogram_slices(6, size=64, seed=3)


def test_shapes_and_types(slices):
    assert (slices.x.shape, slices.x.dtype) == ((6, 1, 64, 64), np.float32)
    assert (slices.y.shape, slices.y.dtype) == ((6, 64, 64), np.int64)
    assert (slices.density.shape, slices.density.dtype) == ((6, 64, 64), np.float32)
    assert set(np.unique(slices.y)) == {0, 1, 2, 3}
    assert slices.classes == ("background", "membrane", "filament", "ribosome")
    assert len(slices.shapes) == 6
    assert slices.pixel_nm == 2.0


def test_the_seed_decides(slices):
    again, other = (tomogram_slices(6, size=64, seed=seed) for seed in (3, 4))
    for name in ("x", "y", "density"):
        np.testing.assert_array_equal(getattr(slices, name), getattr(again, name))
        assert (getattr(slices, name) != getattr(other, name)).any()
    fewer = tomogram_slices(2, size=64, seed=3)
    assert fewer.shapes == slices.shapes[:2]
    np.testing.assert_array_equal(fewer.density, slices.density[:2])
    assert (slices.x[0] != slices.x[1]).mean() > 0.99


def outline(shape):
    """Points 0.1 nm apart on the middle of a membrane or on the axis of a filament, by another route: (P, 2)."""
    if isinstance(shape, Vesicle):
        phi = np.arange(0, 2 * np.pi, 0.1 / 120)
        wave = sum(a * np.cos(k * phi + p) for k, a, p in zip((2, 3), shape.amplitudes, shape.phases, strict=True))
        r = shape.radius * (1 + wave)
        return np.stack([shape.z + r * np.sin(phi), shape.x + r * np.cos(phi)], axis=1)
    s = np.arange(-400, 400, 0.1)  # along the arc; its direction turns by the curvature a nanometre
    turned = shape.angle + shape.curvature * s
    step = np.stack([np.sin(turned), np.cos(turned)], axis=1) * 0.1
    path = np.cumsum(step, axis=0)
    return path - path[len(path) // 2] + np.array([shape.z, shape.x])


def true_distance(shape, points):
    """From the nearest point of the outline; of a ribosome, from the nearer subunit's centre less its radius."""
    if isinstance(shape, Ribosome):
        along = np.array([np.sin(shape.angle), np.cos(shape.angle)])
        centre = np.array([shape.z, shape.x])
        large = np.linalg.norm(points - (centre - 2.75 * along), axis=1) - 10
        return np.minimum(large, np.linalg.norm(points - (centre + 5.25 * along), axis=1) - 7.5)
    half_width = 12.5 if getattr(shape, "microtubule", False) else 3.5
    return cKDTree(outline(shape)).query(points)[0] - half_width


@pytest.mark.parametrize("pixel_nm", [1.5, 3.0])
def test_the_class_of_every_pixel_is_that_of_the_shape_it_lies_in(pixel_nm):
    drawn = tomogram_slices(3, size=48, pixel_nm=pixel_nm, seed=8, microtubules=(0, 1), actin=(1, 1))
    points = np.indices((48, 48)).reshape(2, -1).T * pixel_nm
    kinds = set()
    for y, shapes in zip(drawn.y, drawn.shapes, strict=True):
        want, near = np.zeros(len(points), dtype=int), np.zeros(len(points), dtype=bool)
        for shape in shapes:
            depth = true_distance(shape, points)
            want[depth <= 0] = shape.label
            near |= np.abs(depth) < 0.25  # the distance from a wobbly contour is right to first order
            kinds.add((type(shape), shape.half_width))
        np.testing.assert_array_equal(y.ravel()[~near], want[~near])
        assert near.mean() < 0.15
    assert len(kinds) == 4, "a vesicle, a microtubule, an actin filament and a ribosome"


def test_the_distance_from_a_wobbly_membrane():
    """Right to first order: over the thickness of the membrane, to a few hundredths of a nanometre."""
    vesicle = Vesicle(60, 60, 40, (0.12, 0.04), (0.5, 2.0))
    points = np.indices((120, 120)).reshape(2, -1).T.astype(float)
    d = vesicle.distance(*points.T)
    near = np.abs(d) < 4
    want = cKDTree(outline(vesicle)).query(points[near])[0]
    np.testing.assert_allclose(np.abs(d[near]), want, atol=0.05)
    inner = np.hypot(*(points - 60).T) < 20
    assert (d[inner] < 0).all()


def test_shapes_keep_apart(slices):
    points = np.indices((64, 64)).reshape(2, -1).T * slices.pixel_nm
    nearest = []
    for shapes in slices.shapes[:2]:
        distances = [true_distance(shape, points) for shape in shapes]
        nearest += [distances[i][distances[j] < -0.2].min(initial=np.inf) for i in range(len(shapes)) for j in range(i)]
    assert len(nearest) > 10
    assert min(nearest) > 4 - 0.3
    assert GAP_NM == 4


def test_as_many_shapes_as_were_asked_for():
    counts = {"vesicles": (2, 2), "microtubules": (0, 0), "actin": (1, 1), "ribosomes": (0, 3)}
    drawn = tomogram_slices(12, size=64, pixel_nm=4.0, snr=None, crowding=0.0, **counts)
    for shapes in drawn.shapes:
        assert sum(isinstance(shape, Vesicle) for shape in shapes) == 2
        assert [shape.microtubule for shape in shapes if isinstance(shape, Filament)] == [False]
    ribosomes = {sum(isinstance(shape, Ribosome) for shape in shapes) for shapes in drawn.shapes}
    assert ribosomes == {0, 1, 2, 3}


def test_one_that_finds_no_place_is_left_out():
    drawn = tomogram_slices(1, size=24, ribosomes=(40, 40), snr=None)
    assert 2 < len(drawn.shapes[0]) < 30


class TestOneEffectAtATime:
    def test_without_any_the_slice_is_the_density_turned_round(self):
        drawn = tomogram_slices(2, size=48, **PLAIN)
        np.testing.assert_allclose(drawn.x[:, 0], -drawn.density, atol=1e-6)
        assert np.ptp(drawn.density) > 1

    def test_where_nothing_is_there_is_no_density(self):
        drawn = tomogram_slices(2, size=32, **{**NOTHING, **PLAIN})
        assert not drawn.density.any()
        assert not drawn.y.any()

    def test_small_proteins_lie_where_nothing_else_does(self):
        empty, full = (tomogram_slices(2, size=48, snr=None, crowding=share) for share in (0.0, 0.4))
        np.testing.assert_array_equal(empty.y, full.y)
        taken = empty.y > 0
        np.testing.assert_array_equal(full.density[taken], empty.density[taken])
        assert full.density[~taken].mean() > empty.density[~taken].mean() + 0.05

    def test_twice_the_crowd_is_twice_the_density(self):
        one, two = (np.mean([crowd(share, 128, 2.0, Key(0, 0, i)) for i in range(4)]) for share in (0.2, 0.4))
        assert one > 0.05
        np.testing.assert_allclose(two / one, 2, rtol=0.01)

    def test_a_small_protein_rises_to_one_half(self):
        """A Gaussian of peak 1/2 and width sigma holds pi sigma^2; there are c A / 3 / (pi (1.2 sigma)^2) of each."""
        density = crowd(0.3, 100, 2.0, Key(0, 0, 1))
        held = sum(round(0.1 * 200**2 / (np.pi * 1.44 * sigma**2)) * np.pi * sigma**2 for sigma in (1.5, 2.0, 3.0))
        np.testing.assert_allclose(density.sum() * 2.0**2, held, rtol=1e-6)

    @pytest.mark.parametrize("snr", [0.1, 2.0])
    def test_noise_is_as_strong_as_the_ratio_says(self, snr):
        shown, noisy = (tomogram_slices(8, size=64, snr=ratio, seed=2).x for ratio in (None, snr))
        noise = noisy - shown
        np.testing.assert_allclose(shown.var(axis=(1, 2, 3)).mean() / noise.var(), snr, rtol=0.1)

    def test_defocus_and_wedge_change_what_is_shown_alone_and_together(self):
        kinds = [{}, {"defocus_um": 6.0}, {"tilt": 60.0}, {"defocus_um": 6.0, "tilt": 60.0}]
        shown = [tomogram_slices(2, size=48, **{**PLAIN, **change}).x for change in kinds]
        for i, one in enumerate(shown):
            assert all(np.abs(one - other).max() > 0.1 for other in shown[:i])


class TestMissingWedge:
    def test_its_share_of_a_square(self):
        """Of the square |kz|, |kx| <= 1, the part where |kz| > |kx| tan 60 has the area 2 / tan 60 of 4."""
        assert abs((1 - missing_wedge(512, 60).mean()) - 0.5 / np.tan(np.pi / 3)) < 0.005
        assert missing_wedge(33, 90).all()
        assert missing_wedge(32, 45)[0, 0] == 1

    @pytest.mark.parametrize(("angle", "seen"), [(0, True), (50, True), (70, False), (90, False), (-50, True)])
    def test_waves_within_it_are_not_seen(self, angle, seen):
        kx, kz = np.round(20 * np.array([np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))]))
        z, x = np.indices((64, 64))
        wave = np.cos(2 * np.pi * (kx * x + kz * z) / 64)
        np.testing.assert_allclose(filtered(wave, missing_wedge(64, 60)), wave if seen else 0 * wave, atol=1e-12)

    def test_it_is_what_back_projection_of_the_tilts_gives(self):
        """scikit-image projects along the rows' direction at 0 degrees, which is z."""
        z, x = np.indices((96, 96))
        density = draw([Vesicle(88, 96, 40, (0.1, 0.0), (1.0, 0.0)), Ribosome(88, 96, 0.7)], 96, 0, 2.0)[0]
        density = gaussian_filter(density, 1.5) * (np.hypot(z - 47.5, x - 47.5) < 46)
        tilts = np.arange(-60, 61, 1.0)
        back = iradon(radon(density, tilts), tilts)
        want, turned = (filtered(density, wedge) for wedge in (missing_wedge(96, 60), missing_wedge(96, 60).T))

        def alike(a):
            return np.corrcoef(a[10:-10, 10:-10].ravel(), back[10:-10, 10:-10].ravel())[0, 1]

        assert alike(want) > 0.97
        assert max(alike(density), alike(turned)) < 0.9

    def test_a_membrane_across_the_beam_is_lost(self):
        wedge = missing_wedge(64, 60)
        lying, standing = (
            filtered(draw([Filament(64, 64, angle, 0.0, microtubule=False)], 64, 0, 2.0)[0], wedge)
            for angle in (0.0, np.pi / 2)
        )
        assert np.ptp(lying) < 1e-9 < 0.5 < np.ptp(standing)


class TestTransferFunction:
    def test_is_the_formula_with_the_constants_of_nature(self):
        volts, df, cs, a = 200e3, 3e-6, 2.0e-3, 0.1
        energy = constants.e * volts
        rest = constants.m_e * constants.c**2
        wavelength = constants.h / np.sqrt(2 * constants.m_e * energy * (1 + energy / (2 * rest)))
        k = np.fft.fftfreq(40, 1.5e-9)
        k = np.hypot(k[:, None], k)
        gamma = np.pi * wavelength * df * k**2 - np.pi / 2 * cs * wavelength**3 * k**4
        want = np.sqrt(1 - a**2) * np.sin(gamma) + a * np.cos(gamma)
        got = transfer_function(40, 1.5, 3.0, voltage_kv=200, cs_mm=2.0, amplitude_contrast=a)
        np.testing.assert_allclose(got, want, atol=1e-4)

    def test_even_density_is_hardly_seen_and_fine_detail_turns_round(self):
        got = transfer_function(200, 1.0, 6.0)
        assert abs(got[0, 0] - 0.07) < 1e-12
        profile = got[0, :100]
        zero = np.flatnonzero(profile < 0)[0] / 200
        assert abs(zero - 1 / np.sqrt(0.00197 * 6000)) < 0.01, "the first zero lies at about 1 / sqrt(lambda df)"

    def test_dense_is_dark(self):
        shown = tomogram_slices(8, size=64, snr=None, seed=1)
        ribosomes, background = shown.y == 3, shown.y == 0
        assert shown.x[:, 0][ribosomes].mean() < shown.x[:, 0][background].mean() - 0.05


@pytest.fixture(scope="module")
def noise():
    return np.stack([tomogram_noise(Key(5, 0, step), 64, 60) for step in range(60)])


class TestNoise:
    def test_has_a_variance_of_1(self, noise):
        assert abs(noise.var() - 1) < 0.02
        assert abs(noise.mean()) < 0.01

    def test_its_power_rises_with_the_frequency(self, noise):
        power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
        k = np.fft.fftfreq(64)
        k = np.hypot(k[:, None], k)
        seen = (missing_wedge(64, 60) > 0) & (k > 0.03)
        slope = np.polyfit(np.log(k[seen]), np.log(power[seen]), 1)[0]
        assert abs(slope - 1) < 0.05

    def test_there_is_none_in_the_wedge(self, noise):
        power = (np.abs(np.fft.fft2(noise)) ** 2).mean(axis=0)
        missing = missing_wedge(64, 60) == 0
        assert power[missing].max() < 1e-9 * power[~missing].mean()

    def test_differs_from_slice_to_slice(self):
        a, b = (tomogram_slices(2, size=32, snr=1.0).x - tomogram_slices(2, size=32, snr=None).x)[:, 0]
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.1


@pytest.mark.parametrize(
    "shape",
    [Vesicle(0, 0, 30), Filament(0, 0, 0, 0, microtubule=True), Filament(0, 0, 0, 0, microtubule=False)],
)
def test_larger_pixels_hold_as_much(shape):
    """A pixel shows a mean over its area; so the density across a membrane adds up to the same."""
    d = np.arange(-40, 40, 0.01)
    sharp, blurred = (shape.density(d, blur).sum() for blur in (0.0, 1.2))
    np.testing.assert_allclose(blurred, sharp, rtol=1e-6)
    assert shape.density(d, 1.2).max() < 0.97 * shape.density(d, 0.0).max()


def test_what_a_shape_is_made_of():
    """Leaflets 4 nm apart, walls 21 nm apart, and outside of its half width next to nothing."""
    d = np.arange(-30, 30, 0.01)
    for shape, apart in (Vesicle(0, 0, 30), 4), (Filament(0, 0, 0, 0, microtubule=True), 21):
        profile = shape.density(d, 0.0)
        peaks = d[1:-1][(profile[1:-1] > profile[:-2]) & (profile[1:-1] > profile[2:])]
        np.testing.assert_allclose(peaks, [-apart / 2, apart / 2], atol=0.1)
        assert profile[np.abs(d) > shape.half_width + 3].max() < 0.02
    ribosome = Ribosome(0, 0, 0)
    x = np.arange(-20, 20, 0.01)
    length = inside(ribosome, ribosome.distance(0 * x, x)).sum() * 0.01
    assert abs(length - 25.5) < 0.05
    assert ribosome.density(np.array([-5.0, 5.0]), 0.0) == pytest.approx([1.6, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"size": 4}, "size must be a whole number of at least 8, not 4"),
        ({"pixel_nm": 0}, "pixel_nm must be a number above 0, not 0"),
        ({"snr": 0}, "snr must be a number above 0, not 0"),
        ({"snr": "low"}, "snr must be a number above 0, not 'low'"),
        ({"tilt": 0}, "tilt must be a number above 0, not 0"),
        ({"tilt": 91}, "tilt is an angle of at most 90 degrees to each side, not 91"),
        ({"defocus_um": -1}, "defocus_um must be a number of at least 0, not -1"),
        ({"crowding": 1.5}, "crowding is a share of the area and lies between 0 and 1, not 1.5"),
        ({"vesicles": 3}, r"vesicles must be a pair \(the least, the most\) of whole numbers, not 3"),
        ({"ribosomes": (4, 2)}, r"ribosomes must be a pair .* the smaller first, not \(4, 2\)"),
        ({"actin": (0.5, 2)}, "actin: the least and the most must be a whole number of at least 0, not 0.5"),
        ({"seed": -1}, "seed must be a whole number from 0 to 2[*][*]64 - 1, not -1"),
        (NOTHING, "there is nothing in these slices, so snr has no meaning; snr=None draws no noise"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        tomogram_slices(**{"n": 1, "size": 16, **arguments})


def test_a_transfer_function_is_refused_what_makes_no_sense():
    with pytest.raises(ArgumentError, match="amplitude_contrast must lie between 0 and 1, not 2"):
        transfer_function(16, 2.0, 5.0, amplitude_contrast=2)
    with pytest.raises(ArgumentError, match="voltage_kv must be a number above 0, not 0"):
        transfer_function(16, 2.0, 5.0, voltage_kv=0)
