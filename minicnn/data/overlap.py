"""Images that are in the training set and in the data that is to judge it: a leak, and no score tells of it."""

import warnings

import numpy as np

from minicnn.data.dataset import ArrayDataset, as_dataset
from minicnn.data.duplicates import equal_examples
from minicnn.data.seal import SealedDataset
from minicnn.errors import DataWarning, ShapeError


def find_overlap(train: ArrayDataset, held_out: ArrayDataset | SealedDataset) -> np.ndarray:
    """Return which inputs of `held_out` are in `train` too, number for number; labels play no part.

    Inputs that are one number throughout, such as empty tiles of a large image, are left out: they are alike without
    being copies. Copies that were turned, cut or compressed again are not found.

    Parameters
    ----------
    train, held_out : ArrayDataset or (x, y)
        Inputs (N, ...) and (M, ...), prepared in the same way. `held_out` may be a sealed test set and stays sealed.

    Returns
    -------
    array (pairs, 2) of int
        Rows (index in held_out, first such index in train), in the order of the former.

    Raises
    ------
    ShapeError
        If the examples have different shapes.
    """
    train = as_dataset(train)
    if isinstance(held_out, SealedDataset):
        return held_out.overlap(train)
    held_out = as_dataset(held_out)
    if held_out.x.shape[1:] != train.x.shape[1:]:
        raise ShapeError(
            f"examples of shapes {train.x.shape[1:]} and {held_out.x.shape[1:]} cannot be compared; prepare both alike"
        )
    return equal_examples(held_out.x, train.x)


def warn_of_overlap(
    train: ArrayDataset, held_out: ArrayDataset | SealedDataset, *, what: str = "validation", stacklevel: int = 2
) -> np.ndarray:
    """Warn (`DataWarning`) if inputs of `held_out` are in `train` too; return what `find_overlap` does.

    `what` names the held-out data in the warning, and `stacklevel` its place in the code, as in `warnings.warn`. Ten
    thousand images take some hundredths of a second.
    """
    if not isinstance(held_out, SealedDataset) and train.x.shape[1:] != held_out.x.shape[1:]:
        return np.zeros((0, 2), dtype=np.int64)  # the network will say so, and better
    pairs = find_overlap(train, held_out)
    if len(pairs):
        first, copy = pairs[0]
        few = len(pairs) == 1
        warnings.warn(
            f"{len(pairs)} of {len(held_out)} {what} images {'is' if few else 'are'} in the training set too "
            f"({'' if few else 'first: '}{what} {first} = training {copy}); a score on {'it' if few else 'them'} says "
            "what was memorised, not what was learned. Split before you copy or augment, and remove duplicates: "
            "data.find_overlap(train, ...) returns them all",
            DataWarning,
            stacklevel=stacklevel,
        )
    return pairs
