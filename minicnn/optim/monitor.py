"""Whether a measure that somebody watches is the better the smaller it is, or the larger."""

from typing import Literal

from minicnn.errors import ArgumentError

Mode = Literal["auto", "min", "max"]


SMALL_IS_GOOD = ("loss", "error", "mae", "mse", "rmse", "mape", "perplexity", "distance")
"""How names of measures end of which the smallest value is the best."""


def expect_mode(mode: Mode, owner: str) -> Mode:
    """Return the mode. Raises `ArgumentError` if there is no such mode."""
    if mode not in ("auto", "min", "max"):
        raise ArgumentError(f"{owner}: mode must be 'auto', 'min' or 'max', not {mode!r}")
    return mode


def smaller_is_better(monitor: str, mode: Mode = "auto") -> bool:
    """Return whether the smallest value is the best: in mode "auto", if the name ends as a loss' or an error's does."""
    return monitor.lower().endswith(SMALL_IS_GOOD) if mode == "auto" else mode == "min"
