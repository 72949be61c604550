"""Pooling of regions of interest, for detectors: regions of any size, numbers of one shape."""

import numpy as np

from minicnn import ops
from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, ShapeError
from minicnn.geometry import PairLike, pair, short
from minicnn.nn.layer import Layer, check_input, naming
from minicnn.ops.roi_pool import check_roi_pool


class RoIMaxPool2d(Layer):
    """y[r, c, i, j] = the maximum of channel c over bin (i, j) of region r, cut into oh x ow bins.

    x : (N, C, H, W), feature maps   rois : (R, 5)   y : (R, C, oh, ow)

        pooled = nn.RoIMaxPool2d(7, spatial_scale=1 / 16)(features, rois)

    A region is a row (image, x1, y1, x2, y2): the number of its image in the batch, and its first and last column and
    row in pixels of the **image**, both included; `spatial_scale` takes them to pixels of x, where they are rounded.
    What lies outside x is cut off; a bin of which nothing is left is 0. No gradient goes to the regions.
    Girshick, "Fast R-CNN", ICCV 2015, section 2.1; `ops.roi_max_pool2d_forward` has the formulas.

    Parameters
    ----------
    output_size : int or (int, int)
        (oh, ow).
    spatial_scale : float
        Pixels of x for one of the image: 1/16 behind four layers of stride 2.

    Raises
    ------
    ArgumentError
        In `forward`, if a region ends before it begins or is not finite.
    ShapeError
        In `forward`, if rois is not (R, 5), or names an image that the batch has not.
    """

    def __init__(self, output_size: PairLike, spatial_scale: float = 1.0) -> None:
        self.output_size = pair(output_size, "RoIMaxPool2d: output_size")
        if not isinstance(spatial_scale, int | float | np.number) or not 0 < spatial_scale < float("inf"):
            raise ArgumentError(f"RoIMaxPool2d: spatial_scale must be a positive number, not {spatial_scale!r}")
        self.spatial_scale = float(spatial_scale)

    def forward(self, x: Array, rois: Array) -> Array:  # type: ignore[override]
        """x : (N, C, H, W), rois : (R, 5), also on the host or as a list -> y : (R, C, oh, ow)"""
        check_input(self, x, ndim=4)
        size, scale = self.output_size, self.spatial_scale
        with naming(self):
            if not hasattr(rois, "dtype"):
                try:
                    rois = np.asarray(rois, dtype=np.float64)
                except ValueError:  # NumPy: an inhomogeneous shape
                    raise ShapeError("rois must be (R, 5), rows of (image, x1, y1, x2, y2); the rows differ") from None
                rois = rois.reshape(0, 5) if rois.size == 0 else rois
            if isinstance(rois, np.ndarray) and not isinstance(x, np.ndarray):
                check_roi_pool(x, rois, size, scale)  # on a device nobody looks at their values
                rois = array_module(x).asarray(rois)
            y, argmax = ops.roi_max_pool2d_forward(x, rois, output_size=size, spatial_scale=scale)
        self.saved = argmax, rois, x.shape
        return y

    def backward(self, dy: Array) -> Array:
        """dy : (R, C, oh, ow) -> dx : (N, C, H, W)"""
        argmax, rois, shape = self.saved
        return ops.roi_max_pool2d_backward(dy, argmax, rois, shape=shape)

    def window(self) -> None:
        """A region may be all of the input."""
        return None

    def __repr__(self) -> str:
        scale = "" if self.spatial_scale == 1 else f", spatial_scale={self.spatial_scale:g}"
        return f"RoIMaxPool2d({short(self.output_size)}{scale})"
