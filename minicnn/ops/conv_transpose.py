"""Transposed convolution: the adjoint of convolution, which makes images larger where a stride made them smaller.

    conv2d            (N, F, H, W) -> (N, C, h, w)        y[n] = W im2col(x[n])
    conv_transpose2d  (N, C, h, w) -> (N, F, H, W)        y[n] = col2im(W^T x[n])

Both have the same weights (C, F, kh, kw): a convolution's kernels, one for each of the channels that it gives out, are
what a transposed convolution takes in. So the forward pass of one is the gradient of the other's.

Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, section 4; Zeiler et al.,
"Deconvolutional networks", CVPR 2010, where it is called deconvolution (it undoes sizes, not values).
"""

from minicnn.backend import Array, slot
from minicnn.errors import ShapeError
from minicnn.geometry import PairLike, conv_transpose_size, pair
from minicnn.ops.conv import col2im, conv2d_backward, conv2d_forward


@slot("y", uses=("col2im",))
def conv_transpose2d_forward(
    x: Array,
    w: Array,
    b: Array | None,
    *,
    stride: PairLike = 1,
    padding: PairLike = 0,
    output_padding: PairLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
) -> Array:
    """y[n, f, i*stride + p*dilation - padding, j*stride + q*dilation - padding] += x[n, c, i, j] * w[c, f, p, q]

    for every c, i, j, p and q, beginning with y = b; what falls outside y is lost.

    x : (N, C, h, w)
    w : (C, F/groups, kh, kw)
    b : (F,) or None
    y : (N, F, H, W), with H = (h - 1) * stride - 2 padding + dilation * (kh - 1) + output_padding + 1

    `output_padding` adds rows at the bottom and columns at the right: a convolution with a stride makes the same size
    of several, and this says which of them is meant. Raises `ShapeError` if the arrays do not fit together or y would
    be empty, `ArgumentError` for an output_padding of a stride or more.
    """
    check_conv_transpose2d(x, w, b, groups)
    (n, c, h, wide), kernel = x.shape, w.shape[2:]
    windows = {"kernel": kernel, "stride": stride, "padding": pair(padding, "padding", least=0), "dilation": dilation}
    size = conv_transpose_size((h, wide), **windows, output_padding=output_padding)

    rows = x.reshape(n, groups, c // groups, h * wide)
    cols = w.reshape(groups, c // groups, w[0].size).swapaxes(1, 2) @ rows  # (G, K, C/G) @ (N, G, C/G, L)
    y = col2im(cols.reshape(n, groups * w[0].size, h * wide), shape=(n, groups * w.shape[1], *size), **windows)
    if b is not None:
        y += b[:, None, None]
    return y


@slot("dx, dw, db", uses=("conv2d_forward", "conv2d_backward", "im2col", "col2im"))
def conv_transpose2d_backward(
    dy: Array,
    x: Array,
    w: Array,
    *,
    stride: PairLike = 1,
    padding: PairLike = 0,
    output_padding: PairLike = 0,
    dilation: PairLike = 1,
    groups: int = 1,
    need_dx: bool = True,
) -> tuple[Array | None, Array, Array]:
    """Gradients of `conv_transpose2d_forward`: y is conv2d's gradient for x, so dx is what conv2d makes of dy.

        <dy, y(x)> = <dy, conv2d's dx(x)> = <conv2d(dy), x>        for all x and, since it is bilinear, for all w

    The weights' gradient is conv2d's with the roles exchanged: dy is the image, and x the gradient of what came of it.

    dy : (N, F, H, W)
    x, w : as in the forward pass
    dx : (N, C, h, w), or None without `need_dx`
    dw : (C, F/groups, kh, kw)
    db : (F,)

    `output_padding` is known from the shape of dy.
    """
    windows = {"stride": stride, "padding": pair(padding, "padding", least=0), "dilation": dilation, "groups": groups}
    dx = conv2d_forward(dy, w, None, **windows) if need_dx else None
    _, dw, _ = conv2d_backward(x, dy, w, **windows, need_dx=False)
    return dx, dw, dy.sum(axis=(0, 2, 3))


def check_conv_transpose2d(x: Array, w: Array, b: Array | None, groups: int) -> None:
    """Raise `ShapeError` unless image, kernels, bias and groups fit together."""
    if x.ndim != 4 or w.ndim != 4:
        raise ShapeError(f"x must be (N, C, h, w) and w (C, F/groups, kh, kw); x is {x.shape}, w is {w.shape}")
    if x.shape[1] != w.shape[0]:
        raise ShapeError(f"x has {x.shape[1]} channels, but w is for {w.shape[0]} (x is {x.shape}, w is {w.shape})")
    if w.shape[0] % groups:
        raise ShapeError(f"{w.shape[0]} channels cannot be cut into {groups} equal groups")
    if b is not None and b.shape != (groups * w.shape[1],):
        raise ShapeError(f"b must have one entry an output channel, {(groups * w.shape[1],)}, not {b.shape}")
