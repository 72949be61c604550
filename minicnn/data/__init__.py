"""Floor 3: data sets, how they are split, changed at random, and how they come in batches."""

from minicnn.data import augment
from minicnn.data.dataset import ArrayDataset
from minicnn.data.idx import read_idx
from minicnn.data.loader import DataLoader
from minicnn.data.named import DATASETS, load
from minicnn.data.normalise import ImageNormaliser, Normaliser, normalise
from minicnn.data.splits import SealedDataset, Splits, split
from minicnn.data.whitening import PCAWhitening, ZCAWhitening

__all__ = [
    "DATASETS",
    "ArrayDataset",
    "DataLoader",
    "ImageNormaliser",
    "Normaliser",
    "PCAWhitening",
    "SealedDataset",
    "Splits",
    "ZCAWhitening",
    "augment",
    "load",
    "normalise",
    "read_idx",
    "split",
]
