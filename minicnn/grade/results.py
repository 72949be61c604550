"""What a student gets: parts with points, and for each part that fails, what is wrong and where to look."""

import json
import math
import textwrap
from dataclasses import dataclass, field
from typing import Any

from minicnn.check.report import Finding

WIDTH = 100
MOST_FINDINGS = 3
"""Results of one part of which is shown what is wrong; more would only be read less."""

MOST_LINES = 12
"""Lines of what the student's code printed."""


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one part.

    Attributes
    ----------
    ok : bool
        Whether it gets all its points.
    share : float
        If not, which share of the cases was right.
    findings : list of Finding
        What is wrong.
    note : str
        What else is worth knowing: "31 of 31 calls", "12 times as fast as loops in Python".
    """

    ok: bool
    share: float = 0.0
    findings: list[Finding] = field(default_factory=list)
    note: str = ""

    def points_of(self, most: float) -> float:
        """Return the points: a share is rounded down to halves, and all are only for what has no fault at all."""
        if self.ok:
            return float(most)
        share = min(max(self.share, 0.0), 0.9)
        return math.floor(2 * most * share + 1e-9) / 2


@dataclass(frozen=True)
class PartResult:
    """The points of one part."""

    name: str
    points: float
    most: float
    findings: list[Finding]
    note: str

    @property
    def passed(self) -> bool:
        """Whether all points were reached."""
        return self.points == self.most

    def remarks(self) -> list[tuple[str, str]]:
        """Return what is wrong with it, and the hint that goes with that."""
        first = {finding.where: finding for finding in reversed(self.findings)}  # of each result the most specific
        places = list(dict.fromkeys(finding.where for finding in self.findings))
        shown = [first[place] for place in places[:MOST_FINDINGS]]
        remarks = [(_clean(f"[{finding.kind}] {_with_place(finding, self.name)}"), finding.hint) for finding in shown]
        more = len(places) - len(shown)
        return [*remarks, (f"and {more} more, which `minicnn check` shows", "")] if more else remarks


@dataclass(frozen=True)
class Grade:
    """The result of grading one file; print it.

    Attributes
    ----------
    file, assignment : str
        What was graded, and as which assignment.
    parts : list of PartResult
        Its parts, in the order of the assignment.
    printed : str
        The beginning of what the student's code printed.
    seconds : float
        How long grading took.
    """

    file: str
    assignment: str
    parts: list[PartResult]
    printed: str
    seconds: float

    @property
    def score(self) -> float:
        """The points reached."""
        return sum(part.points for part in self.parts)

    @property
    def max_score(self) -> float:
        """The points that there are."""
        return sum(part.most for part in self.parts)

    def __str__(self) -> str:
        """Return a table of the parts, then what is wrong with those that fail."""
        rows = [(p.name, f"{p.points:g} / {p.most:g}", p.note) for p in self.parts]
        total = ("total", f"{self.score:g} / {self.max_score:g}", f"in {self.seconds:.1f} s")
        first, second = (max(len(row[i]) for row in [*rows, total]) for i in range(2))
        table = [f"  {name:<{first}}  {points:>{second}}  {note}".rstrip() for name, points, note in [*rows, total]]
        lines = [f"{self.file} as {self.assignment}", "", *table[:-1], f"  {'-' * (first + second + 2)}", table[-1]]
        for title, remarks in self._what_is_wrong():
            lines += ["", title]
            for remark, hint in remarks:
                lines += textwrap.wrap(remark, WIDTH, initial_indent="  * ", subsequent_indent="    ")
                if hint:
                    lines += textwrap.wrap(hint, WIDTH, initial_indent="    > ", subsequent_indent="      ")
        if self.printed.strip():
            lines += ["", "The code printed:", textwrap.indent(self._beginning(), "  | ")]
        return "\n".join(lines)

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Return the same for a mail or an issue."""
        lines = [
            f"## {self.assignment}: {self.score:g} of {self.max_score:g} points",
            "",
            "| part | points | |",
            "|---|---:|---|",
            *(f"| `{p.name}` | {p.points:g} / {p.most:g} | {_escaped(p.note)} |" for p in self.parts),
        ]
        for title, remarks in self._what_is_wrong():
            lines += ["", f"### {title}", ""]
            for remark, hint in remarks:
                lines.append(f"- {_escaped(remark)}")
                if hint:
                    lines.append(f"  - *{_escaped(hint)}*")
        if self.printed.strip():
            lines += ["", "### The code printed", "", textwrap.indent(self._beginning(), "    ")]
        return "\n".join(lines)

    def to_gradescope(self) -> dict[str, Any]:
        """Return the content of Gradescope's results.json.

        The form is that of https://gradescope-autograders.readthedocs.io/en/latest/specs/, section "Output format".
        """
        output = f"{self.assignment}: {self.score:g} of {self.max_score:g} points"
        if self.printed.strip():
            output += f"\n\nThe code printed:\n{self._beginning()}"
        return {
            "score": self.score,
            "execution_time": round(self.seconds, 2),
            "visibility": "visible",
            "stdout_visibility": "hidden",
            "output": output,
            "tests": [_gradescope_test(part) for part in self.parts],
        }

    def to_json(self) -> str:
        """Return Gradescope's results.json as text."""
        return json.dumps(self.to_gradescope(), indent=2) + "\n"

    def _beginning(self) -> str:
        """Return the first lines of what the code printed."""
        lines = _clean(self.printed.rstrip()).split("\n")
        more = [f"... and {len(lines) - MOST_LINES} lines more"] if len(lines) > MOST_LINES else []
        return "\n".join([*lines[:MOST_LINES], *more])

    def _what_is_wrong(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return titles and remarks; parts that fail for the same reasons are named together."""
        found: dict[tuple[tuple[str, str], ...], list[str]] = {}
        for part in self.parts:
            if part.findings:
                found.setdefault(tuple(part.remarks()), []).append(part.name)
        return [(", ".join(names), list(remarks)) for remarks, names in found.items()]


def _gradescope_test(part: PartResult) -> dict[str, Any]:
    text = [remark + (f"\n    {hint}" if hint else "") for remark, hint in part.remarks()]
    return {
        "name": part.name,
        "score": part.points,
        "max_score": part.most,
        "status": "passed" if part.passed else "failed",
        "output": "\n".join([*([part.note] if part.note else []), *text]),
        "visibility": "visible",
    }


def _with_place(finding: Finding, part: str) -> str:
    return (
        finding.message if finding.where in ("", "call", "signature", part) else f"{finding.where}: {finding.message}"
    )


def _clean(text: str) -> str:
    """Replace what could move a terminal's cursor or change its colours: a student's code shall only send words."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _escaped(text: str) -> str:
    """Keep a student's text from being read as Markdown: a table's bar, a tag, a heading in a line of its own."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
