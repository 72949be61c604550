"""Activation layers: one function of one number, applied to every element. x and y have one shape, whatever it is."""

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError
from minicnn.nn.layer import Layer, check_input


class ReLU(Layer):
    """y = max(x, 0)"""

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = ops.relu_forward(x)
        return self.saved

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.relu_backward(dy, self.saved)

    def __repr__(self) -> str:
        return "ReLU()"


class LeakyReLU(Layer):
    """y = x for x > 0, else negative_slope * x"""

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = x
        return ops.leaky_relu_forward(x, slope=self.negative_slope)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.leaky_relu_backward(dy, self.saved, slope=self.negative_slope)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.negative_slope})"


class ELU(Layer):
    """y = x for x > 0, else alpha * (e^x - 1)"""

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = x
        return ops.elu_forward(x, alpha=self.alpha)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.elu_backward(dy, self.saved, alpha=self.alpha)

    def __repr__(self) -> str:
        return f"ELU({self.alpha})"


class SELU(Layer):
    """y = scale * x for x > 0, else scale * alpha * (e^x - 1), with constants that keep mean 0 and variance 1"""

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = x
        return ops.selu_forward(x)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.selu_backward(dy, self.saved)

    def __repr__(self) -> str:
        return "SELU()"


class GELU(Layer):
    """y = x * Phi(x), with Phi the normal distribution function"""

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = x
        return ops.gelu_forward(x)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.gelu_backward(dy, self.saved)

    def __repr__(self) -> str:
        return "GELU()"


class SiLU(Layer):
    """y = x * sigmoid(x)"""

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = x
        return ops.silu_forward(x)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.silu_backward(dy, self.saved)

    def __repr__(self) -> str:
        return "SiLU()"


class Sigmoid(Layer):
    """y = 1 / (1 + e^-x)"""

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = ops.sigmoid_forward(x)
        return self.saved

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.sigmoid_backward(dy, self.saved)

    def __repr__(self) -> str:
        return "Sigmoid()"


class Tanh(Layer):
    """y = tanh(x)"""

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = ops.tanh_forward(x)
        return self.saved

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.tanh_backward(dy, self.saved)

    def __repr__(self) -> str:
        return "Tanh()"


class Softplus(Layer):
    """y = log(1 + e^(beta x)) / beta, a smooth ReLU; x itself where beta x > threshold"""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        if beta <= 0:
            raise ArgumentError(f"Softplus: beta must be positive, not {beta}")
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Array) -> Array:
        """x -> y"""
        check_input(self, x)
        self.saved = x
        return ops.softplus_forward(x, beta=self.beta, threshold=self.threshold)

    def backward(self, dy: Array) -> Array:
        """dy -> dx"""
        return ops.softplus_backward(dy, self.saved, beta=self.beta, threshold=self.threshold)

    def __repr__(self) -> str:
        return f"Softplus({self.beta}, {self.threshold})"
