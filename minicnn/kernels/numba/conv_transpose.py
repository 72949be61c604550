"""Transposed convolution, by the kernels of convolution: it is the gradient of a convolution's input.

Its backward pass is made of convolution's two operations, so the plain body runs these kernels there already.
"""

from typing import Any

from minicnn.backend import Array, get_num_threads, plain_body
from minicnn.geometry import Pair, PairLike, conv_transpose_size, pair
from minicnn.kernels.numba.conv import algorithm_for_case, conv2d_forward
from minicnn.kernels.numba.memory import channels_first, channels_last, is_float


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
    """No columns: each class of pixels that met the same part of the kernel is a convolution of x; b comes with it."""
    body, size = plain_body("conv_transpose2d_forward"), x.shape[2:]
    options: dict[str, Any] = {"stride": stride, "padding": padding, "dilation": dilation}
    if not _fits(x, w, b, groups):
        return body(x, w, b, **options, output_padding=output_padding, groups=groups)
    out = conv_transpose_size(size, kernel=w.shape[2:], **options, output_padding=output_padding)
    border = _border(w.shape[2:], **options)
    if border is not None:
        turned = w[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)
        return conv2d_forward(x, turned, b, padding=border, dilation=dilation)
    shape = (len(x), w.shape[1], *out)
    steps = pair(stride, "stride"), pair(padding, "padding", least=0), pair(dilation, "dilation")
    direct = algorithm_for_case(x.dtype, shape, w.shape, *steps, 1, None, "direct", get_num_threads())
    return channels_first(direct.input_gradients(channels_last(x), w, b))


def _fits(x: Array, w: Array, b: Array | None, groups: int) -> bool:
    """Return whether the kernels can do this: one group, and arrays that fit together and have numbers in them."""
    if x.ndim != 4 or w.ndim != 4 or groups != 1 or x.shape[1] != w.shape[0] or x.size * w.size == 0:
        return False
    return is_float(x, w) and (b is None or (b.shape == w.shape[1:2] and is_float(x, b)))


def _border(kernel: Pair, *, stride: PairLike, padding: PairLike, dilation: PairLike) -> Pair | None:
    """Return the padding of the convolution with turned kernels that this is; None if it is none, for its stride."""
    if pair(stride, "stride") != (1, 1):
        return None
    spans = [d * (k - 1) for k, d in zip(kernel, pair(dilation, "dilation"), strict=True)]
    top, left = (span - p for span, p in zip(spans, pair(padding, "padding", least=0), strict=True))
    return (top, left) if min(top, left) >= 0 else None
