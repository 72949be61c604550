"""What an augmentation does, to be looked at before it is used."""

from typing import TYPE_CHECKING, Any

import numpy as np

from minicnn.backend import Key
from minicnn.data.augment.base import Augmentation, is_mask
from minicnn.errors import expect_kind, whole_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MASK_COLOUR = "#D55E00"


def plot_augmentation(
    augmentation: Augmentation,
    x: np.ndarray,
    y: np.ndarray | None = None,
    *,
    rows: int = 4,
    columns: int = 8,
    key: Key = Key(0, 0, 0),  # noqa: B008 (it cannot be changed)
) -> "Figure":
    """Draw the first images, one a row: as they are in the first column, as `augmentation` makes them in the others.

    x : (N, C, H, W); three channels are drawn as colours, the first of any other number as shades of grey
    y : targets, if the augmentation needs them; masks are drawn over their images
    rows, columns : of the grid; column j shows what comes out under `key` with its step increased by j - 1

    Returns a matplotlib figure. Raises `ArgumentError` for less than 1 row or 2 columns, and whatever the augmentation
    raises.
    """
    from matplotlib.figure import Figure  # slow to import

    expect_kind(Augmentation, augmentation, "augmentation")
    rows, columns = whole_number("rows", rows), whole_number("columns", columns, least=2)
    x, y = x[:rows], None if y is None else y[:rows]
    shown: list[Any] = [(x, y)]
    shown += [augmentation(x, y, key=key._replace(step=key.step + j)) for j in range(columns - 1)]
    grid = Figure(figsize=(columns, 0.5 + len(x)), layout="constrained", dpi=120)
    axes = grid.subplots(len(x), columns, squeeze=False)
    limits = float(x.min()), float(x.max())
    for j, (images, targets) in enumerate(shown):
        for i, image in enumerate(images):
            _draw(axes[i, j], image, targets[i] if is_mask(targets) else None, limits)
    axes[0, 0].set_title("original", fontsize=9)
    axes[0, 1].set_title("augmented", fontsize=9, loc="left")
    return grid


def _draw(axes: "Axes", image: np.ndarray, mask: Any, limits: tuple[float, float]) -> None:
    low, high = limits
    if len(image) == 3:
        colours = (image.transpose(1, 2, 0) - low) / max(high - low, 1e-12)
        axes.imshow(np.clip(colours, 0, 1))
    else:
        axes.imshow(image[0], cmap="gray", vmin=low, vmax=high)
    if mask is not None:
        labels = mask if mask.ndim == 2 else mask.argmax(axis=0) if len(mask) > 1 else mask[0]
        overlay = np.zeros((*labels.shape, 4))
        overlay[labels > 0] = (*(int(MASK_COLOUR[k : k + 2], 16) / 255 for k in (1, 3, 5)), 0.45)
        axes.imshow(overlay)
    axes.set_xticks([])
    axes.set_yticks([])
