"""Measures of images: how far one is from another, by pixels and by structure.

Names, arguments and results are scikit-image's.
"""

import math
from typing import Any

import numpy as np

from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, whole_number

TRUNCATE = 3.5
"""A Gaussian window ends this many standard deviations from its middle."""


def mean_squared_error(image0: Any, image1: Any) -> float:
    """Return the mean over all pixels of (image0 - image1)^2, computed in float64.

    image0, image1 : arrays of one shape
    Raises `ShapeError` if the shapes differ, `DataError` if there are no pixels.
    """
    image0, image1 = _two_images(image0, image1)
    return float(np.mean((image0.astype(np.float64) - image1.astype(np.float64)) ** 2))


def peak_signal_noise_ratio(image_true: Any, image_test: Any, *, data_range: float | None = None) -> float:
    """Return 10 log10(data_range^2 / mean squared error), in decibels; infinite for equal images.

    Parameters
    ----------
    image_true, image_test : arrays of one shape
        The images.
    data_range : float, optional
        The largest possible difference of two pixels; that of the type for uint8 (255) and uint16.

    Raises
    ------
    ShapeError, DataError
        If the shapes differ, or there are no pixels.
    ArgumentError
        If data_range is not given for images of another type, or it is not above 0.
    """
    image_true, image_test = _two_images(image_true, image_test)
    data_range = _data_range(image_true, image_test, data_range)
    error = mean_squared_error(image_true, image_test)
    return 10 * math.log10(data_range**2 / error) if error > 0 else math.inf


def structural_similarity(
    im1: Any,
    im2: Any,
    *,
    win_size: int | None = None,
    data_range: float | None = None,
    channel_axis: int | None = None,
    gaussian_weights: bool = False,
    full: bool = False,
    use_sample_covariance: bool = True,
    sigma: float = 1.5,
    K1: float = 0.01,
    K2: float = 0.03,
) -> Any:
    """Return SSIM, the mean over windows of how alike two images are in lightness, contrast and structure: at most 1.

        (2 mu_x mu_y + C1) (2 sigma_xy + C2) / ((mu_x^2 + mu_y^2 + C1) (sigma_x^2 + sigma_y^2 + C2))
        C1 = (K1 L)^2      C2 = (K2 L)^2      L = data_range

    Wang, Bovik, Sheikh and Simoncelli, "Image quality assessment: from error visibility to structural similarity",
    2004, equation 13; there gaussian_weights=True, sigma=1.5 and use_sample_covariance=False.

    Parameters
    ----------
    im1, im2 : arrays of one shape
        The images, of any number of axes.
    win_size : int, optional
        Side of the window, odd and at least 3; by default 7, or what a Gaussian of that sigma needs (11).
    data_range : float, optional
        L, the largest possible difference of two pixels; that of the type for uint8 (255) and uint16.
    channel_axis : int, optional
        Which axis holds channels; SSIM is then the mean of theirs.
    gaussian_weights : bool
        A Gaussian window instead of a square one.
    full : bool
        Return the map of all windows too, shaped like the images.
    use_sample_covariance : bool
        Divide covariances by the number of pixels less one.
    sigma : float
        Of the Gaussian, in pixels.
    K1, K2 : float
        The constants. Where they are 0, windows without any light or contrast are 0 / 0, which is nan.

    Raises
    ------
    ShapeError, DataError
        If the shapes differ, there are no pixels, or the window does not fit into the image.
    ArgumentError
        If data_range is not given for images of another type, or an argument makes no sense.
    """
    im1, im2 = _two_images(im1, im2)
    L = _data_range(im1, im2, data_range)
    if not (0 < sigma < math.inf and K1 >= 0 and K2 >= 0):
        raise ArgumentError(f"sigma must be above 0, K1 and K2 at least 0; they are {sigma}, {K1} and {K2}")
    if win_size is None:
        win_size = 2 * int(TRUNCATE * sigma + 0.5) + 1 if gaussian_weights else 7
    win_size = whole_number("win_size", win_size, least=3)
    if win_size % 2 == 0:
        raise ArgumentError(f"win_size must be an odd number, so that a window has a middle, not {win_size}")
    if channel_axis is not None and not -im1.ndim <= channel_axis < im1.ndim:
        raise ArgumentError(f"channel_axis={channel_axis} is no axis of images of shape {im1.shape}")
    options = (win_size, gaussian_weights, use_sample_covariance, sigma, (K1 * L) ** 2, (K2 * L) ** 2)
    if channel_axis is None:
        mean, similarity = _of_one_channel(im1, im2, *options)
    else:
        pairs = zip(np.moveaxis(im1, channel_axis, 0), np.moveaxis(im2, channel_axis, 0), strict=True)
        each = [_of_one_channel(a, b, *options) for a, b in pairs]
        mean = float(np.mean([one[0] for one in each]))
        similarity = np.stack([one[1] for one in each], axis=channel_axis)
    return (mean, similarity) if full else mean


def _of_one_channel(
    x: np.ndarray,
    y: np.ndarray,
    win_size: int,
    gaussian_weights: bool,
    use_sample_covariance: bool,
    sigma: float,
    C1: float,
    C2: float,
) -> tuple[float, np.ndarray]:
    """Return the mean of the windows that lie inside the image, and the map of all."""
    from scipy.ndimage import gaussian_filter, uniform_filter

    if any(side < win_size for side in x.shape):
        raise ShapeError(f"a window of {win_size} does not fit into an image of {x.shape}; a smaller win_size does")
    x, y = x.astype(np.float64), y.astype(np.float64)

    def mean_in_window(values: np.ndarray) -> np.ndarray:
        if gaussian_weights:
            return gaussian_filter(values, sigma, truncate=TRUNCATE, mode="reflect")
        return uniform_filter(values, size=win_size)

    pixels = win_size**x.ndim
    unbiased = pixels / (pixels - 1) if use_sample_covariance else 1.0
    mu_x, mu_y = mean_in_window(x), mean_in_window(y)
    var_x = unbiased * (mean_in_window(x * x) - mu_x * mu_x)
    var_y = unbiased * (mean_in_window(y * y) - mu_y * mu_y)
    cov = unbiased * (mean_in_window(x * y) - mu_x * mu_y)
    numerator = (2 * mu_x * mu_y + C1) * (2 * cov + C2)
    similarity = numerator / ((mu_x**2 + mu_y**2 + C1) * (var_x + var_y + C2))
    border = (win_size - 1) // 2
    return float(similarity[tuple(slice(border, side - border) for side in x.shape)].mean()), similarity


def _two_images(image0: Any, image1: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return both on the host. Raises `ShapeError` if their shapes differ, `DataError` if there are no pixels."""
    image0, image1 = np.asarray(to_host(image0)), np.asarray(to_host(image1))
    if image0.shape != image1.shape:
        raise ShapeError(f"the images have shapes {image0.shape} and {image1.shape}; they must be equal")
    if image0.size == 0:
        raise DataError("the images have no pixels")
    return image0, image1


def _data_range(image0: np.ndarray, image1: np.ndarray, given: float | None) -> float:
    """Return the largest possible difference of two pixels."""
    if given is None:
        if image0.dtype != image1.dtype or image0.dtype not in (np.uint8, np.uint16):
            raise ArgumentError(
                f"images of {image0.dtype} and {image1.dtype} do not say how far apart two pixels can be; give "
                "data_range: 1.0 for pixels from 0 to 1, 255 for pixels from 0 to 255"
            )
        return float(np.iinfo(image0.dtype).max)
    if not 0 < given < math.inf:
        raise ArgumentError(f"data_range must be above 0, not {given}")
    return float(given)
