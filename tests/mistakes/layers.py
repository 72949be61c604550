"""Layers of one's own, and pairs of functions, for a gradient check, each with one mistake."""

import numpy as np

from minicnn import nn
from mistakes.registry import mistake_layer


def normal(*shape):
    """Return what draws an input of that shape."""
    return lambda rng: rng.normal(size=shape)


def weights(*shape, seed=5):
    """Return a parameter of random numbers."""
    return nn.Parameter(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


@mistake_layer("scale", where="x", make=lambda: (lambda x: x**2, square_backward), x=normal(3, 4))
def square_backward(dy, x):
    """Forgets the 2 of the derivative of x^2."""
    return dy * x


@mistake_layer("sign", where="x", make=lambda: (lambda x: np.exp(-x), decay_backward), x=normal(2, 5))
def decay_backward(dy, x):
    """Takes e^-x for its own derivative."""
    return dy * np.exp(-x)


def row_softmax(x):
    """Probabilities along the last axis."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@mistake_layer("missing-term", where="x", make=lambda: (row_softmax, diagonal_backward), x=normal(4, 5))
def diagonal_backward(dy, x):
    """Uses s (1 - s), the diagonal of the Jacobian: that a score lowers the other probabilities is left out."""
    s = row_softmax(x)
    return dy * s * (1 - s)


@mistake_layer("mask", where="x", make=lambda: (lambda x: np.clip(x, -1, 1), clip_backward), x=normal(5, 8))
def clip_backward(dy, x):
    """Stops the gradient above 1 and lets it through below -1."""
    return dy * (x < 1)


@mistake_layer("shifted", where="x", make=lambda: (lambda x: np.roll(x, 1, axis=2), roll_backward), x=normal(2, 3, 7))
def roll_backward(dy, x):
    """Rolls the gradient on in the same direction instead of back."""
    return np.roll(dy, 1, axis=2)


@mistake_layer(
    "flipped", where="x", make=lambda: (lambda x: x[..., ::-1].copy(), mirror_backward), x=normal(2, 2, 4, 5)
)
def mirror_backward(dy, x):
    """Hands the gradient of a mirrored image on as it is."""
    return dy.copy()


@mistake_layer("raises", where=None, make=lambda: (lambda x: x.max(axis=1), row_max_backward), x=normal(3, 6))
def row_max_backward(dy, x):
    """Reads dy[n, d] as if dy still had the columns over which the maximum was taken."""
    dx = np.zeros_like(x)
    for n in range(x.shape[0]):
        for d in range(x.shape[1]):
            if x[n, d] == x[n].max():
                dx[n, d] = dy[n, d]
    return dx


@mistake_layer(
    "non-finite", where="x", make=lambda: (length, length_backward), x=lambda rng: np.eye(4)[:3] * rng.normal()
)
def length_backward(dy, x):
    """Divides x by |x| number by number rather than row by row: 0 / 0 wherever a zero stands."""
    return dy[:, None] * x / np.sqrt(x * x)


def length(x):
    """Return the length of each row."""
    return np.sqrt((x * x).sum(axis=1))


class Dense(nn.Layer):
    """y = x W^T + b, shared by the students below; they override the backward pass."""

    def __init__(self, d, k):
        self.weight = weights(k, d)
        self.bias = weights(k, seed=6)

    def forward(self, x):
        """x : (N, D) -> y : (N, K)"""
        self.saved = x
        return x @ self.weight.data.T + self.bias.data


@mistake_layer("not-accumulated", where="weight", make=lambda: AssignsItsGradients(4, 3), x=normal(5, 4))
class AssignsItsGradients(Dense):
    """Sets .grad itself, so that a second backward pass replaces the first one's gradient."""

    def backward(self, dy):
        """dy : (N, K) -> dx : (N, D)"""
        self.weight.grad = dy.T @ self.saved
        self.bias.grad = dy.sum(axis=0)
        return dy @ self.weight.data


@mistake_layer("transposed", where="x", make=lambda: SquareDense(4, 4), x=normal(5, 4))
class SquareDense(Dense):
    """Multiplies dy by W^T where W is due; the matrix is square, so no shape protests."""

    def backward(self, dy):
        """dy : (N, K) -> dx : (N, D)"""
        self.weight.add_grad(dy.T @ self.saved)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.data.T


@mistake_layer("zero", where="bias", make=lambda: BiasNeverLearns(3, 4), x=normal(5, 3))
class BiasNeverLearns(Dense):
    """Makes room for the bias's gradient and forgets to fill it."""

    def backward(self, dy):
        """dy : (N, K) -> dx : (N, D)"""
        db = np.zeros_like(self.bias.data)
        self.weight.add_grad(np.einsum("nk,nd->kd", dy, self.saved))
        self.bias.add_grad(db)
        return np.einsum("nk,kd->nd", dy, self.weight.data)


@mistake_layer("partial-batch", where="bias", make=lambda: BiasOfSampleZero(3, 4), x=normal(5, 3))
class BiasOfSampleZero(Dense):
    """Tested with a batch of one, and left dy[0] in the bias's gradient."""

    def backward(self, dy):
        """dy : (N, K) -> dx : (N, D)"""
        self.weight.add_grad(dy.T @ self.saved)
        self.bias.add_grad(dy[0].copy())
        return dy @ self.weight.data


@mistake_layer("wrong-cache", where="weight", make=lambda: RemembersItsFirstBatch(4, 2), x=normal(3, 4))
class RemembersItsFirstBatch(Dense):
    """Keeps the input only if it has none yet: from the second batch on the first one's is used."""

    def forward(self, x):
        """x : (N, D) -> y : (N, K)"""
        if not hasattr(self, "first"):
            self.first = x.copy()
        return x @ self.weight.data.T + self.bias.data

    def backward(self, dy):
        """dy : (N, K) -> dx : (N, D)"""
        self.weight.add_grad(dy.T @ self.first.astype(dy.dtype))
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.data


class PlainDense(Dense):
    """A right one, for the layer below."""

    def backward(self, dy):
        """dy : (N, K) -> dx : (N, D)"""
        self.weight.add_grad(dy.T @ self.saved)
        self.bias.add_grad(dy.sum(axis=0))
        return dy @ self.weight.data


@mistake_layer("wrong-cache", where="inner.weight", make=lambda: OneLayerTwice(4), x=normal(3, 4))
class OneLayerTwice(nn.Layer):
    """Runs x through the same layer twice and back twice; the layer remembers the second input alone."""

    def __init__(self, d):
        self.inner = PlainDense(d, d)

    def forward(self, x):
        """x, y : (N, D)"""
        return self.inner(self.inner(x))

    def backward(self, dy):
        """dy, dx : (N, D)"""
        return self.inner.backward(self.inner.backward(dy))


@mistake_layer("not-summed", where="scale", make=lambda: ChannelScale(3), x=normal(4, 3, 2, 5), also=("scale",))
class ChannelScale(nn.Layer):
    """Averages the gradient of the scale over pixels and images."""

    def __init__(self, channels):
        self.scale = weights(channels)

    def forward(self, x):
        """x, y : (N, C, H, W)"""
        self.saved = x
        return x * self.scale.data[:, None, None]

    def backward(self, dy):
        """dy, dx : (N, C, H, W)"""
        self.scale.add_grad(np.mean(dy * self.saved, axis=(0, 2, 3)))
        return dy * self.scale.data[:, None, None]


@mistake_layer("missing-term", where="x", make=lambda: SkipConnection(4), x=normal(3, 4))
class SkipConnection(nn.Layer):
    """y = x + tanh(x W^T), with the gradient of the tanh branch alone."""

    def __init__(self, d):
        self.weight = weights(d, d)

    def forward(self, x):
        """x, y : (N, D)"""
        h = np.tanh(x @ self.weight.data.T)
        self.saved = x, h
        return x + h

    def backward(self, dy):
        """dy, dx : (N, D)"""
        x, h = self.saved
        da = dy * (1 - h * h)
        self.weight.add_grad(da.T @ x)
        return da @ self.weight.data


@mistake_layer("mutates-input", where="x", make=lambda: InPlaceShift(3), x=normal(2, 3, 4))
class InPlaceShift(nn.Layer):
    """Saves memory by `x += shift`, in the array that belongs to the layer before."""

    def __init__(self, channels):
        self.shift = weights(channels)

    def forward(self, x):
        """x, y : (N, C, L)"""
        x += self.shift.data[:, None]
        self.saved = None
        return x

    def backward(self, dy):
        """dy, dx : (N, C, L)"""
        self.shift.add_grad(dy.sum(axis=(0, 2)))
        return dy


@mistake_layer("nondeterministic", where="y", make=lambda: GaussianNoise(), x=normal(3, 5))
class GaussianNoise(nn.Layer):
    """Draws its noise from NumPy's global generator in each forward pass."""

    def forward(self, x):
        """x, y : any shape"""
        self.saved = None
        return x + 0.1 * np.random.randn(*x.shape).astype(x.dtype)  # noqa: NPY002

    def backward(self, dy):
        """dy, dx : that shape"""
        return dy.copy()


@mistake_layer("dtype", where="y", make=lambda: CosineWindow(6), x=normal(2, 3, 6))
class CosineWindow(nn.Layer):
    """Multiplies by a window that np.hanning made in float64, so that float32 becomes float64."""

    def __init__(self, size):
        self.window_of = np.hanning(size + 2)[1:-1]

    def forward(self, x):
        """x, y : (N, C, L)"""
        self.saved = None
        return x * self.window_of

    def backward(self, dy):
        """dy, dx : (N, C, L)"""
        return dy * self.window_of


@mistake_layer("shape", where="x", make=lambda: Rows(), x=normal(2, 3, 4, 2))
class Rows(nn.Layer):
    """Flattens an image and, on the way back, leaves it flat."""

    def forward(self, x):
        """x : (N, ...) -> y : (N, D)"""
        self.saved = x.shape
        return x.reshape(len(x), -1)

    def backward(self, dy):
        """dy : (N, D) -> dx : (N, ...)"""
        return dy


@mistake_layer("mask", where="slope", make=lambda: SlopeOfEverything(3), x=normal(4, 3, 2, 2))
class SlopeOfEverything(nn.Layer):
    """PReLU whose slope also gets the gradients of positive numbers, which do not pass it."""

    def __init__(self, channels):
        self.slope = weights(channels)

    def forward(self, x):
        """x, y : (N, C, H, W)"""
        self.saved = x
        return np.where(x > 0, x, self.slope.data[:, None, None] * x)

    def backward(self, dy):
        """dy, dx : (N, C, H, W)"""
        x = self.saved
        self.slope.add_grad((dy * x).sum(axis=(0, 2, 3)))
        return np.where(x > 0, dy, self.slope.data[:, None, None] * dy)
