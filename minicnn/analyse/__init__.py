"""Floor 5: looking at what a training did. Figures are matplotlib's; none needs a display."""

from minicnn.analyse.activations import (
    ActivationStatistics,
    LayerStatistics,
    activation_statistics,
    plot_activations,
)
from minicnn.analyse.curves import plot_history

__all__ = [
    "ActivationStatistics",
    "LayerStatistics",
    "activation_statistics",
    "plot_activations",
    "plot_history",
]
