"""Measures of images against scikit-image's."""

import numpy as np
import pytest
import skimage.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from minicnn import metrics
from minicnn.errors import ArgumentError, DataError, ShapeError


def pair(seed, shape, dtype=np.float64):
    generator = np.random.default_rng(seed)
    a = generator.random(shape)
    b = np.clip(a + generator.normal(0, 0.1, shape), 0, 1)
    return (
        ((a * 255).astype(dtype), (b * 255).astype(dtype)) if dtype == np.uint8 else (a.astype(dtype), b.astype(dtype))
    )


@settings(max_examples=40)
@given(
    seed=st.integers(0, 999),
    sides=st.tuples(st.integers(11, 24), st.integers(11, 24)),
    options=st.fixed_dictionaries(
        {
            "gaussian_weights": st.booleans(),
            "use_sample_covariance": st.booleans(),
            "win_size": st.sampled_from([None, 3, 9]),
            "sigma": st.sampled_from([1.5, 0.8]),
            "K1": st.sampled_from([0.01, 0.05]),
        }
    ),
)
def test_structural_similarity_is_scikit_images(seed, sides, options):
    if options["gaussian_weights"]:
        options["win_size"] = None  # sigma decides it
    a, b = pair(seed, sides)
    want, want_map = skimage.metrics.structural_similarity(a, b, data_range=1.0, full=True, **options)
    got, got_map = metrics.structural_similarity(a, b, data_range=1.0, full=True, **options)
    assert got == pytest.approx(want, abs=1e-9)
    np.testing.assert_allclose(got_map, want_map, rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_channels_and_types_are_scikit_images(dtype):
    a, b = pair(3, (20, 16, 3), dtype)
    options = {"channel_axis": 2, "data_range": None if dtype == np.uint8 else 1.0}
    want = skimage.metrics.structural_similarity(a, b, **options)
    assert metrics.structural_similarity(a, b, **options) == pytest.approx(want, abs=1e-6)


def test_the_papers_formula_at_one_window():
    a, b = pair(4, (7, 7))
    mx, my, cov = a.mean(), b.mean(), ((a - a.mean()) * (b - b.mean())).mean()
    c1, c2 = 0.01**2, 0.03**2
    want = (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (a.var() + b.var() + c2))
    assert metrics.structural_similarity(a, b, data_range=1.0, use_sample_covariance=False) == pytest.approx(want)


@given(seed=st.integers(0, 999), dtype=st.sampled_from([np.uint8, np.float64]))
def test_error_and_noise_ratio_are_scikit_images(seed, dtype):
    a, b = pair(seed, (3, 5), dtype)
    assert metrics.mean_squared_error(a, b) == pytest.approx(skimage.metrics.mean_squared_error(a, b), rel=1e-12)
    options = {"data_range": None if dtype == np.uint8 else 1.0}
    want = skimage.metrics.peak_signal_noise_ratio(a, b, **options)
    assert metrics.peak_signal_noise_ratio(a, b, **options) == pytest.approx(want, rel=1e-12)


def test_equal_images():
    a, _ = pair(0, (12, 12))
    assert metrics.mean_squared_error(a, a) == 0
    assert metrics.peak_signal_noise_ratio(a, a, data_range=1.0) == np.inf
    assert metrics.structural_similarity(a, a, data_range=1.0) == pytest.approx(1)


BAD = {
    "shapes": (lambda a: metrics.mean_squared_error(a, a[1:]), ShapeError, "must be equal"),
    "empty": (lambda a: metrics.mean_squared_error(a[:0], a[:0]), DataError, "no pixels"),
    "range": (lambda a: metrics.structural_similarity(a, a), ArgumentError, "data_range: 1.0"),
    "psnr range": (lambda a: metrics.peak_signal_noise_ratio(a, a, data_range=0), ArgumentError, "above 0"),
    "window": (lambda a: metrics.structural_similarity(a, a, data_range=1, win_size=13), ShapeError, "does not fit"),
    "even": (lambda a: metrics.structural_similarity(a, a, data_range=1, win_size=4), ArgumentError, "odd"),
    "one pixel": (lambda a: metrics.structural_similarity(a, a, data_range=1, win_size=1), ArgumentError, "at least 3"),
    "no pixel": (lambda a: metrics.structural_similarity(a, a, data_range=1, win_size=0), ArgumentError, "at least 3"),
    "half": (lambda a: metrics.structural_similarity(a, a, data_range=1, win_size=3.5), ArgumentError, "whole number"),
    "channels": (lambda a: metrics.structural_similarity(a, a, data_range=1, channel_axis=2), ArgumentError, "no axis"),
    "nan": (lambda a: metrics.structural_similarity(a, a, data_range=1, sigma=np.nan), ArgumentError, "sigma must be"),
    "sigma": (lambda a: metrics.structural_similarity(a, a, data_range=1, sigma=0), ArgumentError, "sigma"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call(pair(0, (12, 12))[0])


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.float32])
def test_types_that_do_not_say_their_range_are_asked_for_it(dtype):
    a = np.array([[0, 100], [200, 50]], dtype=dtype)
    with pytest.raises(ArgumentError, match="255 for pixels from 0 to 255"):
        metrics.peak_signal_noise_ratio(a, a + 1)
    want = skimage.metrics.peak_signal_noise_ratio(a, a + 1, data_range=255)
    assert metrics.peak_signal_noise_ratio(a, a + 1, data_range=255) == pytest.approx(want)
