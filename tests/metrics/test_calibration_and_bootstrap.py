"""Calibration against scikit-learn's and the paper's formula; bootstrap intervals against theory."""

import numpy as np
import pytest
import sklearn.calibration
from hypothesis import given
from hypothesis import strategies as st

from minicnn import metrics
from minicnn.errors import ArgumentError, DataError, ShapeError

EXAMPLES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20)), min_size=2, max_size=40).filter(
    lambda pairs: len({label for label, _ in pairs}) == 2
)


@given(examples=EXAMPLES, n_bins=st.integers(1, 12), strategy=st.sampled_from(["uniform", "quantile"]))
def test_the_curve_is_scikit_learns(examples, n_bins, strategy):
    y_true, y_prob = np.array(examples).T
    want = sklearn.calibration.calibration_curve(y_true, y_prob / 20, n_bins=n_bins, strategy=strategy)
    got = metrics.calibration_curve(y_true, y_prob / 20, n_bins=n_bins, strategy=strategy)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_the_calibration_error_is_the_papers_sum_over_bins():
    generator = np.random.default_rng(0)
    y_prob = generator.dirichlet(np.ones(4), size=200)
    y_true = generator.integers(0, 4, 200)
    confidence, right = y_prob.max(axis=1), y_prob.argmax(axis=1) == y_true
    want = 0.0
    for m in range(10):
        inside = (confidence > m / 10) & (confidence <= (m + 1) / 10)
        if inside.any():
            want += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert metrics.expected_calibration_error(y_true, y_prob, n_bins=10) == pytest.approx(want, abs=1e-12)


def test_a_forecaster_that_knows_its_odds_is_calibrated():
    generator = np.random.default_rng(0)
    p = generator.random(20000)
    y = generator.random(20000) < p
    assert metrics.expected_calibration_error(y.astype(int), np.stack([1 - p, p], axis=1)) < 0.02
    assert metrics.expected_calibration_error(y.astype(int), np.stack([1 - p**3, p**3], axis=1)) > 0.1


def test_the_interval_of_an_accuracy_is_as_wide_as_the_binomials():
    y_true = np.zeros(400, dtype=int)
    y_pred = (np.arange(400) < 80).astype(int)  # 80 % right
    interval = metrics.bootstrap_interval(metrics.accuracy_score, y_true, y_pred)
    spread = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert interval.value == pytest.approx(0.8)
    assert interval.low == pytest.approx(0.8 - spread, abs=0.008)
    assert interval.high == pytest.approx(0.8 + spread, abs=0.008)
    assert str(interval).startswith("0.8 (95% confidence: 0.7")


def test_intervals_hold_the_true_value_about_as_often_as_they_say():
    generator = np.random.default_rng(0)
    held = 0
    for seed in range(60):
        y_pred = (generator.random(100) < 0.3).astype(int)
        interval = metrics.bootstrap_interval(
            metrics.accuracy_score, np.zeros(100, dtype=int), y_pred, level=0.8, resamples=100, seed=seed
        )
        held += interval.low <= 0.7 <= interval.high
    assert 36 <= held <= 58


def test_the_same_seed_gives_the_same_interval_and_another_another():
    y_true, y_score = np.array([0, 1] * 20), np.linspace(0, 1, 40)
    first, again, other = (
        metrics.bootstrap_interval(metrics.roc_auc_score, y_true, y_score, resamples=50, seed=seed)
        for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_draws_without_a_positive_are_left_out():
    y_true, y_score = np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    interval = metrics.bootstrap_interval(metrics.roc_auc_score, y_true, y_score, resamples=100)
    assert (interval.value, interval.low, interval.high) == (1, 1, 1)


def curve(y_true=(0, 1), y_prob=(0.2, 0.9), **options):
    return metrics.calibration_curve(y_true, y_prob, **options)


def interval(y_true=(0, 1, 1), y_pred=(0, 1, 0), measure=metrics.accuracy_score, **options):
    return metrics.bootstrap_interval(measure, y_true, y_pred, **options)


BAD = {
    "scores": (lambda: curve(y_prob=(-1.0, 2.0)), DataError, "softmax or sigmoid"),
    "labels": (lambda: curve(y_true=(1, 2)), DataError, "one at a time"),
    "shapes": (lambda: curve(y_true=(1,)), ShapeError, "shape"),
    "strategy": (lambda: curve(strategy="x"), ArgumentError, "strategy"),
    "bins": (lambda: curve(n_bins=0), ArgumentError, "n_bins"),
    "no table": (lambda: metrics.expected_calibration_error([0, 1], [0.1, 0.9]), ShapeError, r"\(N, K\)"),
    "level": (lambda: interval(level=95), ArgumentError, "level"),
    "lengths": (lambda: interval(y_pred=(0,)), ShapeError, "one length"),
    "nobody": (lambda: interval(y_true=(), y_pred=()), DataError, "no predictions"),
    "never": (lambda: interval(measure=lambda t, p: np.nan), DataError, "undefined in 1000 of 1000"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_a_bin_has_its_upper_edge():
    y_prob = np.array([[0.5, 0.5], [0.45, 0.55], [0.0, 1.0]])
    y_true = np.array([1, 1, 1])  # the first is read as 0, with the confidence 0.5: the upper edge of bin 5 of 10
    assert metrics.expected_calibration_error(y_true, y_prob, n_bins=10) == pytest.approx((0.5 + 0.45 + 0) / 3)


def test_an_interval_of_half_the_cases_ends_at_the_quartiles():
    y_pred = (np.arange(400) < 80).astype(int)
    interval = metrics.bootstrap_interval(metrics.accuracy_score, np.zeros(400, dtype=int), y_pred, level=0.5)
    width = 2 * 0.6745 * np.sqrt(0.8 * 0.2 / 400)
    assert interval.high - interval.low == pytest.approx(width, rel=0.2)


@pytest.mark.parametrize("measure", [metrics.recall_score, metrics.f1_score, metrics.average_precision_score])
def test_draws_in_which_a_measure_is_undefined_are_left_out(measure):
    y = np.zeros(60, dtype=int)
    y[:2] = 1  # about one draw in eight has no positive example
    found = metrics.bootstrap_interval(measure, y, y)
    assert (found.low, found.high) == (1, 1)


def test_draws_without_one_of_the_classes_are_left_out():
    y = np.repeat([0, 1, 2], [30, 30, 2])
    p = np.eye(3)[y] * 0.7 + 0.1
    found = metrics.bootstrap_interval(metrics.roc_auc_score, y, p, resamples=100, multi_class="ovr")
    assert (found.low, found.high) == (1, 1)


@pytest.mark.parametrize(
    ("y_true", "y_prob", "words"), [([0, 1], [[0.1], [0.9]], "one column"), ([0, 2], np.eye(2), "labels")]
)
def test_what_are_no_classes_is_refused(y_true, y_prob, words):
    with pytest.raises((ShapeError, DataError), match=words):
        metrics.expected_calibration_error(y_true, y_prob)
