"""Grids of images: mistakes, filters, activations, and masks laid over what they were found in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.analyse.style import COLOURS, new_figure
from minicnn.analyse.tracing import looking_at, placed_images, traced
from minicnn.backend import to_host
from minicnn.errors import ArgumentError, DataError, ShapeError, whole_number
from minicnn.metrics import jaccard_score
from minicnn.nn import Conv2d, Layer
from minicnn.nn.lookup import find_layer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_mistakes(
    x: Any,
    y_true: Any,
    probabilities: Any,
    *,
    order: str = "confident",
    most: int = 24,
    classes: Sequence[str] | None = None,
) -> "Figure":
    """Draw the images that were misread, with what they were taken for, how surely, and the truth in brackets.

    Parameters
    ----------
    x : array (N, C, H, W)
        Images of one or three channels.
    y_true : (N,) labels
    probabilities : (N, K)
        As `Trainer.predict_proba` gives them.
    order : "confident" or "worst"
        First those that were said with the highest probability, or those whose true class had the lowest.
    most : int
        How many to draw.
    classes : sequence of K str, optional
        What the labels are called.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If the arrays do not fit together, or an argument makes no sense.
    """
    x, y_true, probabilities = (np.asarray(to_host(array)) for array in (x, y_true, probabilities))
    if probabilities.ndim != 2 or x.ndim != 4 or not len(x) == len(y_true) == len(probabilities):
        raise ShapeError(
            f"x {x.shape}, y_true {y_true.shape} and probabilities {probabilities.shape} do not fit together; "
            "expected (N, C, H, W), (N,) and (N, K)"
        )
    if order not in ("confident", "worst"):
        raise ArgumentError(f"order must be 'confident' or 'worst', not {order!r}")
    if not np.isin(y_true, np.arange(probabilities.shape[1])).all():
        raise DataError(f"y_true must hold labels from 0 to {probabilities.shape[1] - 1}, as probabilities has columns")
    y_true = y_true.astype(np.int64)
    names = [str(k) for k in range(probabilities.shape[1])] if classes is None else [str(name) for name in classes]
    read_as = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(read_as != y_true)
    measure = -probabilities.max(axis=1) if order == "confident" else probabilities[np.arange(len(x)), y_true]
    shown = wrong[np.argsort(measure[wrong], kind="stable")][: whole_number("most", most)]
    titles = [f"{names[read_as[i]]} {probabilities[i, read_as[i]]:.0%} ({names[y_true[i]]})" for i in shown]
    what = "said most surely" if order == "confident" else "whose truth was thought least likely"
    title = f"{len(wrong)} of {len(x)} misread; first those {what}.   read as, how surely (truth)"
    return _grid([x[i] for i in shown], titles, title if len(wrong) else f"all {len(x)} were read right")


def plot_filters(model: Layer, *, layer: str | int | Layer | None = None, most: int = 64) -> "Figure":
    """Draw the kernels of a convolution, by default the first: what each of its channels looks for.

    Grey is 0, white positive and black negative; three input channels are shown as a colour, others as their mean.
    Raises `ArgumentError` if there is no convolution, or the layer named is none.
    """
    convolutions = [inside for _, inside in model.named_layers() if isinstance(inside, Conv2d)]
    if layer is None and not convolutions:
        raise ArgumentError("this model has no convolution, so there are no filters to be drawn")
    chosen = convolutions[0] if layer is None else find_layer(model, layer)
    if not isinstance(chosen, Conv2d):
        raise ArgumentError(f"{chosen!r} is no convolution; filters are a Conv2d's weights")
    w = to_host(chosen.weight.data)[: whole_number("most", most)]
    scale = float(abs(w).max()) or 1.0
    images = [kernel / (2 * scale) + 0.5 if len(kernel) == 3 else kernel.mean(axis=0, keepdims=True) for kernel in w]
    titles = [str(i) for i in range(len(w))]
    key = "white is positive, black negative" if w.shape[1] != 3 else "grey is 0, bright colours are positive"
    return _grid(images, titles, f"Filters of {chosen!r}: {key}", symmetric=True)


def plot_feature_maps(model: Layer, x: Any, *, layer: str | int | Layer, most: int = 64) -> "Figure":
    """Draw what each channel of a layer makes of one image.

    x : (1, C, H, W) or (C, H, W)
    Raises `ShapeError` for more than one image, `ArgumentError` if there is no such layer or it gives out no pictures.
    """
    x = np.asarray(to_host(x))
    x = placed_images(model, x[None] if x.ndim == 3 else x)
    if len(x) != 1:
        raise ShapeError(f"x has shape {tuple(x.shape)}, expected one image: x[:1]")
    chosen = find_layer(model, layer)
    with looking_at(model), traced(chosen) as trace:
        model(x)
    y = to_host(trace.output)
    if y.ndim != 4:
        raise ArgumentError(f"{chosen!r} gives out {y.shape}, not pictures (N, C, H, W); choose a layer before Flatten")
    maps = list(y[0][: whole_number("most", most), None])
    titles = [f"{i}" for i in range(len(maps))]
    return _grid([to_host(x)[0], *maps], ["image", *titles], f"What the channels of {chosen!r} respond to")


def plot_segmentation(image: Any, truth: Any, prediction: Any) -> "Figure":
    """Draw an image with the outline of its true mask and that of a predicted one, and their Jaccard index.

    image : (C, H, W) or (H, W)   truth, prediction : (H, W) masks, 0 outside
    Raises `ShapeError` if the shapes do not fit together.
    """
    image, truth, prediction = (np.asarray(to_host(array)) for array in (image, truth, prediction))
    image = image[None] if image.ndim == 2 else image
    if not image.shape[1:] == truth.shape == prediction.shape:
        raise ShapeError(
            f"the image is {image.shape}, the masks are {truth.shape} and {prediction.shape}; expected (C, H, W) and "
            "two of (H, W)"
        )
    figure = new_figure(5.4, 5)
    axes = figure.subplots()
    show_image(axes, image)
    for mask, colour, style in ((truth, COLOURS[0], "solid"), (prediction, COLOURS[1], "dashed")):
        if (mask != 0).any() and not (mask != 0).all():
            axes.contour(mask != 0, levels=[0.5], colors=[colour], linestyles=style, linewidths=2)
    found, there = (prediction != 0).ravel().astype(int), (truth != 0).ravel().astype(int)
    score = jaccard_score(there, found, zero_division=1)
    axes.set_title(f"Truth in blue, prediction dashed in orange: Jaccard index {score:.2f}", fontsize=10)
    return figure


def show_image(axes: "Axes", image: np.ndarray, *, limits: tuple[float, float] | None = None) -> None:
    """Draw an image (C, H, W) of one channel in grey, of three in colour, of others as their mean."""
    low, high = limits or (float(image.min()), float(image.max()))
    if len(image) == 3:
        span = high - low or 1.0
        axes.imshow(np.clip((image.transpose(1, 2, 0) - low) / span, 0, 1))
    else:
        axes.imshow(image.mean(axis=0), cmap="gray", vmin=low, vmax=high)
    axes.set_axis_off()


def _grid(images: Sequence[np.ndarray], titles: Sequence[str], title: str, *, symmetric: bool = False) -> "Figure":
    """Draw images in rows, each under its title. `symmetric` puts zero in the middle of the greys."""
    if not len(images):
        figure = new_figure(4, 1)
        figure.suptitle(title, fontsize=10)
        return figure
    columns = min(8, len(images))
    rows = -(-len(images) // columns)
    figure = new_figure(max(1.25 * columns, 4), 1.45 * rows + 0.4)
    figure.suptitle(title, fontsize=10)
    largest = max(float(abs(image).max()) for image in images) or 1.0
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, name in zip(grid.flat, images, titles, strict=False):
        if symmetric:
            show_image(axes, image, limits=(0, 1) if len(image) == 3 else (-largest, largest))
        else:
            show_image(axes, image)
        axes.set_title(name, fontsize=8)
    return figure


def check_points(points: Any, name: str) -> np.ndarray:
    """Return an array (N, D) on the host. Raises `ShapeError` for other shapes, `DataError` for NaN or infinity."""
    points = np.asarray(to_host(points))
    if points.ndim != 2 or len(points) == 0:
        raise ShapeError(f"{name} has shape {points.shape}, expected (N, D): one row of features an image")
    if not np.isfinite(points).all():
        raise DataError(f"{name} holds NaN or infinity")
    return points
