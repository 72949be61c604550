"""Wrong results as images: what was expected, what came, and the difference."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from minicnn.check.report import Report


def plot_comparisons(report: "Report") -> "Figure":
    """Return a figure with a row for each wrong result of the report; see `Report.plot`."""
    from matplotlib.figure import Figure

    rows = report.comparisons
    heights = [min(max(len(_mosaic(expected)), 3), 16) for expected, _ in rows.values()]
    figure = Figure(figsize=(9, 1.2 + 0.9 * len(rows) + 0.15 * sum(heights)), layout="constrained")
    figure.suptitle(f"{report.check} of {report.subject}; of images, a row is a sample and a column a channel")
    if not rows:
        figure.text(0.5, 0.5, "nothing is wrong" if report.ok else "there is nothing to compare", ha="center")
        return figure
    axes = figure.subplots(len(rows), 3, squeeze=False, height_ratios=heights)
    for line, (name, (expected, got)) in zip(axes, rows.items(), strict=True):
        same_shape = expected.shape == got.shape
        images = [_mosaic(expected), _mosaic(got)]
        top = max((np.abs(image[np.isfinite(image)]).max(initial=0) for image in images), default=1) or 1
        titles = [f"{name} expected {expected.shape}", f"{name} got {got.shape}"]
        if same_shape:
            images.append(images[1] - images[0])
            titles.append("got - expected")
        else:
            line[2].text(0.5, 0.5, "the shapes differ", ha="center", va="center")
            line[2].set_axis_off()
        for axis, image, title in zip(line, images, titles, strict=False):
            shown = axis.imshow(image, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest")
            axis.set_title(title, fontsize=9)
            axis.set_xticks([])
            axis.set_yticks([])
        figure.colorbar(shown, ax=list(line), shrink=0.8)
    return figure


def _mosaic(array: np.ndarray) -> np.ndarray:
    """Lay an array out as one image: (N, C, H, W) as N rows of C tiles with gaps, anything else as a matrix."""
    values = np.asarray(array, dtype=np.float64)
    if not values.size:
        return np.full((1, 1), np.nan)
    if values.ndim < 2:
        return values.reshape(1, -1)
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4:
        return values.reshape(len(values), -1)
    n, c, h, w = values.shape
    image = np.full((n * (h + 1) - 1, c * (w + 1) - 1), np.nan)
    for i in range(n):
        for j in range(c):
            image[i * (h + 1) : i * (h + 1) + h, j * (w + 1) : j * (w + 1) + w] = values[i, j]
    return image
