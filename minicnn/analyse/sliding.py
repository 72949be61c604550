"""A classifier of small images, swept over a large one: where is what?

Two ways to the same map. `sliding_window` cuts out every window and asks the model, which needs nothing of the model
and costs one forward pass a window. `fully_convolutional` turns the dense layers into convolutions, so that one forward
pass over the large image computes what neighbouring windows share only once. Long, Shelhamer and Darrell, "Fully
convolutional networks for semantic segmentation", 2015, section 3.1; Sermanet et al., "OverFeat", 2014, section 3.3.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.analyse.activations import STEEPEST
from minicnn.backend import to_backend, to_host
from minicnn.errors import ArgumentError, ShapeError, whole_number
from minicnn.geometry import PairLike, pair
from minicnn.metrics import non_max_suppression
from minicnn.nn import (
    AvgPool2d,
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Identity,
    Layer,
    Linear,
    MaxPool2d,
    Sequential,
    evaluating,
)
from minicnn.nn.init import zeros
from minicnn.train.predicting import backend_of_model, dtype_of_model, softmax

EVERY_PLACE_ALIKE = (*STEEPEST, BatchNorm2d, Identity)
"""Layers that do the same to every pixel of a map."""


@dataclass(frozen=True)
class Sweep:
    """What a model said at every place of a large image.

    Attributes
    ----------
    scores : array (K, rows, columns)
        What the model gave for each window.
    tops, lefts : array (rows,), (columns,)
        Where the windows begin, in pixels.
    size : (int, int)
        Height and width of a window.
    shape : (int, int)
        Height and width of the image.
    """

    scores: np.ndarray
    tops: np.ndarray
    lefts: np.ndarray
    size: tuple[int, int]
    shape: tuple[int, int]

    def probabilities(self) -> np.ndarray:
        """Return the softmax of the scores over the classes: (K, rows, columns)."""
        return softmax(self.scores[None])[0]

    def averaged(self) -> np.ndarray:
        """Return for every pixel the mean probability over the windows that contain it: (K, H, W); nan without any."""
        total = np.zeros((len(self.scores), *self.shape))
        count = np.zeros(self.shape)
        p = self.probabilities()
        for i, top in enumerate(self.tops):
            for j, left in enumerate(self.lefts):
                place = slice(top, top + self.size[0]), slice(left, left + self.size[1])
                total[:, *place] += p[:, i, j, None, None]
                count[place] += 1
        with np.errstate(invalid="ignore"):
            return np.where(count > 0, total / count, np.nan)


@dataclass(frozen=True)
class Detection:
    """Something found: its class, its probability, and its box in pixels."""

    label: int
    score: float
    top: int
    left: int
    height: int
    width: int


def sliding_window(
    model: Layer, image: Any, size: PairLike, *, stride: PairLike = 1, batch_size: int = 256, verbose: bool = False
) -> Sweep:
    """Ask a model about every window of a large image, in batches.

    Parameters
    ----------
    model : Layer
        Gives scores (N, K) for images (N, C, height, width) of the window's size. It is run in evaluation mode.
    image : array (C, H, W) or (H, W)
        The large image, prepared as the training images were.
    size : int or (int, int)
        Height and width of a window.
    stride : int or (int, int)
        How far it moves, down and across, in pixels.
    batch_size : int
        Windows a forward pass.
    verbose : bool
        Show a progress bar.

    Raises
    ------
    ShapeError, ArgumentError
        If the image is none or smaller than a window, the model gives no (N, K), or an argument makes no sense.
    """
    image, size, stride = _checked(model, image), pair(size, "size"), pair(stride, "stride")
    tops, lefts = _places(image.shape[1:], size, stride)
    windows = np.lib.stride_tricks.sliding_window_view(image, size, axis=(1, 2))  # all of them, none copied yet
    rows, columns = (places.ravel() for places in np.meshgrid(tops, lefts, indexing="ij"))
    scores = []
    with evaluating(model):
        for some in _batches(len(rows), whole_number("batch_size", batch_size), verbose):
            batch = np.ascontiguousarray(windows[:, rows[some], columns[some]].swapaxes(0, 1))
            scores.append(to_host(model(to_backend(batch, backend_of_model(model)))))
    flat = np.concatenate(scores)
    if flat.ndim != 2:
        raise ShapeError(f"the model gives {flat.shape}, expected scores of classes (N, K)")
    return Sweep(flat.T.reshape(-1, len(tops), len(lefts)), tops, lefts, size, image.shape[1:])


def sweep_fully_convolutional(model: Layer, image: Any, size: PairLike) -> Sweep:
    """Return what `sliding_window` returns, from one forward pass over the whole image.

    The windows are as far apart as the strides in the network multiply to. Arguments and errors are those of
    `sliding_window` and `fully_convolutional`.
    """
    image, size = _checked(model, image), pair(size, "size")
    convolutional, stride = fully_convolutional(model, (len(image), *size))
    tops, lefts = _places(image.shape[1:], size, stride)
    used = image[:, : tops[-1] + size[0], : lefts[-1] + size[1]]  # what lies beyond the last window moves nothing
    with evaluating(convolutional):
        scores = to_host(convolutional(to_backend(used[None], backend_of_model(model))))[0]
    return Sweep(scores, tops, lefts, size, image.shape[1:])


def fully_convolutional(model: Layer, input_shape: tuple[int, int, int]) -> tuple[Sequential, tuple[int, int]]:
    """Turn a classifier into a network that gives a map of scores, and say how many pixels its places lie apart.

    A `Linear` layer behind `Flatten` becomes a convolution with a kernel as large as the map it flattened, the next
    ones 1 x 1 convolutions; `GlobalAvgPool2d` becomes an average over a window as large as its input was. The new
    layers share the old ones' arrays as they are now.

    Parameters
    ----------
    model : Sequential
        A chain of layers, with `Flatten` or `GlobalAvgPool2d` between images and dense layers.
    input_shape : (C, height, width)
        Of the small images.

    Raises
    ------
    ArgumentError
        If the model is no such chain. If it pads: at the border of a window there are zeros then, and at the same place
        inside a large image there is more image, so the maps would differ.
    """
    layers = list(_chain(model))
    for layer in layers:
        if getattr(layer, "padding", (0, 0)) not in ((0, 0), 0, "valid"):
            raise ArgumentError(
                f"{layer!r} pads, so a window's border would look different inside a large image; train with "
                "padding=0, or use sliding_window"
            )
    new: list[Layer] = []
    down = across = 1
    seen: tuple[int, ...] | None = None  # what a dense layer looks at: (C, h, w)
    x = to_backend(np.zeros((1, *input_shape), dtype=dtype_of_model(model)), backend_of_model(model))
    with evaluating(model):
        for layer in layers:
            before = tuple(x.shape)
            x = layer(x)
            if isinstance(layer, Flatten):
                seen = before[1:]
            elif isinstance(layer, GlobalAvgPool2d):
                new.append(AvgPool2d(before[2:], stride=1))
                seen = (before[1], 1, 1)
            elif isinstance(layer, Linear):
                if seen is None:
                    raise ArgumentError(f"{layer!r} follows neither Flatten nor GlobalAvgPool2d, so it cannot be swept")
                new.append(_as_convolution(layer, seen))
                seen = (layer.out_features, 1, 1)
            elif isinstance(layer, BatchNorm1d):
                new.append(_for_maps(layer))
            elif isinstance(layer, Conv2d | MaxPool2d | AvgPool2d):
                new.append(layer)
                down, across = down * layer.stride[0], across * layer.stride[1]
            elif type(layer) in EVERY_PLACE_ALIKE:
                new.append(layer)
            elif not isinstance(layer, Dropout):
                raise ArgumentError(f"{layer!r}: whether it treats every place alike is not known; use sliding_window")
    return Sequential(*new), (down, across)


def detections(
    sweep: Sweep,
    *,
    threshold: float = 0.5,
    overlap: float = 0.3,
    background: int | None = None,
    class_agnostic: bool = False,
) -> list[Detection]:
    """Return the windows in which a class is found, the surest first, each object of a class once.

    Parameters
    ----------
    sweep : Sweep
        What a model said.
    threshold : float
        The least probability.
    overlap : float
        Windows of one class that overlap a surer one by more than this (intersection over union) are left out:
        non-maximum suppression, Neubeck and Van Gool, "Efficient non-maximum suppression", 2006.
    background : int, optional
        A class that means "nothing here".
    class_agnostic : bool
        Leave out what overlaps a surer window of any class: for objects that cannot lie on top of each other.

    Raises
    ------
    ArgumentError
        If threshold or overlap lies outside [0, 1].
    """
    if not (0 <= threshold <= 1 and 0 <= overlap <= 1):
        raise ArgumentError(f"threshold and overlap must lie between 0 and 1; they are {threshold} and {overlap}")
    p = sweep.probabilities()
    best, score = p.argmax(axis=0), p.max(axis=0)
    rows, columns = np.nonzero((score >= threshold) & (best != background))
    tops, lefts, labels, scores = sweep.tops[rows], sweep.lefts[columns], best[rows, columns], score[rows, columns]
    boxes = np.stack([lefts, tops, lefts + sweep.size[1], tops + sweep.size[0]], axis=1)
    kept = non_max_suppression(boxes, scores, iou_threshold=overlap, labels=None if class_agnostic else labels)
    return [Detection(int(labels[i]), float(scores[i]), int(tops[i]), int(lefts[i]), *sweep.size) for i in kept]


def _as_convolution(linear: Linear, shape: tuple[int, ...]) -> Conv2d:
    """Return the convolution that does to each window of `shape` (C, h, w) what a linear layer does to it flattened."""
    weight = linear.weight.data
    convolution = Conv2d(shape[0], len(weight), (shape[1], shape[2]), bias=linear.bias is not None, init=zeros)
    convolution.weight.data = weight.reshape(len(weight), *shape)
    convolution.bias = linear.bias
    return convolution


def _for_maps(norm: BatchNorm1d) -> BatchNorm2d:
    """Return the batch norm that does to every place of a map what this one does to rows."""
    new = BatchNorm2d(norm.num_features, eps=norm.eps)
    new.weight, new.bias, new.running_mean, new.running_var = (
        norm.weight,
        norm.bias,
        norm.running_mean,
        norm.running_var,
    )
    return new


def _chain(model: Layer) -> Iterator[Layer]:
    """Walk over the layers of a chain, and of chains inside it."""
    if not isinstance(model, Sequential):
        raise ArgumentError(f"{model!r} is not a Sequential, so its layers cannot be taken apart; use sliding_window")
    for layer in model:
        if isinstance(layer, Sequential):
            yield from _chain(layer)
        elif layer.children():
            raise ArgumentError(f"{layer!r} branches, so its windows cannot be told apart here; use sliding_window")
        else:
            yield layer


def _checked(model: Layer, image: Any) -> np.ndarray:
    image = np.asarray(to_host(image))
    image = image[None] if image.ndim == 2 else image
    if image.ndim != 3:
        raise ShapeError(f"the image has shape {image.shape}, expected (C, H, W) or (H, W)")
    return image.astype(dtype_of_model(model), copy=False)


def _places(shape: tuple[int, ...], size: tuple[int, int], stride: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    if shape[0] < size[0] or shape[1] < size[1]:
        raise ShapeError(f"a window of {size[0]} x {size[1]} does not fit into an image of {shape[0]} x {shape[1]}")
    return np.arange(0, shape[0] - size[0] + 1, stride[0]), np.arange(0, shape[1] - size[1] + 1, stride[1])


def _batches(count: int, batch_size: int, verbose: bool) -> Iterator[slice]:
    starts = range(0, count, batch_size)
    if verbose:
        from tqdm import tqdm

        starts = tqdm(starts, desc="windows", unit="batch")
    return (slice(start, start + batch_size) for start in starts)
