"""The hinge: a classifier's loss that is content once the right class leads by a margin."""

from typing import Any

from minicnn.backend import Array, array_module
from minicnn.errors import ArgumentError
from minicnn.nn.loss.base import Loss, Weights, arguments, one_hot
from minicnn.nn.loss.checks import check_class_weights, check_labels


class HingeLoss(Loss):
    """loss = mean of w[y] / K * sum over k != y of max(0, z[k])^p,   z[k] = margin - x[y] + x[k],   for K classes

    scores x : (N, K), or (N, K, ...) with one prediction a pixel
    labels y : (N,) or (N, ...), integers from 0 to K - 1

    Every class that comes too close counts: Weston and Watkins, "Support vector machines for multi-class pattern
    recognition", 1999. (Crammer and Singer, "On the algorithmic implementation of multiclass kernel-based vector
    machines", 2001, count the closest class alone.) The division by K is PyTorch's, whose `MultiMarginLoss` this is.
    With p = 1 there is a kink at z = 0, where the gradient is 0, as in PyTorch.

    Parameters
    ----------
    p : 1 or 2
        Whether a class that is too close counts by how much, or by the square of that.
    margin : float
        By how much the right score must lead; with 0 it need only not be smaller.
    weight : sequence of K numbers, optional
        How much each class counts. Unlike in `CrossEntropyLoss`, the mean is not divided by it.

    Raises
    ------
    ShapeError
        If scores and labels do not fit together, or there is not one weight a class.
    DTypeError, DataError
        If labels are not integers, or (on the host) not from 0 to K - 1; if N = 0.
    """

    def __init__(self, p: int = 1, margin: float = 1.0, weight: Any = None) -> None:
        if p not in (1, 2):
            raise ArgumentError(f"HingeLoss: p must be 1 or 2, not {p}")
        if not 0 <= margin < float("inf"):
            raise ArgumentError(f"HingeLoss: margin must be at least 0, not {margin}")
        self.p = int(p)
        self.margin = float(margin)
        self.weight = None if weight is None else Weights.for_classes(weight, "HingeLoss")

    def forward(self, prediction: Array, target: Array) -> Array:
        """scores (N, K, ...), labels (N, ...) -> loss"""
        x, labels = prediction, target
        check_labels(self, "scores", x, labels)
        check_class_weights(self, self.weight, x.shape[1])
        xp = array_module(x, labels)
        is_y = one_hot(labels, x)
        x_y = xp.where(is_y, x, 0).sum(axis=1, keepdims=True)
        excess = xp.where(is_y, 0, xp.maximum(self.margin - x_y + x, 0))
        scale = 1 / (labels.size * x.shape[1])
        if self.weight is not None:
            per_class = self.weight.like(x).reshape(-1, *[1] * (x.ndim - 2))
            scale = scale * xp.where(is_y, per_class, 0).sum(axis=1, keepdims=True)
        self.saved = excess, is_y, scale
        return (scale * excess**self.p).sum()

    def backward(self) -> Array:
        """Return dscores, shaped like the scores: what other classes are pushed down by, the right one is pushed up."""
        excess, is_y, scale = self.saved
        xp = array_module(excess)
        push = scale * ((excess > 0).astype(excess.dtype) if self.p == 1 else 2 * excess)
        return xp.where(is_y, -push.sum(axis=1, keepdims=True), push)

    def __repr__(self) -> str:
        shown = {"p": self.p if self.p != 1 else None, "margin": self.margin if self.margin != 1 else None}
        return f"HingeLoss({arguments(**shown, weight=self.weight)})"
