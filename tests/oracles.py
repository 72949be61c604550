"""What minicnn is held against: PyTorch, plain loops and finite differences, and the bounds within which they agree."""

import copy
import itertools

import numpy as np
import pytest

try:
    import torch
except ImportError:
    torch = None

needs_torch = pytest.mark.skipif(torch is None, reason="PyTorch (pip install torch==2.13.0) is not installed")

EPS32 = np.finfo(np.float32).eps
TINY32 = np.finfo(np.float32).tiny


# Bounds


def assert_close64(got, want, tolerance=1e-9):
    """|got - want| <= tolerance * max(1, largest |want|), for work done in float64."""
    got, want = np.asarray(got), _host(want)
    assert got.shape == want.shape
    assert got.dtype == np.float64
    scale = max(1.0, np.abs(want).max(initial=0.0))
    np.testing.assert_allclose(got, want, rtol=0, atol=tolerance * scale)


def assert_close32(got, want64, magnitude, factor=8):
    """|got - want| <= factor * eps32 * magnitude, entry by entry.

    `magnitude` is the same operation on absolute values: for a sum of products, the sum of the products' sizes.
    So the bound grows with the length of the sum, and cancellation does not break it.
    """
    got, want = np.asarray(got), _host(want64)
    magnitude = np.broadcast_to(_host(magnitude).astype(np.float64), want.shape)
    assert got.shape == want.shape
    assert got.dtype == np.float32
    excess = np.abs(got.astype(np.float64) - want) - (factor * EPS32 * magnitude + TINY32)
    assert (excess <= 0).all(), f"off by {excess.max()} more than rounding explains"


def _host(value):
    return value.detach().numpy() if torch is not None and isinstance(value, torch.Tensor) else np.asarray(value)


# Finite differences


def numeric_gradient(f, x, dy, h=1e-5):
    """The gradient of sum(f(x) * dy) by central differences, one entry of x at a time."""
    gradient = np.empty_like(x)
    for index in np.ndindex(*x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = ((f(up) - f(down)) * dy).sum() / (2 * h)
    return gradient


def assert_gradient(got, f, x, dy, tolerance=1e-6):
    """The gradient got for x is the one that finite differences of f give."""
    assert_close64(got, numeric_gradient(f, x, dy), tolerance)


# Plain loops. `pads` is ((top, bottom), (left, right)); a pixel outside the image is skipped.


def pads_of(padding, size, kernel, stride, dilation=(1, 1)):
    """What a padding argument means: "same" is the least that gives ceil(size / stride) windows, the odd one last."""
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        vertical, horizontal = padding if isinstance(padding, tuple) else (padding, padding)
        return (vertical, vertical), (horizontal, horizontal)
    sides = []
    for length, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = 0
        while windows(length + total, k, s, d) < -(-length // s):
            total += 1
        sides.append((total // 2, total - total // 2))
    return tuple(sides)


def windows(length, kernel, stride, dilation=1):
    """How many windows fit, by counting."""
    return len([start for start in range(0, length, stride) if start + dilation * (kernel - 1) < length])


def naive_conv2d(x, w, b, *, stride, pads, dilation, groups):
    """One product after the other."""
    (n, c, height, width), (f, _, kh, kw) = x.shape, w.shape
    oh, ow = (
        windows(length + sum(side), k, s, d)
        for length, side, k, s, d in zip((height, width), pads, (kh, kw), stride, dilation, strict=True)
    )
    y = np.zeros((n, f, oh, ow))
    for image, kernel, i, j in np.ndindex(*y.shape):
        group = kernel // (f // groups)
        total = 0.0 if b is None else b[kernel]
        for channel, p, q in itertools.product(range(c // groups), range(kh), range(kw)):
            row = i * stride[0] + p * dilation[0] - pads[0][0]
            column = j * stride[1] + q * dilation[1] - pads[1][0]
            if 0 <= row < height and 0 <= column < width:
                total += w[kernel, channel, p, q] * x[image, group * (c // groups) + channel, row, column]
        y[image, kernel, i, j] = total
    return y


def pool_windows_by_hand(x, *, kernel, stride, pads):
    """Yield (index of the output, {position p*kw+q in the window: pixel}) for every window."""
    n, c, height, width = x.shape
    rows, columns = (
        range(windows(length + sum(side), k, s))
        for length, side, k, s in zip((height, width), pads, kernel, stride, strict=True)
    )
    for image, channel, i, j in itertools.product(range(n), range(c), rows, columns):
        pixels = {}
        for p, q in itertools.product(range(kernel[0]), range(kernel[1])):
            row, column = i * stride[0] + p - pads[0][0], j * stride[1] + q - pads[1][0]
            if 0 <= row < height and 0 <= column < width:
                pixels[p * kernel[1] + q] = x[image, channel, row, column]
        yield (image, channel, i, j), pixels


def naive_max_pool2d(x, **geometry):
    """The largest pixel of each window, and the first position at which it stands."""
    found = {index: max(pixels, key=pixels.get) for index, pixels in pool_windows_by_hand(x, **geometry)}
    largest = {index: max(pixels.values()) for index, pixels in pool_windows_by_hand(x, **geometry)}
    return _from_dict(largest, float), _from_dict(found, int)


def naive_avg_pool2d(x, *, kernel, **geometry):
    """The sum of each window over its full size."""
    size = kernel[0] * kernel[1]
    means = {i: sum(p.values()) / size for i, p in pool_windows_by_hand(x, kernel=kernel, **geometry)}
    return _from_dict(means, float)


def _from_dict(entries, dtype):
    array = np.empty([last + 1 for last in map(max, zip(*entries, strict=True))], dtype=dtype)
    for index, value in entries.items():
        array[index] = value
    return array


# PyTorch


def tensor(x, *, grad=False):
    """A float64 tensor with a copy of the numbers."""
    return torch.tensor(np.asarray(x, dtype=np.float64), requires_grad=grad)


def torch_pad(x, pads, value=0.0):
    """A tensor inside a border."""
    (top, bottom), (left, right) = pads
    return torch.nn.functional.pad(x, (left, right, top, bottom), value=value)


def torch_gradients(f, inputs, dy):
    """f(*inputs) and the gradients of sum(f * dy) for all inputs, by PyTorch in float64."""
    tensors = [tensor(x, grad=True) for x in inputs]
    y = f(*tensors)
    y.backward(tensor(dy))
    return y, [t.grad for t in tensors]


def assert_layer_is_torch64(layer, module, x, seed=0):
    """With the module's weights, the layer's output and all its gradients are the module's, in float64."""
    module.double()
    layer.astype(np.float64).load_state_dict(module.state_dict())
    y = layer(x)
    dy = np.random.default_rng(seed).standard_normal(y.shape)
    dx = layer.backward(dy)
    want_y, want_dx, want_gradients = _module_gradients(module, x, dy)
    assert_close64(y, want_y)
    assert_close64(dx, want_dx)
    for name, parameter in layer.named_parameters().items():
        assert_close64(parameter.grad, want_gradients[name])


def assert_layer_is_torch32(layer, module, x, seed=0):
    """The same in float32, for layers that are sums of products: conv, linear, mean pooling."""
    layer.load_state_dict(module.state_dict())
    module.double()
    sizes = copy.deepcopy(module)
    for parameter in sizes.parameters():
        parameter.data.abs_()
    x = x.astype(np.float32)
    y = layer(x)
    dy = np.random.default_rng(seed).standard_normal(y.shape, dtype=np.float32)
    dx = layer.backward(dy)
    want_y, want_dx, want_gradients = _module_gradients(module, x, dy)
    size_y, size_dx, size_gradients = _module_gradients(sizes, np.abs(x), np.abs(dy))
    assert_close32(y, want_y, size_y)
    assert_close32(dx, want_dx, size_dx)
    for name, parameter in layer.named_parameters().items():
        assert_close32(parameter.grad, want_gradients[name], size_gradients[name])


def _module_gradients(module, x, dy):
    module.zero_grad()
    x = tensor(x, grad=True)
    y = module(x)
    y.backward(tensor(dy))
    return y, x.grad, {name: parameter.grad for name, parameter in module.named_parameters()}


if torch is not None:

    class TorchResidual(torch.nn.Module):
        """body(x) + shortcut(x)."""

        def __init__(self, body, shortcut=None):
            super().__init__()
            self.body, self.shortcut = body, shortcut or torch.nn.Identity()

        def forward(self, x):
            return self.body(x) + self.shortcut(x)

    class TorchConcat(torch.nn.ModuleList):
        """The branches' outputs, joined along the channels."""

        def forward(self, x):
            return torch.cat([branch(x) for branch in self], dim=1)
