"""Adaptive average pooling: whatever an image's size, it becomes oh x ow means a channel.

Along each axis of length H, region i of `count` has the pixels from floor(i * H / count) to ceil((i + 1) * H / count),
the last not included (PyTorch's boundaries). Neighbouring regions share a pixel where H is no multiple of `count`.
"""

from minicnn.backend import Array, array_module, slot
from minicnn.geometry import PairLike, pair


@slot("y")
def adaptive_avg_pool2d_forward(x: Array, *, output_size: PairLike) -> Array:
    """y[n, c, i, j] = the mean of x[n, c] over the rows of region i and the columns of region j.

    x : (N, C, H, W)   output_size : (oh, ow)   y : (N, C, oh, ow)

    The mean over a rectangle is the mean of its rows' means, since they are equally long.
    """
    oh, ow = pair(output_size, "output_size")
    xp, (h, w) = array_module(x), x.shape[2:]
    across = xp.stack([x[:, :, :, left:right].mean(axis=3) for left, right in adaptive_regions(w, ow)], axis=3)
    return xp.stack([across[:, :, top:bottom].mean(axis=2) for top, bottom in adaptive_regions(h, oh)], axis=2)


@slot("dx")
def adaptive_avg_pool2d_backward(dy: Array, *, shape: tuple[int, int, int, int]) -> Array:
    """Give every pixel of a region an equal share of the region's gradient; where regions overlap, add.

    dy : (N, C, oh, ow)   dx : (N, C, H, W) = shape
    """
    xp, (n, c, h, w), (oh, ow) = array_module(dy), shape, dy.shape[2:]
    across = xp.zeros((n, c, h, ow), dtype=dy.dtype)
    for i, (top, bottom) in enumerate(adaptive_regions(h, oh)):
        across[:, :, top:bottom] += dy[:, :, i, None] / (bottom - top)
    dx = xp.zeros((n, c, h, w), dtype=dy.dtype)
    for j, (left, right) in enumerate(adaptive_regions(w, ow)):
        dx[:, :, :, left:right] += across[:, :, :, j, None] / (right - left)
    return dx


def adaptive_regions(length: int, count: int) -> list[tuple[int, int]]:
    """Return (first pixel, the one after the last) of each of `count` regions along an axis."""
    return [(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]
