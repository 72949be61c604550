"""Mixing: each image with another one of its batch, and their labels in the same proportion.

What comes out as targets are probabilities, (N, K), which `CrossEntropyLoss` takes. Masks are refused: half a class in
a pixel is nothing that a mask can say.
"""

import numpy as np

from minicnn.backend import Key, special_functions
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.cutout import rectangles
from minicnn.data.augment.ranges import at_least
from minicnn.errors import ArgumentError, DataError, DTypeError, ShapeError, whole_number
from minicnn.ops import random_keys, random_permutation, random_uniform


class Mixing(Augmentation):
    """The base of both: share l from Beta(alpha, alpha) for each image, 1 - l for its partner.

    alpha : near 0, nearly all of one of the two; 1, any share alike
    classes : K

    Images that `probability` leaves out keep a share of 1, and may still be partners.
    """

    def __init__(self, alpha: float, *, classes: int, probability: float = 1.0) -> None:
        super().__init__(probability=probability)
        self.alpha = at_least("alpha", alpha, above=True)
        self.classes = whole_number("classes", classes, least=2)

    def mixed(self, x: np.ndarray, partner: np.ndarray, share: np.ndarray, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Return the mixed images and the shares (N,) that they came to."""
        raise NotImplementedError

    def on_batch(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Targets become probabilities for all, mixed or not."""
        chances = probabilities(self, y, self.classes, x.dtype)
        choice, order, shares, own = random_keys(key, 4)
        partner = random_permutation(order, len(x))
        share = self.shares(len(x), shares)
        share[~self.chosen(len(x), choice)] = 1
        images, share = self.mixed(x, partner, share, own)
        weight = share.astype(x.dtype)[:, None]
        return images, weight * chances + (1 - weight) * chances[partner]

    def shares(self, count: int, key: Key) -> np.ndarray:
        """Return (N,) numbers with the distribution Beta(alpha, alpha): its quantiles at uniform numbers."""
        u = random_uniform(key, shape=(count,))
        return np.asarray(special_functions(u).betaincinv(self.alpha, self.alpha, u))


class MixUp(Mixing):
    """x = l x1 + (1 - l) x2,   t = l t1 + (1 - l) t2,   l from Beta(alpha, alpha), for each image and a random partner.

    Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond empirical risk minimization", 2018, equation in section 1. The
    paper took alpha from 0.1 to 0.4 for photographs.

    Parameters
    ----------
    alpha : float
        Near 0, nearly all of one of the two; 1, any share alike.
    classes : int
        K.

    Raises
    ------
    ArgumentError
        If alpha is not above 0, or classes below 2.
    ShapeError, DTypeError, DataError
        When called, unless targets are labels (N,) from 0 to K - 1, or probabilities (N, K).
    """

    def __init__(self, alpha: float = 0.2, *, classes: int, probability: float = 1.0) -> None:
        super().__init__(alpha, classes=classes, probability=probability)

    def mixed(self, x: np.ndarray, partner: np.ndarray, share: np.ndarray, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """l x1 + (1 - l) x2"""
        weight = share.astype(x.dtype).reshape(-1, 1, 1, 1)
        return weight * x + (1 - weight) * x[partner], share


class CutMix(Mixing):
    """A rectangle of a random partner in each image, and as much of its label as it covers.

    Its sides are sqrt(1 - l) of the image's, l from Beta(alpha, alpha), its centre is anywhere, and what sticks out is
    cut off. Yun et al., "CutMix: Regularization strategy to train strong classifiers with localizable features", 2019,
    section 3.1, equations 1 and 2; there the share is l, here it is exactly what is left of the image.

    Parameters
    ----------
    alpha : float
        Near 0, rectangles of nothing or of everything; 1, any area alike, as in the paper.
    classes : int
        K.

    Raises
    ------
    ArgumentError
        If alpha is not above 0, or classes below 2.
    ShapeError, DTypeError, DataError
        When called, unless targets are labels (N,) from 0 to K - 1, or probabilities (N, K).
    """

    def __init__(self, alpha: float = 1.0, *, classes: int, probability: float = 1.0) -> None:
        super().__init__(alpha, classes=classes, probability=probability)

    def mixed(self, x: np.ndarray, partner: np.ndarray, share: np.ndarray, key: Key) -> tuple[np.ndarray, np.ndarray]:
        """Pixels of the partner within the rectangle."""
        h, w = x.shape[2:]
        side = np.sqrt(1 - share)
        theirs = rectangles((h, w), np.rint(side * h), np.rint(side * w), key)
        return np.where(theirs[:, None], x[partner], x), 1 - theirs.mean(axis=(1, 2))


def probabilities(who: object, y: np.ndarray | None, classes: int, dtype: np.dtype) -> np.ndarray:
    """Return targets as probabilities (N, K): labels as ones among zeros, probabilities as they are."""
    if y is None:
        raise ArgumentError(f"{who!r}: labels are mixed with their images, so y is needed")
    if y.ndim > 2:
        raise ShapeError(f"{who!r}: y has shape {y.shape}; masks cannot be mixed, labels (N,) can")
    if y.ndim == 2:
        if y.shape[1] != classes or y.dtype.kind != "f":
            hint = "; y.reshape(-1) makes labels of it" if y.shape[1] == 1 else ""
            raise ShapeError(f"{who!r}: y is {y.dtype} {y.shape}, expected labels (N,) or shares (N, {classes}){hint}")
        return y.astype(dtype)
    if y.dtype.kind not in "iu":
        raise DTypeError(f"{who!r}: labels are {y.dtype}, expected integers from 0 to {classes - 1}")
    if y.size and (y.min() < 0 or y.max() >= classes):
        raise DataError(f"{who!r}: labels lie between {y.min()} and {y.max()}, expected 0 to {classes - 1}")
    return np.eye(classes, dtype=dtype)[y]
