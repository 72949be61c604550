"""Which pixels a decision rests on: four answers, none of them the whole truth.

Adebayo et al., "Sanity checks for saliency maps", 2018, show which such maps hardly change when the weights are
replaced by random numbers: try that with yours, too.
"""

from typing import Any

import numpy as np

from minicnn.analyse.tracing import (
    chosen_classes,
    last_map,
    looking_at,
    placed_images,
    score_gradient,
    traced,
)
from minicnn.backend import CounterRng, array_module, to_backend, to_host
from minicnn.errors import ArgumentError, whole_number
from minicnn.nn import Layer
from minicnn.nn.lookup import find_layer
from minicnn.ops import random_normal
from minicnn.train.predicting import backend_of_model, dtype_of_model, softmax


def saliency(model: Layer, x: Any, *, target: Any = None) -> np.ndarray:
    """Return how strongly the score of a class depends on each pixel: (N, H, W), of |d score / dx| the largest channel.

    Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2014, section 3.1.

    Parameters
    ----------
    model : Layer
        What gives scores (N, K); it is run in evaluation mode and left as it was.
    x : array (N, C, H, W)
        Images, prepared as in training.
    target : int or (N,) ints, optional
        The class asked about; by default that with the largest score.

    Raises
    ------
    ShapeError, ArgumentError
        If x is no batch of images, the model gives no scores of classes, or a class does not exist.
    """
    x = placed_images(model, x)
    with looking_at(model):
        return abs(to_host(score_gradient(model, x, target))).max(axis=1)


def grad_cam(model: Layer, x: Any, *, target: Any = None, layer: str | int | Layer | None = None) -> np.ndarray:
    """Return a coarse map of where the evidence for a class lies: (N, H, W), at least 0, as large as the image.

        alpha_k = mean over i, j of d score / dA[k, i, j]          map = max(0, sum over k of alpha_k A[k])

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017,
    equations 1 and 2. The map of the layer is stretched to the image's size along straight lines.

    Parameters
    ----------
    model, x, target
        As for `saliency`.
    layer : str, int or Layer, optional
        The layer whose output is A, (N, K, h, w); by default the last that gives out a picture.

    Raises
    ------
    ShapeError, ArgumentError
        As for `saliency`; or if the layer is not in the model or gives out no pictures.
    """
    x = placed_images(model, x)
    with looking_at(model):
        chosen = last_map(model, x[:1]) if layer is None else find_layer(model, layer)
        with traced(chosen) as trace:
            score_gradient(model, x, target)
    a, da = to_host(trace.output), to_host(trace.gradient)
    if a.ndim != 4:
        raise ArgumentError(f"{chosen!r} gives out {a.shape}, not pictures (N, K, h, w); choose a layer before Flatten")
    alpha = da.mean(axis=(2, 3), keepdims=True)
    maps = np.maximum((alpha * a).sum(axis=1), 0)
    return stretched(maps, x.shape[2:])


def occlusion(
    model: Layer, x: Any, *, target: Any = None, size: int = 3, stride: int = 1, fill: float = 0.0
) -> np.ndarray:
    """Return how much the probability of a class falls when a square is covered: (N, H, W), mean over all squares.

    Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, section 4.2.

    Parameters
    ----------
    model, x, target
        As for `saliency`.
    size, stride : int
        Side of the square, and how far it moves, in pixels.
    fill : float
        What covers the pixels.

    Raises
    ------
    ShapeError, ArgumentError
        As for `saliency`; or if the square is larger than the image.
    """
    x = placed_images(model, x)
    n, _, height, width = x.shape
    size, stride = whole_number("size", size), whole_number("stride", stride)
    if size > min(height, width):
        raise ArgumentError(f"a square of {size} does not fit into images of {height} x {width}")
    if stride > size:
        raise ArgumentError(f"squares of {size} every {stride} pixels leave gaps; stride may be at most the size")
    total, covered = np.zeros((n, height, width)), np.zeros((height, width))
    with looking_at(model):
        scores = model(x)
        classes = chosen_classes(scores, target)
        before = softmax(to_host(scores))[np.arange(n), classes]
        for top in _starts(height, size, stride):
            for left in _starts(width, size, stride):
                square = slice(top, top + size), slice(left, left + size)
                hidden = x.copy()
                hidden[:, :, *square] = fill
                fall = before - softmax(to_host(model(hidden)))[np.arange(n), classes]
                total[:, *square] += fall[:, None, None]
                covered[square] += 1
    return total / covered


def maximise_class(
    model: Layer,
    shape: tuple[int, int, int],
    target: int,
    *,
    steps: int = 100,
    lr: float = 0.1,
    decay: float = 0.01,
    seed: int = 0,
) -> np.ndarray:
    """Return the image (C, H, W) that a model finds most typical of a class, by climbing score - decay / 2 * |x|^2.

    Simonyan, Vedaldi and Zisserman, "Deep inside convolutional networks", 2014, section 2; steps have a fixed length.

    Parameters
    ----------
    model : Layer
        What gives scores (N, K).
    shape : (C, H, W)
        Of the image.
    target : int
        The class.
    steps : int
        How many steps to climb.
    lr : float
        Length of a step, per pixel (root mean square).
    decay : float
        How strongly the image is pulled towards 0.
    seed : int
        Of the faint noise that it starts from.

    Raises
    ------
    ShapeError, ArgumentError
        If the model gives no scores of classes or an argument makes no sense.
    """
    steps = whole_number("steps", steps)
    start = 0.01 * random_normal(CounterRng(seed).next_key(), shape=(1, *shape))
    x = to_backend(start.astype(dtype_of_model(model)), backend_of_model(model))
    xp = array_module(x)
    with looking_at(model):
        for _ in range(steps):
            climb = score_gradient(model, x, target) - decay * x
            length = xp.sqrt((climb * climb).mean())
            x = x + climb * (lr / (length + 1e-12))
    return to_host(x)[0]


def stretched(maps: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Return maps (N, h, w) stretched to (N, H, W) along straight lines between the middles of their pixels."""
    rows, columns = (_weights(small, large) for small, large in zip(maps.shape[1:], size, strict=True))
    return rows @ maps @ columns.T


def _weights(small: int, large: int) -> np.ndarray:
    """Return the matrix (large, small) that interpolates a row of pixels."""
    places = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    return np.maximum(0, 1 - abs(places[:, None] - np.arange(small)))


def _starts(side: int, size: int, stride: int) -> list[int]:
    """Return where squares begin, so that the last one ends at the border."""
    return sorted({*range(0, side - size + 1, stride), side - size})
