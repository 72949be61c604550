"""Fractional max pooling as a layer: other regions for every batch in training, always the same in evaluation."""

from minicnn import ops
from minicnn.backend import Array, CounterRng, default_rng
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import Pair, PairLike, pair, short
from minicnn.nn.layer import Layer, check_input
from minicnn.ops.fractional_pool import Regions, pseudorandom_edges, random_edges, regions_between

MIDDLE = 2**31  # u = 1/2


class FractionalMaxPool2d(Layer):
    """y[n, c, i, j] = the maximum of x[n, c] over region (i, j); the first of equal maxima gets the gradient.

    x : (N, C, H, W)   y : (N, C, oh, ow), H / oh and W / ow between 1 and 2

    Regions begin 1 or 2 pixels apart, and which of them are 2 apart is drawn anew for each forward pass in training,
    down and across, and for all images and channels of the batch alike. Evaluation always takes the same regions, those
    of the pseudo-random sequence with u = 1/2; the paper's own test, the mean over several draws, is
    `recipes.predict_averaged`. Graham, "Fractional max-pooling", 2014, section 2.

    PyTorch's layer of this name places windows of one size (`kernel_size`) at pseudo-random distances, which may
    overlap by any number of pixels or leave some out; the regions here are the paper's, and cover the image exactly.

    Parameters
    ----------
    kernel_size : int or (int, int)
        The longest distance between the beginnings of two regions; the shortest is one less. The paper's is 2; with 3
        images become smaller by a factor between 2 and 3.
    output_size : int or (int, int)
        Pixels of the output, down and across. Give this or `output_ratio`.
    output_ratio : float or (float, float)
        Pixels of the output for one of the input, between 0 and 1; rounded down.
    overlapping : bool
        Whether neighbouring regions share a pixel, so that they have 2 or 3, or have 1 or 2 of their own.
    pseudorandom : bool
        Whether distances of 1 and 2 alternate as regularly as they can, and only where that begins is drawn, or
        whether they are shuffled, which distorts images more: the paper finds that better alone, and too much with
        dropout.
    rng : CounterRng, optional
        Names the regions; by default a stream of its own under `mc.seed`.

    Raises
    ------
    ArgumentError
        If both or neither of size and ratio are given, or one makes no sense.
    ShapeError
        If regions of these distances cannot cover an image with so many outputs.
    """

    def __init__(
        self,
        kernel_size: PairLike = 2,
        output_size: PairLike | None = None,
        output_ratio: float | tuple[float, float] | None = None,
        *,
        overlapping: bool = True,
        pseudorandom: bool = True,
        rng: CounterRng | None = None,
    ) -> None:
        self.kernel_size = pair(kernel_size, "FractionalMaxPool2d: kernel_size", least=2)
        if (output_size is None) == (output_ratio is None):
            given = "neither" if output_size is None else "both"
            raise ArgumentError(f"FractionalMaxPool2d: give output_size or output_ratio, one of them, not {given}")
        self.output_size = None if output_size is None else pair(output_size, "FractionalMaxPool2d: output_size")
        self.output_ratio = None if output_ratio is None else _ratios(output_ratio)
        self.overlapping = bool(overlapping)
        self.pseudorandom = bool(pseudorandom)
        self.rng = rng if rng is not None else default_rng()

    def forward(self, x: Array) -> Array:
        """x : (N, C, H, W) -> y : (N, C, oh, ow)"""
        check_input(self, x, ndim=4)
        rows, columns = self.draw((x.shape[2], x.shape[3]))
        y, row, column = ops.fractional_max_pool2d_forward(x, rows=rows, columns=columns)
        self.saved = row, column, x.shape, rows, columns
        return y

    def backward(self, dy: Array) -> Array:
        """dy : (N, C, oh, ow) -> dx : (N, C, H, W)"""
        row, column, shape, rows, columns = self.saved
        return ops.fractional_max_pool2d_backward(dy, row, column, shape=shape, rows=rows, columns=columns)

    def draw(self, size: Pair) -> tuple[Regions, Regions]:
        """Draw rows and columns, (first, one after the last) for each region, as a forward pass does.

        In training this takes keys, so that the next pass draws others.

        size : (H, W). Raises `ShapeError` if regions of these distances cannot cover such an image.
        """
        return self._regions(size, 0), self._regions(size, 1)

    def _regions(self, size: Pair, axis: int) -> Regions:
        longest, total = self.kernel_size[axis], size[axis] - self.overlapping
        if self.output_size is not None:
            count = self.output_size[axis]
        else:
            count = int(size[axis] * self.output_ratio[axis]) if self.output_ratio else 0
        least, most = -(-total // longest), total // (longest - 1)
        if not max(least, 1) <= count <= most:
            raise ShapeError(
                f"{self!r}: {size[axis]} pixels {('down', 'across')[axis]} cannot become {count}; regions "
                f"{longest - 1} or {longest} apart {'and overlapping ' if self.overlapping else ''}"
                f"make {max(least, 1)} to {most} of them"
                if most
                else f"{self!r}: an image of {size[0]} x {size[1]} pixels is too small"
            )
        if not self.training:
            edges = pseudorandom_edges(MIDDLE, total=total, count=count)
        elif self.pseudorandom:
            edges = pseudorandom_edges(int(ops.random_bits(self.rng.next_key(), count=1)[0]), total=total, count=count)
        else:
            edges = random_edges(self.rng.next_key(), total=total, count=count, longest=longest)
        return regions_between(edges, overlapping=self.overlapping)

    def window(self) -> tuple[int, int, int, int]:
        """Return the largest that a region and its distance to the next can be."""
        kh, kw = self.kernel_size
        return kh + self.overlapping, kw + self.overlapping, kh, kw

    def __repr__(self) -> str:
        size = f"output_size={short(self.output_size)}" if self.output_size else ""
        ratio = f"output_ratio={short(self.output_ratio)}" if self.output_ratio else ""
        overlapping = "" if self.overlapping else ", overlapping=False"
        pseudorandom = "" if self.pseudorandom else ", pseudorandom=False"
        return f"FractionalMaxPool2d({short(self.kernel_size)}, {size}{ratio}{overlapping}{pseudorandom})"


def _ratios(value: float | tuple[float, float]) -> tuple[float, float]:
    both = tuple(value) if isinstance(value, tuple | list) else (value, value)
    try:
        ratios = [float(ratio) for ratio in both]
    except (TypeError, ValueError):
        ratios = []
    if len(ratios) != 2 or not all(0 < ratio < 1 for ratio in ratios):
        raise ArgumentError(
            f"FractionalMaxPool2d: output_ratio must be a number between 0 and 1 or a pair of them, not {value!r}"
        )
    return ratios[0], ratios[1]
