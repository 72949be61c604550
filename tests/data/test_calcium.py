"""Drawn calcium imaging: exact truth, and each effect of the physics when it is the only one."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from scipy.ndimage import gaussian_filter

from minicnn.backend import Key
from minicnn.data.synthetic import CalciumImaging, Neurons, calcium_frames, calcium_movie, spike_response
from minicnn.data.synthetic.calcium_tissue import neuropil_field, vessel_shadows
from minicnn.data.synthetic.photons import detected, poisson
from minicnn.errors import ArgumentError

BARE = CalciumImaging(
    size=(40, 56),
    neurons=0,
    out_of_focus=0,
    texture=0,
    vessels=0,
    vignetting=0,
    blur=0,
    rate=0,
    read_noise=0,
    photons=5,
)
"""Nothing but even light: every effect is off."""
ONE = replace(BARE, neurons=1, spread=0, elongation=0, contrast=2.0)
SMALL = CalciumImaging(size=48, neurons=5, out_of_focus=3)


def expected(imaging, **options):
    return calcium_frames(1, imaging, **options).expected[0, 0]


def from_centre(imaging, seed=0):
    """How far each pixel is from the one neuron's centre, in radii, by a loop."""
    neurons = calcium_frames(1, imaging, seed=seed).neurons[0]
    (row, column), radius = neurons.centres[0], neurons.radii[0]
    height, width = imaging.shape
    return np.array([[np.hypot(i - row, j - column) for j in range(width)] for i in range(height)]) / radius


def test_the_same_seed_draws_the_same_and_another_draws_another():
    a, b = calcium_frames(2, SMALL, seed=3), calcium_frames(3, SMALL, seed=3)
    np.testing.assert_array_equal(a.images, b.images[:2])
    np.testing.assert_array_equal(a.neurons[1].centres, b.neurons[1].centres)
    assert not np.array_equal(a.images[0], a.images[1])
    assert not np.array_equal(a.images, calcium_frames(2, SMALL, seed=4).images)


def test_shapes_and_types():
    frames = calcium_frames(2, replace(BARE, neurons=3, out_of_focus=4))
    assert len(frames) == 2
    assert frames.images.shape == frames.expected.shape == (2, 1, 40, 56)
    assert frames.images.dtype == frames.expected.dtype == np.float32
    assert frames.labels.shape == (2, 40, 56)
    assert frames.labels.dtype == np.int32
    assert [len(n) for n in frames.neurons] == [3, 3]
    assert [o.shape for o in frames.out_of_focus] == [(4, 2), (4, 2)]


def test_without_any_effect_the_light_is_even():
    np.testing.assert_array_equal(expected(BARE), 5)


# What lies in the tissue.


def test_a_neuron_is_a_ring():
    light, share = expected(ONE) / 5, from_centre(ONE)
    edge = 1 / 5  # of a pixel, in radii
    np.testing.assert_allclose(light[(share > 0.6 + edge) & (share < 1 - edge)], 1 + 2)
    np.testing.assert_allclose(light[share < 0.6 - edge], 1 + 2 * 0.15, rtol=1e-6)
    np.testing.assert_allclose(light[share > 1 + edge], 1)
    full = expected(replace(ONE, nucleus=0)) / 5
    np.testing.assert_allclose(full[share < 1 - edge], 1 + 2)


def test_labels_and_masks_are_the_outlines_by_a_loop():
    neurons = Neurons(
        centres=np.array([[9.3, 10.1], [15.0, 17.5]]),
        radii=np.array([6.0, 5.0]),
        elongations=np.array([0.3, 0.1]),
        angles=np.array([0.4, 2.0]),
        brightness=np.ones(2),
    )
    share = np.empty((2, 24, 26))
    for k in range(2):
        for i in range(24):
            for j in range(26):
                down, right = i - neurons.centres[k, 0], j - neurons.centres[k, 1]
                turned = np.arctan2(right, down) - neurons.angles[k]
                outline = neurons.radii[k] * (1 + neurons.elongations[k] * np.cos(2 * turned))
                share[k, i, j] = np.hypot(down, right) / outline
    np.testing.assert_array_equal(neurons.masks((24, 26)), share <= 1)
    assert (share <= 1).all(axis=0).any(), "the two overlap"
    want = np.where((share <= 1).any(axis=0), 1 + (share[1] < share[0]), 0)
    np.testing.assert_array_equal(neurons.labels((24, 26)), want)


@pytest.mark.parametrize("overlap", [0.0, 0.4])
def test_neurons_keep_their_distance(overlap):
    crowded = replace(BARE, neurons=14, size=90, overlap=overlap, radius=(5, 7), elongation=0)
    nearest = []
    for neurons in calcium_frames(6, crowded).neurons:
        assert ((neurons.radii >= 5) & (neurons.radii <= 7)).all()
        for a in range(14):
            for b in range(a):
                apart = np.hypot(*(neurons.centres[a] - neurons.centres[b])) / (neurons.radii[a] + neurons.radii[b])
                nearest.append(apart)
    assert 1 - overlap <= min(nearest) < 1 - overlap + 0.1


def test_even_long_cells_stay_whole():
    long = replace(BARE, neurons=8, size=(50, 60), overlap=0.3, elongation=0.3)
    for neurons in calcium_frames(6, long).neurons:
        beyond = replace(neurons, centres=neurons.centres + 20)
        inside = beyond.masks((90, 100))
        np.testing.assert_array_equal(inside[:, 20:70, 20:80], neurons.masks((50, 60)))
        assert inside.sum() == inside[:, 20:70, 20:80].sum(), "nothing is cut off by the border"


def test_brightness_is_log_normal():
    many = replace(BARE, neurons=30, size=64, radius=(2, 2), contrast=0.7, spread=0.4)
    log = np.log(np.concatenate([n.brightness for n in calcium_frames(10, many).neurons]) / 0.7)
    assert scipy.stats.kstest(log / 0.4, "norm").pvalue > 0.01


def test_cells_out_of_focus_are_spots_that_no_label_counts():
    frames = calcium_frames(1, replace(BARE, out_of_focus=1))
    light = frames.expected[0, 0] - 5
    row, column = frames.out_of_focus[0][0]
    assert not frames.labels.any()
    top = np.unravel_index(light.argmax(), light.shape)
    assert np.hypot(top[0] - row, top[1] - column) <= 0.71
    assert 0.3 * 5 * 0.9 < light.max() < 0.8 * 5
    distance = np.hypot(np.arange(40)[:, None] - row, np.arange(56) - column)
    order = np.argsort(distance.ravel())
    assert (np.diff(light.ravel()[order]) <= 1e-6).all(), "no dark middle"


def test_neuropil_has_its_texture_at_two_lengths():
    field = neuropil_field(Key(1, 2, 3), (256, 256), 0.2)
    assert field.mean() == pytest.approx(1, abs=0.03)
    assert field.std() == pytest.approx(0.2, rel=0.15)

    def alike(lag):
        return np.corrcoef(field[:, lag:].ravel(), field[:, :-lag].ravel())[0, 1]

    # a Gaussian smoothed with sigma s has the correlation exp(-lag^2 / (4 s^2))
    for lag in (2, 6, 10):
        want = 0.64 * np.exp(-(lag**2) / 400) + 0.36 * np.exp(-(lag**2) / 9)
        assert alike(lag) == pytest.approx(want, abs=0.12)
    assert expected(replace(BARE, texture=0.2), seed=1).std() > 0.5


def test_vessels_throw_shadows():
    shadows = vessel_shadows(Key(5, 0, 0), (64, 64), 1)
    assert shadows.min() == pytest.approx(0.4)
    assert shadows.max() <= 1
    assert 0.02 < (shadows < 0.7).mean() < 0.4
    light = expected(replace(BARE, vessels=2)) / 5
    assert light.min() < 0.45
    assert (vessel_shadows(Key(5, 0, 0), (64, 64), 0) == 1).all()


def test_corners_are_dark():
    light = expected(replace(BARE, size=(41, 57), vignetting=0.4)) / 5
    assert light[20, 28] == 1
    np.testing.assert_allclose(light[[0, 0, -1, -1], [0, -1, 0, -1]], 0.6, rtol=1e-6)
    assert light[0, 28] == pytest.approx(1 - 0.4 * 20**2 / (20**2 + 28**2))


def test_the_blur_is_a_gaussian():
    sharp, soft = expected(ONE), expected(replace(ONE, blur=1.5))
    np.testing.assert_allclose(soft, gaussian_filter(sharp.astype(np.float64), 1.5, mode="nearest"), rtol=1e-5)
    assert np.abs(soft - sharp).max() > 1


# What the detector makes of it.


@pytest.mark.parametrize("mean", [0.02, 0.7, 8.0, 400.0])
def test_photons_are_poisson(mean):
    counts = poisson(Key(1, 2, 3), np.full(20000, mean))
    top = int(scipy.stats.poisson.ppf(0.9999, mean)) + 1
    want = scipy.stats.poisson.cdf(np.arange(top + 1), mean)
    got = np.searchsorted(np.sort(counts), np.arange(top + 1), side="right") / 20000
    assert np.abs(got - want).max() < 0.015
    np.testing.assert_array_equal(counts, scipy.stats.poisson.ppf(_uniform(20000), mean))


def _uniform(count):
    from minicnn.ops import random_uniform

    return random_uniform(Key(1, 2, 3), shape=(count,))


def test_no_light_no_photons():
    assert (poisson(Key(0, 0, 0), np.zeros((3, 4))) == 0).all()


def test_noise_falls_with_the_frames_and_electronics_add_theirs():
    even = np.full((200, 200), 2.0)
    assert detected(Key(0, 0, 1), even).std() == pytest.approx(np.sqrt(2), rel=0.03)
    assert detected(Key(0, 0, 1), even, frames=25).std() == pytest.approx(np.sqrt(2) / 5, rel=0.03)
    assert detected(Key(0, 0, 1), even, frames=25, read_noise=3).std() == pytest.approx(np.sqrt(2 + 9) / 5, rel=0.03)
    frames = calcium_frames(1, replace(BARE, size=100, photons=4), frames=16)
    assert (frames.images - frames.expected).std() == pytest.approx(2 / 4, rel=0.05)
    assert (frames.images - frames.expected).mean() == pytest.approx(0, abs=0.02)


def test_one_effect_leaves_the_others_as_they_are():
    base = calcium_frames(1, SMALL)
    for change in ({"photons": 3.0}, {"read_noise": 0.0}, {"vessels": 0}, {"out_of_focus": 0}, {"texture": 0}):
        other = calcium_frames(1, replace(SMALL, **change))
        np.testing.assert_array_equal(other.neurons[0].centres, base.neurons[0].centres)
        assert not np.array_equal(other.images, base.images)
    np.testing.assert_allclose(calcium_frames(1, replace(SMALL, photons=3.0)).expected, 3 * base.expected, rtol=1e-6)


# Activity.


@pytest.mark.parametrize(("indicator", "peak", "at", "half"), [("GCaMP6f", 0.19, 45, 142), ("GCaMP6s", 0.23, 179, 550)])
def test_a_spike_s_response_has_the_published_times(indicator, peak, at, half):
    milliseconds = np.arange(-50, 3000)
    response = spike_response(indicator, milliseconds / 1000)
    assert (response[milliseconds <= 0] == 0).all()
    assert response.max() == pytest.approx(peak, rel=1e-4)
    assert milliseconds[response.argmax()] == at
    later = response[response.argmax() :]
    assert np.flatnonzero(later < peak / 2)[0] == pytest.approx(half, abs=1)


def test_traces_are_the_sum_of_the_spikes_responses():
    movie = calcium_movie(60, replace(SMALL, rate=3.0, frame_rate=20.0))
    assert movie.spikes.shape == movie.traces.shape == (5, 60)
    assert movie.spikes.max() >= 1
    want = np.zeros((5, 60))
    for k, t in zip(*np.nonzero(movie.spikes), strict=True):
        want[k] += movie.spikes[k, t] * spike_response("GCaMP6f", (np.arange(60) - t) / 20.0)
    np.testing.assert_allclose(movie.traces, want, atol=1e-12)


def test_neurons_fire_at_the_rate():
    busy = replace(BARE, size=40, neurons=30, rate=2.0, frame_rate=10.0, radius=(2, 2))
    rates = calcium_movie(200, busy).spikes.sum(axis=1) / 20
    assert 1.2 < rates.mean() < 3
    assert rates.max() > 4 * np.median(rates), "cells differ"


def test_a_neuron_s_light_in_the_movie_is_its_trace():
    movie = calcium_movie(40, replace(ONE, rate=4.0, texture=0.3), seed=2)
    share = from_centre(replace(ONE, rate=4.0), seed=2)
    ring, outside = (share > 0.8) & (share < 0.82), share > 1.3
    assert ring.any()
    web = movie.expected[:, outside].mean(axis=1) / movie.expected[0, outside].mean()
    own = movie.expected[:, ring] - movie.expected[0, ring] * web[:, None]
    np.testing.assert_allclose(
        own / 5, (2 * (1 + movie.traces[0]) - 2 * web)[:, None] * np.ones(ring.sum()), rtol=1e-4, atol=1e-4
    )
    assert movie.traces[0].max() > 0.1
    assert web.max() > 1.01, "the neuropil flickers, too"


def test_the_mean_of_the_movie_is_the_mean_frame():
    movie, still = calcium_movie(50, SMALL, seed=5), calcium_frames(1, SMALL, frames=50, seed=5)
    np.testing.assert_allclose(movie.expected.mean(axis=0), still.expected[0, 0], rtol=1e-5)
    np.testing.assert_array_equal(movie.labels, still.labels[0])
    difference = movie.frames.mean(axis=0) - still.images[0, 0]  # two draws of noise
    sigma = np.sqrt((still.expected[0, 0] + SMALL.read_noise**2) / 50)
    assert (difference / sigma).std() == pytest.approx(np.sqrt(2), rel=0.1)


def test_drift_moves_the_tissue_and_not_the_microscope():
    still = calcium_movie(30, replace(ONE, vignetting=0.5))
    moving = calcium_movie(30, replace(ONE, vignetting=0.5), drift=0.5)
    assert (still.shifts == 0).all()
    assert np.diff(moving.shifts, axis=0).std() == pytest.approx(0.5, rel=0.3)
    corner = moving.expected[:, 0, 0]
    np.testing.assert_allclose(corner, corner[0], rtol=1e-6)
    light = calcium_movie(1, replace(BARE, vignetting=0.5)).expected[0]
    rows, columns = np.indices(light.shape)

    def centroid(frame):
        weight = frame / light - 1
        return np.array([(rows * weight).sum(), (columns * weight).sum()]) / weight.sum()

    for t in (7, 29):
        moved = centroid(moving.expected[t]) - centroid(still.expected[t])
        np.testing.assert_allclose(moved, moving.shifts[t], atol=0.02)


# Arguments.


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": 0}, "size must be at least 1"),
        ({"neurons": -1}, "neurons must be a whole number of at least 0"),
        ({"vessels": 1.5}, "vessels must be a whole number"),
        ({"radius": (7, 5)}, r"radius must be the least and the largest, .* not \(7, 5\)"),
        ({"radius": 5}, "radius must be the least and the largest, .* not 5"),
        ({"radius": ("5", "7")}, "radius must be the least and the largest"),
        ({"nucleus": "half"}, "nucleus must lie between 0 and 0.9, not 'half'"),
        ({"overlap": True}, "overlap must lie between 0 and 1, not True"),
        ({"blur": "much"}, "blur must be a number of at least 0, not 'much'"),
        ({"photons": "many"}, "photons must be a number above 0, not 'many'"),
        ({"rate": True}, "rate must be a number of at least 0, not True"),
        ({"nucleus": 1.2}, "nucleus must lie between 0 and 0.9, not 1.2"),
        ({"overlap": -0.1}, "overlap must lie between 0 and 1, not -0.1"),
        ({"blur": np.nan}, "blur must be a number of at least 0, not nan"),
        ({"photons": 0}, "photons must be a number above 0, not 0"),
        ({"indicator": "GCaMP9"}, "indicator must be one of 'GCaMP6f', 'GCaMP6s', not 'GCaMP9'"),
    ],
)
def test_settings_without_sense_are_refused(wrong, message):
    with pytest.raises(ArgumentError, match=message):
        CalciumImaging(**wrong)


def test_arguments_without_sense_are_refused():
    with pytest.raises(ArgumentError, match="count must be a whole number of at least 1, not 0"):
        calcium_frames(0)
    with pytest.raises(ArgumentError, match="frames must be a whole number"):
        calcium_frames(1, frames=0)
    with pytest.raises(ArgumentError, match=r"imaging must be a CalciumImaging\(...\), not 3"):
        calcium_frames(1, 3)
    with pytest.raises(ArgumentError, match="drift must be a number of at least 0, not -1"):
        calcium_movie(2, SMALL, drift=-1)
    with pytest.raises(ArgumentError, match="drift must be a number of at least 0, not 'far'"):
        calcium_movie(2, SMALL, drift="far")
    with pytest.raises(ArgumentError, match="indicator must be one of"):
        spike_response("GFP", np.zeros(3))
    with pytest.raises(ArgumentError, match=r"only \d+ of 60 neurons found a place on 48 x 48 pixels"):
        calcium_frames(1, replace(SMALL, neurons=60))
    with pytest.raises(ArgumentError, match="does not fit into 10 x 10 pixels"):
        calcium_frames(1, replace(SMALL, size=10))
