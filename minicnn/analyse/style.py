"""How the figures look: one size of text, and colours that every eye can tell apart."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
"""Okabe and Ito, "Color universal design", 2008, the darkest first."""
LINES = ("-", "--", "-.", ":")
"""Lines differ in more than colour, for print."""


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of that size in inches. It needs no display; `figure.savefig("x.png")` keeps it."""
    from matplotlib.figure import Figure  # slow to import; and without pyplot no display is needed

    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def shown_as(number: int) -> dict[str, Any]:
    """Return colour and line of the curve of that number."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number % len(LINES)], "linewidth": 1.8}
