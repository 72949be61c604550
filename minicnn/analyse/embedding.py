"""Features in the plane: which images a network finds alike.

Features are what a layer before the last gives out, (N, D); `recipes.features(model, x)` computes them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minicnn.analyse.pictures import check_points, show_image
from minicnn.analyse.style import COLOURS, new_figure
from minicnn.backend import to_host
from minicnn.errors import ArgumentError, ShapeError, whole_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKERS = "os^vDPX*<>"
FEW = 2000
"""t-SNE of so many points runs on one core."""


def embed_features(features: Any, *, method: str = "tsne", seed: int = 0, perplexity: float = 30.0) -> np.ndarray:
    """Return a point in the plane for each row of features: (N, D) -> (N, 2).

    Parameters
    ----------
    features : array (N, D)
        One row an image.
    method : "tsne" or "pca"
        t-SNE keeps neighbours together: clusters are real, but their sizes and the distances between them mean nothing
        (van der Maaten and Hinton, "Visualizing data using t-SNE", 2008). PCA is the view from which the points spread
        the most; distances are true as far as two directions can show them.
    seed : int
        Of t-SNE.
    perplexity : float
        About how many neighbours t-SNE looks at for each point; at most a third of N - 1 is used.

    Raises
    ------
    ShapeError, DataError, ArgumentError
        If there are not at least four rows of features, some are not finite, or the method is unknown.
    """
    points = check_points(features, "features").astype(np.float64)
    if len(points) < 4:
        raise ShapeError(f"there are {len(points)} rows of features; an embedding needs at least four")
    if method == "pca":
        centred = points - points.mean(axis=0)
        u, s, _ = np.linalg.svd(centred, full_matrices=False)
        plane = np.zeros((len(points), 2))
        plane[:, : min(2, len(s))] = (u * s)[:, :2]
        return plane
    if method != "tsne":
        raise ArgumentError(f"method must be 'tsne' or 'pca', not {method!r}")
    from sklearn.manifold import TSNE  # slow to import
    from threadpoolctl import threadpool_limits

    tsne = TSNE(perplexity=min(perplexity, (len(points) - 1) / 3), init="pca", random_state=seed % 2**32)
    # Its thousand iterations are so short that threads spend the time waiting for each other: ten times as long when
    # another program has one of the cores.
    with threadpool_limits(1 if len(points) <= FEW else None):
        return tsne.fit_transform(points).astype(np.float64)


def plot_embedding(
    points: Any,
    y: Any,
    *,
    images: Any = None,
    classes: Sequence[str] | None = None,
    most_images: int = 150,
) -> "Figure":
    """Draw embedded points, coloured by class; with images, some of them as thumbnails, where none overlap.

    Parameters
    ----------
    points : array (N, 2)
        As `embed_features` gives them.
    y : (N,) labels
    images : array (N, C, H, W), optional
        What the points stand for.
    classes : sequence of str, optional
        What the labels are called.
    most_images : int
        How many thumbnails at most.

    Raises
    ------
    ShapeError, DataError
        If the arrays do not fit together, or points are not finite.
    """
    points, y = check_points(points, "points"), np.asarray(to_host(y))
    if points.shape[1] != 2 or y.shape != (len(points),) or (images is not None and len(images) != len(points)):
        raise ShapeError(f"points {points.shape} and y {y.shape} do not fit together; expected (N, 2), (N,), N images")
    if classes is not None and not np.isin(y, np.arange(len(classes))).all():
        raise ShapeError(f"y holds labels beyond the {len(classes)} names of classes")
    figure = new_figure(8, 6.6)
    axes = figure.subplots()
    for number, label in enumerate(np.unique(y)):
        own = points[y == label]
        name = str(label) if classes is None else str(classes[int(label)])
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}
        axes.scatter(own[:, 0], own[:, 1], s=22, alpha=0.8, linewidths=0, label=name, **style)
    if images is not None:
        _add_thumbnails(figure, points, np.asarray(to_host(images)), y, most_images)
    axes.set_title("Each point is an image; near each other lies what the network finds alike", fontsize=10)
    axes.set_xlabel("first direction (no unit)")
    axes.set_ylabel("second direction (no unit)")
    axes.legend(title="class", fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _add_thumbnails(figure: "Figure", points: np.ndarray, images: np.ndarray, y: np.ndarray, most: int) -> None:
    """Put a small picture beside points that are far enough from those that have one already."""
    span = np.ptp(points, axis=0)
    span[span == 0] = 1.0
    places = (points - points.min(axis=0)) / span
    axes = figure.axes[0]
    margin = 0.06
    low, high = points.min(axis=0) - margin * span, points.min(axis=0) + (1 + margin) * span
    axes.set_xlim(low[0], high[0])
    axes.set_ylim(low[1], high[1])
    taken: list[np.ndarray] = []
    labels = {label: number for number, label in enumerate(np.unique(y))}
    for place, image, label in zip(places, images, y, strict=True):
        if len(taken) >= most or any(abs(place - other).max() < 0.045 for other in taken):
            continue
        taken.append(place)
        corner = (place + margin) / (1 + 2 * margin)
        inset = axes.inset_axes((corner[0] - 0.018, corner[1] - 0.018, 0.036, 0.036))
        show_image(inset, image)
        inset.set_axis_on()
        inset.set_xticks([])
        inset.set_yticks([])
        for spine in inset.spines.values():
            spine.set_color(COLOURS[labels[label] % len(COLOURS)])
            spine.set_linewidth(1.5)


class Neighbours(NamedTuple):
    """The nearest rows for each query, nearest first.   indices, distances : (Q, k)"""

    indices: np.ndarray
    distances: np.ndarray


def similar_images(features: Any, queries: Any, *, k: int = 5, metric: str = "euclidean") -> Neighbours:
    """Return the k rows of `features` (N, D) that lie nearest to each of the `queries` (Q, D).

    metric : "euclidean", or "cosine", which looks at directions alone
    Raises `ShapeError` or `DataError` if the features do not fit together, `ArgumentError` for another metric or a k
    above N.
    """
    features, queries = check_points(features, "features"), check_points(queries, "queries")
    if features.shape[1] != queries.shape[1]:
        raise ShapeError(f"features have {features.shape[1]} columns and queries {queries.shape[1]}")
    k = whole_number("k", k)
    if k > len(features):
        raise ArgumentError(f"k={k} neighbours are asked for, and there are {len(features)} images")
    if metric == "cosine":
        features, queries = (
            rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (features, queries)
        )
    elif metric != "euclidean":
        raise ArgumentError(f"metric must be 'euclidean' or 'cosine', not {metric!r}")
    from scipy.spatial import KDTree

    distances, indices = KDTree(features).query(queries, k=k)
    distances, indices = distances.reshape(len(queries), k), indices.reshape(len(queries), k)
    if metric == "cosine":  # |a - b|^2 = 2 - 2 cos, and a row of zeros has no direction
        nothing = (queries == 0).all(axis=1)[:, None] | (features == 0).all(axis=1)[indices]
        distances = np.where(nothing, 1.0, distances**2 / 2)
    return Neighbours(indices, distances)
