"""Floor 5: looking at what a training did. Figures are matplotlib's; none needs a display."""

from minicnn.analyse.curves import plot_history

__all__ = ["plot_history"]
