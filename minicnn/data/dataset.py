"""A data set in memory: inputs and targets, side by side."""

from typing import Any

import numpy as np

from minicnn.errors import DataError, DTypeError


class ArrayDataset:
    """Inputs x and targets y of the same length, on the host.

    x : (N, ...), floating point; kept as float32, or as `dtype` says. Whole numbers that stand for something, such as
        words for an `Embedding`, are kept as integers if `dtype` says so
    y : (N, ...), such as integer labels (N,)

    Parameters
    ----------
    x, y : array-like
        Inputs and targets.
    classes : sequence of str, optional
        What the labels 0, 1, ... mean.
    dtype : float32 or float64, or int64 for an `Embedding`
        How x is kept.

    Raises
    ------
    DataError
        If there is nothing in it, the lengths differ, or x or y holds NaN or infinity (the message says where).
    DTypeError
        If x is not floating point: pixels of 0 to 255 have to be scaled first. If `dtype` is int64 and x holds others
        than integers.
    """

    def __init__(self, x: Any, y: Any, *, classes: Any = None, dtype: Any = np.float32) -> None:
        x, y = _as_array("x", x), _as_array("y", y)
        if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
            raise DataError(f"x and y must have the same length; x is {x.shape} and y {y.shape}")
        x = checked_inputs(x, dtype)
        if y.dtype.kind in "fc":
            _check_finite("y", y, y)
        self.x = x
        self.y = y
        self.classes = None if classes is None else tuple(str(name) for name in classes)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Any) -> tuple[np.ndarray, np.ndarray]:
        return self.x[index], self.y[index]

    def subset(self, indices: Any) -> "ArrayDataset":
        """Return the examples with these indices as a data set of their own. Raises `DataError` if there are none."""
        indices = [indices] if isinstance(indices, int | np.integer) else indices
        return ArrayDataset(self.x[indices], self.y[indices], classes=self.classes, dtype=self.x.dtype)

    def __repr__(self) -> str:
        x, y = self.x, self.y
        return f"ArrayDataset({len(self)} examples, x {x.shape[1:]} {x.dtype}, y {y.shape[1:]} {y.dtype})"


def _as_array(name: str, values: Any) -> np.ndarray:
    """Return values as an array. Raises `DataError` if the examples have different shapes."""
    try:
        return np.asarray(values)
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise DataError(
            f"{name} holds examples of different shapes; images want one size, and sequences are filled up to one "
            "length (nn.LSTM takes their lengths)"
        ) from None


def checked_inputs(x: Any, dtype: Any) -> np.ndarray:
    """Return inputs (N, ...) in the given type.

    Raises `DataError` if there are none or some are NaN or infinite, `DTypeError` if they are not floating point or,
    where the type is that of integers, no integers.
    """
    given = np.asarray(x)
    if given.ndim == 0 or len(given) == 0:
        raise DataError("there are no examples: x is empty")
    if np.dtype(dtype).kind == "i":
        if given.dtype.kind not in "iu":
            raise DTypeError(f"x is {given.dtype}, expected whole numbers for an Embedding: x.astype(np.int64)")
        return given.astype(dtype, copy=False)
    check_floating(given)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is told below
        converted = given.astype(dtype, copy=False)
    _check_finite("x", given, converted)
    return converted


def _check_finite(name: str, given: np.ndarray, converted: np.ndarray) -> None:
    """Raise `DataError` if a converted number is NaN or infinite, with the place and the number that was given."""
    if not np.isfinite(converted).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(converted))[0])
        raise DataError(f"{name} holds {given[where]} in example {where[0]} (at {where}); mend or remove it")


def check_floating(x: np.ndarray) -> None:
    """Raise `DTypeError` unless inputs are floating point."""
    if x.dtype.kind != "f":
        hint = "pixels from 0 to 255: x / 255"
        if x.dtype.kind in "iu":
            hint += "; words for an Embedding: ArrayDataset(x, y, dtype=np.int64)"
        raise DTypeError(f"x is {x.dtype}, expected floating point; {hint}")


def as_dataset(data: Any, *, dtype: Any = None) -> ArrayDataset:
    """Return a data set, or a pair (x, y) as one; with x of that dtype, where one is given (pairs: else float32).

    Raises `DataError` for others.
    """
    if isinstance(data, ArrayDataset):
        if dtype is None or data.x.dtype == dtype:
            return data
        return ArrayDataset(data.x, data.y, classes=data.classes, dtype=dtype)
    if isinstance(data, tuple) and len(data) == 2:
        return ArrayDataset(*data, dtype=np.float32 if dtype is None else dtype)
    what, hint = type(data).__name__, ""
    if isinstance(data, tuple):
        what, hint = f"{len(data)} arrays", "; what else a model takes, such as lengths, travels in x: see nn.LSTM"
    elif hasattr(data, "train"):
        hint = "; its .train and .validation are such"
    raise DataError(f"expected an ArrayDataset or a pair (x, y), not {what}{hint}")
