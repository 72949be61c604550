"""Activations: one function of one number, applied to every element, and its derivative.

x, y, dy and dx have one shape, whatever it is. A backward takes the forward's output y where the derivative
is simplest in y (ReLU, sigmoid, tanh), and its input x elsewhere.
"""

import math

from minicnn.backend import Array, array_module, slot, special_functions

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@slot("y")
def relu_forward(x: Array) -> Array:
    """y = max(x, 0).   Nair and Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010."""
    return array_module(x).maximum(x, 0)


@slot("dx")
def relu_backward(dy: Array, y: Array) -> Array:
    """dx = dy where y > 0, else 0 (at the kink x = 0 the derivative is taken as 0, as in PyTorch)."""
    return array_module(dy).where(y > 0, dy, 0)


@slot("y")
def leaky_relu_forward(x: Array, *, slope: float = 0.01) -> Array:
    """y = x where x > 0, else slope * x.   Maas, Hannun and Ng, "Rectifier nonlinearities improve...", 2013."""
    return array_module(x).where(x > 0, x, slope * x)


@slot("dx")
def leaky_relu_backward(dy: Array, x: Array, *, slope: float = 0.01) -> Array:
    """dx = dy where x > 0, else slope * dy."""
    return array_module(x).where(x > 0, dy, slope * dy)


@slot("y")
def elu_forward(x: Array, *, alpha: float = 1.0) -> Array:
    """y = x where x > 0, else alpha * (e^x - 1).   Clevert, Unterthiner and Hochreiter, "ELU", 2016, equation 15."""
    xp = array_module(x)
    return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0)))


@slot("dx")
def elu_backward(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    """dx = dy where x > 0, else alpha * e^x * dy."""
    xp = array_module(x)
    return xp.where(x > 0, dy, dy * (alpha * xp.exp(xp.minimum(x, 0))))


@slot("y")
def selu_forward(x: Array) -> Array:
    """y = scale * x where x > 0, else scale * alpha * (e^x - 1).

    The constants keep mean 0 and variance 1 from layer to layer.
    Klambauer et al., "Self-normalizing neural networks", 2017, equation 2 and section 2 (fixed point).
    """
    xp = array_module(x)
    return SELU_SCALE * xp.where(x > 0, x, SELU_ALPHA * xp.expm1(xp.minimum(x, 0)))


@slot("dx")
def selu_backward(dy: Array, x: Array) -> Array:
    """dx = scale * dy where x > 0, else scale * alpha * e^x * dy."""
    xp = array_module(x)
    return SELU_SCALE * xp.where(x > 0, dy, dy * (SELU_ALPHA * xp.exp(xp.minimum(x, 0))))


@slot("y")
def gelu_forward(x: Array) -> Array:
    """y = x * Phi(x), with Phi(x) = (1 + erf(x / sqrt 2)) / 2 the normal distribution.

    Hendrycks and Gimpel, "Gaussian error linear units", 2016, equation in section 2.
    """
    return x * _normal_cdf(x)


@slot("dx")
def gelu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * (Phi(x) + x * phi(x)), with phi(x) = e^(-x^2 / 2) / sqrt(2 pi), the density that belongs to Phi."""
    density = array_module(x).exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    return dy * (_normal_cdf(x) + x * density)


@slot("y")
def silu_forward(x: Array) -> Array:
    """y = x * sigmoid(x), also named swish.   Elfwing, Uchibe and Doya, "Sigmoid-weighted linear units", 2017."""
    return x * _sigmoid(x)


@slot("dx")
def silu_backward(dy: Array, x: Array) -> Array:
    """dx = dy * s * (1 + x * (1 - s)), with s = sigmoid(x)."""
    s = _sigmoid(x)
    return dy * s * (1 + x * (1 - s))


@slot("y")
def sigmoid_forward(x: Array) -> Array:
    """y = 1 / (1 + e^-x)."""
    return _sigmoid(x)


@slot("dx")
def sigmoid_backward(dy: Array, y: Array) -> Array:
    """dx = dy * y * (1 - y)."""
    return dy * y * (1 - y)


@slot("y")
def tanh_forward(x: Array) -> Array:
    """y = (e^x - e^-x) / (e^x + e^-x)."""
    return array_module(x).tanh(x)


@slot("dx")
def tanh_backward(dy: Array, y: Array) -> Array:
    """dx = dy * (1 - y^2)."""
    return dy * (1 - y * y)


@slot("y")
def softplus_forward(x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """y = log(1 + e^(beta x)) / beta; x itself where beta x > threshold, as in PyTorch.

    Glorot, Bordes and Bengio, "Deep sparse rectifier neural networks", 2011, section 3.1.
    """
    xp = array_module(x)
    z = beta * x
    smooth = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / beta  # e^z alone would overflow
    return xp.where(z > threshold, x, smooth)


@slot("dx")
def softplus_backward(dy: Array, x: Array, *, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """dx = dy * sigmoid(beta x); dy itself where beta x > threshold."""
    z = beta * x
    return array_module(x).where(z > threshold, dy, dy * _sigmoid(z))


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) for x >= 0 and e^x / (1 + e^x) below: neither overflows, and small values keep their digits."""
    xp = array_module(x)
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


def _normal_cdf(x: Array) -> Array:
    return 0.5 * (1 + special_functions(x).erf(x / math.sqrt(2)))
