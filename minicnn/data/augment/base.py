"""What every augmentation is: a pure function of images, targets and a key."""

import inspect
from typing import Any

import numpy as np

from minicnn.backend import CounterRng, Key
from minicnn.errors import ArgumentError, DTypeError, ShapeError, expect_kind
from minicnn.errors import probability as probability_of
from minicnn.ops import random_keys, random_uniform

Batch = tuple[np.ndarray, np.ndarray | None]


class Augmentation:
    """The base of all: x2, y2 = augmentation(x, y, key=Key(seed, stream, step)).

    The same arguments give the same bits, with every backend and in every thread. Nothing is written to. To make one
    of your own, write `apply`; it draws its random numbers from the key that it is given:

        class Dim(Augmentation):
            def apply(self, x, y, key):
                share = random_uniform(key, shape=(len(x), 1, 1, 1)).astype(x.dtype)
                return share * x, y

    Parameters
    ----------
    probability : float
        Of each image to be changed; the others stay as they are, to the bit.

    Raises
    ------
    ArgumentError
        If probability is not from 0 to 1.
    """

    probability: float = 1.0

    def __init__(self, *, probability: float = 1.0) -> None:
        self.probability = probability_of("probability", probability)

    def __call__(self, x: np.ndarray, y: np.ndarray | None = None, *, key: Key) -> Batch:
        """Return images and targets, changed.

        x : (N, C, H, W), float32 or float64, on the host; the result keeps the dtype
        y : labels (N,), masks (N, H, W) or (N, M, H, W), anything else of N rows, or None

        Raises
        ------
        ShapeError, DTypeError
            If x holds no such images, y has another length, or a mask is not as large as its image.
        ArgumentError
            If key is no key.
        """
        check_batch(self, x, y)
        if not (isinstance(key, tuple) and len(key) == 3):
            raise ArgumentError(f"{self!r}: key must be a Key(seed, stream, step), not {key!r}")
        result = self.on_batch(x, y, CounterRng(*key).next_key())
        check_result(self, x, result)
        return result

    def apply(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Return images, all of them changed, and their targets. The caller has dealt with `probability`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method apply(self, x, y, key)")

    def on_batch(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Choose who is changed, and `apply` to those. Where images cannot be told apart so, this is replaced."""
        choice, own = random_keys(key, 2)
        taken = np.flatnonzero(self.chosen(len(x), choice))
        if len(taken) == len(x):
            return self.apply(x, y, own)
        if len(taken) == 0:
            return x.copy(), None if y is None else y.copy()
        result = self.apply(x[taken], None if y is None else y[taken], own)
        check_result(self, x[taken], result)
        return _put(self, x, taken, result[0]), None if y is None else _put(self, y, taken, result[1])

    def chosen(self, count: int, key: Key) -> np.ndarray:
        """Return, for each of `count` images, whether it is changed."""
        if self.probability == 1:
            return np.ones(count, dtype=bool)
        return random_uniform(key, shape=(count,)) < self.probability

    def __repr__(self) -> str:
        """Write it as it was built: what has no default first, then what is not as by default."""
        words = []
        for name, p in list(inspect.signature(type(self)).parameters.items()):
            value = getattr(self, name, p.default)
            if value is p.empty:
                continue  # a class of somebody's own may keep it elsewhere
            if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD:
                words.append(repr(value))
            elif value != p.default:
                words.append(f"{name}={value!r}")
        return f"{type(self).__name__}({', '.join(words)})"


def checked_augment(augment: Any) -> Any:
    """Return an augmentation, or a function (x, y, key=...) -> x, y. Raises `ArgumentError` for anything else."""
    if isinstance(augment, type):
        return expect_kind(Augmentation, augment, "augment")
    if not callable(augment):
        raise ArgumentError(f"augment must be a function (x, y, key=...) -> x, y, not {augment!r}")
    return augment


def check_batch(who: object, x: Any, y: Any) -> None:
    """Raise `DTypeError` or `ShapeError` unless x are images on the host and y goes with them."""
    if not isinstance(x, np.ndarray):
        raise DTypeError(f"{who!r}: x is a {type(x).__name__}, expected a NumPy array; images are changed on the host")
    if x.ndim != 4:
        raise ShapeError(f"{who!r}: x has shape {x.shape}, expected images (N, C, H, W)")
    if x.dtype not in (np.float32, np.float64):
        hint = "; pixels from 0 to 255: x / 255" if x.dtype.kind in "iu" else ""
        raise DTypeError(f"{who!r}: x is {x.dtype}, expected float32 or float64{hint}")
    if y is None:
        return
    if not isinstance(y, np.ndarray):
        raise DTypeError(f"{who!r}: y is a {type(y).__name__}, expected a NumPy array")
    if y.ndim == 0 or len(y) != len(x):
        raise ShapeError(f"{who!r}: x and y must have the same length; x is {x.shape} and y {y.shape}")
    if y.ndim > 4 or (y.ndim > 2 and y.shape[-2:] != x.shape[-2:]):
        raise ShapeError(
            f"{who!r}: y has shape {y.shape}, expected masks {(len(x), *x.shape[2:])} or {(len(x), 1, *x.shape[2:])}, "
            f"as large as the images {x.shape}"
        )


def check_result(who: object, x: np.ndarray, result: Any) -> None:
    """Raise `ShapeError` or `DTypeError` unless an augmentation returned images and targets, as many as it was given.

    What was written by oneself is told so here, and not by a network that stumbles over it later.
    """
    if not (isinstance(result, tuple) and len(result) == 2):
        hint = "; is a return missing?" if result is None else ""
        raise ShapeError(f"{who!r} must return images and targets, a pair (x, y), not {type(result).__name__}{hint}")
    shape, dtype = getattr(result[0], "shape", None), getattr(result[0], "dtype", None)
    if shape is None or len(shape) != x.ndim or shape[:1] != x.shape[:1]:
        expected = "(N, C, H, W)" if x.ndim == 4 else f"{x.ndim} axes"
        raise ShapeError(f"{who!r} returned images of shape {shape}, expected {len(x)} of them: {expected}")
    if dtype != x.dtype:
        raise DTypeError(f"{who!r} returned images as {dtype}, expected {x.dtype} as it was given: .astype(x.dtype)")


def _put(who: object, whole: np.ndarray, taken: np.ndarray, part: Any) -> np.ndarray:
    """Return a copy of the whole with the part in its place."""
    if part is None or part.shape[1:] != whole.shape[1:] or part.dtype != whole.dtype:
        found = "None" if part is None else f"{part.dtype} {part.shape[1:]}"
        raise ShapeError(
            f"{who!r} makes {found} of {whole.dtype} {whole.shape[1:]}, so what is changed and what is not "
            "do not fit into one array; take probability=1"
        )
    result = whole.copy()
    result[taken] = part
    return result


def is_mask(y: np.ndarray | None) -> bool:
    """Return whether targets have a value for each pixel, (N, H, W) or (N, M, H, W)."""
    return y is not None and y.ndim > 2
