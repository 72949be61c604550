"""Convolution as one matrix product: unfold the windows into columns, then multiply by the kernels.

    x (N, C, H, W) --im2col--> cols (N, C*kh*kw, oh*ow)         y[n] = W cols[n] + b

As everywhere in this field, "convolution" is cross-correlation: the kernel is not flipped.
Chellapilla, Puri and Simard, "High performance convolutional neural networks for document processing", 2006.
"""

from minicnn.backend import Array, array_module, slot
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import PaddingLike, PairLike, conv_windows, pair
from minicnn.ops.windows import crop, pad, taps


@slot("cols")
def im2col(
    x: Array, *, kernel: PairLike, stride: PairLike = 1, padding: PaddingLike = 0, dilation: PairLike = 1
) -> Array:
    """Unfold the windows of an image into columns.

    x : (N, C, H, W)
    cols : (N, C*kh*kw, oh*ow); column l holds the l-th window, row by row, channel by channel.
    """
    kernel, stride, dilation = pair(kernel, "kernel"), pair(stride, "stride"), pair(dilation, "dilation")
    pads, (oh, ow) = conv_windows(x.shape, kernel, stride, padding, dilation)
    n, c = x.shape[:2]
    cols = array_module(x).empty((n, c, kernel[0] * kernel[1], oh, ow), dtype=x.dtype)
    for k, tap in enumerate(taps(pad(x, pads), kernel=kernel, stride=stride, dilation=dilation, out=(oh, ow))):
        cols[:, :, k] = tap
    return cols.reshape(n, c * kernel[0] * kernel[1], oh * ow)


@slot("x")
def col2im(
    cols: Array,
    *,
    shape: tuple[int, int, int, int],
    kernel: PairLike,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
) -> Array:
    """Add columns back into an image of `shape`: the adjoint of `im2col`, sum(im2col(x) * c) == sum(x * col2im(c)).

    Windows overlap, so a pixel receives the sum of its entries in all columns.

    cols : (N, C*kh*kw, oh*ow)
    x : (N, C, H, W) = shape
    """
    kernel, stride, dilation = pair(kernel, "kernel"), pair(stride, "stride"), pair(dilation, "dilation")
    pads, (oh, ow) = conv_windows(shape, kernel, stride, padding, dilation)
    n, c, h, w = shape
    cols = cols.reshape(n, c, kernel[0] * kernel[1], oh, ow)
    padded = array_module(cols).zeros((n, c, h + sum(pads[0]), w + sum(pads[1])), dtype=cols.dtype)
    for k, tap in enumerate(taps(padded, kernel=kernel, stride=stride, dilation=dilation, out=(oh, ow))):
        tap += cols[:, :, k]
    return crop(padded, pads)


@slot("y", uses=("im2col",))
def conv2d_forward(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    algorithm: str = "auto",
) -> Array:
    """y[n, f, i, j] = b[f] + sum over c, p, q of w[f, c, p, q] * x[n, c, i*stride + p*dilation, j*stride + q*dilation]

    x : (N, C, H, W)
    w : (F, C/groups, kh, kw)
    b : (F,) or None
    y : (N, F, oh, ow)

    With groups, the channels and the kernels are cut into that many equal parts, and part g sees part g alone.

    The algorithm is a matter of speed: "im2col" is this body's, "auto" whatever is fastest, and the kernels of the
    backend "numba" have "direct" and "winograd" besides. Raises `ArgumentError` for one that is not to be had.
    """
    check_conv2d(x, w, b, groups)
    check_algorithm(algorithm)
    n, f = len(x), len(w)
    kernel = w.shape[2:]
    _, (oh, ow) = conv_windows(x.shape, kernel, stride, padding, dilation)
    cols = im2col(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)

    cols = cols.reshape(n, groups, w[0].size, oh * ow)
    y = w.reshape(groups, f // groups, w[0].size) @ cols  # (G, F/G, K) @ (N, G, K, L) -> (N, G, F/G, L)
    y = y.reshape(n, f, oh, ow)
    if b is not None:
        y += b[:, None, None]
    return y


@slot("dx, dw, db", uses=("im2col", "col2im"))
def conv2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: PairLike = 1,
    padding: PaddingLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    need_dx: bool = True,
    algorithm: str = "auto",
) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv2d_forward`, whose forward is y[n] = W cols[n] + b:

        dW = sum over n of dy[n] cols[n]^T        dcols[n] = W^T dy[n]        dx = col2im(dcols)        db = sum of dy

    dy : (N, F, oh, ow)
    x, w : as in the forward pass
    dx : (N, C, H, W), or None without `need_dx` (the first layer of a network needs none)
    dw : (F, C/groups, kh, kw)
    db : (F,)
    """
    check_algorithm(algorithm)
    n, f = len(x), len(w)
    kernel = w.shape[2:]
    dy_rows = dy.reshape(n, groups, f // groups, dy.shape[2] * dy.shape[3])  # (N, G, F/G, L)
    cols = im2col(x, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    cols = cols.reshape(n, groups, w[0].size, dy_rows.shape[3])  # (N, G, K, L)

    dw = (dy_rows @ cols.swapaxes(2, 3)).sum(axis=0).reshape(w.shape)
    db = dy.sum(axis=(0, 2, 3))
    if not need_dx:
        return None, dw, db
    dcols = w.reshape(groups, f // groups, w[0].size).swapaxes(1, 2) @ dy_rows  # (G, K, F/G) @ (N, G, F/G, L)
    dcols = dcols.reshape(n, x.shape[1] * kernel[0] * kernel[1], dy_rows.shape[3])
    dx = col2im(dcols, shape=x.shape, kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    return dx, dw, db


def check_algorithm(algorithm: str) -> None:
    """Raise `ArgumentError` unless the plain body is what was asked for."""
    if algorithm not in ("auto", "im2col"):
        raise ArgumentError(
            f'algorithm={algorithm!r} is none of the plain body\'s: it has "im2col" (which "auto" takes too); '
            'the backend "numba" has kernels for "direct" and "winograd"'
        )


def check_conv2d(x: Array, w: Array, b: Array | None, groups: int) -> None:
    """Raise `ShapeError` unless image, kernels, bias and groups fit together."""
    if x.ndim != 4 or w.ndim != 4:
        raise ShapeError(f"x must be (N, C, H, W) and w (F, C/groups, kh, kw); x is {x.shape}, w is {w.shape}")
    if x.shape[1] != groups * w.shape[1]:
        raise ShapeError(
            f"x has {x.shape[1]} channels, but the kernels take {groups} group(s) of {w.shape[1]} "
            f"(x is {x.shape}, w is {w.shape})"
        )
    if w.shape[0] % groups:
        raise ShapeError(f"{w.shape[0]} kernels cannot be cut into {groups} equal groups")
    if b is not None and b.shape != w.shape[:1]:
        raise ShapeError(f"b must have one entry a kernel, {w.shape[:1]}, not {b.shape}")
