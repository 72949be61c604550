"""Data sets by name: `load("digits")`, `load("mnist", root=...)`, `load("bloodmnist", download=True)`."""

import difflib
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from minicnn.data.cifar import FOLDER, NAMES, TEST, TRAIN, read_cifar10
from minicnn.data.dataset import ArrayDataset
from minicnn.data.download import RemoteFile, by_hand, cache_folder, fetch
from minicnn.data.idx import read_idx
from minicnn.data.medmnist import read_medmnist
from minicnn.data.seal import SealedDataset
from minicnn.data.sources import CIFAR10, FASHION_MNIST, MEDMNIST, MNIST
from minicnn.data.splits import Splits, cut, split
from minicnn.errors import DataError, listed

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def load(name: str, *, root: str | Path | None = None, seed: int = 0, download: bool = False) -> Splits:
    """Return a known data set as `.train`, `.validation` and a sealed `.test`; pixels lie between 0 and 1.

    Parameters
    ----------
    name : str
        "digits": 1,797 handwritten digits of 8 x 8 pixels, which scikit-learn brings along. Split 70 : 15 : 15.
        "mnist" and "fashion_mnist": digits, and clothes, of 28 x 28 pixels, in IDX files. The 10,000 of the files
        `t10k-*` alone are split 80 : 10 : 10; with the files `train-*` too, these give training and validation set, and
        `t10k-*` is the test set.
        "cifar10": photographs of 32 x 32 pixels in colour, see `read_cifar10`.
        "pathmnist", "chestmnist" and the other 2-D sets of MedMNIST, of 28 x 28 pixels, see `read_medmnist`.
    root : path, optional
        The folder that holds the files, or holds a folder of the data set's name that does; by default the one that the
        environment variable MINICNN_DATA names, else the folder that downloads go to (the user's cache). Clothes and
        digits lie in files of the same names: those of a `root` itself are clothes only if its name says "fashion".
    seed : int
        Of the split. MedMNIST comes split.
    download : bool
        Fetch what is missing, to a folder of the data set's name in `root`. The hash of what comes is compared with the
        one that minicnn knows, and what is there already is not fetched again, nor overwritten.

    Raises
    ------
    DataError
        If there is no data set of that name (the message lists those there are), or its files are missing (it says
        which, where from and where to), damaged, or cannot be downloaded.
    OutputError
        If what is downloaded cannot be written.
    """
    if name not in tuple(DATASETS):  # a tuple can be asked for a list, too
        near = difflib.get_close_matches(str(name).lower().replace("-", "_"), tuple(DATASETS), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise DataError(f"there is no data set {name!r}; the data sets are {listed(DATASETS)}{hint}")
    return DATASETS[name](root, seed, download)


def _digits(root: str | Path | None, seed: int, download: bool) -> Splits:
    from sklearn.datasets import load_digits  # slow to import: not before it is needed

    bunch = load_digits()
    images = bunch.images[:, None] / 16  # 17 shades of grey
    return split(ArrayDataset(images, bunch.target, classes=DIGITS), seed=seed, name="digits")


def _cifar10(root: str | Path | None, seed: int, download: bool) -> Splits:
    def found(folder: Path, archive: RemoteFile) -> Path | None:
        wanted = (*TRAIN, TEST, NAMES)
        there = {place: [(place / file).is_file() for file in wanted] for place in (folder / FOLDER, folder)}
        whole = next((place for place, files in there.items() if all(files)), None)
        half = None if download else next((place for place, files in there.items() if any(files)), None)
        return whole or _existing(folder / archive.name) or half  # what half lacks, the reader says

    folder = _folder("cifar10", root, CIFAR10, download, found)
    return read_cifar10(found(folder, CIFAR10[0]) or folder, seed=seed)


def _medmnist(name: str, root: str | Path | None, seed: int, download: bool) -> Splits:
    file = MEDMNIST[name]
    folder = _folder(name, root, (file,), download, lambda folder, file: _existing(folder / file.name))
    return read_medmnist(folder / file.name)


def _idx(
    name: str,
    files: tuple[RemoteFile, ...],
    classes: tuple[str, ...],
    root: str | Path | None,
    seed: int,
    download: bool,
) -> Splits:
    """Return MNIST, or a data set in files of the same names."""
    folder = _folder(name, root, files, download, lambda folder, file: _find(folder, file.name.removesuffix(".gz")))
    test = _read_idx_part(folder, "t10k", classes)
    if not any(_find(folder, f"train-{kind}") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")):
        return split(test, validation=0.1, test=0.1, seed=seed, name=name)
    whole = _read_idx_part(folder, "train", classes)
    train, validation = cut(whole, len(whole) // 10, seed=seed)
    return Splits(name, train, validation, SealedDataset(test), classes)


def _read_idx_part(folder: Path, part: str, classes: tuple[str, ...]) -> ArrayDataset:
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
        raise DataError(f"{label_file} holds the label {wrong[0]}; its ten classes have labels from 0 to 9")
    return ArrayDataset(images[:, None].astype(np.float32) / 255, labels.astype(np.int64), classes=classes)


def _folder(
    name: str,
    root: str | Path | None,
    files: tuple[RemoteFile, ...],
    download: bool,
    found: Callable[[Path, RemoteFile], Path | None],
) -> Path:
    """Return the folder in which `found` finds some of the data set's files; if asked, download the others to it."""
    environment = os.environ.get("MINICNN_DATA")
    base = Path(root) if root is not None else Path(environment) if environment else cache_folder()
    # fashion_mnist's files are called as mnist's are: what lies in a folder for all data sets may be either.
    bare_is_its_own = name != "fashion_mnist" or (root is not None and "fashion" in base.absolute().name.lower())
    places = [base / name, base] if bare_is_its_own else [base / name]
    folder = next((place for place in places if any(found(place, file) for file in files)), None)
    if download:
        folder = folder or base / name
        for file in files:
            if found(folder, file) is None:
                fetch(file, folder)
    if folder is not None:
        return folder
    where = f"{'neither ' if len(places) > 1 else 'not '}in {' nor in '.join(str(place) for place in reversed(places))}"
    elsewhere = (
        "" if root is not None else " Or say where they are: root=..., --data-root, or the variable MINICNN_DATA."
    )
    raise DataError(
        f"{name} is {where}. Load it with download=True (--download on the command line), or "
        f"{by_hand(files, base / name)}.{elsewhere}"
    )


def _existing(path: Path) -> Path | None:
    return path if path.is_file() else None


def _find(folder: Path, stem: str) -> Path | None:
    return next((path for path in (folder / stem, folder / f"{stem}.gz") if path.is_file()), None)


def _required(folder: Path, stem: str) -> Path:
    path = _find(folder, stem)
    if path is None:
        raise DataError(f"{folder} lacks {stem}.gz (or without .gz)")
    return path


Loader = Callable[[str | Path | None, int, bool], Splits]
DATASETS: dict[str, Loader] = {
    "digits": _digits,
    "mnist": partial(_idx, "mnist", MNIST, DIGITS),
    "fashion_mnist": partial(_idx, "fashion_mnist", FASHION_MNIST, CLOTHES),
    "cifar10": _cifar10,
    **{name: partial(_medmnist, name) for name in MEDMNIST},
}
