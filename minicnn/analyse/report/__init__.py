"""One page about a training, to open, to print and to hand in."""

from minicnn.analyse.report.page import write_report

__all__ = ["write_report"]
