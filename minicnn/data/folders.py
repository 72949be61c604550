"""Images in folders: `class/image.png` for classes, and images beside their masks for segmentation."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.data.dataset import ArrayDataset
from minicnn.data.pictures import (
    SUFFIXES,
    Size,
    checked_mode,
    checked_size,
    image_files,
    labels_of,
    open_picture,
    pixels_of,
    resized_labels,
)
from minicnn.errors import ArgumentError, DataError, DataWarning, listed, whole_number


def read_image_folder(
    folder: str | Path, size: tuple[int, int] | None = None, mode: str = "RGB", on_error: str = "raise"
) -> ArrayDataset:
    """Return the images of a folder that has a folder for each class: `cats/1.png`, `cats/2.png`, `dogs/1.jpg`.

    x : (N, C, H, W) float32 from 0 to 1, class by class   y : (N,) int64   classes : the folders' names, sorted
    Images are turned as their EXIF data says, grey ones of 16 bits are divided by 65535, and alpha is left out. Other
    files, folders in the classes' folders, and whatever is hidden (its name begins with a dot) are not looked at.

    Parameters
    ----------
    folder : path
        The folder of the classes' folders.
    size : (h, w), optional
        What every image is resized to, in pixels, by Pillow's bilinear filter, whatever its proportions. By default
        images are kept as they are, and all must be of one size.
    mode : "RGB" or "L"
        Colour, 3 channels, or grey, 1 channel: 0.299 red + 0.587 green + 0.114 blue.
    on_error : "raise" or "skip"
        What is done about an image that cannot be read. "skip" leaves it out, with a `DataWarning` that names it.

    Raises
    ------
    ArgumentError
        If `size`, `mode` or `on_error` is none of these.
    DataError
        If there is no such folder, or none of classes in it; if a class has no image; if sizes differ; if an image is
        damaged, has numbers of 32 bits, or several images in one file. The message names the file.
    """
    size, mode, skip = checked_size(size), checked_mode(mode), _checked_on_error(on_error)
    classes = _class_folders(_checked_folder(Path(folder)))
    images: list[np.ndarray] = []
    files: list[Path] = []
    labels: list[int] = []
    for label, of_class in enumerate(classes):
        found, before = image_files(of_class), len(images)
        for path in found:
            x = _read_or_skip(path, mode, size, skip)
            if x is not None:
                images.append(x)
                files.append(path)
                labels.append(label)
        if len(images) == before:
            problem = "could be read" if found else f"lies there ({', '.join(SUFFIXES)})"
            raise DataError(f"class {of_class.name!r} is empty: no image {problem} in {of_class}")
    return ArrayDataset(_stacked(images, files), np.array(labels, np.int64), classes=[path.name for path in classes])


def read_image_pairs(
    images: str | Path,
    masks: str | Path,
    *,
    classes: int | Sequence[str],
    size: tuple[int, int] | None = None,
    mode: str = "RGB",
) -> ArrayDataset:
    """Return images with their masks, for segmentation: each image of one folder has a mask of its name in the other.

    x : (N, C, H, W) float32 from 0 to 1   y : (N, H, W) int64 labels   in the order of the names
    A mask is a palette image or a grey one whose numbers are the labels. `images/07.jpg` belongs to `masks/07.png`.
    An image that its EXIF data turns needs a mask that is turned alike.

    Parameters
    ----------
    images, masks : path
        The two folders.
    classes : int or sequence of str
        How many classes there are, or their names: labels go from 0 to K - 1.
    size : (h, w), optional
        What images and masks are resized to, in pixels: images by Pillow's bilinear filter, masks by the nearest pixel.
    mode : "RGB" or "L"
        Colour or grey images.

    Raises
    ------
    ArgumentError
        If `classes`, `size` or `mode` is none of these.
    DataError
        If an image has no mask or a mask no image; if their sizes differ, or EXIF data turns the image alone; if a mask
        is a JPEG, whose labels are not those that were saved; if a label is not below K (the message names file, label
        and pixel); if a file is damaged; if the images have different sizes and `size` is not given.
    """
    size, mode, names = checked_size(size), checked_mode(mode), _class_names(classes)
    of_images, of_masks = _by_stem(Path(images)), _by_stem(Path(masks))
    _check_partners(of_images, of_masks, Path(images), Path(masks))
    pairs = [_pair(of_images[stem], of_masks[stem], len(names), size, mode) for stem in of_images]
    x = _stacked([pixels for pixels, _ in pairs], list(of_images.values()))
    return ArrayDataset(x, np.stack([labels for _, labels in pairs]), classes=names)


def _pair(image: Path, mask: Path, count: int, size: Size, mode: str) -> tuple[np.ndarray, np.ndarray]:
    picture, turned, _ = open_picture(image)
    y = labels_of(_checked_mask(mask, image, turned), mask)
    shape = (picture.height, picture.width)
    if shape != y.shape:
        raise DataError(f"{mask} has {_in_words(y.shape)}, but {image} has {_in_words(shape)}; a mask must fit")
    wrong = np.argwhere((y < 0) | (y >= count))
    if len(wrong):
        row, column = wrong[0]
        hint = "; divide a mask of 0 and 255 by 255" if set(np.unique(y).tolist()) <= {0, 255} else ""
        raise DataError(
            f"{mask} holds the label {y[row, column]} at row {row}, column {column}; {count} classes have labels from "
            f"0 to {count - 1}{hint}"
        )
    return pixels_of(picture, image, mode, size), y if size is None else resized_labels(y, size)


def _checked_mask(mask: Path, image: Path, turned: int) -> Any:
    """Return a mask as an image of Pillow's; `turned` is the EXIF orientation of its image."""
    picture, mask_turned, lossy = open_picture(mask)
    if lossy:
        raise DataError(f"{mask} is a JPEG, which changes labels at every edge; save masks as PNG")
    if turned not in (1, mask_turned):  # drawn on the upright image or on the other? Where h = w, both would fit
        raise DataError(
            f"{image} is turned by its EXIF data, {mask} is not turned so; save the image upright "
            "(PIL.ImageOps.exif_transpose), and see that the mask fits"
        )
    return picture


def _check_partners(images: dict[str, Path], masks: dict[str, Path], in_images: Path, in_masks: Path) -> None:
    without_mask = [images[stem].name for stem in images if stem not in masks]
    if without_mask:
        raise DataError(f"{in_masks} has no mask for {_some(without_mask)} of {in_images}; names must agree")
    without_image = [masks[stem].name for stem in masks if stem not in images]
    if without_image:
        raise DataError(f"{in_images} has no image for {_some(without_image)} of {in_masks}; names must agree")


def _by_stem(folder: Path) -> dict[str, Path]:
    """Return a folder's image files by name, without the ending."""
    files: dict[str, Path] = {}
    for path in image_files(_checked_folder(folder)):
        if path.stem in files:
            raise DataError(f"{folder} has {files[path.stem].name} and {path.name}: which one is {path.stem!r}?")
        files[path.stem] = path
    if not files:
        raise DataError(f"{folder} holds no image ({', '.join(SUFFIXES)})")
    return files


def _checked_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    return folder


def _class_folders(folder: Path) -> list[Path]:
    found = sorted(
        (path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")),
        key=lambda path: path.name,
    )
    if not found:
        images = len(image_files(folder))
        what = f"{images} image{'' if images == 1 else 's'} but no folders" if images else "no folders"
        raise DataError(f"{folder} holds {what}; it should hold one folder a class, with the images in it")
    return found


def _read_or_skip(path: Path, mode: str, size: Size, skip: bool) -> np.ndarray | None:
    try:
        return pixels_of(open_picture(path).image, path, mode, size)
    except DataError as error:
        if not skip:
            raise
        warnings.warn(f"skipped: {error}", DataWarning, stacklevel=3)
        return None


def _stacked(images: list[np.ndarray], files: list[Path]) -> np.ndarray:
    for image, path in zip(images, files, strict=True):
        if image.shape != images[0].shape:
            raise DataError(
                f"{path} has {_in_words(image.shape[1:])}, but {files[0]} has {_in_words(images[0].shape[1:])}; "
                "size=(h, w) resizes them all"
            )
    return np.stack(images)


def _checked_on_error(on_error: Any) -> bool:
    if on_error not in ("raise", "skip"):
        raise ArgumentError(f"on_error must be 'raise' or 'skip', not {on_error!r}")
    return bool(on_error == "skip")


def _class_names(classes: Any) -> tuple[str, ...]:
    if isinstance(classes, str) or not isinstance(classes, Sequence):
        return tuple(str(k) for k in range(whole_number("classes", classes)))
    if not classes:
        raise ArgumentError("classes is empty; give the number of classes, or their names")
    return tuple(str(name) for name in classes)


def _in_words(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]} pixels (h x w)"


def _some(names: list[str]) -> str:
    return listed(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
