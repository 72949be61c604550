"""Images seen through other coordinates: the one operation behind rotations, shifts, scales and elastic distortion.

    y[n, c, i, j] = x[n, c, r, s]        (r, s) = coordinates[n, :, i, j]

Between pixels x is bilinear: the mean of its four neighbours, each weighted by how near it is. Szeliski, "Computer
Vision: Algorithms and Applications", 2nd edition, 2022, section 3.6.1 (inverse warping).
"""

from minicnn.backend import Array, array_module, slot


@slot("y")
def warp(x: Array, coordinates: Array, *, fill: Array | None = None) -> Array:
    """y[n, c, i, j] = (1-t)(1-u) x[r, s] + (1-t) u x[r, s+1] + t (1-u) x[r+1, s] + t u x[r+1, s+1]

    with r and s the coordinates rounded down, and t and u what was cut off.

    x : (N, C, H, W)
    coordinates : (N, 2, H', W'), in pixels: the row and the column of x that each pixel of y shows; pixel centres are
        whole numbers, the first is 0. They are taken in float64, and have to be finite.
    fill : (C,), what x is outside its border; without it, x goes on outside as its nearest pixel
    y : (N, C, H', W')

    Whole coordinates give pixels as they are, to the bit.
    """
    xp = array_module(x)
    n, c, h, w = x.shape
    out = coordinates.shape[2:]
    edge = 0 if fill is None else 1  # how far outside there is something else than the nearest pixel
    place = coordinates.reshape(n, 2, out[0] * out[1]).astype(xp.float64)
    row, column = xp.clip(place[:, 0], -edge, h - 1 + edge), xp.clip(place[:, 1], -edge, w - 1 + edge)
    r, s = xp.floor(row), xp.floor(column)
    t, u = (row - r).astype(x.dtype)[:, None], (column - s).astype(x.dtype)[:, None]
    r, s = r.astype(xp.int64), s.astype(xp.int64)
    planes = x.reshape(n, c, h * w)

    def pixels(i: Array, j: Array) -> Array:
        index = xp.clip(i, 0, h - 1) * w + xp.clip(j, 0, w - 1)
        found = xp.take_along_axis(planes, xp.broadcast_to(index[:, None], (n, c, index.shape[1])), axis=2)
        if fill is None:
            return found
        inside = (i >= 0) & (i < h) & (j >= 0) & (j < w)
        return xp.where(inside[:, None], found, fill.astype(x.dtype)[None, :, None])

    above, below = pixels(r, s), pixels(r + 1, s)
    above = above + u * (pixels(r, s + 1) - above)
    below = below + u * (pixels(r + 1, s + 1) - below)
    return (above + t * (below - above)).reshape(n, c, *out)
