"""Floor 3: measures of predictions, with scikit-learn's and scikit-image's names, arguments and results."""

from minicnn.metrics.bootstrap import Interval, bootstrap_interval
from minicnn.metrics.calibration import Calibration, calibration_curve, expected_calibration_error
from minicnn.metrics.classification import (
    accuracy_score,
    confusion_matrix,
    dice_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    specificity_score,
)
from minicnn.metrics.detection import box_iou, mean_average_precision, non_max_suppression
from minicnn.metrics.images import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from minicnn.metrics.points import PointMatches, match_points, points_precision_recall_curve
from minicnn.metrics.ranking import auc, average_precision_score, precision_recall_curve, roc_auc_score, roc_curve
from minicnn.metrics.text import bleu_score, exact_match

__all__ = [
    "Calibration",
    "Interval",
    "PointMatches",
    "accuracy_score",
    "auc",
    "average_precision_score",
    "bleu_score",
    "bootstrap_interval",
    "box_iou",
    "calibration_curve",
    "confusion_matrix",
    "dice_score",
    "exact_match",
    "expected_calibration_error",
    "f1_score",
    "jaccard_score",
    "match_points",
    "mean_average_precision",
    "mean_squared_error",
    "non_max_suppression",
    "peak_signal_noise_ratio",
    "points_precision_recall_curve",
    "precision_recall_curve",
    "precision_score",
    "recall_score",
    "roc_auc_score",
    "roc_curve",
    "specificity_score",
    "structural_similarity",
]
