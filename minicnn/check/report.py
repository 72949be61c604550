"""What a check has found, for a person or a program to read."""

import json
import math
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minicnn.check.kinds import Kind

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Index = tuple[int, ...]
WIDTH = 110


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes
    ----------
    kind : Kind
        What kind of mistake it is; compares equal to its text: `finding.kind == "sign"`.
    where : str
        The result or tensor: "dx", "y", "weight".
    message : str
        A sentence that says what was expected and what came.
    evidence : dict
        The numbers behind it: factor and name, worst entry, the calls with which it was seen.
    hint : str
        What to look at.
    remark : bool
        Whether it is only worth knowing, and no mistake.
    rank : float, optional
        Its place in a report, if not that of its kind: the lower, the more specific.
    """

    kind: Kind
    where: str
    message: str
    evidence: dict[str, Any] = field(default_factory=dict)
    hint: str = ""
    remark: bool = False
    rank: float | None = field(default=None, compare=False, repr=False)

    @property
    def order(self) -> tuple[bool, float]:
        """What findings are sorted by: mistakes before remarks, the most specific first."""
        return self.remark, self.kind.rank if self.rank is None else self.rank

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


class Tally(NamedTuple):
    """In how many of the calls that were tried a result was right."""

    right: int
    tried: int


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
    """The result of a check; print it.

    Attributes
    ----------
    subject : str
        What was checked.
    findings : list of Finding
        What is wrong, the most specific first.
    tensors : list of TensorCheck
        For `gradcheck`: how each tensor compares.
    tallies : dict of str to Tally
        For `examine`: in how many calls each result was right.
    notes : list of str
        What was not examined, and why.
    comparisons : dict of str to (expected, got)
        A wrong result's arrays, for `plot`.
    check : str
        Which check it was.
    """

    subject: str
    findings: list[Finding]
    tensors: list[TensorCheck] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    comparisons: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    check: str = "gradcheck"

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong. Remarks do not count; a gradient that nobody could tell (only ties) is not ok."""
        return all(finding.remark for finding in self.findings)

    @property
    def undecided(self) -> bool:
        """Whether all that was found are kinks and equal maxima, so that it is neither right nor wrong."""
        return not self.ok and all(finding.kind == Kind.TIES for finding in self.findings)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__

    @property
    def unwritten(self) -> bool:
        """Whether the function says itself that it is not written yet (NotImplementedError)."""
        return any(finding.evidence.get("unwritten") for finding in self.findings)

    @property
    def verdict(self) -> str:
        """The result in a word or two."""
        if self.unwritten:
            return "NOT WRITTEN YET"
        return "ok" if self.ok else "UNDECIDED" if self.undecided else "FAILED"

    def text(self, *, color: bool = False) -> str:
        """Return the report as a person reads it, in colour for a terminal."""
        paint = _paint if color else lambda text, _: text
        lines = [f"{self.check} of {self.subject}: {paint(self.verdict, _SHADES[self.verdict])}"]
        if self.tensors:
            lines += _table([_TITLES, *map(_row, self.tensors)])
        for name, (right, tried) in self.tallies.items() if not self.unwritten else ():
            mark = paint("right", "green") if right == tried else paint("wrong", "red")
            lines.append(f"  {name:<13} {mark} {_calls(right, tried)}")
        for where in dict.fromkeys(finding.where for finding in self.findings):
            first, *others = [finding for finding in self.findings if finding.where == where]
            lines += _wrapped(f"* {where}: [{paint(str(first.kind), _shade(first))}] {first.message}")
            lines += _wrapped(_numbers(first), "    ")
            if first.hint and not first.remark:
                lines += _wrapped(paint("> " + first.hint, "dim"), "    ")
            for finding in others:
                if finding.kind == Kind.FORWARD_DIFFERS and not finding.remark:
                    continue  # what has been said above says more
                lines += _wrapped(f"also: [{paint(str(finding.kind), _shade(finding))}] {finding.message}", "    ")
        lines += [line for note in self.notes for line in _wrapped(f"- {note}")]
        return "\n".join(lines)

    def to_json(self) -> str:
        """Return the report as JSON text: subject, ok, findings, tallies, tensors and notes."""
        record = {
            "check": self.check,
            "subject": self.subject,
            "ok": self.ok,
            "findings": [{n: v for n, v in vars(f).items() if n != "rank"} for f in self.findings],
            "tallies": {name: tally._asdict() for name, tally in self.tallies.items()},
            "tensors": [vars(tensor) for tensor in self.tensors],
            "notes": self.notes,
        }
        return json.dumps(_plain(record), indent=2)

    def plot(self) -> "Figure":
        """Return a figure with a row for each wrong result: expected, got and the difference, as images."""
        from minicnn.check.figure import plot_comparisons

        return plot_comparisons(self)


_TITLES = ("tensor", "shape", "compared", "on kinks", "worst entry", "backward", "differences", "relative error")
_SHADES = {"ok": "green", "FAILED": "red", "UNDECIDED": "yellow", "NOT WRITTEN YET": "yellow"}
_COLORS = {"red": "31", "green": "32", "yellow": "33", "dim": "2"}


def _row(check: TensorCheck) -> tuple[str, ...]:
    compared = f"{check.compared} of {math.prod(check.shape)}"
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


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _calls(right: int, tried: int) -> str:
    if tried == 1:
        return "in the only call"
    return f"in all {tried} calls" if right in (0, tried) else f"in {tried - right} of {tried} calls"


def _numbers(finding: Finding) -> str:
    """Write out the entry that is furthest off, and the calls in which it is wrong, if the evidence holds them."""
    seen = finding.evidence
    if "entries" not in seen:
        return ""
    measured = f", measured by differences {seen['differences']:.6g}" if "differences" in seen else ""
    entry = f"{finding.where}{list(seen['index'])}" if seen["index"] else finding.where
    return (
        f"{entry} is {seen['got']:.6g}, expected {seen['expected']:.6g}{measured}; "
        f"wrong in {seen['wrong']} of {seen['entries']} entries ({seen['case']})"
    )


def _shade(finding: Finding) -> str:
    return "yellow" if finding.remark else "red"


def _wrapped(text: str, indent: str = "") -> list[str]:
    more = indent + "  "
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=more, break_long_words=False, break_on_hyphens=False
    )


def _paint(text: str, color: str) -> str:
    return f"\033[{_COLORS[color]}m{text}\033[0m"


def _plain(value: Any) -> Any:
    """Turn NumPy's numbers, tuples and keys into what JSON has; NaN and infinity into text."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
