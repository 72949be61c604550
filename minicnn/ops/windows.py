"""The walk over a kernel's positions, which convolution and pooling share."""

from collections.abc import Iterator

from minicnn.backend import Array, array_module
from minicnn.geometry import Pads, Pair


def pad(x: Array, pads: Pads, value: float = 0.0) -> Array:
    """Return x (N, C, h, w) inside a border: (N, C, top + h + bottom, left + w + right). Always a new array."""
    (top, bottom), (left, right) = pads
    n, c, h, w = x.shape
    padded = array_module(x).full((n, c, top + h + bottom, left + w + right), value, dtype=x.dtype)
    padded[:, :, top : top + h, left : left + w] = x
    return padded


def crop(padded: Array, pads: Pads) -> Array:
    """Return the image without its border: the reverse, and the adjoint, of `pad`."""
    (top, bottom), (left, right) = pads
    return padded[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right]


def taps(image: Array, *, kernel: Pair, stride: Pair, dilation: Pair = (1, 1), out: Pair) -> Iterator[Array]:
    """Walk over the kernel's positions, row by row; yield what each one touches in all windows at once.

    Each yield is a view (N, C, oh, ow) of the padded image (N, C, H, W): entry (i, j) is the pixel that this
    position of the kernel covers when the window is the i-th down and the j-th across. Reading the views gathers the
    windows (im2col, pooling); adding to them scatters gradients back (col2im). Within one view no pixel comes twice.
    """
    (kh, kw), (sh, sw), (dh, dw), (oh, ow) = kernel, stride, dilation, out
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            yield image[:, :, top : top + sh * oh : sh, left : left + sw * ow : sw]
