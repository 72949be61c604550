"""Upsampling: larger images, nothing to learn."""

from fractions import Fraction

from minicnn import ops
from minicnn.backend import Array
from minicnn.errors import ArgumentError, ShapeError, listed
from minicnn.geometry import Pair, PairLike, pair, short
from minicnn.nn.layer import Layer, Window, check_input

MODES = {
    "nearest": (ops.upsample_nearest_forward, ops.upsample_nearest_backward),
    "bilinear": (ops.upsample_bilinear_forward, ops.upsample_bilinear_backward),
}


class Upsample(Layer):
    """y[n, c] = x[n, c] at more pixels: the nearest one of x, or the straight line between neighbours.

    x : (N, C, H, W)   y : (N, C, oh, ow)

    Parameters
    ----------
    size : int or (int, int), optional
        (oh, ow); it may be smaller than x, too. Give this or `scale_factor`.
    scale_factor : int or (int, int), optional
        oh / H and ow / W, whole numbers.
    mode : str
        "nearest" repeats pixels. "bilinear" joins their centres by straight lines, and the image goes on as it is at
        its edges beyond the outermost of them (PyTorch's align_corners=False).

    Raises `ArgumentError` if both or neither of size and scale_factor are given, or the mode is unknown.
    """

    def __init__(
        self, size: PairLike | None = None, scale_factor: PairLike | None = None, mode: str = "nearest"
    ) -> None:
        if (size is None) == (scale_factor is None):
            given = "neither" if size is None else "both"
            raise ArgumentError(f"Upsample: give size or scale_factor, one of them, not {given}")
        if mode not in MODES:
            raise ArgumentError(f"Upsample: mode must be one of {listed(MODES)}, not {mode!r}")
        self.size = None if size is None else pair(size, "Upsample: size")
        self.scale_factor = None if scale_factor is None else pair(scale_factor, "Upsample: scale_factor")
        self.mode = mode

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C, oh, ow)"""
        check_input(self, x, ndim=4)
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self!r}: an image of {x.shape[2]} x {x.shape[3]} pixels has none to repeat")
        self.saved = x.shape
        return MODES[self.mode][0](x, size=self.output_size((x.shape[2], x.shape[3])))

    def backward(self, dy: Array) -> Array:
        """dy : (N, C, oh, ow) -> dx : (N, C, H, W)"""
        return MODES[self.mode][1](dy, shape=self.saved)

    def output_size(self, size: Pair) -> Pair:
        """Return (oh, ow) for an image of size (H, W)."""
        if self.size is not None:
            return self.size
        down, across = self.scale_factor or (1, 1)
        return size[0] * down, size[1] * across

    def window(self) -> Window:
        """Return the pixels of the last x that one of y is made of, and how far y's lie apart on it."""
        (h, w), seen = self.saved[2:], 1 if self.mode == "nearest" else 2
        oh, ow = self.output_size((h, w))
        return seen, seen, Fraction(h, oh), Fraction(w, ow)

    def __repr__(self) -> str:
        how = f"size={short(self.size)}" if self.size else f"scale_factor={short(self.scale_factor)}"
        return f"Upsample({how}, mode={self.mode!r})"
