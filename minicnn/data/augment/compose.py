"""Several augmentations, one after the other."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, Batch
from minicnn.data.augment.geometric import Geometric, warp_by
from minicnn.errors import expect_kind
from minicnn.ops import random_keys


class Compose(Augmentation):
    """Apply augmentations in order, given one by one or as a list; each draws under a key of its own.

    Neighbours that a matrix describes (flips, shifts, rotations, scales, shears) and that fill alike are multiplied
    into one: pixels are interpolated once, and what leaves the image and comes back is not lost on the way. So the
    result differs a little from that of the same ones called one by one.

    Raises `ArgumentError` if one is no augmentation.
    """

    def __init__(self, *augmentations: Augmentation | Sequence[Augmentation]) -> None:
        super().__init__()
        if len(augmentations) == 1 and isinstance(augmentations[0], list | tuple):
            augmentations = tuple(augmentations[0])
        self.augmentations = tuple(expect_kind(Augmentation, each, "an augmentation") for each in augmentations)

    def on_batch(self, x: np.ndarray, y: np.ndarray | None, key: Key) -> Batch:
        """Run after run of neighbours that belong together."""
        keys = random_keys(key, len(self.augmentations)) if self.augmentations else []
        at = 0
        for run in fused(self.augmentations):
            own = keys[at : at + len(run)]
            at += len(run)
            x, y = warp_by(run, own, x, y) if len(run) > 1 else run[0](x, y, key=own[0])
        return x, y

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.augmentations))})"


def fused(augmentations: tuple[Augmentation, ...]) -> list[list[Any]]:
    """Cut a row of augmentations into runs: geometric neighbours with one fill together, every other one alone."""
    runs: list[list[Any]] = []
    fill = None  # the run's, which flips alone leave open
    for each in augmentations:
        geometric = isinstance(each, Geometric)
        own = each.fill if isinstance(each, Geometric) else None
        if runs and geometric and isinstance(runs[-1][-1], Geometric) and (fill is None or own in (None, fill)):
            runs[-1].append(each)
            fill = fill if own is None else own
        else:
            runs.append([each])
            fill = own
    return runs
