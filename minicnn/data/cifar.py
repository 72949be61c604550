"""CIFAR-10's binary files: records of 1 byte for the label and 3072 for 3 x 32 x 32 pixels, red, then green, then blue.

Krizhevsky, "Learning multiple layers of features from tiny images", technical report, University of Toronto (2009); the
format is described beside the files, under "binary version".
"""

import gzip
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.seal import SealedDataset
from minicnn.data.splits import Splits, cut
from minicnn.errors import DataError

IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
TRAIN = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
TEST = "test_batch.bin"
NAMES = "batches.meta.txt"
FOLDER = "cifar-10-batches-bin"
"""What the archive unpacks to."""


def read_cifar10(path: str | Path, *, seed: int = 0) -> Splits:
    """Return CIFAR-10 as `.train`, `.validation` (a tenth of the training images) and a sealed `.test`.

    x : (N, 3, 32, 32) float32 from 0 to 1   y : (N,) int64 from 0 to 9
    The 60,000 images take 740 MB.

    Parameters
    ----------
    path : path
        The folder with `data_batch_1.bin` to `_5.bin`, `test_batch.bin` and `batches.meta.txt`, or the archive
        `cifar-10-binary.tar.gz` as it was downloaded: it need not be unpacked.
    seed : int
        Of the choice of the validation images; every class has the same share of them.

    Raises
    ------
    DataError
        If a file is missing or truncated, the archive is damaged, or a label is above 9 (the message names the record).
    """
    path = Path(path)
    if path.is_dir():
        return _splits(str(path), lambda name: _from_folder(path, name), seed)
    if not path.is_file():
        raise DataError(f"there is no file or folder {path}")
    contents = _from_archive(path)
    return _splits(str(path), contents.get, seed)


def read_cifar10_batch(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (N, 3, 32, 32) uint8 and labels (N,) uint8 of one binary file; `name` is for messages.

    Raises `DataError` if it is no whole number of records, or if a label is above 9.
    """
    if len(content) == 0 or len(content) % RECORD:
        raise DataError(
            f"{name} is truncated: {len(content)} bytes are {len(content) // RECORD} records of {RECORD} bytes and "
            f"{len(content) % RECORD} bytes; download it again"
        )
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    labels = records[:, 0]
    wrong = np.flatnonzero(labels > 9)
    if len(wrong):
        raise DataError(f"{name}: record {wrong[0]} has the label {labels[wrong[0]]}; labels go from 0 to 9")
    return records[:, 1:].reshape(-1, *IMAGE), labels


def _splits(where: str, content: Callable[[str], bytes | None], seed: int) -> Splits:
    """Return the data set whose files `content` gives by name."""

    def required(name: str) -> bytes:
        found = content(name)
        if found is None:
            raise DataError(f"{where} lacks {name}; CIFAR-10's binary version has {', '.join((*TRAIN, TEST, NAMES))}")
        return found

    classes = tuple(required(NAMES).decode("ascii", errors="replace").split())
    if len(classes) != 10:
        raise DataError(f"{where}: {NAMES} names {len(classes)} classes, expected 10")
    test = _dataset([read_cifar10_batch(required(TEST), f"{where}: {TEST}")], classes)
    whole = _dataset([read_cifar10_batch(required(name), f"{where}: {name}") for name in TRAIN], classes)
    train, validation = cut(whole, len(whole) // 10, seed=seed)
    return Splits("cifar10", train, validation, SealedDataset(test), classes)


def _dataset(batches: list[tuple[np.ndarray, np.ndarray]], classes: tuple[str, ...]) -> ArrayDataset:
    x = np.concatenate([np.divide(images, np.float32(255), dtype=np.float32) for images, _ in batches])
    return ArrayDataset(x, np.concatenate([labels for _, labels in batches]).astype(np.int64), classes=classes)


def _from_folder(folder: Path, name: str) -> bytes | None:
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{folder / name} cannot be read: {error.strerror or error}") from None


def _from_archive(path: Path) -> dict[str, bytes]:
    """Return the files of an archive by name, read in one pass: going back in a compressed stream starts it anew."""
    wanted = {*TRAIN, TEST, NAMES}
    contents = {}
    try:
        with gzip.open(path) as stream:
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = Path(member.name).name
                    file = archive.extractfile(member) if member.isfile() and name in wanted else None
                    if file is not None:
                        contents[name] = file.read()
            while stream.read(1 << 20):  # to its end, where gzip's checksum is: tarfile would not look at it
                pass
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{path} is no archive, or a truncated or damaged one ({error}); download it again") from None
    return contents
