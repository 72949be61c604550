"""Floor 3: measures of results, under scikit-learn's names."""

from minicnn.metrics.classification import accuracy_score

__all__ = ["accuracy_score"]
