"""Figures of results show the numbers that they were given, with names on their axes."""

import numpy as np
import pytest
from gpu import strict_cupy
from matplotlib.figure import Figure

from minicnn import metrics, nn
from minicnn.analyse import (
    embed_features,
    plot_confusion_matrix,
    plot_embedding,
    plot_feature_maps,
    plot_filters,
    plot_mistakes,
    plot_precision_recall,
    plot_roc,
    plot_segmentation,
    similar_images,
)
from minicnn.backend import to_backend, use_backend
from minicnn.errors import ArgumentError, DataError, ShapeError

Y = np.array([0, 0, 0, 1, 1, 1, 2])
READ = np.array([0, 0, 1, 1, 1, 1, 0])
LABELS, SCORES = np.array([0, 0, 1, 1, 0, 1]), np.array([0.1, 0.4, 0.35, 0.8, 0.2, 0.9])


def texts(axes):
    return [text.get_text() for text in axes.texts]


def test_the_confusion_matrix_writes_counts_or_percentages():
    axes = plot_confusion_matrix(Y, READ, classes=["cat", "dog", "cow"]).axes[0]
    assert texts(axes) == ["2", "1", "3", "1"]
    assert axes.get_title() == "5 of 7 right; most often cat is taken for dog (1 times)"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "cow"]
    assert texts(plot_confusion_matrix(Y, READ, normalize=True).axes[0]) == ["67", "33", "100", "100"]


def test_roc_draws_the_curve_and_marks_the_threshold():
    axes = plot_roc(LABELS, {"a": SCORES, "b": 1 - SCORES}, threshold=0.35).axes[0]
    fpr, tpr, _ = metrics.roc_curve(LABELS, SCORES)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), fpr)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), tpr)
    positive = SCORES >= 0.35
    assert axes.lines[1].get_ydata()[0] == metrics.recall_score(LABELS, positive)
    assert axes.lines[1].get_xdata()[0] == pytest.approx(1 - metrics.specificity_score(LABELS, positive))
    assert axes.lines[0].get_label() == f"a: area {metrics.roc_auc_score(LABELS, SCORES):.3f}"
    assert axes.lines[1].get_label() == "at 0.35: recall 1.00, false alarms 0.33"


def test_precision_recall_draws_the_curve_and_marks_the_threshold():
    axes = plot_precision_recall(LABELS, SCORES, threshold=0.4).axes[0]
    precision, recall, _ = metrics.precision_recall_curve(LABELS, SCORES)
    np.testing.assert_array_equal(axes.lines[0].get_xdata(), recall)
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), precision)
    positive = SCORES >= 0.4
    assert axes.lines[1].get_xdata()[0] == metrics.recall_score(LABELS, positive)
    assert axes.lines[1].get_ydata()[0] == metrics.precision_score(LABELS, positive)


def test_a_threshold_above_all_scores_is_the_curves_end():
    axes = plot_roc(LABELS, SCORES, threshold=2.0).axes[0]
    assert (axes.lines[1].get_xdata()[0], axes.lines[1].get_ydata()[0]) == (0, 0)
    axes = plot_precision_recall(LABELS, SCORES, threshold=2.0).axes[0]
    assert axes.lines[1].get_xdata()[0] == 0


PLOTS = [plot_confusion_matrix, plot_roc, plot_precision_recall]


@pytest.mark.parametrize("plot", PLOTS)
def test_results_are_drawn_into_given_axes(plot):
    figure = Figure(layout="constrained")
    left, right = figure.subfigures(1, 2)
    other, axes = left.subplots(), right.subplots()
    assert plot(LABELS, LABELS[::-1], axes=axes) is figure
    assert axes.get_xlabel() == plot(LABELS, LABELS[::-1]).axes[0].get_xlabel() != ""
    assert not other.has_data()


@pytest.mark.parametrize("plot", PLOTS)
def test_results_on_a_device_are_drawn_as_well(plot):
    want = plot(LABELS, LABELS[::-1])
    with strict_cupy.installed(), use_backend("cupy"):
        got = plot(to_backend(LABELS), to_backend(LABELS[::-1].copy()))
    for ours, theirs in zip(got.axes[0].lines, want.axes[0].lines, strict=True):
        np.testing.assert_array_equal(ours.get_xydata(), theirs.get_xydata())
    assert texts(got.axes[0]) == texts(want.axes[0])


def test_mistakes_come_in_the_order_asked_for(digits):
    x, y = digits.validation.x[:4], np.array([0, 1, 2, 1])
    p = np.array([[0.1, 0.9, 0.0], [0.2, 0.2, 0.6], [0.0, 0.1, 0.9], [0.5, 0.3, 0.2]])
    titles = [axes.get_title() for axes in plot_mistakes(x, y, p).axes if axes.get_title()]
    assert titles == ["1 90% (0)", "2 60% (1)", "0 50% (1)"]
    titles = [axes.get_title() for axes in plot_mistakes(x, y, p, order="worst", most=2).axes if axes.get_title()]
    assert titles == ["1 90% (0)", "2 60% (1)"]
    assert "all 1 were read right" in plot_mistakes(x[2:3], y[2:3], p[2:3])._suptitle.get_text()


def test_filters_are_the_weights(trained):
    figure = plot_filters(trained)
    drawn = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_allclose(np.stack(drawn), trained[0].weight.data[:, 0])
    low, high = figure.axes[0].images[0].get_clim()
    assert low == -high  # grey is 0


def test_filters_over_colours_are_coloured():
    assert plot_filters(nn.Conv2d(3, 4, 3)).axes[0].images[0].get_array().shape == (3, 3, 3)


def test_activations_are_the_layers_output(trained, digits):
    image = digits.validation.x[0]
    figure = plot_feature_maps(trained, image, layer="0")
    want = trained[0](image[None].astype(np.float64))
    np.testing.assert_allclose(figure.axes[3].images[0].get_array(), want[0, 2])


def test_a_segmentation_says_its_jaccard_index():
    truth, found = np.zeros((6, 6)), np.zeros((6, 6))
    truth[:2], found[:3] = 1, 1
    assert "Jaccard index 0.67" in plot_segmentation(np.ones((6, 6)), truth, found).axes[0].get_title()


def test_principal_components_spread_the_most():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(50, 6)) * np.array([1, 9, 1, 4, 1, 1])
    plane = embed_features(features, method="pca")
    centred = features - features.mean(axis=0)
    eigenvalues = np.sort(np.linalg.eigvalsh(centred.T @ centred))[::-1]
    np.testing.assert_allclose((plane**2).sum(axis=0), eigenvalues[:2])


def test_the_title_of_filters_says_how_to_read_them():
    def title(channels):
        return plot_filters(nn.Sequential(nn.Conv2d(channels, 2, 3))).get_suptitle()

    assert title(1).endswith("white is positive, black negative")
    assert title(3).endswith("grey is 0, bright colours are positive")


def test_tsne_keeps_neighbours_together():
    generator = np.random.default_rng(0)
    y = np.repeat([0, 1], 20)
    points = embed_features(generator.normal(size=(40, 5)) + 8 * y[:, None])
    middle = [points[y == k].mean(axis=0) for k in (0, 1)]
    nearest = np.argmin([np.linalg.norm(points - m, axis=1) for m in middle], axis=0)
    assert (nearest == y).all()


def test_tsne_of_few_points_runs_on_one_core(monkeypatch):
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []

    def note(self, x):
        seen.append({library["num_threads"] for library in threadpool_info()})
        return x[:, :2]

    monkeypatch.setattr(TSNE, "fit_transform", note)
    with threadpool_limits(2):
        embed_features(np.eye(5))
        assert seen == [{1}]
        assert {library["num_threads"] for library in threadpool_info()} == {2}


def test_an_embedding_is_drawn_with_thumbnails(digits):
    part = digits.validation.subset(np.arange(30))
    points = embed_features(part.x.reshape(30, -1), method="pca")
    axes = plot_embedding(points, part.y, images=part.x, classes=digits.classes).axes[0]
    assert sum(len(dots.get_offsets()) for dots in axes.collections) == 30
    assert 5 < len(axes.child_axes) <= 30


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_similar_images_are_the_nearest(metric):
    generator = np.random.default_rng(0)
    features, queries = generator.normal(size=(30, 4)), generator.normal(size=(3, 4))
    found = similar_images(features, queries, k=4, metric=metric)
    if metric == "euclidean":
        distances = np.linalg.norm(queries[:, None] - features, axis=2)
    else:
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(features, axis=1)
        distances = 1 - queries @ features.T / lengths
    np.testing.assert_array_equal(found.indices, np.argsort(distances, axis=1)[:, :4])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :4], atol=1e-12)
    assert similar_images(features, features, k=1, metric=metric).indices.ravel().tolist() == list(range(30))


MASK = np.zeros((2, 2))
BAD = {
    "names": (lambda: plot_confusion_matrix(Y, READ, classes=["a"]), ShapeError, "1 names"),
    "no scores": (lambda: plot_roc(LABELS, {}), ArgumentError, "empty"),
    "order": (lambda: plot_mistakes(np.ones((1, 1, 2, 2)), [0], [[0, 1]], order="x"), ArgumentError, "order"),
    "probabilities": (lambda: plot_mistakes(np.ones((1, 1, 2, 2)), [0], [1]), ShapeError, r"\(N, K\)"),
    "no filters": (lambda: plot_filters(nn.Linear(2, 2)), ArgumentError, "no convolution"),
    "no convolution": (lambda: plot_filters(nn.Sequential(nn.ReLU()), layer="0"), ArgumentError, "is no convolution"),
    "images": (lambda: plot_feature_maps(nn.ReLU(), np.ones((2, 1, 3, 3)), layer=""), ShapeError, "one image"),
    "masks": (lambda: plot_segmentation(np.ones((3, 3)), MASK, MASK), ShapeError, "masks"),
    "few": (lambda: embed_features(np.ones((3, 2))), ShapeError, "at least four"),
    "method": (lambda: embed_features(np.ones((5, 2)), method="umap"), ArgumentError, "'tsne' or 'pca'"),
    "nan": (lambda: embed_features(np.full((5, 2), np.nan)), DataError, "NaN"),
    "points": (lambda: plot_embedding(np.ones((5, 3)), np.ones(5)), ShapeError, r"\(N, 2\)"),
    "columns": (lambda: similar_images(np.ones((5, 2)), np.ones((1, 3))), ShapeError, "columns"),
    "k": (lambda: similar_images(np.ones((5, 2)), np.ones((1, 2)), k=6), ArgumentError, "k=6"),
    "metric": (lambda: similar_images(np.ones((5, 2)), np.ones((1, 2)), metric="x"), ArgumentError, "metric"),
}


@pytest.mark.parametrize(("call", "error", "match"), BAD.values(), ids=BAD.keys())
def test_bad_inputs_are_refused(call, error, match):
    with pytest.raises(error, match=match):
        call()


def test_the_threshold_is_marked_where_no_corner_of_the_curve_is():
    axes = plot_roc([1, 1, 1, 0], [0.9, 0.8, 0.7, 0.1], threshold=0.8).axes[0]
    assert axes.lines[1].get_ydata()[0] == pytest.approx(2 / 3)
