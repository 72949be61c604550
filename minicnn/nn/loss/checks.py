"""What losses ask of a prediction and a target before they compare them, and what they say if it is not so.

Shapes and dtypes are looked at everywhere, values on the host alone: on a GPU, looking would make the program wait.
"""

import numpy as np

from minicnn.backend import Array, array_module
from minicnn.errors import DataError, DTypeError, ShapeError
from minicnn.nn.loss.base import Loss, Weights


def check_scores(loss: Loss, name: str, values: Array) -> None:
    """Raise `DTypeError` unless the values are an array of float32 or float64."""
    _check_kind(loss, name, values, "f", "an array of float32 or float64")


def check_labels(loss: Loss, name: str, scores: Array, labels: Array) -> None:
    """Check scores (N, K, ...), called `name`, and the labels (N, ...) that go with them.

    Raises `ShapeError` if they do not fit together, `DTypeError` if labels are not integers, `DataError` if there are
    none or one is not from 0 to K - 1.
    """
    check_scores(loss, name, scores)
    classes = scores.shape[1] if scores.ndim > 1 else 1
    hint = "; labels.astype(int) makes integers" if getattr(getattr(labels, "dtype", None), "kind", "") in "fb" else ""
    _check_kind(loss, "labels", labels, "iu", f"integers from 0 to {classes - 1}{hint}")
    if scores.ndim < 2 or labels.shape != (scores.shape[0], *scores.shape[2:]):
        expected = (scores.shape[0], *scores.shape[2:]) if scores.ndim > 1 else "one label a row"
        hint = "; one-hot labels: labels.argmax(axis=1)" if labels.shape == scores.shape else ""
        hint = "; labels.reshape(-1) takes the last axis away" if labels.shape == (len(scores), 1) else hint
        if labels.ndim == 1 and scores.ndim > 2:
            hint = "; for one answer an image the model has to end with Flatten and Linear"
        both = f"labels have shape {labels.shape}, expected {expected} for {name} of shape {scores.shape}"
        raise ShapeError(f"{loss!r}: {both}{hint}")
    _check_not_empty(loss, labels)
    on_host = isinstance(labels, np.ndarray)
    if on_host and (labels.astype(np.uint64, copy=False) >= classes).any():  # what is below 0 becomes very large
        wrong = np.flatnonzero((labels < 0) | (labels >= classes))
        hint = "; labels that begin with 1: subtract 1" if labels.min() == 1 and labels.max() == classes else ""
        raise DataError(
            f"{loss!r}: label {labels.reshape(-1)[wrong[0]]} at position {wrong[0]} is out of range; "
            f"{classes} outputs have labels from 0 to {classes - 1}{hint}"
        )


def check_class_weights(loss: Loss, weights: Weights | None, classes: int) -> None:
    """Raise `ShapeError` unless there is one weight a class, or none at all."""
    if weights is not None and len(weights.values) != classes:
        raise ShapeError(f"{loss!r}: {len(weights.values)} class weights for {classes} classes")


def numbers_like(loss: Loss, prediction: Array, target: Array) -> Array:
    """Return the target in the prediction's dtype: what a data set holds is often float64, and masks are whole numbers.

    Raises `ShapeError` if the shapes differ (nothing is broadcast: (N, 1) against (N,) would become (N, N)),
    `DTypeError` if either is no array of numbers, `DataError` if they are empty or the target holds NaN or infinity,
    `DeviceError` if they are on two devices.
    """
    check_scores(loss, "prediction", prediction)
    _check_kind(loss, "target", target, "fiub", "an array of numbers")
    if prediction.shape != target.shape:
        only_ones = [n for n in prediction.shape if n != 1] == [n for n in target.shape if n != 1]
        hint = f"; target.reshape{prediction.shape} mends it" if only_ones else ""
        shapes = f"target has shape {target.shape}, expected the prediction's {prediction.shape}"
        raise ShapeError(f"{loss!r}: {shapes}{hint}")
    _check_not_empty(loss, prediction)
    array_module(prediction, target)
    y = target.astype(prediction.dtype, copy=False)
    if isinstance(y, np.ndarray) and not np.isfinite(y).all():
        raise DataError(f"{loss!r}: target holds {_first(target, ~np.isfinite(y))}; mend or remove it")
    return y


def shares_like(loss: Loss, prediction: Array, target: Array) -> Array:
    """Return the target as `numbers_like` does. Raises `DataError` also if one of its numbers is not from 0 to 1."""
    y = numbers_like(loss, prediction, target)
    if isinstance(y, np.ndarray) and not ((y >= 0) & (y <= 1)).all():
        hint = "; (target + 1) / 2 makes 0 and 1 of -1 and 1" if (abs(y) == 1).all() else ""
        hint = "; target / 255 makes shares of pixels" if y.min() >= 0 and y.max() == 255 else hint
        raise DataError(f"{loss!r}: target holds {_first(target, (y < 0) | (y > 1))}, expected 0 to 1{hint}")
    return y


def _check_not_empty(loss: Loss, values: Array) -> None:
    if values.size == 0:
        raise DataError(f"{loss!r}: the batch is empty, so there is no loss to take the mean of")


def _check_kind(loss: Loss, name: str, values: Array, kinds: str, expected: str) -> None:
    dtype = getattr(values, "dtype", None)
    if getattr(dtype, "kind", None) not in tuple(kinds) or dtype == np.float16:
        what = str(dtype) if hasattr(dtype, "kind") else f"a {type(values).__name__}"
        raise DTypeError(f"{loss!r}: {name} {'are' if name.endswith('s') else 'is'} {what}, expected {expected}")


def _first(values: np.ndarray, wrong: np.ndarray) -> str:
    """Write the first number that is wrong and where it is: `-1 at (0, 2)`."""
    where = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{values[where]} at {where}"
