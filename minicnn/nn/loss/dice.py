"""The Dice coefficient as a loss: how well two masks overlap, however small they are."""

import numpy as np

from minicnn import ops
from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError, ShapeError
from minicnn.nn.loss.base import Loss, one_hot
from minicnn.nn.loss.checks import check_labels, check_scores, shares_like


class DiceLoss(Loss):
    """loss = mean of 1 - D,   D = (2 * sum of p g + smooth) / (sum of p^2 + sum of g^2 + smooth),   sums over pixels

    p is what the network says, g the truth; D is 1 where they are the same mask and 0 where they do not meet. There is
    a D for every channel of every image, so a small organ counts as much as a large one, and background that is rightly
    left alone counts nothing. Milletari, Navab and Ahmadi, "V-Net: fully convolutional neural networks for volumetric
    medical image segmentation", 2016, section 3; `smooth` is a later addition.

    logits : (N, C, H, W), or with more axes of pixels
    target : the same shape, numbers from 0 to 1: each channel is a mask of its own, and p = sigmoid(logits)
        or (N, H, W), integers from 0 to C - 1: each pixel has one class, p = softmax(logits) over the C >= 2 channels,
        and g[c] is 1 where the label is c; the background is a class like others

    Parameters
    ----------
    smooth : float
        Keeps D from jumping between 0 and 1 for masks of a pixel or none. It is worth as much as `smooth` pixels that
        agree. With 0, two masks without any pixel agree wholly (D = 1) instead of being 0 / 0.

    Raises
    ------
    ShapeError
        If logits have fewer than four axes, or the target has neither of the two shapes.
    DTypeError, DataError
        If they are no arrays of such numbers; if they are empty, or (on the host) a target is out of range.
    """

    def __init__(self, smooth: float = 1.0) -> None:
        if not 0 <= smooth < float("inf"):
            raise ArgumentError(f"DiceLoss: smooth must be at least 0, not {smooth}")
        self.smooth = float(smooth)

    def forward(self, prediction: Array, target: Array) -> Array:
        """logits (N, C, H, W), target (N, C, H, W) or (N, H, W) -> loss"""
        exclusive = self._has_labels(prediction, target)  # whether a pixel is of one class alone
        if exclusive:
            check_labels(self, "logits", prediction, target)
            p, g = _softmax(prediction), one_hot(target, prediction).astype(prediction.dtype)
        else:
            g = shares_like(self, prediction, target)
            p = ops.sigmoid_forward(prediction)
        pixels = tuple(range(2, p.ndim))
        smooth = max(self.smooth, float(np.finfo(p.dtype).tiny))  # the smallest number makes 1 of 0 / 0
        total = (p * p).sum(axis=pixels, keepdims=True) + (g * g).sum(axis=pixels, keepdims=True) + smooth
        dice = (2 * (p * g).sum(axis=pixels, keepdims=True) + smooth) / total
        self.saved = p, g, dice, total, exclusive
        return 1 - dice.mean()

    def backward(self) -> Array:
        """Return dlogits, by way of dp = 2 * (D p - g) / (sum of p^2 + sum of g^2 + smooth) / number of D."""
        p, g, dice, total, exclusive = self.saved
        dp = 2 * (dice * p - g) / (total * dice.size)
        if exclusive:  # softmax
            return p * (dp - (p * dp).sum(axis=1, keepdims=True))
        return ops.sigmoid_backward(dp, p)

    def _has_labels(self, logits: Array, target: Array) -> bool:
        """Tell labels, whose axes are one fewer, from masks."""
        check_scores(self, "logits", logits)
        if logits.ndim < 4:
            hint = "; logits[:, None] adds a channel axis" if logits.ndim == 3 else ""
            raise ShapeError(f"{self!r}: logits have shape {logits.shape}, expected (N, C, H, W){hint}")
        labelled = getattr(target, "ndim", None) == logits.ndim - 1
        if labelled and logits.shape[1] == 1:
            raise ShapeError(
                f"{self!r}: logits of shape {logits.shape} are one mask an image, and target has shape {target.shape}; "
                "target[:, None] adds the channel axis"
            )
        return labelled

    def __repr__(self) -> str:
        return "DiceLoss()" if self.smooth == 1 else f"DiceLoss(smooth={self.smooth})"


def _softmax(x: Array) -> Array:
    """Return e^x / sum of e^x over axis 1."""
    xp = array_module(x)
    e = xp.exp(x - x.max(axis=1, keepdims=True))  # the largest power is 0, so that nothing overflows
    return e / e.sum(axis=1, keepdims=True)
