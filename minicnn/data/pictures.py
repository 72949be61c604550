"""Image files, decoded: pixels from 0 to 1, and masks as labels."""

import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minicnn.errors import ArgumentError, DataError, whole_number

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".pgm", ".ppm")
"""Files with other endings are not looked at."""
ORIENTATION = 0x0112
"""EXIF's number for how an image is turned: 1 is upright."""
CHANNELS = {"RGB": 3, "L": 1}
DEEP = ("I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes for grey of 16 bits, from 0 to 65535."""
SHALLOW = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
"""Pillow's modes for 8 bits a channel."""

LOSSY = ("JPEG", "MPO", "JPEG2000")
"""Pillow's formats whose grey levels are not those that were saved; its WebP images are never grey."""
LOSSY_IN_TIFF = ("jpeg", "tiff_jpeg", "webp")
"""Pillow's names for such compressions inside a TIFF."""

Size = tuple[int, int] | None


class Picture(NamedTuple):
    """An image of Pillow's, upright; the EXIF orientation, 1 to 8, that it had; whether it is a JPEG, or holds one."""

    image: Any
    orientation: int
    lossy: bool


def image_files(folder: Path) -> list[Path]:
    """Return the image files of a folder in the order of their names, without hidden ones."""
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
    return sorted((path for path in found if path.is_file()), key=lambda path: path.name)


def checked_size(size: Any) -> Size:
    """Return a size as (h, w) of whole numbers, or None. Raises `ArgumentError` for others."""
    if size is None:
        return None
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise ArgumentError(f"size must be (h, w), in pixels, not {size!r}")
    return whole_number("size[0], the height,", size[0]), whole_number("size[1], the width,", size[1])


def checked_mode(mode: Any) -> str:
    """Return a mode. Raises `ArgumentError` for others than "RGB" and "L"."""
    if mode not in tuple(CHANNELS):  # a tuple can be asked for a list, too
        raise ArgumentError(f"mode must be 'RGB' (colour) or 'L' (grey), not {mode!r}")
    return str(mode)


def open_picture(path: Path) -> Picture:
    """Return an image file, decoded and turned upright as its EXIF data says.

    Raises `DataError` if it is damaged, has more pixels than Pillow allows, or holds several images.
    """
    from PIL import Image, ImageOps  # slow to import: not before it is needed

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                frames = getattr(image, "n_frames", 1)
                if frames > 1 and image.format != "MPO":  # a telephone's photograph, with smaller copies of itself
                    raise DataError(f"{path} holds {frames} images; save each as a file of its own")
                orientation = image.getexif().get(ORIENTATION, 1)  # before a TIFF is decoded, which turns it
                lossy = image.format in LOSSY or image.info.get("compression") in LOSSY_IN_TIFF
                image.load()
                upright = ImageOps.exif_transpose(image)
                return Picture(upright, orientation if orientation in range(2, 9) else 1, lossy)
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{path} says that it has more than {Image.MAX_IMAGE_PIXELS} pixels: a bomb, or a slide to cut into tiles. "
            "Set PIL.Image.MAX_IMAGE_PIXELS higher if you trust it"
        ) from None
    except (
        Exception
    ) as error:  # a decoder raises whatever it stumbles over in a damaged file: OSError, SyntaxError, ...
        raise DataError(f"{path} is no image that can be read, or damaged: {type(error).__name__}: {error}") from None


def pixels_of(image: Any, path: Path, mode: str, size: Size = None) -> np.ndarray:
    """Return an image of Pillow's as (C, H, W) float32 from 0 to 1; grey of 16 bits is divided by 65535.

    path : for messages   mode : "RGB" or "L"   size : (h, w), to resize to by Pillow's bilinear filter, or None
    Raises `DataError` if it holds numbers without a known white: of 32 bits, or floating-point ones.
    """
    from PIL import Image

    box = None if size is None else size[::-1]
    if image.mode in DEEP:
        grey = np.asarray(image).astype(np.float32) / 65535
        if box is not None:
            grey = np.asarray(Image.fromarray(grey).resize(box, Image.Resampling.BILINEAR)).clip(0, 1)
        return np.repeat(grey[None], CHANNELS[mode], axis=0)
    if image.mode not in SHALLOW:
        raise DataError(f"{path} has pixels of Pillow's mode {image.mode!r}; save it with 8 or 16 bits, grey or RGB")
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")  # Pillow wants it so where the palette has transparent colours
    image = image.convert(mode)
    if box is not None:
        image = image.resize(box, Image.Resampling.BILINEAR)
    x = np.asarray(image, dtype=np.float32) / 255
    return x[None] if mode == "L" else np.ascontiguousarray(x.transpose(2, 0, 1))


def labels_of(image: Any, path: Path) -> np.ndarray:
    """Return a mask as (H, W) int64: the numbers of a palette image, or those of a grey one.

    Raises `DataError` if it is a colour image without a palette; `path` is for the message.
    """
    if image.mode not in ("1", "L", "P", "I", *DEEP):
        raise DataError(
            f"{path} has pixels of Pillow's mode {image.mode!r}, but a mask's numbers are labels: save it as a palette "
            "image or a grey one, with 0, 1, ... for the classes"
        )
    return np.asarray(image).astype(np.int64)


def resized_labels(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return labels (H, W) of another size: each pixel takes the label under its middle, so that none is invented."""
    (height, width), (h, w) = labels.shape, size
    rows = (2 * np.arange(h) + 1) * height // (2 * h)
    columns = (2 * np.arange(w) + 1) * width // (2 * w)
    return labels[rows[:, None], columns]
