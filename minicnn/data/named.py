"""Data sets by name: `load("digits")`, `load("mnist", root=...)`."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.idx import read_idx
from minicnn.data.seal import SealedDataset
from minicnn.data.splits import Splits, cut, split
from minicnn.errors import DataError, listed

DIGITS = tuple("0123456789")


def load(name: str, *, root: str | Path | None = None, seed: int = 0) -> Splits:
    """Return a known data set as `.train`, `.validation` and a sealed `.test`; pixels lie between 0 and 1.

    Parameters
    ----------
    name : str
        "digits": 1,797 handwritten digits of 8 x 8 pixels, which scikit-learn brings along. Split 70 : 15 : 15.
        "mnist": handwritten digits of 28 x 28 pixels, from IDX files in `root`. The 10,000 of the files `t10k-*` alone
        are split 80 : 10 : 10; with the files `train-*` too, these give training and validation set, and `t10k-*` is
        the test set.
    root : path, optional
        The folder that holds the files, or holds a folder of the data set's name that does; by default the one that the
        environment variable MINICNN_DATA names.
    seed : int
        Of the split.

    Raises
    ------
    DataError
        If there is no data set of that name (the message lists those there are), or its files are missing or damaged.
    """
    if name not in DATASETS:
        raise DataError(f"there is no data set {name!r}; the data sets are {listed(DATASETS)}")
    return DATASETS[name](root, seed)


def _digits(root: str | Path | None, seed: int) -> Splits:
    from sklearn.datasets import load_digits  # slow to import: not before it is needed

    bunch = load_digits()
    images = bunch.images[:, None] / 16  # 17 shades of grey
    return split(ArrayDataset(images, bunch.target, classes=DIGITS), seed=seed, name="digits")


def _mnist(root: str | Path | None, seed: int) -> Splits:
    folder = _folder("mnist", root, "t10k-images-idx3-ubyte")
    test = _read_mnist(folder, "t10k")
    if _find(folder, "train-images-idx3-ubyte") is None:
        return split(test, validation=0.1, test=0.1, seed=seed, name="mnist")
    whole = _read_mnist(folder, "train")
    train, validation = cut(whole, len(whole) // 10, seed=seed)
    return Splits("mnist", train, validation, SealedDataset(test), DIGITS)


def _read_mnist(folder: Path, part: str) -> ArrayDataset:
    image_file, label_file = (
        _required(folder, f"{part}-images-idx3-ubyte"),
        _required(folder, f"{part}-labels-idx1-ubyte"),
    )
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3 or images.dtype != np.uint8:
        raise DataError(
            f"{image_file} holds {images.dtype} of shape {images.shape}, not images; are the files swapped?"
        )
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{label_file} holds {labels.dtype} of shape {labels.shape}, not labels; are the files swapped?"
        )
    if len(images) != len(labels):
        raise DataError(f"{image_file} holds {len(images)} images, but {label_file} {len(labels)} labels")
    wrong = labels[(labels < 0) | (labels > 9)]
    if wrong.size:
        raise DataError(f"{label_file} holds the label {wrong[0]}; digits have labels from 0 to 9")
    return ArrayDataset(images[:, None].astype(np.float32) / 255, labels.astype(np.int64), classes=DIGITS)


def _folder(name: str, root: str | Path | None, needed: str) -> Path:
    """Find the folder with the data set's files, or say where they should be put."""
    given = root if root is not None else os.environ.get("MINICNN_DATA")
    if given is None:
        raise DataError(
            f"{name} needs its files: say where they are, load({name!r}, root=...), --data-root on the command line, "
            "or the environment variable MINICNN_DATA"
        )
    for folder in (Path(given), Path(given) / name):
        if _find(folder, needed) is not None:
            return folder
    raise DataError(
        f"{needed}.gz (or without .gz) is neither in {given} nor in {Path(given) / name}; put {name}'s files there"
    )


def _find(folder: Path, stem: str) -> Path | None:
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def _required(folder: Path, stem: str) -> Path:
    path = _find(folder, stem)
    if path is None:
        raise DataError(f"{folder} lacks {stem}.gz (or without .gz)")
    return path


DATASETS: dict[str, Callable[[str | Path | None, int], Splits]] = {"digits": _digits, "mnist": _mnist}
