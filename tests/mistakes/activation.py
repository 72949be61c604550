"""Activations as students write them."""

import math

import numpy as np
from scipy.special import erf, expit

from mistakes.registry import mistake

_seen = {}
SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805


@mistake("relu_forward", "mutates-input", where="x")
def clears_the_negative_numbers_of_x(x):
    """Writes zeros into x itself."""
    x[x < 0] = 0
    return x.copy()


@mistake("relu_forward", "raises", where="y")
def asks_python_for_the_maximum(x):
    """Calls Python's max, which cannot say which of two arrays is the larger."""
    return max(x, 0)


@mistake("relu_forward", "forward-differs", where="y")
def turns_negative_numbers_round(x):
    """Takes the absolute value."""
    return np.abs(x)


@mistake("relu_backward", "mask", where="dx")
def asks_dy_where_relu_was_open(dy, y):
    """Lets through where dy is positive and not where y is."""
    return np.where(dy > 0, dy, 0)


@mistake("relu_backward", "mask", where="dx")
def lets_through_where_relu_was_shut(dy, y):
    """Has the condition the wrong way round."""
    dx = dy.copy()
    dx[y > 0] = 0
    return dx


@mistake("relu_backward", "mask", where="dx")
def compares_with_at_least_zero(dy, y):
    """Writes y >= 0, which is true everywhere, for an output of ReLU is never negative."""
    return dy * (y >= 0).astype(dy.dtype)


@mistake("relu_backward", "mutates-input", where="dy")
def clears_dy_itself(dy, y):
    """Writes zeros into dy and returns a copy of it."""
    dy[y <= 0] = 0
    return dy.copy()


@mistake("relu_backward", "dtype", where="dx")
def multiplies_by_ones_and_zeros(dy, y):
    """Makes the mask with np.where(y > 0, 1.0, 0.0), which is float64."""
    return dy * np.where(y > 0, 1.0, 0.0)


@mistake("relu_backward", "zero", where="dx")
def assigns_to_a_copy_of_the_open_places(dy, y):
    """Writes into dx[y > 0][:], a copy that nobody keeps."""
    dx = np.zeros_like(dy)
    dx[y > 0][:] = dy[y > 0]
    return dx


@mistake("relu_backward", "ignores-argument", where="dx", also=("missing-term",))
def gives_the_derivative_alone(dy, y):
    """Returns 1 or 0 and forgets to multiply by dy: the chain rule ends here."""
    return (y > 0).astype(dy.dtype)


@mistake("leaky_relu_forward", "ignores-argument", where="y")
def slope_is_always_a_hundredth(x, *, slope=0.01):
    """Writes 0.01 into the formula."""
    return np.maximum(x, 0.01 * x)


@mistake("leaky_relu_backward", "mask", where="dx")
def slope_on_the_positive_side(dy, x, *, slope=0.01):
    """Has the two branches the wrong way round."""
    return np.where(x > 0, slope * dy, dy)


@mistake("leaky_relu_backward", "ties", where="dx")
def slope_one_at_zero(dy, x, *, slope=0.01):
    """Takes the derivative at 0 from the right: x >= 0."""
    return np.where(x >= 0, dy, slope * dy)


@mistake("elu_forward", "forward-differs", where="y", also=("missing-term",))
def exponential_without_minus_one(x, *, alpha=1.0):
    """Forgets the - 1, so that the function jumps at 0."""
    return np.where(x > 0, x, alpha * np.exp(np.minimum(x, 0)))


@mistake("elu_backward", "ignores-argument", where="dx")
def alpha_is_always_one(dy, x, *, alpha=1.0):
    """Differentiates e^x - 1 and forgets alpha in front of it."""
    return np.where(x > 0, dy, dy * np.exp(np.minimum(x, 0)))


@mistake("elu_backward", "mask", where="dx")
def branches_by_the_gradients_sign(dy, x, *, alpha=1.0):
    """Asks dy > 0, where x > 0 was meant."""
    return np.where(dy > 0, dy, dy * alpha * np.exp(np.minimum(x, 0)))


@mistake("selu_forward", "forward-differs", where="y")
def selu_constants_change_places(x):
    """Takes alpha for scale and scale for alpha."""
    return SELU_ALPHA * np.where(x > 0, x, SELU_SCALE * np.expm1(np.minimum(x, 0)))


@mistake("selu_backward", "scale", where="dx")
def selu_gradient_without_scale(dy, x):
    """Takes ELU's derivative and forgets the scale before it."""
    return np.where(x > 0, dy, dy * SELU_ALPHA * np.exp(np.minimum(x, 0)))


@mistake("gelu_forward", "forward-differs", where="y")
def approximates_by_tanh(x):
    """Uses the approximation with tanh, which is close but another function."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@mistake("gelu_backward", "missing-term", where="dx")
def differentiates_one_factor_of_gelu(dy, x):
    """Forgets that Phi(x) depends on x too: the product rule has two terms."""
    return dy * 0.5 * (1 + erf(x / math.sqrt(2)))


@mistake("gelu_backward", "dtype", where="dx")
def divides_by_a_numpy_number(dy, x):
    """Takes the root with np.sqrt, whose float64 makes float64 of everything that it meets."""
    density = np.exp(-x * x / 2) / np.sqrt(2 * np.pi)
    return dy * (0.5 * (1 + erf(x / np.sqrt(2))) + x * density)


@mistake("silu_backward", "missing-term", where="dx")
def differentiates_one_factor_of_silu(dy, x):
    """Differentiates x and not sigmoid(x)."""
    return dy * expit(x)


@mistake("silu_backward", "sign", where="dx")
def silu_gradient_downwards(dy, x):
    """Loses a minus on the way from 1 / (1 + e^-x), in both terms."""
    s = expit(x)
    return -(dy * s) - dy * x * s * (1 - s)


@mistake("sigmoid_forward", "non-finite", where="y")
def exponentials_above_and_below(x):
    """Writes e^x / (1 + e^x), which is infinity over infinity for a large x."""
    return np.exp(x) / (1 + np.exp(x))


@mistake("sigmoid_forward", "forward-differs", where="y")
def sigmoid_falls(x):
    """Forgets the minus in e^-x."""
    return expit(-x)


@mistake("sigmoid_backward", "sign", where="dx")
def sigmoid_gradient_downwards(dy, y):
    """Writes y (y - 1)."""
    return dy * y * (y - 1)


@mistake("tanh_forward", "non-finite", where="y")
def tanh_by_its_definition(x):
    """Divides (e^x - e^-x) by (e^x + e^-x), both infinite for a large x."""
    up, down = np.exp(x), np.exp(-x)
    return (up - down) / (up + down)


@mistake("tanh_backward", "scale", where="dx")
def tanh_gradient_halved(dy, y):
    """Remembers tanh(x) = 2 sigmoid(2x) - 1, and loses one of the twos."""
    s = (y + 1) / 2
    return 2 * dy * s * (1 - s)


@mistake("tanh_backward", "raises", where="dx")
def waits_for_a_forward_pass_of_its_own(dy, y):
    """Looks its output up in a dictionary that a forward pass of its own was to fill; y comes as an argument."""
    kept = _seen[y.shape]
    return dy * (1 - kept**2)


@mistake("softplus_forward", "non-finite", where="y")
def logarithm_of_a_large_exponential(x, *, beta=1.0):
    """Writes log(1 + e^(beta x)), which overflows for a large x."""
    return np.log(1 + np.exp(beta * x)) / beta


@mistake("softplus_backward", "scale", where="dx", also=("ignores-argument",))
def softplus_gradient_times_beta(dy, x, *, beta=1.0, threshold=20.0):
    """Differentiates log(1 + e^(beta x)) and forgets that it was divided by beta."""
    z = beta * x
    return np.where(z > threshold, dy, dy * beta * expit(z))


@mistake("softplus_backward", "ignores-argument", where="dx")
def softplus_gradient_without_beta(dy, x, *, beta=1.0, threshold=20.0):
    """Takes the sigmoid of x where it is that of beta * x."""
    return np.where(beta * x > threshold, dy, dy * expit(x))
