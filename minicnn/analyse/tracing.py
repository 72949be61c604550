"""Getting at what flows through a model that is being looked at, and leaving it as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minicnn.backend import Array, array_module, to_backend, to_host
from minicnn.errors import ArgumentError, ShapeError
from minicnn.nn import Layer, evaluating
from minicnn.train.predicting import backend_of_model, dtype_of_model


class Trace:
    """What a layer gave out in the last forward pass, and the gradient with respect to that in the backward pass."""

    output: Array
    gradient: Array


@contextmanager
def looking_at(model: Layer) -> Iterator[None]:
    """For a `with` block, let the model run forwards and backwards in evaluation mode; afterwards it is as it was.

    Modes, gradients, and what layers remember for a backward pass that is still to come are put back.
    """
    parameters = model.parameters()
    grads = [parameter.grad for parameter in parameters]
    saved = [(layer, layer._saved) for _, layer in model.named_layers()]
    try:
        for parameter in parameters:
            parameter.grad = None
        with evaluating(model):
            yield
    finally:
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        for layer, value in saved:
            layer._saved = value


@contextmanager
def traced(layer: Layer) -> Iterator[Trace]:
    """For a `with` block, write down what a layer gives out and which gradient comes back to it."""
    trace = Trace()
    own = layer.backward

    def note(_: Layer, x: Array, y: Array) -> None:
        trace.output = y

    def backward(dy: Array) -> Array:
        trace.gradient = dy
        return own(dy)

    remove = layer.add_hook(note)  # a layer with a hook is never fused with its neighbours
    layer.backward = backward  # type: ignore[method-assign]
    try:
        yield trace
    finally:
        remove()
        del layer.backward


def last_map(model: Layer, x: Array) -> Layer:
    """Return the last layer whose output is still a picture, (N, C, H, W) of more than one pixel.

    Raises `ArgumentError` if there is none.
    """
    found: list[Layer] = []

    def note(layer: Layer, _: Array, y: Array) -> None:
        if y.ndim == 4 and y.shape[2] * y.shape[3] > 1 and not layer.children():
            found.append(layer)

    removers = [layer.add_hook(note) for _, layer in model.named_layers()]
    try:
        model(x)
    finally:
        for remove in removers:
            remove()
    if not found:
        raise ArgumentError("no layer of this model gives out a picture (N, C, H, W); name one with layer=")
    return found[-1]


def placed_images(model: Layer, x: Any) -> Array:
    """Return images (N, C, H, W) where the model lives, in its dtype. Raises `ShapeError` for other shapes."""
    x = np.asarray(to_host(x))
    if x.ndim != 4 or len(x) == 0:
        raise ShapeError(f"x has shape {x.shape}, expected images (N, C, H, W); a single one is x[None]")
    return to_backend(x.astype(dtype_of_model(model), copy=False), backend_of_model(model))


def chosen_classes(scores: Array, target: Any) -> np.ndarray:
    """Return for each example the class that is asked about, (N,): that with the largest score unless given.

    scores : (N, K)   target : None, a class, or (N,) classes
    Raises `ShapeError` if there are no scores of classes or not one target each, `ArgumentError` for a class outside.
    """
    if scores.ndim != 2:
        raise ShapeError(f"the model gives {tuple(scores.shape)}, expected scores of classes (N, K)")
    n, k = scores.shape
    if target is None:
        return to_host(scores).argmax(axis=1)
    classes = np.asarray(to_host(target))
    if classes.ndim > 1 or (classes.ndim == 1 and len(classes) != n):
        raise ShapeError(f"target has shape {classes.shape}, expected a class, or one for each of {n} images")
    if classes.dtype.kind not in "iu" or ((classes < 0) | (classes >= k)).any():
        raise ArgumentError(f"target must be a class from 0 to {k - 1}, not {target!r}")
    return np.broadcast_to(classes, (n,))


def score_gradient(model: Layer, x: Array, target: Any) -> Array:
    """Return d score[target] / dx for every image, shaped like x. To be called inside `looking_at`."""
    scores = model(x)
    one_hot = np.zeros(tuple(scores.shape), dtype=scores.dtype)
    one_hot[np.arange(len(one_hot)), chosen_classes(scores, target)] = 1
    return model.backward(array_module(x).asarray(one_hot))
