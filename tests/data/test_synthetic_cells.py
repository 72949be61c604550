"""Films of cells: paths as Fürth says, frames that tell nothing, evidence that is the likelihood ratio."""

from decimal import Decimal, localcontext

import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.linear_model import LogisticRegression

from minicnn.data.synthetic import cell_time_lapse
from minicnn.data.synthetic.cell_drawing import REACH
from minicnn.data.synthetic.walk import Walk, log_normal, reflected
from minicnn.errors import ArgumentError

ALIKE = {"persistence": (3.0, 3.0), "rise": (0.0, 0.0)}


@pytest.fixture(scope="module")
def films():
    return cell_time_lapse(800, 12, size=24, seed=1)


def test_shapes_and_types():
    films = cell_time_lapse(3, 5, size=24)
    assert films.movies.shape == (3, 5, 1, 24, 24)
    assert films.movies.dtype == np.float32
    assert films.movies.min() >= 0
    assert films.movies.max() <= 1
    assert films.labels.dtype == films.lengths.dtype == np.int64
    assert films.positions.shape == (3, 5, 2)
    assert films.granularity.shape == films.evidence.shape == films.divided.shape == (3, 5)
    assert len(films) == 3
    assert "3 of up to 5 frames of 24 x 24 pixels" in repr(films)


def test_a_single_frame_is_a_film():
    films = cell_time_lapse(4, 1)
    assert films.movies.shape == (4, 1, 1, 32, 32)
    assert (films.evidence == 0).all()


def test_the_same_seed_films_the_same():
    a, b, c = (cell_time_lapse(3, 4, seed=seed) for seed in (1, 1, 2))
    assert (a.movies == b.movies).all()
    assert (a.movies != c.movies).any()


def test_noise_and_lengths_change_nothing_else():
    a, b = cell_time_lapse(6, 6, seed=1), cell_time_lapse(6, 6, seed=1, noise=0, shortest=2)
    for name in ("labels", "positions", "granularity", "divided", "evidence"):
        assert (getattr(a, name) == getattr(b, name)).all(), name
    off = (a.movies - b.movies)[:, :2]  # all have two frames
    np.testing.assert_allclose(off.std(), 0.01, rtol=0.03)


class TestWalk:
    @pytest.mark.parametrize("persistence", [1e-3, 0.5, 99.0, 101.0, 1e5, 1e6])
    def test_covariance_has_all_its_digits(self, persistence):
        u, apart = 1 / Decimal(persistence), Decimal(3)
        a = (-u).exp()
        covariance = Walk(persistence, 2.0).covariance(5)
        np.testing.assert_allclose(covariance[0, 0], float(4 * (u - 1 + a) / u**2), rtol=1e-10)
        np.testing.assert_allclose(covariance[0, 1], float(2 * ((1 - a) / u) ** 2), rtol=1e-10)
        np.testing.assert_allclose(covariance[4, 1], float(2 * ((1 - a) / u) ** 2 * a ** (apart - 1)), rtol=1e-10)

    def test_log_likelihood_of_an_almost_straight_path(self):
        """By elimination in 60 digits: x'C^-1 x and det C from the pivots of C = L D L'."""
        path = [0.7 + 1e-3 * (-1) ** t for t in range(12)]
        with localcontext(prec=60):
            P, rest = Decimal(10) ** 5, [Decimal(x) for x in path]
            a = (-1 / P).exp()
            between = [P**2 * (1 / P - 1 + a), *(P**2 * (1 - a) ** 2 * a**k / 2 for k in range(11))]
            C = [[between[abs(i - j)] for j in range(12)] for i in range(12)]
            exact = Decimal(0)
            for k in range(12):
                exact -= (rest[k] ** 2 / C[k][k] + C[k][k].ln() + Decimal(2 * np.pi).ln()) / 2
                for i in range(k + 1, 12):
                    factor = C[i][k] / C[k][k]
                    rest[i] -= factor * rest[k]
                    C[i] = [c - factor * above for c, above in zip(C[i], C[k], strict=True)]
        got = Walk(1e5, 1.0).log_likelihood(np.array(path))[-1]
        assert got == pytest.approx(float(exact), rel=1e-6)

    def test_covariance_is_that_of_the_velocity_integrated(self):
        walk = Walk(persistence=2.5, speed=1.2)
        covariance = walk.covariance(4)
        for k in range(4):
            want, _ = integrate.dblquad(lambda s, t: 0.72 * np.exp(-abs(s - t) / 2.5), 0, 1, k, k + 1, epsabs=1e-6)
            np.testing.assert_allclose(covariance[0, k], want, rtol=1e-4)
            np.testing.assert_allclose(np.diag(covariance, k), covariance[0, k])

    @pytest.mark.parametrize("persistence", [0.01, 1.0, 30.0])
    def test_mean_square_displacement_is_furths(self, persistence):
        P, S, covariance = persistence, 1.7, Walk(persistence, 1.7).covariance(12)
        for t in (1, 4, 12):
            want = 2 * S**2 * P**2 * (t / P - 1 + np.exp(-t / P))
            np.testing.assert_allclose(2 * covariance[:t, :t].sum(), want, rtol=1e-9)

    def test_steps_have_that_covariance(self):
        walk = Walk(4.0, 1.0)
        steps = walk.steps(np.random.default_rng(0).standard_normal((2, 20000, 5)))
        np.testing.assert_allclose(np.cov(steps[0].T), walk.covariance(5), atol=0.02)

    def test_log_normal_of_every_beginning(self):
        random = np.random.default_rng(1)
        root, mean, x = random.normal(size=(5, 5)), random.normal(size=5), random.normal(size=(3, 5))
        covariance = root @ root.T + np.eye(5)
        got = log_normal(x, mean, covariance)
        for t in range(1, 6):
            want = stats.multivariate_normal(mean[:t], covariance[:t, :t]).logpdf(x[:, :t])
            np.testing.assert_allclose(got[:, t - 1], want, rtol=1e-10)

    def test_walls_reflect(self):
        def folded(x):
            while not 2 <= x <= 5:
                x = 4 - x if x < 2 else 10 - x
            return x

        x = np.linspace(-20, 20, 171)
        np.testing.assert_allclose(reflected(x, 2, 5), [folded(v) for v in x], atol=1e-12)


def test_cells_move_as_said():
    """In a well so wide that nobody meets a wall, after 6 frames."""
    films = cell_time_lapse(600, 7, size=24, seed=5, persistence=(0.5, 8.0), speed=(0.1, 0.1))
    away = films.positions[:, 6] - films.positions[:, 0]
    inside = ((films.positions > REACH + 0.7) & (films.positions < 23 - REACH - 0.7)).all(axis=(1, 2))
    for k, P in ((0, 0.5), (1, 8.0)):
        mean = (away[inside & (films.labels == k)] ** 2).sum(axis=1).mean()
        np.testing.assert_allclose(mean, 0.02 * P**2 * (6 / P - 1 + np.exp(-6 / P)), rtol=0.2)


def test_evidence_is_the_likelihood_ratio():
    films = cell_time_lapse(40, 6, size=80, seed=3, speed=(1.0, 1.4))
    t = np.arange(6)
    covariance = 1 + 0.015**2 * np.outer(t, t) + 0.15**2 * np.eye(6)
    checked = 0
    for i in range(40):
        if (np.abs(films.positions[i] - 39.5) > 30).any():
            continue  # it may have met a wall
        checked += 1
        for last in (1, 3, 5):
            ratio = 0.0
            for sign, rise, walk in ((1, 0.1, Walk(5.0, 1.4)), (-1, 0.0, Walk(1.0, 1.0))):
                part = covariance[: last + 1, : last + 1]
                ratio += sign * stats.multivariate_normal(rise * t[: last + 1], part).logpdf(
                    films.granularity[i, : last + 1]
                )
                steps = np.diff(films.positions[i, : last + 1], axis=0)
                path = stats.multivariate_normal(np.zeros(last), walk.covariance(last))
                ratio += sign * np.sum(path.logpdf(steps.T))
            np.testing.assert_allclose(films.evidence[i, last], ratio, rtol=1e-6, atol=1e-6)
    assert checked > 10


def test_evidence_grows_and_means_what_it_says(films):
    right = ((films.evidence > 0) == films.labels[:, None]).mean(axis=0)
    assert right[0] < 0.56
    assert right[3] > 0.65
    assert right[11] > 0.95
    p = 1 / (1 + np.exp(-films.evidence[:, 4]))
    for low, high in ((0.05, 0.35), (0.35, 0.65), (0.65, 0.95)):
        among = (p > low) & (p < high)
        error = np.sqrt((p * (1 - p))[among].mean() / among.sum())
        assert abs(films.labels[among].mean() - p[among].mean()) < 3 * error


def test_no_lineage_is_more_often_anywhere(films):
    for t in (0, 5, 11):
        for k in (0, 1):
            where = films.positions[films.labels == k, t].ravel()
            assert stats.kstest(where, "uniform", (REACH, 23 - 2 * REACH)).pvalue > 1e-3


def summaries(frames):
    """What a single frame says in plain numbers, (N, 5): brightness, contrast, fine grain, and where the cell is."""
    image = frames[:, 0]
    fine = np.diff(image, axis=1).std(axis=(1, 2))
    edge = np.abs(image - 0.45)
    row, column = (edge.sum(axis=axis) @ np.arange(24) / edge.sum(axis=(1, 2)) for axis in (2, 1))
    return np.stack([image.mean(axis=(1, 2)), image.std(axis=(1, 2)), fine, row, column], axis=1)


def judged(x, y):
    """The share of right answers of a linear classifier on the second half of the examples."""
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    half = len(y) // 2
    return LogisticRegression().fit(x[:half], y[:half]).score(x[half:], y[half:])


def test_single_frames_tell_nothing_of_motion():
    films = cell_time_lapse(800, 10, size=24, seed=4, rise=(0, 0))
    assert ((films.evidence[:, -1] > 0) == films.labels).mean() > 0.9
    for t in (0, 4, 9):
        assert judged(summaries(films.movies[:, t]), films.labels) < 0.57


def test_the_first_frame_tells_nothing_of_granularity(films):
    assert judged(summaries(films.movies[:, 0]), films.labels) < 0.57
    steep = cell_time_lapse(800, 12, size=24, seed=1, rise=(0, 0.3))
    assert judged(summaries(steep.movies[:, 0]), steep.labels) < 0.57
    assert judged(summaries(steep.movies[:, 11]), steep.labels) > 0.7, "these numbers do see granules"


def test_granularity_is_contrast_and_not_brightness():
    films = cell_time_lapse(300, 1, seed=2, noise=0, cycle=1e9)
    inner = films.patches(5)[:, 0, 0]
    level = films.granularity[:, 0]
    assert np.corrcoef(np.log(inner.std(axis=(1, 2))), level)[0, 1] > 0.8
    assert abs(np.corrcoef(inner.mean(axis=(1, 2)), level)[0, 1]) < 0.4  # 0.17 over many films, with an error of 0.08


def test_cells_grow_and_divide():
    films = cell_time_lapse(30, 30, size=48, seed=2, noise=0, cycle=20, speed=(0.01, 0.01), **ALIKE)
    beside = []
    for i in range(30):
        at = np.flatnonzero(films.divided[i])
        assert len(at) in (1, 2)
        assert (np.diff(at) == 20).all()
        dark = (films.patches(9)[i, :, 0] < 0.4).sum(axis=(1, 2))  # the body
        t = at[0]
        if t > 4:
            assert dark[t - 2 : t].mean() > 1.3 * dark[min(t + 5, 29) :][:3].mean()
        if t < 20:
            drawn = np.abs(films.movies[i, :, 0] - 0.45).sum(axis=(1, 2))
            beside.append(drawn[t + 1] / drawn[t + 6])
    assert np.mean(beside) > 1.2, "the sister comes, drifts away and is gone"


def test_films_end():
    films = cell_time_lapse(400, 8, shortest=3, size=24, seed=1)
    assert (np.bincount(films.lengths, minlength=9)[:3] == 0).all()
    assert stats.chisquare(np.bincount(films.lengths, minlength=9)[3:]).pvalue > 1e-3
    seen = films.movies.max(axis=(2, 3, 4)) > 0
    assert (seen == (np.arange(8) < films.lengths[:, None])).all()


@pytest.mark.parametrize("side", [1, 6, 7, 60])
def test_patches_have_the_cell_in_the_middle(side):
    films = cell_time_lapse(3, 4, seed=2)
    patches = films.patches(side)
    assert patches.shape == (3, 4, 1, side, side)
    for i in range(3):
        for t in range(4):
            padded = np.pad(films.movies[i, t, 0], side, mode="edge")
            first = np.rint(films.positions[i, t] - (side - 1) / 2).astype(int) + side
            want = padded[first[0] : first[0] + side, first[1] : first[1] + side]
            np.testing.assert_array_equal(patches[i, t, 0], want)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be a whole number of at least 1, not 0"),
        ({"frames": 2.5}, "frames must be a whole number of at least 1, not 2.5"),
        ({"size": 16}, "size must be a whole number of at least 24, not 16"),
        ({"shortest": 9}, "shortest must be at most the number of frames, 4, not 9"),
        ({"shortest": 0}, "shortest must be a whole number of at least 1, not 0"),
        ({"persistence": 3}, "persistence must be a pair, a number for each lineage, not 3"),
        ({"persistence": (0, 3)}, "persistence must be a number of at least 0.001, not 0"),
        ({"persistence": (1, 2e6)}, r"persistence must be at most 1e\+06, not 2000000.0"),
        ({"speed": ("1", 1)}, "speed must be a number of at least 0.001, not '1'"),
        ({"cycle": "30"}, "cycle must be a number of at least 8, not '30'"),
        ({"noise": True}, "noise must be a number of at least 0, not True"),
        ({"speed": (1, 2, 3)}, "speed must be a pair"),
        ({"rise": (0, float("inf"))}, "rise must be a number, not inf"),
        ({"cycle": 2}, "cycle must be a number of at least 8, not 2"),
        ({"noise": "loud"}, "noise must be a number of at least 0, not 'loud'"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        cell_time_lapse(**{"n": 2, "frames": 4, **arguments})


def test_a_patch_has_a_side():
    with pytest.raises(ArgumentError, match="side must be a whole number of at least 1, not 0"):
        cell_time_lapse(1, 1).patches(0)
