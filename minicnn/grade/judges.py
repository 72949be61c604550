"""Judges: each looks at one part of an assignment and says what it is worth.

A judge believes nothing that happens in the student's process. It sends arguments there, gets arrays back, and compares
them here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from minicnn.backend import slots
from minicnn.check import Finding, Kind, Report, examine
from minicnn.check.running import CandidateError, CandidateTimeout
from minicnn.grade.remote import RemoteFunction, Student
from minicnn.grade.results import Verdict

if TYPE_CHECKING:
    from minicnn.grade.assignments import Assignment

NO_FUNCTION_HINT = "The names of the starter have to stay, and so has the function at the top level of the file."

TELL_SOMEBODY = "Show this to your lecturer. A function that returns plain arrays and numbers is always judged."


@dataclass(frozen=True)
class Part:
    """A part of an assignment.

    Attributes
    ----------
    name : str
        As the assignment's README.md names it.
    points : int
        What it is worth.
    judge : function (Grading) -> Verdict
        Who says whether it is right.
    needed : bool
        Whether the parts after it wait for it to be right.
    """

    name: str
    points: int
    judge: "Callable[[Grading], Verdict]"
    needed: bool = True


class Grading:
    """One student's file being graded: what the judges share.

    Attributes
    ----------
    student : Student
    assignment : Assignment
    verdicts : list of (Part, Verdict)
        What has been judged so far.
    """

    def __init__(self, student: Student, assignment: "Assignment") -> None:
        self.student = student
        self.assignment = assignment
        self.verdicts: list[tuple[Part, Verdict]] = []
        self._reports: dict[str, Report] = {}

    def judge(self, part: Part) -> Verdict:
        """Judge a part, within its own time and whatever the code does."""
        self.student.begin_part()
        try:
            verdict = part.judge(self)
        except CandidateError as error:
            verdict = Verdict(False, findings=[finding_of(error, part.name)])
        except Exception as error:  # results that nobody has foreseen shall not cost the other parts
            message = f"the grader could not judge this part: {type(error).__name__}: {error}"
            verdict = Verdict(False, findings=[Finding(Kind.UNKNOWN, part.name, message, {}, TELL_SOMEBODY)])
        self.verdicts.append((part, verdict))
        return verdict

    def function(self, name: str) -> RemoteFunction:
        """Return a function of the student's. Raises `CandidateError` if the file does not define it."""
        function = self.student.function(name)
        if function is None:
            raise CandidateError("NameError", f"the file defines no {name}. {NO_FUNCTION_HINT}")
        return function

    def report(self, operation: str) -> Report:
        """Return the examination of the function that stands for an operation; each is examined once."""
        if operation not in self._reports:
            try:
                function = self.function(operation)
                self._reports[operation] = examine(operation, function, seconds=self.student.limits.part)
            except CandidateError as error:
                self._reports[operation] = Report(operation, [finding_of(error, operation)])
        return self._reports[operation]

    def waits(self) -> Verdict | None:
        """Return the verdict on a part that is only judged when all functions are right, or None if they are."""
        if all(verdict.ok for part, verdict in self.verdicts if part.needed):
            return None
        return Verdict(False, note="not before everything above is right")


def operation(name: str, points: int, *, result: str | None = None, takes: str = "") -> Part:
    """Return a part for a function that stands for an operation of the engine, or for one of its results.

    Parameters
    ----------
    name : str
        The operation.
    points : int
    result : str, optional
        Only this result counts: "dx".
    takes : str
        Keywords that the function has to have, such as "stride, padding".
    """

    def judge(grading: Grading) -> Verdict:
        return judge_operation(grading, name, result, takes)

    return Part(f"{name}: {result}" if result else name, points, judge)


def operations(title: str, points: int, *, names: str, takes: str) -> Part:
    """Return a part for several operations together, which share its points equally."""

    def judge(grading: Grading) -> Verdict:
        verdicts = [judge_operation(grading, name, None, takes) for name in names.split(", ")]
        findings = [
            replace(finding, where=name)
            for name, verdict in zip(names.split(", "), verdicts, strict=True)
            for finding in verdict.findings
        ]
        share = sum(1.0 if verdict.ok else min(verdict.share, 0.9) for verdict in verdicts) / len(verdicts)
        return Verdict(all(verdict.ok for verdict in verdicts), share, findings)

    return Part(title, points, judge)


def judge_operation(grading: Grading, name: str, result: str | None, takes: str) -> Verdict:
    """Return what the examination of a function comes to: the share of calls in which its results were right."""
    report = grading.report(name)
    returns = slots()[name].returns
    findings = [
        finding
        for finding in report.findings
        if (not finding.remark or "numbers_only" in finding.evidence)
        and (result is None or finding.where == result or finding.where not in returns)
    ]
    tallies = [tally for key, tally in report.tallies.items() if result in (None, key)]
    right, tried = sum(tally.right for tally in tallies), sum(tally.tried for tally in tallies)
    share = right / tried if tried else 0.0
    missing = [keyword for keyword in takes.split(", ") if takes and not _takes(grading, name, keyword)]
    if missing and share:
        share = min(share, 0.5)  # it was examined only where these do not matter
        message = f"the function does not take {', '.join(missing)}"
        findings.insert(0, Finding(Kind.IGNORES_ARGUMENT, name, message, {}, Kind.IGNORES_ARGUMENT.hint))
    note = f"{right} of {tried} results" if tried else ""
    if tried and right == tried and findings:
        note += f", less for {', '.join(dict.fromkeys(str(finding.kind) for finding in findings))}"
    return Verdict(not findings and right == tried and tried > 0, share, findings, note)


def _takes(grading: Grading, name: str, keyword: str) -> bool:
    try:
        parameters = grading.function(name).__signature__.parameters
    except CandidateError:
        return True  # that it cannot be called at all has been said
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def finding_of(error: CandidateError, where: str) -> Finding:
    """Return what happened in the student's process as a finding, with the student's own line."""
    kind = Kind.TOO_SLOW if isinstance(error, CandidateTimeout) else Kind.RAISES
    if error.type_name == "NotImplementedError":
        return Finding(kind, where, "not written yet (it raises NotImplementedError)")
    line = f" ({error.line})" if error.line else ""
    return Finding(kind, where, f"{error}{line}", {}, kind.hint)
