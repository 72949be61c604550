"""Complete solutions, made of the engine's own source text: what a student would have written.

A solution is the text of some modules without their imports from minicnn and without `@slot`, after a few lines that
stand for what was imported. Finite differences are nobody's operation, so they are written out here.
"""

import ast
import importlib

WINDOWS = ("minicnn.geometry", "minicnn.ops.windows")
MODULES = {
    "a02_linear_softmax": ("minicnn.ops.linear", "minicnn.ops.loss"),
    "a03_convolution_by_loops": (*WINDOWS, "minicnn.ops.conv"),
    "a04_im2col": (*WINDOWS, "minicnn.ops.conv"),
    "a05_conv_backward": (*WINDOWS, "minicnn.ops.conv"),
    "a06_pooling": (*WINDOWS, "minicnn.ops.pool"),
    "a07_batch_norm": ("minicnn.ops.norm",),
    "a08_dropout": ("minicnn.ops.dropout",),
    "a09_sgd_adam": ("minicnn.ops.update",),
    "a10_layer": (*WINDOWS, "minicnn.ops.conv", "minicnn.nn.conv"),
    "a11_numba": (*WINDOWS, "minicnn.ops.conv"),
}
IMPORTED = """
from typing import Any

import numpy as np

from minicnn.ops import random_bits

Array = Key = Any
ArgumentError = ShapeError = ValueError


def array_module(*arrays):
    return np
"""
FOR_LAYERS = """
import contextlib
import types

from minicnn.nn import Layer, Parameter

CounterRng = Initialiser = Any
ops = types.SimpleNamespace(conv2d_forward=conv2d_forward, conv2d_backward=conv2d_backward)


def he_normal(shape, rng):
    return np.linspace(-0.3, 0.3, int(np.prod(shape))).reshape(shape)


def new_weight(shape, init, rng):
    return Parameter(init(shape, rng).astype(np.float32))


def new_vector(size):
    return Parameter(np.zeros(size, dtype=np.float32))


def check_input(*args, **options):
    pass


def naming(layer):
    return contextlib.nullcontext()


def listed(names):
    return str(names)


def whole_number(name, value):
    return value
"""
DIFFERENCES = """
import numpy as np


def numeric_gradient(f, x, *, h=1e-5):
    gradient = np.empty_like(x)
    for i in np.ndindex(*x.shape):
        kept = x[i]
        x[i] = kept + h
        above = f(x)
        x[i] = kept - h
        gradient[i] = (above - f(x)) / (2 * h)
        x[i] = kept
    return gradient


def relative_error(a, b):
    size = np.maximum(np.abs(a), np.abs(b))
    return float((np.abs(a - b) / np.where(size == 0, 1, size)).max())
"""


def solution(assignment):
    """The text of a file that solves an assignment."""
    name = f'ASSIGNMENT = "{assignment}"\n'
    if assignment == "a01_finite_differences":
        return name + DIFFERENCES
    texts = [name, IMPORTED]
    for module in MODULES[assignment]:
        texts += [FOR_LAYERS] if module == "minicnn.nn.conv" else []
        texts.append(_without_engine(module))
    return "\n\n".join(texts)


def _without_engine(module):
    path = importlib.import_module(module).__file__
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    tree.body = [node for node in tree.body if not _imports_minicnn(node)]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return ast.unparse(tree)


def _imports_minicnn(node):
    return isinstance(node, ast.ImportFrom) and node.module.startswith("minicnn")
