"""Flips, shifts, rotations, scales, shears, elastic distortion and crops, against NumPy and SciPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from strategies import normal, pairs, seeds

from minicnn.backend import Key
from minicnn.data import augment
from minicnn.data.augment.elastic import gaussian
from minicnn.errors import ArgumentError, ShapeError
from minicnn.ops import random_keys

pytestmark = pytest.mark.usefixtures("backend")
KEY = Key(1, 2, 3)
sizes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(3, 9), st.integers(3, 9))


def matrices_of(augmentation, count, size, key=KEY):
    """What the augmentation draws under this key."""
    return augmentation.chosen_matrices(count, size, key)


def by_scipy(x, matrices, fill="edge", order=1):
    """The same with `affine_transform`, which counts from the corner."""
    y = np.empty_like(x, dtype=np.float64)
    centre = (np.array(x.shape[2:]) - 1) / 2
    mode, cval = ("nearest", 0.0) if fill == "edge" else ("grid-constant", fill)
    for n, c in np.ndindex(*x.shape[:2]):
        a, t = matrices[n, :, :2], matrices[n, :, 2]
        offset = centre + t - a @ centre
        y[n, c] = ndimage.affine_transform(x[n, c], a, offset, order=order, mode=mode, cval=cval)
    return y


GEOMETRIC = (
    lambda fill: augment.Shift(2, fill=fill),
    lambda fill: augment.Rotate(40, fill=fill),
    lambda fill: augment.Scale(1.5, fill=fill),
    lambda fill: augment.Shear((-30, 10), fill=fill),
    lambda fill: augment.Affine(30, scale=(0.7, 1.1), shear=20, shift=(1, 2), fill=fill),
)


@pytest.mark.parametrize("make", GEOMETRIC)
@pytest.mark.parametrize("fill", ["edge", 0.5])
@given(sizes, seeds)
def test_images_are_scipys_for_the_matrices_that_were_drawn(make, fill, shape, seed):
    x, augmentation = normal(seed, *shape), make(fill)
    y, labels = augmentation(x, np.arange(len(x)), key=KEY)
    np.testing.assert_allclose(y, by_scipy(x, matrices_of(augmentation, len(x), shape[2:]), fill), atol=1e-9)
    np.testing.assert_array_equal(labels, np.arange(len(x)))


def test_what_is_drawn_covers_its_range_and_nothing_else():
    def drawn(augmentation):
        return matrices_of(augmentation, 2000, (28, 28))

    turned = drawn(augment.Rotate((10, 50)))
    angles = np.rad2deg(np.arctan2(turned[:, 0, 1], turned[:, 0, 0]))
    assert 10 <= angles.min() < 11 < 49 < angles.max() <= 50
    assert abs(angles.mean() - 30) < 1
    np.testing.assert_allclose(np.linalg.det(turned[:, :, :2]), 1)
    factors = 1 / drawn(augment.Scale(2))[:, 0, 0]
    assert 0.5 <= factors.min() < 0.51 < 1.97 < factors.max() <= 2
    assert abs(np.log(factors).mean()) < 0.03, "half as large is as likely as twice as large"
    shifts = drawn(augment.Shift((3, 1)))[:, :, 2]
    assert set(shifts[:, 0]) == {-3, -2, -1, 0, 1, 2, 3}
    assert set(shifts[:, 1]) == {-1, 0, 1}
    assert abs(np.corrcoef(shifts.T)[0, 1]) < 0.1
    lean = np.rad2deg(np.arctan(drawn(augment.Shear(20))[:, 1, 0]))
    assert -20 <= lean.min() < -19 < 19 < lean.max() <= 20


@given(st.integers(3, 8), seeds, st.sampled_from([np.float32, np.float64]), st.integers(-4, 4))
def test_quarter_turns_are_exact_and_anticlockwise(side, seed, dtype, quarters):
    x = normal(seed, 2, 3, side, side, dtype=dtype)
    y, _ = augment.Rotate((90 * quarters, 90 * quarters), fill=0)(x, key=KEY)
    np.testing.assert_array_equal(y, np.rot90(x, quarters, axes=(2, 3)))


def test_shear_above_0_leans_to_the_right():
    line = np.zeros((1, 1, 9, 9))
    line[..., 4] = 1
    y, _ = augment.Shear((30, 30))(line, key=KEY)
    assert y[0, 0, 0].argmax() > 4 > y[0, 0, 8].argmax()
    assert y[0, 0, 4].argmax() == 4


def test_scale_above_1_is_larger():
    x = np.zeros((1, 1, 9, 9))
    x[..., 3:6, 3:6] = 1
    assert augment.Scale((2, 2))(x, key=KEY)[0].sum() > 2 * x.sum() > 4 * augment.Scale((0.5, 0.5))(x, key=KEY)[0].sum()


@pytest.mark.parametrize(
    "nothing",
    [
        augment.Affine(),
        augment.Rotate(0, fill=0),
        augment.Shift(0, fill=3),
        augment.Scale(1),
        augment.Elastic(0, 1),
        augment.RandomCrop(),
        augment.Compose(augment.Rotate(0), augment.Affine(), augment.HorizontalFlip(probability=0)),
        augment.Rotate(30, probability=0),
        augment.Elastic(3, 1, probability=0),
    ],
    ids=repr,
)
@given(sizes, seeds, st.sampled_from([np.float32, np.float64]))
def test_what_changes_nothing_keeps_every_bit(nothing, shape, seed, dtype):
    x, masks = normal(seed, *shape, dtype=dtype), np.random.default_rng(seed).integers(0, 5, (shape[0], *shape[2:]))
    y, after = nothing(x, masks, key=KEY)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(after, masks)


@given(sizes, seeds)
def test_flips_are_reversals(shape, seed):
    x = normal(seed, *shape)
    for kind, axis in ((augment.HorizontalFlip, 3), (augment.VerticalFlip, 2)):
        np.testing.assert_array_equal(kind(probability=1)(x, key=KEY)[0], np.flip(x, axis))
        y, _ = kind()(x, key=KEY)
        flipped = [not np.array_equal(a, b) for a, b in zip(x, y, strict=True)]
        for n, other in enumerate(flipped):
            np.testing.assert_array_equal(y[n], np.flip(x[n], axis - 1) if other else x[n])


def test_a_flip_takes_about_every_second_image():
    x = np.arange(2000.0).reshape(1000, 1, 1, 2)
    share = (augment.HorizontalFlip()(x, key=KEY)[0] != x).any(axis=(1, 2, 3)).mean()
    assert 0.44 < share < 0.56


@given(sizes, seeds, st.sampled_from(["edge", 0.0]))
def test_shifts_copy_pixels(shape, seed, fill):
    x = normal(seed, *shape)
    augmentation = augment.Shift(2, fill=fill)
    moves = -matrices_of(augmentation, len(x), shape[2:])[:, :, 2].astype(int)
    y, _ = augmentation(x, key=KEY)
    mode = {"mode": "edge"} if fill == "edge" else {"constant_values": fill}
    for image, after, (down, right) in zip(x, y, moves, strict=True):
        wide = np.pad(image, ((0, 0), (2, 2), (2, 2)), **mode)
        h, w = shape[2:]
        np.testing.assert_array_equal(after, wide[:, 2 - down : 2 - down + h, 2 - right : 2 - right + w])


# Masks


@pytest.mark.parametrize("make", GEOMETRIC)
@given(shape=sizes, seed=seeds)
def test_masks_go_with_their_images_by_the_nearest_pixel(make, shape, seed):
    x = normal(seed, *shape)
    masks = np.random.default_rng(seed).integers(0, 5, (shape[0], *shape[2:]))
    augmentation = make("edge")
    want = by_scipy(masks[:, None].astype(float), matrices_of(augmentation, len(x), shape[2:]), order=0)[:, 0]
    after = augmentation(x, masks, key=KEY)[1]
    assert after.dtype == masks.dtype
    same = after == want
    assert same.mean() > 0.98, "a tie between two pixels may fall otherwise"


@pytest.mark.parametrize("make", [*GEOMETRIC, lambda fill: augment.Elastic(8, 2, fill=fill)])
@pytest.mark.parametrize("fill", ["edge", 0.0])
def test_a_mask_of_the_image_stays_one(make, fill):
    x = np.zeros((6, 1, 24, 24))
    x[:, :, 6:17, 8:15] = 1
    y, mask = make(fill)(x, x[:, 0] > 0.5, key=KEY)
    assert mask.dtype == bool
    near_the_border = abs(y[:, 0] - 0.5) < 0.5 - 1e-9
    np.testing.assert_array_equal((y[:, 0] > 0.5)[~near_the_border], mask[~near_the_border])
    assert 0 < near_the_border.mean() < 0.2 or isinstance(make(fill), augment.Shift)


@pytest.mark.parametrize("extra", [(), (1,), (3,)])
@pytest.mark.parametrize("augmentation", [augment.Rotate(30, fill=0.7), augment.RandomCrop(padding=2, fill=0.7)])
def test_masks_may_have_channels_and_are_0_outside_where_a_number_fills(extra, augmentation):
    masks = np.ones((5, *extra, 7, 6), dtype=np.uint8)
    x = np.zeros((5, 1, 7, 6))
    y, after = augmentation(x, masks, key=KEY)
    assert after.shape == masks.shape
    assert after.dtype == np.uint8
    outside = y[:, 0] > 0.7 - 1e-12
    assert outside.any()
    for plane in after.reshape(5, -1, 7, 6).transpose(1, 0, 2, 3):
        assert not plane[outside].any()
        assert plane[y[:, 0] == 0].all()


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 1, 7, 7), (5, 2, 2, 7, 6)])
def test_masks_of_another_size_are_refused(shape):
    with pytest.raises(ShapeError, match=r"expected masks \(5, 7, 6\) or \(5, 1, 7, 6\), as large as the images"):
        augment.Rotate(30)(np.zeros((5, 1, 7, 6)), np.zeros(shape), key=KEY)


# What fills


def test_fill_may_differ_from_channel_to_channel():
    x = np.zeros((1, 3, 4, 4), dtype=np.float32)
    y, _ = augment.Shift((0, 3), fill=[1, 2, 3])(x, key=Key(0, 0, 1))
    assert [set(np.unique(plane)) for plane in y[0]] == [{0, 1}, {0, 2}, {0, 3}]


def test_as_many_fills_as_channels():
    with pytest.raises(ShapeError, match=r"Shift\(1, fill=\(1.0, 2.0\)\): fill has 2 numbers for 3 channels"):
        augment.Shift(1, fill=(1, 2))(np.zeros((1, 3, 4, 4)), key=KEY)


# Several at once


def test_neighbours_are_interpolated_once():
    x = normal(0, 4, 1, 9, 9)
    parts = augment.Rotate(20), augment.HorizontalFlip(), augment.Scale(1.2), augment.Shift(2)
    together, _ = augment.Compose(*parts)(x, key=KEY)
    matrices = [part.chosen_matrices(4, (9, 9), key) for part, key in zip(parts, random_keys(KEY, 4), strict=True)]
    whole = [np.concatenate([m, np.broadcast_to([[[0, 0, 1]]], (4, 1, 3))], axis=1) for m in matrices]
    product = whole[0] @ whole[1] @ whole[2] @ whole[3]
    np.testing.assert_allclose(together, by_scipy(x, product[:, :2]), atol=1e-12)


def test_one_after_the_other_is_the_same_where_nothing_is_interpolated():
    x, masks = normal(0, 16, 1, 8, 8), np.arange(16 * 64).reshape(16, 8, 8)
    parts = augment.HorizontalFlip(), augment.Shift(2), augment.VerticalFlip(), augment.Rotate((90, 90))
    together = augment.Compose(*parts)(x, masks, key=KEY)
    batch = x, masks
    for part, key in zip(parts, random_keys(KEY, 4), strict=True):
        batch = part(*batch, key=key)
    np.testing.assert_array_equal(together[0], batch[0])
    np.testing.assert_array_equal(together[1], batch[1])


def test_what_fills_differently_is_not_joined():
    x = normal(0, 4, 1, 9, 9)
    parts = augment.Rotate(20, fill=0), augment.HorizontalFlip(), augment.Shift(2)
    batch = x, None
    for run, keys in (((parts[:2]), random_keys(KEY, 3)[:2]), (parts[2:], random_keys(KEY, 3)[2:])):
        matrices = [part.chosen_matrices(4, (9, 9), key) for part, key in zip(run, keys, strict=True)]
        product = matrices[0].copy()
        for m in matrices[1:]:
            product = np.concatenate([product[:, :, :2] @ m[:, :, :2], product[:, :, :2] @ m[:, :, 2:]], axis=2)
        batch = by_scipy(batch[0], product, run[0].fill), None
    np.testing.assert_allclose(augment.Compose(*parts)(x, key=KEY)[0], batch[0], atol=1e-12)


# Elastic


@given(pairs(1, 12), st.floats(0.3, 4))
def test_smoothing_is_a_mean_weighted_by_a_gaussian(lengths, sigma):
    length = max(lengths)
    b = gaussian(length, sigma)
    for i in range(length):
        weights = [np.exp(-((i - j) ** 2) / (2 * sigma**2)) for j in range(length)]
        np.testing.assert_allclose(b[i], np.array(weights) / sum(weights), atol=1e-12)


def test_elastic_displacements_are_smoothed_uniform_numbers_times_alpha():
    augmentation = augment.Elastic(34, 4)
    d = augmentation.displacements(40, (60, 60), KEY)
    inner = d[:, :, 16:-16, 16:-16]
    assert abs(inner.mean()) < 0.25
    rough = np.random.default_rng(0).uniform(-1, 1, (40, 2, 60, 60))
    want = 34 * ndimage.gaussian_filter(rough, 4, axes=(2, 3))[:, :, 16:-16, 16:-16]
    assert abs(inner.std() / want.std() - 1) < 0.1
    assert abs(inner.std() - 0.16 * 34 / 4) < 0.15
    near, far = (np.mean(inner[..., k:] * inner[..., :-k]) / inner.var() for k in (4, 16))
    assert abs(near - np.exp(-(4**2) / (4 * 4**2))) < 0.1, "the correlation that a Gaussian of width 4 leaves"
    assert abs(far) < 0.15


def test_elastic_images_are_scipys_for_the_displacements():
    x, augmentation = normal(0, 3, 2, 9, 7), augment.Elastic(5, 2, fill=0.25)
    d = augmentation.displacements(3, (9, 7), random_keys(KEY, 2)[1])
    want = [
        [ndimage.map_coordinates(c, np.indices((9, 7)) + m, order=1, mode="grid-constant", cval=0.25) for c in image]
        for image, m in zip(x, d, strict=True)
    ]
    np.testing.assert_allclose(augmentation(x, key=KEY)[0], want, atol=1e-12)


# Crops


@pytest.mark.parametrize("fill", ["edge", 0.5])
@given(border=st.integers(0, 2), window=pairs(1, 7), seed=seeds)
def test_a_crop_is_a_window_of_the_padded_image_and_of_its_mask(border, window, seed, fill):
    x = normal(seed, 3, 2, 5, 6)
    masks = np.random.default_rng(seed).integers(1, 9, (3, 5, 6))
    window = min(window[0], 5 + 2 * border), min(window[1], 6 + 2 * border)
    y, after = augment.RandomCrop(window, padding=border, fill=fill)(x, masks, key=Key(seed, 0, 0))
    assert y.shape == (3, 2, *window)
    mode = {"mode": "edge"} if fill == "edge" else {}
    filled = {} if fill == "edge" else {"constant_values": fill}
    for n in range(3):
        wide = np.pad(x[n], ((0, 0), (border,) * 2, (border,) * 2), **mode, **filled)
        wide_mask = np.pad(masks[n], border, **mode)
        places = [
            (i, j)
            for i, j in np.ndindex(wide.shape[1] - window[0] + 1, wide.shape[2] - window[1] + 1)
            if np.array_equal(wide[:, i : i + window[0], j : j + window[1]], y[n])
        ]
        assert any(np.array_equal(wide_mask[i : i + window[0], j : j + window[1]], after[n]) for i, j in places), (
            f"no window of image {n} looks like this"
        )


def test_crops_come_from_everywhere():
    x = np.broadcast_to(np.arange(25.0).reshape(5, 5), (500, 1, 5, 5)).copy()
    corners = augment.RandomCrop(3)(x, key=KEY)[0][:, 0, 0, 0]
    assert set(corners) == {0, 1, 2, 5, 6, 7, 10, 11, 12}


# Bad arguments


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: augment.HorizontalFlip(probability=1.5),
            r"probability is a probability and must lie between 0 and 1, not 1.5",
        ),
        (
            lambda: augment.Rotate(30, probability=True),
            r"probability is a probability and must lie between 0 and 1, not True",
        ),
        (lambda: augment.Rotate(-30), "degrees must be a number of at least 0, not -30"),
        (lambda: augment.Rotate((30, 10)), "degrees must be .* the smaller first, not"),
        (lambda: augment.Rotate("30"), "degrees must be a number of at least 0 or a pair"),
        (lambda: augment.Rotate(np.nan), "degrees must be a number of at least 0, not nan"),
        (lambda: augment.Shear(90), "degrees must lie between -90 and 90, not 90"),
        (lambda: augment.Scale(0.9), "factor must be a number of at least 1, not 0.9"),
        (lambda: augment.Scale((0, 1)), "factor must be a number above 0, not 0"),
        (lambda: augment.Shift(1.5), "pixels must be a whole number of at least 0, not 1.5"),
        (lambda: augment.Shift(1, fill="black"), "fill must be 'edge', a number, or one number a channel, not 'black'"),
        (lambda: augment.Elastic(34, 0), "sigma must be a number above 0, not 0"),
        (lambda: augment.Elastic(34, -1), "sigma must be a number above 0, not -1"),
        (lambda: augment.Elastic(-1, 4), "alpha must be a number of at least 0, not -1"),
        (lambda: augment.RandomCrop(padding=-1), "padding must be a whole number of at least 0, not -1"),
        (lambda: augment.RandomCrop(4, probability=0.5), "size=4 needs probability=1"),
        (lambda: augment.Compose(augment.Rotate), "an augmentation is the class Rotate; build one"),
        (lambda: augment.Compose(lambda x, y, key: (x, y)), "an augmentation must be an Augmentation, not <function"),
    ],
)
def test_bad_arguments_are_refused(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_what_does_not_fit_the_images_is_refused():
    x = np.zeros((2, 1, 8, 9))
    with pytest.raises(ArgumentError, match=r"Shift\(8\): images of 8 x 9 pixels could be shifted out of sight"):
        augment.Shift(8)(x, key=KEY)
    with pytest.raises(
        ShapeError, match="a window of 11 x 11 does not fit into images of 8 x 9 with a border of 1 and 1"
    ):
        augment.RandomCrop(11, padding=1)(x, key=KEY)


def test_images_as_targets_go_where_their_images_go():
    x = np.random.default_rng(0).random((3, 2, 8, 8)).astype(np.float32)
    for augmentation in (augment.Shift(3, fill=-1.0), augment.Affine(20, scale=1.2, fill=(0.5, -1.0))):
        x2, y2 = augmentation(x, x.copy(), key=Key(0, 0, 1))
        np.testing.assert_array_equal(y2, x2)
    with pytest.raises(ShapeError, match="expected integers as masks, or images like x"):
        augment.Shift(3)(x, x[:, 0], key=Key(0, 0, 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.9}, "scale must be a number of at least 1"),
        ({"shear": 95}, "shear must lie between -90 and 90"),
        ({"shift": 1.5}, "shift must be a whole number"),
        ({"degrees": -5}, "degrees must be"),
    ],
)
def test_affine_names_the_argument_that_was_written(options, message):
    with pytest.raises(ArgumentError, match=message):
        augment.Affine(**options)
