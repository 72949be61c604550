"""Where windows lie on an image, in whole numbers: pairs, padding, output sizes.

Convolution and pooling share one picture. A kernel of kh x kw positions slides over a padded image in steps of
`stride`; its positions are `dilation` pixels apart:

    oh = floor((h + top + bottom - dilation_h * (kh - 1) - 1) / stride_h) + 1        (and ow alike)

Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016, relationships 6 and 15.
"""

from typing import TypeAlias

from minicnn.errors import ArgumentError, ShapeError

Pair: TypeAlias = tuple[int, int]
PairLike: TypeAlias = int | tuple[int, int]
PaddingLike: TypeAlias = int | tuple[int, int] | str
Pads: TypeAlias = tuple[Pair, Pair]
"""((top, bottom), (left, right)), in pixels."""


def pair(value: PairLike, name: str, *, least: int = 1) -> Pair:
    """Return (vertical, horizontal) from one number for both or a pair. Raises `ArgumentError` below `least`."""
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(v, int) or hasattr(v, "__index__") for v in both):
        raise ArgumentError(f"{name} must be a whole number or a pair of them, not {value!r}")
    if min(both) < least:
        raise ArgumentError(f"{name} must be at least {least}, not {value!r}")
    return int(both[0]), int(both[1])


def short(value: object) -> str:
    """Write (3, 3) as 3, for messages."""
    return repr(value[0]) if isinstance(value, tuple) and len(set(value)) == 1 else repr(value)


def check_padding(padding: PaddingLike) -> PaddingLike:
    """Return the padding as it is if it is a number, a pair, "same" or "valid"; raise `ArgumentError` otherwise."""
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ArgumentError(f'padding must be a number, a pair, "same" or "valid", not {padding!r}')
        return padding
    return pair(padding, "padding", least=0)


def resolve_padding(
    padding: PaddingLike, *, size: Pair, kernel: PairLike, stride: PairLike = 1, dilation: PairLike = 1
) -> Pads:
    """Return how many pixels of padding go on each side of an image of `size` (h, w).

    "valid" is none. "same" gives ceil(size / stride) outputs; where the total is odd, the extra pixel goes to the
    bottom and to the right (as in PyTorch, which has "same" for stride 1, and in TensorFlow).
    """
    padding = check_padding(padding)
    if padding == "valid":
        return (0, 0), (0, 0)
    if isinstance(padding, tuple):
        return (padding[0], padding[0]), (padding[1], padding[1])
    sides = []
    for length, k, s, d in zip(
        size, pair(kernel, "kernel"), pair(stride, "stride"), pair(dilation, "dilation"), strict=True
    ):
        outputs = -(-length // s)
        total = max((outputs - 1) * s + d * (k - 1) + 1 - length, 0)
        sides.append((total // 2, total - total // 2))
    return sides[0], sides[1]


def settle_padding(
    padding: PaddingLike, *, size: Pair, kernel: PairLike, stride: PairLike = 1, dilation: PairLike = 1
) -> PaddingLike:
    """Return the padding as a pair (vertical, horizontal), unless "same" needs more on one side than on the other."""
    (top, bottom), (left, right) = resolve_padding(padding, size=size, kernel=kernel, stride=stride, dilation=dilation)
    return (top, left) if (top, left) == (bottom, right) else padding


def output_size(size: Pair, *, kernel: PairLike, stride: PairLike = 1, pads: Pads, dilation: PairLike = 1) -> Pair:
    """Return (oh, ow), the number of windows on an image of `size` (h, w). Raises `ShapeError` if none fits."""
    kernel, stride, dilation = pair(kernel, "kernel"), pair(stride, "stride"), pair(dilation, "dilation")
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    padded = [length + sum(sides) for length, sides in zip(size, pads, strict=True)]
    if spans[0] > padded[0] or spans[1] > padded[1]:
        raise ShapeError(
            f"a window of {spans[0]} x {spans[1]} pixels does not fit into an image of {size[0]} x {size[1]}"
            f" (with padding: {padded[0]} x {padded[1]}); use a smaller kernel, more padding or fewer poolings"
        )
    oh, ow = ((p - span) // s + 1 for p, span, s in zip(padded, spans, stride, strict=True))
    return oh, ow


def conv_windows(
    shape: tuple[int, ...], kernel: PairLike, stride: PairLike, padding: PaddingLike, dilation: PairLike = 1
) -> tuple[Pads, Pair]:
    """Return the padding of an image (N, C, H, W) and the number of windows on it. Raises `ShapeError` if none fits."""
    size = (shape[2], shape[3])
    pads = resolve_padding(padding, size=size, kernel=kernel, stride=stride, dilation=dilation)
    return pads, output_size(size, kernel=kernel, stride=stride, pads=pads, dilation=dilation)


def conv_transpose_size(
    size: Pair,
    *,
    kernel: PairLike,
    stride: PairLike = 1,
    padding: PairLike = 0,
    output_padding: PairLike = 0,
    dilation: PairLike = 1,
) -> Pair:
    """Return (H, W), what a transposed convolution makes of an image of `size` (h, w).

        H = (h - 1) * stride - 2 * padding + dilation * (kh - 1) + 1 + output_padding

    That is the image of which a convolution makes h windows. Dumoulin and Visin, 2016, relationship 14.

    Raises
    ------
    ArgumentError
        If output_padding is a stride or more: a convolution would then find another window there.
    ShapeError
        If there are no pixels, or none would be left.
    """
    kernel, stride, dilation = pair(kernel, "kernel"), pair(stride, "stride"), pair(dilation, "dilation")
    padding, extra = pair(padding, "padding", least=0), pair(output_padding, "output_padding", least=0)
    if extra[0] >= stride[0] or extra[1] >= stride[1]:
        raise ArgumentError(f"output_padding {extra} must be less than the stride {stride} in both directions")
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    out = [
        (length - 1) * s - 2 * p + span + e
        for length, s, p, span, e in zip(size, stride, padding, spans, extra, strict=True)
    ]
    if min(*size, *out) < 1:
        raise ShapeError(
            f"an image of {size[0]} x {size[1]} pixels would become {out[0]} x {out[1]}"
            f" by a kernel of {kernel}, stride {stride} and padding {padding}; use less padding"
        )
    return out[0], out[1]


def pool_windows(
    shape: tuple[int, ...], kernel: PairLike, stride: PairLike | None, padding: PaddingLike
) -> tuple[Pair, Pair, Pads, Pair]:
    """Return kernel, stride (the kernel's size unless given), padding and number of windows for an image (N, C, H, W).

    Raises
    ------
    ArgumentError
        If padding is more than half the kernel: a window could then lie wholly outside the image.
    ShapeError
        If no window fits.
    """
    kernel = pair(kernel, "kernel")
    stride = kernel if stride is None else pair(stride, "stride")
    size = (shape[2], shape[3])
    pads = resolve_padding(padding, size=size, kernel=kernel, stride=stride)
    if not isinstance(padding, str) and any(p[0] > k // 2 for p, k in zip(pads, kernel, strict=True)):
        raise ArgumentError(f"padding {padding} is more than half of the pooling kernel {kernel}")
    return kernel, stride, pads, output_size(size, kernel=kernel, stride=stride, pads=pads)
