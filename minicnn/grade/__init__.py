"""Floor 5: the grader. It runs a student's file in a process of its own and scores what comes back.

    minicnn.grade.score("starter.py")       # the parts, their points, and what is wrong with those that fail

The grader alone is the judge. The student's process gets arguments and returns arrays; it knows no right answer, and
nothing that happens in it (a patched NumPy, a replaced operation) changes anything here.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minicnn.grade.assignments import ASSIGNMENTS
    from minicnn.grade.grading import score
    from minicnn.grade.limits import Limits
    from minicnn.grade.results import Grade, PartResult

_HOMES = {
    "ASSIGNMENTS": "assignments",
    "score": "grading",
    "Limits": "limits",
    "Grade": "results",
    "PartResult": "results",
}


def __getattr__(name: str) -> Any:
    """Import what grading needs when it is first asked for: the command line names this room at every start."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"minicnn.grade.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'minicnn.grade' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


__all__ = ["ASSIGNMENTS", "Grade", "Limits", "PartResult", "score"]
