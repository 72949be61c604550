"""MedMNIST: biomedical images in `.npz` files, each with its own split.

    {train,val,test}_images   (N, H, W) grey or (N, H, W, 3) colour, uint8
    {train,val,test}_labels   (N, 1) one class an image, or (N, L) zeros and ones: which of L findings an image shows

Yang, Shi, Wei, Liu, Zhao, Ke, Pfister and Ni, "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
biomedical image classification", Scientific Data 10, 41 (2023), table 2; sizes 64, 128 and 224 came with version 3.
"""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.seal import SealedDataset
from minicnn.data.splits import Splits
from minicnn.errors import DataError, listed

PARTS = ("train", "val", "test")
ORGANS = (
    *("bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver", "lung-left"),
    *("lung-right", "pancreas", "spleen"),
)
MULTI_LABEL = ("chestmnist",)
"""The sets whose images show any number of findings; in the others each image is of one class."""
CLASSES: dict[str, tuple[str, ...]] = {
    "pathmnist": (
        *("adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle", "normal colon mucosa"),
        *("cancer-associated stroma", "colorectal adenocarcinoma epithelium"),
    ),
    "chestmnist": (
        *("atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia", "pneumothorax"),
        *("consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"),
    ),
    "dermamnist": (
        *("actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma", "benign keratosis-like lesions"),
        *("dermatofibroma", "melanoma", "melanocytic nevi", "vascular lesions"),
    ),
    "octmnist": ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal"),
    "pneumoniamnist": ("normal", "pneumonia"),
    "retinamnist": ("grade 0", "grade 1", "grade 2", "grade 3", "grade 4"),  # of diabetic retinopathy, in order
    "breastmnist": ("malignant", "normal, benign"),
    "bloodmnist": (
        *("basophil", "eosinophil", "erythroblast", "immature granulocytes", "lymphocyte", "monocyte", "neutrophil"),
        "platelet",
    ),
    "tissuemnist": (
        *("collecting duct, connecting tubule", "distal convoluted tubule", "glomerular endothelial cells"),
        *("interstitial endothelial cells", "leukocytes", "podocytes", "proximal tubule segments"),
        "thick ascending limb",
    ),
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
}


def read_medmnist(path: str | Path) -> Splits:
    """Return a MedMNIST file of images as `.train`, `.validation` and a sealed `.test`, split as the file is.

    x : (N, C, H, W) float32 from 0 to 1, four bytes a number: the larger sizes need as much memory
    y : (N,) int64 labels, or (N, L) float32 zeros and ones for `BCEWithLogitsLoss`, if the file has L > 1 columns

    Parameters
    ----------
    path : path
        The file. A name such as `bloodmnist.npz` or `bloodmnist_64.npz` tells what the labels mean; a file of another
        name gives classes "0", "1", ...

    Raises
    ------
    DataError
        If the file is missing, damaged or no `.npz`; if an array is missing, pickled, or of another shape or type; if
        labels are out of range; if it holds volumes (the 3-D sets).
    """
    path = Path(path)
    arrays = _read(path)
    known = CLASSES.get(path.stem.split("_")[0].lower())
    shape = _image_shape(path, arrays["train_images"])
    labels = {part: _labels(path, part, arrays) for part in PARTS}
    columns = _columns(path, labels, known)
    for part in PARTS:
        _check_images(path, part, arrays, shape)
    classes = known or tuple(str(k) for k in range(columns or _count_classes(path, labels)))
    for part, y in labels.items():
        _check_range(path, part, y, 2 if columns else len(classes))
    train, validation, test = (
        ArrayDataset(_scaled(arrays.pop(f"{part}_images")), _targets(y, columns), classes=classes)
        for part, y in labels.items()
    )
    return Splits(path.stem, train, validation, SealedDataset(test), classes)


def _read(path: Path) -> dict[str, np.ndarray]:
    """Return the six arrays of a file. Nothing in it is unpickled, since that could run anything."""
    if not path.exists():
        raise DataError(f"there is no file {path}")
    try:
        if not zipfile.is_zipfile(path):
            raise DataError(f"{path} is no .npz file, or a truncated one: {_beginning(path)}; download it again")
        with np.load(path, allow_pickle=False) as file:
            names = [f"{part}_{what}" for part in PARTS for what in ("images", "labels")]
            lacking = [name for name in names if name not in file.files]
            if lacking:
                raise DataError(f"{path} lacks {listed(lacking)}; it holds {listed(file.files) or 'nothing'}")
            return {name: _member(path, file, name) for name in names}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except (EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise DataError(f"{path} is damaged ({error}); download it again") from None


def _member(path: Path, file: Any, name: str) -> np.ndarray:
    try:
        array = file[name]
    except (ValueError, SyntaxError) as error:  # NumPy's, for a header that is none, and for pickles
        pickled = "pickle" in str(error)
        problem = "is pickled, and unpickling can run anything" if pickled else f"is damaged ({error})"
        raise DataError(f"{path}: {name} {problem}; download the file again from where MedMNIST has it") from None
    except MemoryError:
        raise DataError(f"{path}: {name} does not fit into memory, or its header is damaged") from None
    if not isinstance(array, np.ndarray):
        raise DataError(f"{path}: {name} is no array")
    return array


def _beginning(path: Path) -> str:
    with open(path, "rb") as file:
        return f"it has {path.stat().st_size} bytes and begins with {file.read(4).hex(' ') or '(none)'}"


def _image_shape(path: Path, images: np.ndarray) -> tuple[int, ...]:
    """Return the shape of one image, (H, W) or (H, W, 3)."""
    shape = images.shape[1:]
    if images.ndim == 3 or (images.ndim == 4 and shape[-1] == 3):
        return shape
    if images.ndim in (4, 5):
        raise DataError(
            f"{path} holds volumes: train_images are {images.shape}. minicnn's networks take images (N, H, W) or "
            "(N, H, W, 3), so read one of the 2-D sets, or save slices of the volumes as such a file"
        )
    raise DataError(f"{path}: train_images have shape {images.shape}, expected (N, H, W) or (N, H, W, 3)")


def _check_images(path: Path, part: str, arrays: dict[str, np.ndarray], shape: tuple[int, ...]) -> None:
    images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    if images.dtype != np.uint8:
        raise DataError(f"{path}: {part}_images are {images.dtype}, expected uint8, from 0 to 255")
    if images.shape[1:] != shape:
        raise DataError(f"{path}: {part}_images have shape {images.shape}, but those of train are {shape} each")
    if len(images) != len(labels):
        raise DataError(f"{path} holds {len(images)} {part}_images, but {len(labels)} {part}_labels")
    if 0 in images.shape:
        raise DataError(f"{path}: {part}_images have shape {images.shape}: there are none")


def _labels(path: Path, part: str, arrays: dict[str, np.ndarray]) -> np.ndarray:
    """Return labels as (N, L)."""
    labels = arrays[f"{part}_labels"]
    if labels.dtype.kind not in "iu":
        raise DataError(f"{path}: {part}_labels are {labels.dtype}, expected integers")
    if labels.ndim not in (1, 2) or labels.size == 0:
        raise DataError(f"{path}: {part}_labels have shape {labels.shape}, expected (N, 1) or (N, L)")
    below = np.argwhere(labels < 0)
    if len(below):
        value = labels[tuple(below[0])]
        raise DataError(f"{path}: {part}_labels hold {value} in example {below[0][0]}; labels go from 0 upwards")
    return labels.reshape(len(labels), -1)


def _count_classes(path: Path, labels: dict[str, np.ndarray]) -> int:
    """Return one more than the largest label; a file with more classes than examples holds something else."""
    largest, part = max((int(y.max()), part) for part, y in labels.items())
    if largest >= sum(len(y) for y in labels.values()):
        raise DataError(f"{path}: {part}_labels hold {largest}; are these class labels, 0, 1, ...?")
    return largest + 1


def _columns(path: Path, labels: dict[str, np.ndarray], known: tuple[str, ...] | None) -> int:
    """Return the number of findings in a multi-label set, 0 in one of classes."""
    widths = {y.shape[1] for y in labels.values()}
    if len(widths) > 1:
        raise DataError(f"{path}: the labels of its parts have {sorted(widths)} columns; all must have as many")
    (width,) = widths
    if known is not None:
        expected = len(known) if path.stem.split("_")[0].lower() in MULTI_LABEL else 1
        if width != expected:
            raise DataError(
                f"{path}: labels have {width} columns, {path.stem} has {expected}; is the file's name right?"
            )
    return width if width > 1 else 0


def _check_range(path: Path, part: str, y: np.ndarray, count: int) -> None:
    wrong = np.argwhere(y >= count)
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{path}: {part}_labels hold {y[row, column]} in example {row}; labels go from 0 to {count - 1}"
        )


def _targets(y: np.ndarray, columns: int) -> np.ndarray:
    return y.astype(np.float32) if columns else y[:, 0].astype(np.int64)


def _scaled(images: np.ndarray) -> np.ndarray:
    """Return pixels (N, C, H, W) from 0 to 1."""
    x = images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)
    return np.divide(x, np.float32(255), dtype=np.float32, order="C")
