"""Activations in one pass over memory, whatever its order, divided among the threads.

An activation is written here as a formula for one number x, its derivative as a second one (of y where that is simpler,
as in `minicnn.ops`). The loops that carry a formula over whole arrays are made from it, and the compiler sees both as
one.
"""

import math
from collections.abc import Callable

import numpy as np
from numba import njit
from numba.extending import register_jitable

from minicnn.backend import Array, plain_body
from minicnn.kernels.numba.elementwise import one_pass
from minicnn.kernels.numba.exponential import exp, expm1, log1p, normal_cdf
from minicnn.kernels.numba.memory import is_float

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def relu_forward(x: Array) -> Array:
    """One pass; y lies in memory as x does."""
    if not is_float(x):
        return plain_body("relu_forward")(x)
    return one_pass(_relu, (x,), np.empty_like(x))


def relu_backward(dy: Array, y: Array) -> Array:
    """One pass; dx lies in memory as y does."""
    if dy.shape != y.shape or not is_float(dy, y):
        return plain_body("relu_backward")(dy, y)
    return one_pass(relu_gradient, (dy, y), np.empty_like(y))


def add_relu_forward(x: Array, shortcut: Array) -> Array:
    """One pass; y lies in memory as x does."""
    if x.shape != shortcut.shape or not is_float(x, shortcut):
        return plain_body("add_relu_forward")(x, shortcut)
    return one_pass(_add_relu, (x, shortcut), np.empty_like(x))


@njit(nogil=True, cache=True)
def _add_relu(x, shortcut, y):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        total = x[i] + shortcut[i]
        y[i] = total if total > 0 or total != total else 0  # a NaN stays one


@njit(nogil=True, cache=True)
def _relu(x, y):  # type: ignore[no-untyped-def]
    for i in range(x.size):
        y[i] = x[i] if x[i] > 0 or x[i] != x[i] else 0  # a NaN stays one


@njit(nogil=True, cache=True)
def relu_gradient(dy, y, dx):  # type: ignore[no-untyped-def]
    """dx = dy where y is positive, else 0; flat arrays of one size."""
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > 0 else 0


formula = register_jitable(error_model="numpy", forceinline=True)
"""Inlined, since a loop that calls a function is not vectorised; and no njit of its own, which would be another one in
every process, so that no loop made from it were found in the cache on disk."""


@formula
def _leaky_relu(x, slope):  # type: ignore[no-untyped-def]
    return x if x > 0 else slope * x


@formula
def _leaky_relu_derivative(x, slope):  # type: ignore[no-untyped-def]
    return 1 if x > 0 else slope


@formula
def _elu(x, alpha):  # type: ignore[no-untyped-def]
    return x if x > 0 else alpha * expm1(x)


@formula
def _elu_derivative(x, alpha):  # type: ignore[no-untyped-def]
    return 1 if x > 0 else alpha * exp(x)


@formula
def _selu(x):  # type: ignore[no-untyped-def]
    return SELU_SCALE * _elu(x, SELU_ALPHA)


@formula
def _selu_derivative(x):  # type: ignore[no-untyped-def]
    return SELU_SCALE * _elu_derivative(x, SELU_ALPHA)


@formula
def _gelu(x):  # type: ignore[no-untyped-def]
    return x * normal_cdf(x)


@formula
def _gelu_derivative(x):  # type: ignore[no-untyped-def]
    return normal_cdf(x) + x * (exp(-0.5 * x * x) / math.sqrt(2 * math.pi))


@formula
def _sigmoid(x):  # type: ignore[no-untyped-def]
    e = exp(-abs(x))
    return (1.0 if x >= 0 else e) / (1 + e)


@formula
def _sigmoid_derivative(y):  # type: ignore[no-untyped-def]
    return y * (1 - y)


@formula
def _silu(x):  # type: ignore[no-untyped-def]
    return x * _sigmoid(x)


@formula
def _silu_derivative(x):  # type: ignore[no-untyped-def]
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


@formula
def _tanh_derivative(y):  # type: ignore[no-untyped-def]
    return 1 - y * y


@formula
def _softplus(x, beta, threshold):  # type: ignore[no-untyped-def]
    z = beta * x
    return x if z > threshold else (max(z, 0) + log1p(exp(-abs(z)))) / beta


@formula
def _softplus_derivative(x, beta, threshold):  # type: ignore[no-untyped-def]
    z = beta * x
    return 1 if z > threshold else _sigmoid(z)


def _filling(name: str, loop: Callable, **defaults: float) -> Callable:
    """Make a filling of a loop over numbers; it takes the keywords of `defaults`."""

    def filling(*arrays: Array, **options: float) -> Array:
        x = arrays[-1]
        if arrays[0].shape != x.shape or not is_float(*arrays) or not options.keys() <= defaults.keys():
            return plain_body(name)(*arrays, **options)
        scalars = [x.dtype.type(options.get(key, default)) for key, default in defaults.items()]
        return one_pass(loop, arrays, np.empty_like(x), *scalars)

    return filling


def _loop(value: Callable) -> Callable:
    @njit(nogil=True, cache=True, error_model="numpy")
    def loop(x, y, *scalars):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            y[i] = value(x[i], *scalars)

    return loop


def _gradient_loop(derivative: Callable) -> Callable:
    @njit(nogil=True, cache=True, error_model="numpy")
    def loop(dy, x, dx, *scalars):  # type: ignore[no-untyped-def]
        for i in range(x.size):
            dx[i] = dy[i] * derivative(x[i], *scalars)

    return loop


leaky_relu_forward = _filling("leaky_relu_forward", _loop(_leaky_relu), slope=0.01)
leaky_relu_backward = _filling("leaky_relu_backward", _gradient_loop(_leaky_relu_derivative), slope=0.01)
elu_forward = _filling("elu_forward", _loop(_elu), alpha=1.0)
elu_backward = _filling("elu_backward", _gradient_loop(_elu_derivative), alpha=1.0)
selu_forward = _filling("selu_forward", _loop(_selu))
selu_backward = _filling("selu_backward", _gradient_loop(_selu_derivative))
gelu_forward = _filling("gelu_forward", _loop(_gelu))
gelu_backward = _filling("gelu_backward", _gradient_loop(_gelu_derivative))
silu_forward = _filling("silu_forward", _loop(_silu))
silu_backward = _filling("silu_backward", _gradient_loop(_silu_derivative))
sigmoid_forward = _filling("sigmoid_forward", _loop(_sigmoid))
sigmoid_backward = _filling("sigmoid_backward", _gradient_loop(_sigmoid_derivative))
tanh_forward = _filling("tanh_forward", np.tanh)  # NumPy's works on whole vectors too
tanh_backward = _filling("tanh_backward", _gradient_loop(_tanh_derivative))
softplus_forward = _filling("softplus_forward", _loop(_softplus), beta=1.0, threshold=20.0)
softplus_backward = _filling("softplus_backward", _gradient_loop(_softplus_derivative), beta=1.0, threshold=20.0)
