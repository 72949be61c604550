"""Floor 3: data sets, how they are split, changed at random, and how they come in batches."""

from minicnn.data import augment, synthetic
from minicnn.data.cifar import read_cifar10
from minicnn.data.dataset import ArrayDataset
from minicnn.data.folders import read_image_folder, read_image_pairs
from minicnn.data.folds import Fold, k_fold
from minicnn.data.idx import read_idx
from minicnn.data.loader import DataLoader
from minicnn.data.medmnist import MULTI_LABEL, read_medmnist
from minicnn.data.named import DATASETS, load
from minicnn.data.normalise import ImageNormaliser, Normaliser, normalise
from minicnn.data.overlap import find_overlap, warn_of_overlap
from minicnn.data.seal import Seal, SealedDataset
from minicnn.data.splits import Splits, split
from minicnn.data.whitening import PCAWhitening, ZCAWhitening

__all__ = [
    "DATASETS",
    "MULTI_LABEL",
    "ArrayDataset",
    "DataLoader",
    "Fold",
    "ImageNormaliser",
    "Normaliser",
    "PCAWhitening",
    "Seal",
    "SealedDataset",
    "Splits",
    "ZCAWhitening",
    "augment",
    "find_overlap",
    "k_fold",
    "load",
    "normalise",
    "read_cifar10",
    "read_idx",
    "read_image_folder",
    "read_image_pairs",
    "read_medmnist",
    "split",
    "synthetic",
    "warn_of_overlap",
]
