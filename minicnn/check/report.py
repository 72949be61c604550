"""What a check has found, for a person to read."""

from dataclasses import dataclass, field
from typing import Any

Index = tuple[int, ...]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : str
        "gradient", "missing", "shape", "dtype", "non-finite", "mutates-input", "nondeterministic", "not-accumulated",
        or "ties" (too many entries on a kink: inconclusive rather than wrong).
    where : str
        The tensor: "x", or a parameter's name.
    message : str
        A sentence that says what was expected and what came.
    evidence : dict
        The numbers behind it.
    """

    kind: str
    where: str
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True)
class TensorCheck:
    """How one tensor's gradient compares: entries compared and skipped (on kinks), and the worst of those compared."""

    name: str
    shape: Index
    compared: int
    skipped: int
    wrong: int
    worst: Index | None
    analytic: float
    numeric: float
    relative_error: float


@dataclass(frozen=True)
class Report:
    """The result of a check; print it. `report.ok` says whether all is well, `report.findings` what is not."""

    subject: str
    tensors: list[TensorCheck]
    findings: list[Finding]
    tolerance: float

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        undecided = bool(self.findings) and all(finding.kind == "ties" for finding in self.findings)
        lines = [f"gradcheck of {self.subject}: {'ok' if self.ok else 'UNDECIDED' if undecided else 'FAILED'}"]
        titles = ("tensor", "shape", "compared", "on kinks", "worst entry", "backward", "differences", "relative error")
        rows = [titles, *(_row(check) for check in self.tensors)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(titles))]
        for row in rows:
            lines.append("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        lines += [f"* {finding}" for finding in self.findings]
        return "\n".join(lines)

    __repr__ = __str__


def _row(check: TensorCheck) -> tuple[str, ...]:
    total = 1
    for length in check.shape:
        total *= length
    compared = f"{check.compared} of {total}"
    if check.worst is None:
        return check.name, str(check.shape), compared, str(check.skipped), "-", "-", "-", "-"
    return (
        check.name,
        str(check.shape),
        compared,
        str(check.skipped),
        str(check.worst),
        f"{check.analytic:.8g}",
        f"{check.numeric:.8g}",
        f"{check.relative_error:.1e}",
    )
