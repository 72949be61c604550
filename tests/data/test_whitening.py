"""Whitening against scikit-learn and NumPy's covariance; normalising by image; learned from the training set alone."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA

from minicnn.data import ArrayDataset, ImageNormaliser, PCAWhitening, SealedDataset, ZCAWhitening, normalise, split
from minicnn.errors import ArgumentError, DataError, ShapeError


def images(seed=0, count=200, dtype=np.float64):
    """Correlated pixels, all of them varying."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(count, 12)) @ rng.normal(size=(12, 12)) + 3).reshape(count, 2, 2, 3).astype(dtype)


@pytest.fixture
def splits():
    return split(ArrayDataset(images(), np.arange(200) % 2, dtype=np.float64), seed=1)


def contents(splits):
    return [part.x for part in (splits.train, splits.validation, splits.test.open("to look at it in a test"))]


@pytest.mark.parametrize("components", [None, 12, 5])
def test_pca_whitening_is_scikit_learns(components):
    x, other = images(), images(1, 20)
    whiten, oracle = PCAWhitening.fit(x, epsilon=0, components=components), PCA(components, whiten=True)
    oracle.fit(x.reshape(200, -1))
    for data in (x, other):
        want = oracle.transform(data.reshape(len(data), -1))
        got = whiten(data)
        signs = np.sign((got * want).sum(axis=0))  # an eigenvector's sign is arbitrary
        np.testing.assert_allclose(got * signs, want, atol=1e-9)
    np.testing.assert_allclose(whiten.variances[: want.shape[1]], oracle.explained_variance_, rtol=1e-9)


@pytest.mark.parametrize("kind", [PCAWhitening, ZCAWhitening])
def test_the_covariance_of_whitened_data_is_the_identity_without_epsilon(kind):
    x = images()
    white = kind.fit(x, epsilon=0)(x).reshape(200, -1)
    np.testing.assert_allclose(np.cov(white.T), np.eye(12), atol=1e-9)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("kind", [PCAWhitening, ZCAWhitening])
def test_with_epsilon_each_direction_has_its_share_of_variance(kind):
    x, epsilon = images(), 0.5
    white = kind.fit(x, epsilon=epsilon)(x).reshape(200, -1)
    variances = np.linalg.eigvalsh(np.cov(x.reshape(200, -1).T))
    np.testing.assert_allclose(np.linalg.eigvalsh(np.cov(white.T)), variances / (variances + epsilon), atol=1e-9)


def test_zca_is_the_symmetric_one_and_nearest_to_the_data():
    x = images()
    zca, pca = (kind.fit(x, epsilon=0) for kind in (ZCAWhitening, PCAWhitening))
    np.testing.assert_allclose(zca.matrix, zca.matrix.T, atol=1e-10)
    covariance = np.cov(x.reshape(200, -1).T)
    np.testing.assert_allclose(zca.matrix @ zca.matrix @ covariance, np.eye(12), atol=1e-8)
    centred = x - x.mean(axis=0)
    assert np.square(zca(x) - centred).sum() < np.square(pca(x).reshape(x.shape) - centred).sum()
    assert zca(x).shape == x.shape


def test_constant_pixels_stay_zero_with_epsilon_and_are_refused_without():
    x = np.concatenate([images(), np.full((200, 2, 2, 1), 0.7)], axis=3)
    white = ZCAWhitening.fit(x)(x)
    np.testing.assert_allclose(white[..., -1], 0, atol=1e-9)
    assert np.isfinite(white).all()
    with pytest.raises(
        DataError, match=r"4 of 16 directions have no variance .*4 numbers are constant.*epsilon above 0"
    ):
        ZCAWhitening.fit(x, epsilon=0)
    assert PCAWhitening.fit(x, epsilon=0, components=12)(x).shape == (200, 12)


@pytest.mark.parametrize("method", ["channel", "image", "pca", "zca"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_method_keeps_the_dtype_and_leaves_its_function_behind(method, dtype):
    splits = split(ArrayDataset(images(dtype=dtype), np.arange(200) % 2, dtype=dtype), seed=1)
    after = normalise(splits, method)
    for before, x in zip(contents(splits), contents(after), strict=True):
        assert x.dtype == dtype
        np.testing.assert_array_equal(x, after.normaliser(before))
    assert after.train.x.shape[1:] == ((12,) if method == "pca" else (2, 2, 3))


@pytest.mark.parametrize("method", ["channel", "pca", "zca"])
def test_only_the_training_set_is_learned_from(splits, method):
    wild = ArrayDataset(splits.validation.x * 1000 + 7, splits.validation.y, dtype=np.float64)
    other = normalise(replace(splits, validation=wild, test=SealedDataset(wild)), method)
    np.testing.assert_array_equal(other.train.x, normalise(splits, method).train.x)


def test_every_image_gets_mean_0_and_deviation_1_of_its_own():
    x = images() * np.arange(1, 201)[:, None, None, None]
    y = ImageNormaliser()(x)
    np.testing.assert_allclose(y.mean(axis=(1, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(y.std(axis=(1, 2, 3)), 1)
    np.testing.assert_allclose(ImageNormaliser()(3 * x + 5), y, atol=1e-9)


def test_an_image_of_one_shade_becomes_0():
    np.testing.assert_array_equal(ImageNormaliser()(np.full((1, 1, 8, 8), 0.1, dtype=np.float32)), 0)


def test_options_reach_the_method(splits):
    assert normalise(splits, "pca", components=3, epsilon=0.1).train.x.shape[1:] == (3,)
    assert normalise(splits, "zca", epsilon=9.0).normaliser.epsilon == 9


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("white",), {}, "method must be one of 'channel', 'image', 'pca', 'zca', not 'white'"),
        (("zca",), {"components": 3}, r"normalise\(..., 'zca'\) takes 'epsilon', not 'components'"),
        ((), {"epsilon": 3}, r"normalise\(..., 'channel'\) takes no options, not 'epsilon'"),
        (("zca",), {"epsilon": -1}, "epsilon must be a number of at least 0, not -1"),
        (("pca",), {"components": 13}, "components must be a whole number from 1 to 12, not 13"),
        (("pca",), {"components": 0.9}, "components must be a whole number from 1 to 12, not 0.9"),
    ],
)
def test_bad_arguments_are_refused(splits, arguments, options, message):
    with pytest.raises(ArgumentError, match=message):
        normalise(splits, *arguments, **options)


def test_other_shapes_and_single_examples_are_refused():
    with pytest.raises(ShapeError, match=r"x has shape \(1, 12\), expected \(N, 2, 2, 3\)"):
        ZCAWhitening.fit(images())(np.zeros((1, 12)))
    with pytest.raises(DataError, match="at least two examples"):
        PCAWhitening.fit(images(count=1))
