"""Floor 3: is a gradient right? `gradcheck` compares a backward pass with finite differences of its forward pass."""

from minicnn.check.gradients import gradcheck
from minicnn.check.report import Finding, Report, TensorCheck

__all__ = ["Finding", "Report", "TensorCheck", "gradcheck"]
