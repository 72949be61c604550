"""Light, noise, holes and mixtures; what holds for every augmentation; students' own; the loader; the figure."""

import threading

import numpy as np
import pytest
from scipy import ndimage, stats
from strategies import ORDERS, normal

from minicnn import nn
from minicnn.backend import CounterRng, Key, use_backend
from minicnn.data import ArrayDataset, DataLoader, augment
from minicnn.errors import ArgumentError, DataError, DTypeError, ShapeError
from minicnn.ops import random_keys, random_permutation, random_uniform

KEY = Key(1, 2, 3)
LABELED = [
    augment.HorizontalFlip(),
    augment.VerticalFlip(),
    augment.Shift(2),
    augment.Rotate(15, fill=0.0),
    augment.Scale(1.2),
    augment.Shear(10),
    augment.Affine(15, scale=1.1, shift=1),
    augment.Elastic(3, 1),
    augment.RandomCrop(padding=1),
    augment.RandomCrop((6, 7), padding=1),
    augment.Brightness(0.3),
    augment.Contrast(1.5),
    augment.Gamma((0.5, 1.5)),
    augment.Noise(0.1),
    augment.Blur(1.5),
    augment.Cutout(3, fill=0.5),
    augment.Cutout((2, 5), probability=0.5),
    augment.MixUp(0.3, classes=4),
    augment.CutMix(classes=4, probability=0.6),
    augment.Compose(),
    augment.Compose(augment.Rotate(15), augment.Shift(1), augment.Noise(0.1), augment.MixUp(classes=4)),
]
MASKED = [each for each in LABELED if "Mix" not in repr(each)]
every = pytest.mark.parametrize("augmentation", LABELED, ids=repr)


def batch(dtype=np.float64, count=12):
    return normal(0, count, 2, 8, 9, dtype=dtype), np.arange(count) % 4


def same(a, b):
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])


# Every augmentation


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_result_is_a_function_of_its_arguments_the_same_with_every_backend(augmentation, dtype):
    x, y = batch(dtype)
    with use_backend("numba"):
        first, again = augmentation(x, y, key=KEY), augmentation(x, y, key=KEY)
        other = augmentation(x, y, key=KEY._replace(step=4))
    with use_backend("numpy"):
        plain = augmentation(x, y, key=KEY)
    same(first, again)
    same(first, plain)
    assert first[0].dtype == dtype
    assert len(first[0]) == len(first[1]) == len(x)
    assert repr(augmentation) == "Compose()" or not np.array_equal(first[0], other[0])


@every
def test_nothing_is_written_to_and_the_order_in_memory_makes_no_difference(augmentation):
    x, y = batch()
    before = x.copy(), y.copy()
    want = augmentation(x, y, key=KEY)
    for order in ORDERS:
        a, b = order(x), order(y)
        a.flags.writeable = b.flags.writeable = False
        got = augmentation(a, b, key=KEY)
        np.testing.assert_allclose(got[0], want[0], atol=1e-12)
        np.testing.assert_array_equal(got[1], want[1])
    same((x, y), before)


@every
def test_it_shows_itself_as_it_was_built(augmentation):
    names = {name: getattr(augment, name) for name in augment.__all__}
    again = eval(repr(augmentation), names)
    assert repr(again) == repr(augmentation)
    x, y = batch()
    same(again(x, y, key=KEY), augmentation(x, y, key=KEY))


@every
def test_a_batch_may_be_empty(augmentation):
    x, y = batch(count=0)
    assert augmentation(x, y, key=KEY)[0].shape[0] == 0


@pytest.mark.parametrize("augmentation", MASKED, ids=repr)
def test_targets_are_not_needed(augmentation):
    x, y = batch()
    got, nothing = augmentation(x, key=KEY)
    assert nothing is None
    np.testing.assert_array_equal(got, augmentation(x, y, key=KEY)[0])


@pytest.mark.parametrize(
    "augmentation",
    [
        augment.Brightness(1),
        augment.Contrast(2),
        augment.Gamma(2),
        augment.Noise(1),
        augment.Blur(2),
        augment.Cutout(3),
    ],
    ids=repr,
)
def test_light_and_holes_leave_masks_alone(augmentation):
    x, masks = batch()[0], np.random.default_rng(0).integers(0, 3, (12, 8, 9))
    images, after = augmentation(x, masks, key=KEY)
    assert not np.array_equal(images, x)
    np.testing.assert_array_equal(after, masks)


@pytest.mark.parametrize("kind", [augment.Noise, augment.Brightness])
def test_probability_is_the_share_of_images_that_are_changed(kind):
    x = normal(0, 2000, 1, 2, 2)
    y, _ = kind(0.5, probability=0.3)(x, key=KEY)
    changed = (y != x).any(axis=(1, 2, 3))
    assert abs(changed.mean() - 0.3) < 0.04
    assert (y != x)[changed].all()


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (np.zeros((3, 64)), None, ShapeError, r"Noise\(0.1\): x has shape \(3, 64\), expected images \(N, C, H, W\)"),
        (np.zeros((3, 1, 4, 4), np.uint8), None, DTypeError, "x is uint8, expected float32 or float64; .*x / 255"),
        (np.zeros((3, 1, 4, 4), np.float16), None, DTypeError, "x is float16"),
        ([[1.0]], None, DTypeError, "x is a list, expected a NumPy array"),
        (np.zeros((3, 1, 4, 4)), np.zeros(2), ShapeError, r"the same length; x is \(3, 1, 4, 4\) and y \(2,\)"),
        (np.zeros((3, 1, 4, 4)), [1, 2, 3], DTypeError, "y is a list"),
        (
            np.zeros((3, 1, 4, 4)),
            np.zeros((3, 5, 4)),
            ShapeError,
            r"y has shape \(3, 5, 4\), expected masks \(3, 4, 4\)",
        ),
    ],
)
def test_what_are_no_images_is_refused(x, y, error, message):
    with pytest.raises(error, match=message):
        augment.Noise(0.1)(x, y, key=KEY)


@pytest.mark.parametrize("key", [3, None, CounterRng()])
def test_what_is_no_key_is_refused(key):
    with pytest.raises(ArgumentError, match=r"key must be a Key\(seed, stream, step\), not"):
        augment.Noise(0.1)(*batch(), key=key)


# Light, noise and focus


def test_brightness_adds_one_number_an_image():
    x, _ = batch(count=500)
    added = augment.Brightness((-0.1, 0.3))(x, key=KEY)[0] - x
    assert np.ptp(added, axis=(1, 2, 3)).max() < 1e-12
    assert -0.1 <= added.min() < -0.09 < 0.29 < added.max() <= 0.3


def test_contrast_keeps_the_mean_and_scales_what_differs_from_it():
    x, _ = batch(count=500)
    y = augment.Contrast(2)(x, key=KEY)[0]
    axes = (1, 2, 3)
    np.testing.assert_allclose(y.mean(axis=axes), x.mean(axis=axes), atol=1e-12)
    factor = y.std(axis=axes) / x.std(axis=axes)
    assert 0.5 <= factor.min() < 0.52 < 1.95 < factor.max() <= 2
    mean = x.mean(axis=axes, keepdims=True)
    np.testing.assert_allclose(y, mean + factor[:, None, None, None] * (x - mean), atol=1e-12)


def test_gamma_is_a_power_between_the_darkest_and_the_lightest():
    x = np.linspace(-3, 5, 9).reshape(1, 1, 3, 3)
    y = augment.Gamma((2, 2))(x, key=KEY)[0]
    np.testing.assert_allclose(y, -3 + 8 * ((x + 3) / 8) ** 2, atol=1e-12)
    grey = np.full((1, 1, 3, 3), 0.7)
    np.testing.assert_array_equal(augment.Gamma(2)(grey, key=KEY)[0], grey)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_normal_and_independent(dtype):
    x = np.zeros((100, 1, 15, 15), dtype=dtype)
    noise = augment.Noise(0.5)(x, key=KEY)[0]
    assert stats.kstest(noise.ravel() / 0.5, "norm").pvalue > 0.01
    halves = noise.reshape(2, -1)
    assert abs(np.corrcoef(halves)[0, 1]) < 0.03
    assert abs(np.corrcoef(halves**2)[0, 1]) < 0.03


def test_blur_is_scipys_away_from_the_border():
    x = normal(0, 2, 2, 30, 31)
    y = augment.Blur((1.2, 1.2))(x, key=KEY)[0]
    want = ndimage.gaussian_filter(x, 1.2, axes=(2, 3), truncate=8)
    np.testing.assert_allclose(y[..., 10:-10, 10:-10], want[..., 10:-10, 10:-10], atol=1e-9)
    np.testing.assert_allclose(augment.Blur(3)(np.ones((5, 1, 4, 6)), key=KEY)[0], 1)
    np.testing.assert_array_equal(augment.Blur(0)(x, key=KEY)[0], x)


def test_a_hole_is_a_rectangle_whose_centre_is_anywhere():
    x = np.ones((3000, 2, 8, 9))
    y = augment.Cutout((3, 4), fill=(5, 6))(x, key=KEY)[0]
    hole = y != 1
    np.testing.assert_array_equal(hole[:, 0], hole[:, 1])
    assert {(5.0, 6.0)} == set(map(tuple, y.transpose(0, 2, 3, 1)[hole[:, 0]]))
    rows, columns = hole[:, 0].any(axis=2), hole[:, 0].any(axis=1)
    np.testing.assert_array_equal(hole[:, 0], rows[:, :, None] & columns[:, None, :])
    assert set(rows.sum(axis=1)) == {2, 3}, "at the border it is cut off"
    assert set(columns.sum(axis=1)) == {2, 3, 4}
    assert abs(rows[:, 4].mean() - 3 / 8) < 0.03
    assert (np.diff(rows.astype(int), axis=1) == 1).sum(axis=1).max() == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: augment.Noise(-0.1), "std must be a number of at least 0, not -0.1"),
        (lambda: augment.Blur(-1), "sigma must be a number of at least 0, not -1"),
        (lambda: augment.Blur((-1, 1)), "sigma must be a number of at least 0, not -1"),
        (lambda: augment.Brightness(np.inf), "amount must be a number of at least 0, not inf"),
        (lambda: augment.Contrast(0), "factor must be a number of at least 1, not 0"),
        (lambda: augment.Gamma((2, 1)), "gamma must be .* the smaller first"),
        (lambda: augment.Cutout(0), "size must be a whole number of at least 1, not 0"),
        (lambda: augment.Cutout(3, fill="edge"), "fill must be a number or one a channel here"),
        (lambda: augment.Cutout(9)(*batch(), key=KEY), "the hole is larger than images of 8 x 9 pixels"),
        (lambda: augment.MixUp(0, classes=3), "alpha must be a number above 0, not 0"),
        (lambda: augment.CutMix(classes=1), "classes must be a whole number of at least 2, not 1"),
        (lambda: augment.MixUp(classes=3)(batch()[0], key=KEY), "labels are mixed with their images, so y is needed"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


# Mixing


def test_mixup_is_a_share_of_two_images_and_of_their_labels():
    x, y = batch(count=60)
    images, chances = augment.MixUp(0.8, classes=4)(x, y, key=KEY)
    partner = random_permutation(random_keys(KEY, 4)[1], 60)
    hot = np.eye(4)[y]
    direction = (x - x[partner]).reshape(60, -1)
    moved = (images - x[partner]).reshape(60, -1)
    pairs = partner != np.arange(60)
    share = (direction * moved).sum(axis=1)[pairs] / (direction**2).sum(axis=1)[pairs]
    assert 0 <= share.min() < 0.1 < 0.9 < share.max() <= 1 + 1e-12
    want = share[:, None] * hot[pairs] + (1 - share)[:, None] * hot[partner[pairs]]
    np.testing.assert_allclose(chances[pairs], want, atol=1e-9)
    shares = share[:, None, None, None]
    np.testing.assert_allclose(images[pairs], shares * x[pairs] + (1 - shares) * x[partner[pairs]], atol=1e-9)


@pytest.mark.parametrize("kind", [augment.MixUp, augment.CutMix])
def test_probability_is_the_share_of_images_that_are_mixed(kind):
    x = normal(0, 1000, 1, 8, 8)
    images, chances = kind(3.0, classes=1000, probability=0.3)(x, np.arange(1000), key=KEY)
    mixed = (images != x).any(axis=(1, 2, 3))
    assert abs(mixed.mean() - 0.3) < 0.05
    np.testing.assert_array_equal(chances[~mixed], np.eye(1000)[~mixed])
    assert (chances[mixed].max(axis=1) < 1).all()


@pytest.mark.parametrize("alpha", [0.1, 1.0, 3.0])
def test_shares_have_the_beta_distribution(alpha):
    shares = augment.MixUp(alpha, classes=2).shares(3000, KEY)
    assert stats.kstest(shares, stats.beta(alpha, alpha).cdf).pvalue > 0.01


def test_cutmix_is_a_rectangle_of_the_partner_and_its_area_of_the_label():
    x, y = np.arange(300.0).reshape(-1, 1, 1, 1) * np.ones((1, 2, 8, 9)), np.arange(300) % 4
    images, chances = augment.CutMix(classes=4)(x, y, key=KEY)
    assert (images[:, 0] == images[:, 1]).all()
    own = images[:, 0] == x[:, 0]
    partner = random_permutation(random_keys(KEY, 4)[1], 300)
    np.testing.assert_array_equal(images[:, 0], np.where(own, x[:, 0], x[partner, 0]))
    theirs = ~own
    rows, columns = theirs.any(axis=2), theirs.any(axis=1)
    np.testing.assert_array_equal(theirs, rows[:, :, None] & columns[:, None, :])
    area = theirs.mean(axis=(1, 2))
    want = (1 - area)[:, None] * np.eye(4)[y] + area[:, None] * np.eye(4)[y[partner]]
    np.testing.assert_allclose(chances, want, atol=1e-12)
    assert area.min() < 0.02
    assert area.max() > 0.8


def test_mixtures_can_be_mixed_and_the_loss_takes_them():
    x, y = batch(np.float32)
    twice = augment.Compose(augment.MixUp(classes=4), augment.CutMix(classes=4), augment.Rotate(5))
    images, chances = twice(x, y, key=KEY)
    assert chances.dtype == np.float32
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=1e-6)
    assert np.isfinite(nn.CrossEntropyLoss()(normal(1, 12, 4, dtype=np.float32), chances))


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.zeros((12, 8, 9), int), ShapeError, r"y has shape \(12, 8, 9\); masks cannot be mixed"),
        (np.zeros((12, 1), int), ShapeError, r"expected labels \(N,\) or shares \(N, 4\); y.reshape\(-1\)"),
        (np.zeros(12), DTypeError, "labels are float64, expected integers from 0 to 3"),
        (np.full(12, 4), DataError, "labels lie between 4 and 4, expected 0 to 3"),
    ],
)
@pytest.mark.parametrize("kind", [augment.MixUp, augment.CutMix])
def test_what_cannot_be_mixed_is_refused(kind, y, error, message):
    with pytest.raises(error, match=message):
        kind(classes=4)(batch()[0], y, key=KEY)


# One's own


class Dim(augment.Augmentation):
    def apply(self, x, y, key):
        share = random_uniform(key, shape=(len(x), 1, 1, 1)).astype(x.dtype)
        return share * x, y


def test_six_lines_make_an_augmentation():
    x, y = batch()
    after = Dim(probability=0.5)(x, y, key=KEY)[0]
    share = after[:, 0, 0, 0] / x[:, 0, 0, 0]
    np.testing.assert_allclose(after, share[:, None, None, None] * x)
    assert 0 < (share == 1).sum() < 12
    assert repr(Dim(probability=0.5)) == "Dim(probability=0.5)"
    together = augment.Compose(Dim(), augment.Shift(1))(x, y, key=KEY)
    assert not np.array_equal(together[0], x)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (None, ShapeError, r"Own\(\) must return images and targets, .* not NoneType; is a return missing\?"),
        ((np.zeros((12, 8)), None), ShapeError, r"Own\(\) returned images of shape \(12, 8\), expected 12 of them"),
        ((np.zeros((12, 2, 8, 9), int), None), DTypeError, "returned images as int64, expected float64"),
    ],
)
def test_what_it_does_wrong_is_told(result, error, message):
    class Own(augment.Augmentation):
        def apply(self, x, y, key):
            return result

    with pytest.raises(error, match=message):
        Own()(*batch(), key=KEY)


def test_a_result_of_another_shape_needs_all_images():
    class Half(augment.Augmentation):
        def apply(self, x, y, key):
            return x[:, :, ::2], y

    assert Half()(*batch(), key=KEY)[0].shape == (12, 2, 4, 9)
    with pytest.raises(
        ShapeError, match=r"\(2, 4, 9\) of float64 \(2, 8, 9\), so what is changed .*take probability=1"
    ):
        Half(probability=0.5)(*batch(), key=KEY)


def test_without_apply_the_error_says_what_to_write():
    with pytest.raises(NotImplementedError, match=r"Augmentation needs a method apply\(self, x, y, key\)"):
        augment.Augmentation()(*batch(), key=KEY)


# The loader


def loaded(augmentation, *, rng=(5, 6, 7), **options):
    x, y = batch(np.float32, 30)
    loader = DataLoader((x, y), 8, rng=CounterRng(*rng), augment=augmentation, **{"shuffle": True, **options})
    return loader, list(loader)


@pytest.mark.parametrize("shuffle", [True, False])
def test_batch_i_is_changed_under_the_key_of_its_place(shuffle):
    augmentation = LABELED[-1]
    loader, batches = loaded(augmentation, shuffle=shuffle)
    x, y = batch(np.float32, 30)
    order = random_permutation(Key(5, 6, 7), 30) if shuffle else np.arange(30)
    for i, got in enumerate(batches):
        part = order[8 * i : 8 * i + 8]
        same(got, augmentation(x[part], y[part], key=Key(5, 6, 7 + ((i + 1) << 32))))
    assert len(batches) == 4
    assert loader.rng.step == 8


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_equal_rngs_give_equal_batches_ahead_or_not(backend):
    _, want = loaded(LABELED[-1])
    for ahead in (0, 2):
        for got, batch_of in zip(loaded(LABELED[-1], ahead=ahead, backend=backend)[1], want, strict=True):
            same(got, batch_of)


def test_each_epoch_is_changed_otherwise_and_can_be_gone_on_with():
    loader, first = loaded(augment.Noise(0.1), shuffle=False)
    second = list(loader)
    assert not np.array_equal(first[0][0], second[0][0])
    _, again = loaded(augment.Noise(0.1), shuffle=False, rng=(5, 6, 8))
    for a, b in zip(second, again, strict=True):
        same(a, b)


def test_augmenting_does_not_change_the_order():
    plain, changed = loaded(None)[1], loaded(augment.Noise(0.1))[1]
    for (_, y), (_, other) in zip(plain, changed, strict=True):
        np.testing.assert_array_equal(y, other)


def test_the_work_is_done_in_the_thread_that_prepares():
    seen = set()

    def watch(x, y, *, key):
        seen.add(threading.current_thread().name)
        return x, y

    loaded(watch)
    assert seen == {"minicnn-loader"}


def test_without_an_rng_a_stream_under_the_seed_is_taken():
    loader = DataLoader(ArrayDataset(*batch(np.float32)), 4, augment=augment.Noise(0.1))
    assert loader.rng is not None
    assert not np.array_equal(next(iter(loader))[0], next(iter(loader))[0])


@pytest.mark.parametrize("ahead", [0, 2])
def test_an_error_in_it_reaches_the_loop(ahead):
    with pytest.raises(ShapeError, match=r"Noise\(0.1\): x has shape \(3, 5\)"):
        list(DataLoader((np.zeros((3, 5), np.float32), np.zeros(3)), augment=augment.Noise(0.1), ahead=ahead))


def test_what_cannot_augment_is_refused():
    with pytest.raises(ArgumentError, match="augment is the class Noise; build one"):
        loaded(augment.Noise)
    with pytest.raises(ArgumentError, match=r"augment must be a function .* not 0.5"):
        loaded(0.5)


# The figure


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("mask", [None, (), (1,), (2,)])
def test_the_figure_shows_originals_and_what_becomes_of_them(channels, mask):
    x = normal(0, 5, channels, 6, 7)
    y = None if mask is None else np.random.default_rng(0).integers(0, 2, (5, *mask, 6, 7))
    drawn = augment.plot_augmentation(augment.Rotate(30), x, y, rows=3, columns=4, key=KEY)
    assert len(drawn.axes) == 12
    first = drawn.axes[0].images[0].get_array()
    np.testing.assert_allclose(
        first if channels != 3 else first[..., 0], x[0, 0] if channels != 3 else (x[0, 0] - x[:3].min()) / np.ptp(x[:3])
    )
    assert all(len(axes.images) == (1 if y is None else 2) for axes in drawn.axes)
    if channels == 1:
        turned, _ = augment.Rotate(30)(x[:3], key=KEY._replace(step=4))
        np.testing.assert_array_equal(drawn.axes[2].images[0].get_array(), turned[0, 0])


def test_the_figure_needs_an_augmentation_and_two_columns():
    with pytest.raises(ArgumentError, match="columns must be a whole number of at least 2, not 1"):
        augment.plot_augmentation(augment.Rotate(30), batch()[0], columns=1)
    with pytest.raises(ArgumentError, match="augmentation is the class Rotate"):
        augment.plot_augmentation(augment.Rotate, batch()[0])
