"""Gradient clipping: one wild batch must not throw the weights away."""

import functools
from collections.abc import Iterable

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError
from minicnn.nn import Parameter


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> Array | float:
    """Scale all gradients by one factor so that together they are at most `max_norm` long; return their length before.

    Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1. Nothing
    waits for a GPU here: the length and the factor stay on the device. Raises `ArgumentError` unless max_norm > 0.
    """
    if not max_norm > 0:
        raise ArgumentError(f"clip_grad_norm: max_norm must be above 0, not {max_norm}")
    with_grad = [(parameter, parameter.grad) for parameter in parameters if parameter.grad is not None]
    if not with_grad:
        return 0.0
    xp = array_module(with_grad[0][1])
    largest = functools.reduce(xp.maximum, (xp.abs(grad).max() for _, grad in with_grad if grad.size))
    unit = xp.where(largest > 0, largest, 1)  # squares of large numbers overflow, squares of shares do not
    length = unit * xp.sqrt(sum(((grad / unit) ** 2).sum() for _, grad in with_grad))
    factor = xp.minimum(float(max_norm) / (length + 1e-6), 1)
    for parameter, grad in with_grad:
        parameter.grad = grad * factor
    return length
