"""Floor 3: is it right, and if not, what kind of mistake is it?

`gradcheck` compares a backward pass with finite differences of its forward pass; `examine` examines a candidate for an
operation against its specification. Both name the kind of the mistake.
"""

from minicnn.check.examine import examine
from minicnn.check.gradients import gradcheck
from minicnn.check.kinds import Kind
from minicnn.check.report import Finding, Report, Tally, TensorCheck

__all__ = ["Finding", "Kind", "Report", "Tally", "TensorCheck", "examine", "gradcheck"]
