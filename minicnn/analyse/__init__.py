"""Floor 5: looking at what a training did and at what a network sees. Figures are matplotlib's and need no display."""

from minicnn.analyse.activations import (
    ActivationStatistics,
    LayerStatistics,
    activation_statistics,
    plot_activations,
)
from minicnn.analyse.attribution import grad_cam, maximise_class, occlusion, saliency
from minicnn.analyse.confusion import plot_confusion_matrix
from minicnn.analyse.curves import plot_history
from minicnn.analyse.embedding import Neighbours, embed_features, plot_embedding, similar_images
from minicnn.analyse.live import LivePlot
from minicnn.analyse.operating import plot_precision_recall, plot_roc
from minicnn.analyse.pictures import plot_feature_maps, plot_filters, plot_mistakes, plot_segmentation
from minicnn.analyse.report import write_report
from minicnn.analyse.sliding import (
    Detection,
    Sweep,
    detections,
    fully_convolutional,
    sliding_window,
    sweep_fully_convolutional,
)

__all__ = [
    "ActivationStatistics",
    "Detection",
    "LayerStatistics",
    "LivePlot",
    "Neighbours",
    "Sweep",
    "activation_statistics",
    "detections",
    "embed_features",
    "fully_convolutional",
    "grad_cam",
    "maximise_class",
    "occlusion",
    "plot_activations",
    "plot_confusion_matrix",
    "plot_embedding",
    "plot_feature_maps",
    "plot_filters",
    "plot_history",
    "plot_mistakes",
    "plot_precision_recall",
    "plot_roc",
    "plot_segmentation",
    "saliency",
    "similar_images",
    "sliding_window",
    "sweep_fully_convolutional",
    "write_report",
]
