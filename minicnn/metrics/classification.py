"""How often a classifier is right."""

import numpy as np

from minicnn.backend import Array
from minicnn.errors import DataError, ShapeError


def accuracy_score(y_true: Array, y_pred: Array) -> Array:
    """Return the share of predictions that equal the labels, from 0 to 1; an array on a GPU stays there.

    y_true, y_pred : labels of one shape
    Raises `ShapeError` if the shapes differ, `DataError` if they are empty.
    """
    y_true, y_pred = (np.asarray(y) if isinstance(y, list | tuple) else y for y in (y_true, y_pred))
    if y_true.shape != y_pred.shape:
        raise ShapeError(f"y_true has shape {y_true.shape} and y_pred {y_pred.shape}; they must be equal")
    if y_true.size == 0:
        raise DataError("there are no predictions, so they have no accuracy")
    return (y_true == y_pred).mean()
