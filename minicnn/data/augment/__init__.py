"""Augmentation: training images changed at random in ways that leave their meaning as it is.

    augmentation = augment.Compose(augment.Affine(15, shift=1, scale=1.1), augment.Noise(0.1))
    x2, y2 = augmentation(x, y, key=Key(seed, stream, step))
    DataLoader(train, batch_size=64, shuffle=True, augment=augmentation)

The result is a pure function of its arguments. Masks, (N, H, W) or (N, 1, H, W), go with their images.
"""

from minicnn.data.augment.base import Augmentation
from minicnn.data.augment.compose import Compose
from minicnn.data.augment.crop import RandomCrop
from minicnn.data.augment.cutout import Cutout
from minicnn.data.augment.elastic import Elastic
from minicnn.data.augment.figure import plot_augmentation
from minicnn.data.augment.geometric import (
    Affine,
    Geometric,
    HorizontalFlip,
    Rotate,
    Scale,
    Shear,
    Shift,
    VerticalFlip,
)
from minicnn.data.augment.mixing import CutMix, MixUp
from minicnn.data.augment.photometric import Blur, Brightness, Contrast, Gamma, Noise

__all__ = [
    "Affine",
    "Augmentation",
    "Blur",
    "Brightness",
    "Compose",
    "Contrast",
    "CutMix",
    "Cutout",
    "Elastic",
    "Gamma",
    "Geometric",
    "HorizontalFlip",
    "MixUp",
    "Noise",
    "RandomCrop",
    "Rotate",
    "Scale",
    "Shear",
    "Shift",
    "VerticalFlip",
    "plot_augmentation",
]
