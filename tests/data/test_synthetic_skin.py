"""Skin lesions: the same for the same seed, true to what is said of them, and every effect there when it is alone."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from minicnn.backend import Key
from minicnn.data.synthetic import skin_lesions
from minicnn.data.synthetic.pixel_noise import pixel_noise
from minicnn.errors import ArgumentError

BARE = {"tones": 0, "hairs": 0, "illumination": 0, "noise": 0}
PIGMENTS = np.stack([(600 / np.array([600, 540, 460])) ** 3.48, [0.1, 1.0, 0.9]], axis=1)  # melanin, blood


def unmixed(images):
    """Melanin and blood of every pixel, (N, 2, H, W), by Beer and Lambert's law."""
    return np.einsum("kc,nchw->nkhw", np.linalg.pinv(PIGMENTS), -np.log(images.astype(np.float64)))


@pytest.fixture(scope="module")
def large():
    return skin_lesions(6, size=320, prevalence=0.5, seed=3, **BARE)


@pytest.fixture(scope="module")
def many():
    return skin_lesions(3000, size=16, prevalence=0.3, difference=1.5, seed=1, **BARE)


def test_shapes_and_types():
    lesions = skin_lesions(5, size=20)
    assert lesions.images.shape == (5, 3, 20, 20)
    assert lesions.images.dtype == np.float32
    assert lesions.images.min() >= 0
    assert lesions.images.max() <= 1
    assert lesions.masks.shape == (5, 1, 20, 20)
    assert lesions.masks.dtype == bool
    assert lesions.labels.dtype == np.int64
    assert (lesions.abcd.shape, lesions.evidence.shape, lesions.centres.shape) == ((5, 4), (5,), (5, 2))
    assert lesions.pixel_mm == 1
    assert len(lesions) == 5
    assert "5 of 20 pixels" in repr(lesions)


def test_the_same_seed_draws_the_same():
    a, b, c = (skin_lesions(3, size=16, seed=seed) for seed in (1, 1, 2))
    assert (a.images == b.images).all()
    assert (a.images != c.images).any()


def test_what_is_in_the_way_changes_nothing_else():
    a, b = skin_lesions(4, size=16, seed=1), skin_lesions(4, size=16, seed=1, **BARE)
    assert (a.images != b.images).any()
    for name in ("labels", "masks", "abcd", "evidence", "centres"):
        assert (getattr(a, name) == getattr(b, name)).all(), name


def test_the_diameter_is_that_of_a_circle_of_the_same_area(large):
    area = large.masks.sum(axis=(1, 2, 3)) * large.pixel_mm**2
    np.testing.assert_allclose(2 * np.sqrt(area / np.pi), large.abcd[:, 3], rtol=0.01)


def test_the_outline_has_the_asymmetry_and_the_irregularity_drawn(large):
    angles = 2 * np.pi * np.arange(720) / 720
    far = np.arange(0, 10, 0.02)
    for mask, (row, column), (a, b, _, _) in zip(large.masks[:, 0], large.centres, large.abcd, strict=True):
        i = np.rint(row + np.outer(np.sin(angles), far) / large.pixel_mm).astype(int).clip(0, 319)
        j = np.rint(column + np.outer(np.cos(angles), far) / large.pixel_mm).astype(int).clip(0, 319)
        radius = mask[i, j].sum(axis=1) * 0.02
        power = 2 * np.abs(np.fft.rfft(radius / radius.mean()) / 720) ** 2
        np.testing.assert_allclose(np.sqrt(power[3:6].sum()), a, rtol=0.05, atol=0.003)
        np.testing.assert_allclose(np.sqrt(power[7:16].sum()), b, rtol=0.08, atol=0.003)


def test_the_melanin_inside_varies_as_drawn(large):
    melanin = unmixed(large.images)[:, 0]
    for m, mask, c in zip(melanin, large.masks[:, 0], large.abcd[:, 2], strict=True):
        np.testing.assert_allclose(m[0, 0], 0.06, rtol=0.01)  # fair skin
        np.testing.assert_allclose(np.log(m[mask] - 0.06).std(), c, rtol=1e-3)


def test_a_lesion_lies_inside_the_field(many, large):
    for lesions in (many, large):
        masks = lesions.masks[:, 0]
        assert not masks[:, [0, -1]].any()
        assert not masks[:, :, [0, -1]].any()
        assert masks.any(axis=(1, 2)).all()


def test_the_evidence_is_the_likelihood_ratio_of_what_was_drawn(many):
    low, high = np.array([0, 0, 0, 2.5]), np.array([0.2, 0.08, 0.8, 10])
    share = (many.abcd - low) / (high - low)
    signs = np.log(share / (1 - share)) + 0.5
    want = (stats.norm.logpdf(signs, 0.75) - stats.norm.logpdf(signs)).sum(axis=1)
    np.testing.assert_allclose(many.evidence, want, atol=1e-9)
    for k in (0, 1):
        for j in range(4):
            assert stats.kstest(signs[many.labels == k, j], "norm", (0.75 * k, 1)).pvalue > 1e-3


def test_the_classes_overlap_as_promised(many):
    assert abs(many.labels.mean() - 0.3) < 0.03
    assert abs(roc_auc_score(many.labels, many.evidence) - stats.norm.cdf(1.5 / np.sqrt(2))) < 0.02
    p = many.probability(0.3)
    assert abs(p.mean() - 0.3) < 0.03
    sure = (p > 0.4) & (p < 0.6)
    assert abs(many.labels[sure].mean() - p[sure].mean()) < 0.1
    odds = p / (1 - p)
    elsewhere = many.probability(0.01)
    np.testing.assert_allclose(elsewhere / (1 - elsewhere) / odds, (0.01 / 0.99) / (0.3 / 0.7))


def test_without_a_difference_there_is_no_evidence():
    assert (skin_lesions(5, size=16, difference=0).evidence == 0).all()


@pytest.mark.parametrize("share", [0, 1])
def test_one_class_alone(share):
    assert (skin_lesions(9, size=16, prevalence=share).labels == share).all()


def test_hairs_alone_only_darken():
    bare = skin_lesions(40, size=32, seed=2, **BARE).images
    some, more = (skin_lesions(40, size=32, seed=2, **{**BARE, "hairs": hairs}).images for hairs in (1, 6))
    assert (some <= bare).all()
    assert 0.001 < (some < bare - 0.05).mean() < (more < bare - 0.05).mean() / 3 < 0.1


def test_light_from_one_side_alone_is_a_plane():
    bare = skin_lesions(5, size=16, seed=2, **BARE).images.astype(np.float64)
    lit = skin_lesions(5, size=16, seed=2, **{**BARE, "illumination": 0.25}).images
    ratio = (lit / bare)[:, 2]  # blue is dark: nothing is cut off at 1
    np.testing.assert_allclose(np.diff(ratio, 2, axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(np.diff(ratio, 2, axis=2), 0, atol=1e-5)
    tilt = np.abs(ratio - 1).max(axis=(1, 2))
    assert 0.05 < tilt.max() <= 0.25 + 1e-5


def test_noise_alone_is_that_of_counted_photons():
    bare = skin_lesions(30, size=32, seed=2, **BARE).images
    off = (skin_lesions(30, size=32, seed=2, **{**BARE, "noise": 0.03}).images - bare) / 0.03
    assert abs(off.mean()) < 0.01
    for low, high in ((0.0, 0.2), (0.4, 0.6), (0.6, 0.8)):
        here = (bare >= low) & (bare < high)
        np.testing.assert_allclose(off[here].var(), bare[here].mean() + 0.04, rtol=0.05)


def test_tones_alone_spread_the_melanin_of_the_skin():
    corners = skin_lesions(200, size=16, seed=2, **{**BARE, "tones": 1}).images[:, :, :1, :1]
    skin = unmixed(corners)[:, 0, 0, 0]
    assert skin.min() < 0.08
    assert 0.4 < skin.max() < 0.6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"n": 3, "size": 8}, "size must be a whole number of at least 16, not 8"),
        ({"n": 3, "prevalence": 1.2}, "prevalence is a probability"),
        ({"n": 3, "tones": -1}, "tones is a probability"),
        ({"n": 3, "difference": -1}, "difference must be a number of at least 0, not -1"),
        ({"n": 3, "hairs": float("nan")}, "hairs must be a number of at least 0, not nan"),
        ({"n": 3, "noise": "much"}, "noise must be a number of at least 0, not 'much'"),
        ({"n": 3, "noise": "0.1"}, "noise must be a number of at least 0, not '0.1'"),
        ({"n": 3, "hairs": True}, "hairs must be a number of at least 0, not True"),
        ({"n": 3, "illumination": 1}, "illumination must be below 1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        skin_lesions(**arguments)


@pytest.mark.parametrize("share", [0, 1, 1.5])
def test_no_probability_without_two_classes(share):
    with pytest.raises(ArgumentError, match="prevalence"):
        skin_lesions(2, size=16).probability(share)


def test_pixel_noise_is_normal():
    noise = pixel_noise(Key(1, 2, 3), shape=(501, 401))
    assert noise.shape == (501, 401)
    assert noise.dtype == np.float32
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise.ravel()[:-1], noise.ravel()[1:])[0, 1]) < 0.01
    assert (noise == pixel_noise(Key(1, 2, 3), shape=(501, 401))).all()
    assert (noise != pixel_noise(Key(1, 2, 4), shape=(501, 401))).mean() > 0.9
