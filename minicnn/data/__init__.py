"""Floor 3: data sets, how they are split, and how they come in batches."""

from minicnn.data.dataset import ArrayDataset
from minicnn.data.idx import read_idx
from minicnn.data.loader import DataLoader
from minicnn.data.named import DATASETS, load
from minicnn.data.normalise import Normaliser, normalise
from minicnn.data.splits import SealedDataset, Splits, split

__all__ = [
    "DATASETS",
    "ArrayDataset",
    "DataLoader",
    "Normaliser",
    "SealedDataset",
    "Splits",
    "load",
    "normalise",
    "read_idx",
    "split",
]
