"""Upsampling: an image seen at more pixels, by the nearest pixel or by the straight line between neighbours.

Pixels are squares: the centre of pixel i of `count` lies at the share (i + 1/2) / count of the image's height, and so
at pixel (i + 1/2) * H / count - 1/2 of the old ones (PyTorch's align_corners=False). Downwards and across are done one
after the other, so each direction is a matrix, (count, H), and y = R x C^T. Then dx = R^T dy C.
"""

from types import ModuleType

from minicnn.backend import Array, array_module, slot
from minicnn.geometry import PairLike, pair


@slot("y")
def upsample_nearest_forward(x: Array, *, size: PairLike) -> Array:
    """y[n, c, i, j] = x[n, c, floor(i * H / oh), floor(j * W / ow)]

    x : (N, C, H, W)   size : (oh, ow)   y : (N, C, oh, ow)

    The pixel that the upper left corner of the new one lies on, as in PyTorch's mode "nearest"; with whole factors it
    is the nearest one. Sizes are compared in whole numbers, so that no rounding moves a pixel.
    """
    (h, w), (oh, ow), xp = x.shape[2:], pair(size, "size"), array_module(x)
    rows, columns = xp.arange(oh) * h // oh, xp.arange(ow) * w // ow
    return xp.take(xp.take(x, rows, axis=2), columns, axis=3)


@slot("dx")
def upsample_nearest_backward(dy: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """Give each pixel the sum of the gradients of all new ones that show it.

    dy : (N, C, oh, ow)   dx : (N, C, H, W) = shape
    """
    (h, w), (oh, ow), xp = shape[2:], dy.shape[2:], array_module(dy)
    rows = (xp.arange(oh) * h // oh)[:, None] == xp.arange(h)
    columns = (xp.arange(ow) * w // ow)[:, None] == xp.arange(w)
    return rows.T.astype(dy.dtype) @ dy @ columns.astype(dy.dtype)


@slot("y")
def upsample_bilinear_forward(x: Array, *, size: PairLike) -> Array:
    """y[n, c, i, j] = the mean of the four pixels around (r, s), each weighted by how near it is:

        r = (i + 1/2) * H / oh - 1/2        s = (j + 1/2) * W / ow - 1/2

    x : (N, C, H, W)   size : (oh, ow)   y : (N, C, oh, ow)

    Beyond the outermost centres the image goes on as its nearest pixel. Places are worked out in float64.
    """
    (h, w), (oh, ow), xp = x.shape[2:], pair(size, "size"), array_module(x)
    between = x
    for axis, length, count in ((2, h, oh), (3, w, ow)):
        place = _places(xp, length, count)
        first = xp.floor(place).astype(xp.int64)
        share = (place - first).reshape(-1, *[1] * (3 - axis))
        if x.dtype.kind == "f":
            share = share.astype(x.dtype)
        one = xp.take(between, first, axis=axis)
        other = xp.take(between, xp.minimum(first + 1, length - 1), axis=axis)
        between = one + share * (other - one)
    return between


@slot("dx")
def upsample_bilinear_backward(dy: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """dx = R^T dy C, where R[i, k] = max(0, 1 - |r_i - k|) is the weight of pixel k in row i, and C alike.

    dy : (N, C, oh, ow)   dx : (N, C, H, W) = shape
    """
    (h, w), (oh, ow), xp = shape[2:], dy.shape[2:], array_module(dy)
    rows = xp.maximum(0, 1 - abs(_places(xp, h, oh)[:, None] - xp.arange(h)))
    columns = xp.maximum(0, 1 - abs(_places(xp, w, ow)[:, None] - xp.arange(w)))
    return rows.T.astype(dy.dtype) @ dy @ columns.astype(dy.dtype)


def _places(xp: ModuleType, length: int, count: int) -> Array:
    """Return where the centres of `count` new pixels lie among `length` old ones, float64, no further than the last."""
    return xp.clip((2 * xp.arange(count) + 1) * length / (2 * count) - 0.5, 0, length - 1)
