"""Pooling: each window of an image becomes one number, its maximum or its mean."""

from minicnn.backend import Array, array_module, slot
from minicnn.geometry import PaddingLike, Pads, Pair, PairLike, pool_windows
from minicnn.ops.windows import crop, pad, taps


@slot("y, argmax")
def max_pool2d_forward(
    x: Array, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> tuple[Array, Array]:
    """y[n, c, i, j] = the maximum of window (i, j); argmax[n, c, i, j] = where in the window it stands.

    x : (N, C, H, W); it is padded with minus infinity
    y : (N, C, oh, ow)
    argmax : (N, C, oh, ow), integers; p * kw + q for the maximum in row p and column q of its window

    The first of equal maxima wins. A NaN counts as the largest value, so that it is not hidden (PyTorch does the same).
    """
    xp = array_module(x)
    kernel, stride, pads, out = pool_windows(x.shape, kernel, stride, padding)
    padded = pad(x, pads, value=-float("inf"))
    y = xp.full((*x.shape[:2], *out), -float("inf"), dtype=x.dtype)
    argmax = _first_inside(y, kernel, stride, pads)
    for k, tap in enumerate(taps(padded, kernel=kernel, stride=stride, out=out)):
        larger = (tap > y) | (tap != tap)
        y = xp.where(larger, tap, y)
        argmax = xp.where(larger, argmax.dtype.type(k), argmax)
    return y, argmax


@slot("dx")
def max_pool2d_backward(
    dy: Array,
    argmax: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
) -> Array:
    """Send each gradient to the pixel that was its window's maximum; where windows overlap, add.

    dy, argmax : (N, C, oh, ow)
    dx : (N, C, H, W) = shape
    """
    xp = array_module(dy)
    kernel, stride, pads, out = pool_windows(shape, kernel, stride, padding)
    padded = _zeros_with_border(dy, shape, pads)
    for k, tap in enumerate(taps(padded, kernel=kernel, stride=stride, out=out)):
        tap += xp.where(argmax == k, dy, 0)
    return crop(padded, pads)


@slot("y", uses=("max_pool2d_backward",))
def max_unpool2d_forward(
    x: Array,
    argmax: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
) -> Array:
    """Put each number where the maximum of its window stood, among zeros; where windows share a maximum, add.

    x, argmax : (N, C, oh, ow); argmax is that of `max_pool2d_forward` for images of `shape`
    y : (N, C, H, W) = shape

    That is what max pooling does with gradients. Windows that overlap may have one maximum in common, and their numbers
    are added there; without that, pooling y again gives x back if x is not negative. Badrinarayanan, Kendall and
    Cipolla, "SegNet", TPAMI 2017, section 3; Zeiler and Fergus, 2014, section 2.1, for the name.
    """
    return max_pool2d_backward(x, argmax, shape=shape, kernel=kernel, stride=stride, padding=padding)


@slot("dx")
def max_unpool2d_backward(
    dy: Array, argmax: Array, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> Array:
    """dx[n, c, i, j] = what dy is where the maximum of window (i, j) stood.

    dy : (N, C, H, W)   argmax, dx : (N, C, oh, ow)
    """
    xp = array_module(dy)
    kernel, stride, pads, out = pool_windows(dy.shape, kernel, stride, padding)
    dx = xp.zeros(argmax.shape, dtype=dy.dtype)
    for k, tap in enumerate(taps(pad(dy, pads), kernel=kernel, stride=stride, out=out)):
        dx = xp.where(argmax == k, tap, dx)
    return dx


@slot("y")
def avg_pool2d_forward(
    x: Array, *, kernel: PairLike, stride: PairLike | None = None, padding: PaddingLike = 0
) -> Array:
    """y[n, c, i, j] = the mean of window (i, j); padding counts as zeros (PyTorch's default, count_include_pad).

    x : (N, C, H, W)
    y : (N, C, oh, ow)
    """
    kernel, stride, pads, out = pool_windows(x.shape, kernel, stride, padding)
    total = array_module(x).zeros((*x.shape[:2], *out), dtype=x.dtype)
    for tap in taps(pad(x, pads), kernel=kernel, stride=stride, out=out):
        total += tap
    return total / (kernel[0] * kernel[1])


@slot("dx")
def avg_pool2d_backward(
    dy: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike | None = None,
    padding: PaddingLike = 0,
) -> Array:
    """Give every pixel of a window an equal share of the window's gradient; where windows overlap, add.

    dy : (N, C, oh, ow)
    dx : (N, C, H, W) = shape
    """
    kernel, stride, pads, out = pool_windows(shape, kernel, stride, padding)
    padded = _zeros_with_border(dy, shape, pads)
    share = dy / (kernel[0] * kernel[1])
    for tap in taps(padded, kernel=kernel, stride=stride, out=out):
        tap += share
    return crop(padded, pads)


@slot("y")
def global_avg_pool2d_forward(x: Array) -> Array:
    """y[n, c] = the mean of channel c of image n.   x : (N, C, H, W)   y : (N, C)

    Lin, Chen and Yan, "Network in network", 2014, section 3.2.
    """
    return x.mean(axis=(2, 3))


@slot("dx")
def global_avg_pool2d_backward(dy: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """Give every pixel the share 1/(H*W) of its channel's gradient.   dy : (N, C)   dx : (N, C, H, W) = shape"""
    n, c, h, w = shape
    share = dy / (h * w)
    return array_module(dy).broadcast_to(share[:, :, None, None], shape).copy()


def _zeros_with_border(dy: Array, shape: tuple[int, int, int, int], pads: Pads) -> Array:
    n, c, h, w = shape
    return array_module(dy).zeros((n, c, h + sum(pads[0]), w + sum(pads[1])), dtype=dy.dtype)


def _first_inside(y: Array, kernel: Pair, stride: Pair, pads: Pads) -> Array:
    """Return for each window the first position that lies on the image: the winner where all are minus infinity."""
    xp = array_module(y)
    (oh, ow), ((top, _), (left, _)) = y.shape[2:], pads
    p = xp.maximum(top - stride[0] * xp.arange(oh), 0)
    q = xp.maximum(left - stride[1] * xp.arange(ow), 0)
    first = (p[:, None] * kernel[1] + q).astype(_index_type(kernel))
    return xp.broadcast_to(first, y.shape)


def _index_type(kernel: Pair) -> str:
    """One byte is enough for a window of up to 256 pixels."""
    return "uint8" if kernel[0] * kernel[1] <= 256 else "int32"
