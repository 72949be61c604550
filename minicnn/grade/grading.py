"""Grade one file from beginning to end."""

import time
from pathlib import Path

from minicnn.check import Finding, Kind
from minicnn.check.running import CandidateError
from minicnn.errors import ArgumentError
from minicnn.grade.assignments import ASSIGNMENTS, Assignment, name_of_assignment
from minicnn.grade.judges import Grading, Part, finding_of
from minicnn.grade.limits import Limits
from minicnn.grade.remote import Student
from minicnn.grade.results import Grade, PartResult, Verdict

LARGEST_FILE = 2**20


def score(path: str | Path, *, assignment: str | None = None, limits: Limits | None = None) -> Grade:
    """Run a student's file in a process of its own, and score it.

    Parameters
    ----------
    path : path
        The file.
    assignment : str, optional
        Which assignment it is: "a05_conv_backward". By default the file says so itself, in its line `ASSIGNMENT = ...`.
    limits : Limits, optional
        What the process may use; by default what the assignment's entry says.

    Returns
    -------
    Grade
        `.score`, `.max_score`, `.parts`; print it, or `.to_markdown()`, `.to_json()` for Gradescope.

    Raises
    ------
    ArgumentError
        If there is no such file or assignment. Whatever the student's code does is no error but part of the grade.
    """
    begun = time.monotonic()
    path = Path(path)
    source, problem = _read(path)
    name = name_of_assignment(path, source, assignment)
    entry = ASSIGNMENTS[name]
    with Student(
        source,
        path.name if path.stem.isidentifier() and path.suffix == ".py" else "solution.py",
        limits if limits is not None else entry.limits,
    ) as student:
        parts = _nothing(entry, problem) if problem else _parts(Grading(student, entry))
        return Grade(str(path), name, parts, student.printed(), time.monotonic() - begun)


def _parts(grading: Grading) -> list[PartResult]:
    try:
        grading.student.request(do="describe", name="")  # loads the file: if that fails, it fails for all parts
    except CandidateError as error:
        found = finding_of(error, "")
        message = f"the file cannot be loaded: {found.message}"
        return _nothing(grading.assignment, Finding(found.kind, "", message, {}, found.hint))
    results = []
    for part in grading.assignment.parts:
        results.append(_result(part, grading.judge(part)))
    return results


def _nothing(assignment: Assignment, problem: Finding) -> list[PartResult]:
    """Return no points for any part, for one reason."""
    return [_result(part, Verdict(False, findings=[problem])) for part in assignment.parts]


def _result(part: Part, verdict: Verdict) -> PartResult:
    return PartResult(part.name, verdict.points_of(part.points), float(part.points), verdict.findings, verdict.note)


def _read(path: Path) -> tuple[str, Finding | None]:
    """Return the text of a file, and what is wrong with it if it is no text."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ArgumentError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > LARGEST_FILE:
        return "", Finding(Kind.RAISES, "", f"the file is larger than {LARGEST_FILE} bytes")
    try:
        return content.decode("utf-8-sig"), None
    except UnicodeDecodeError:
        return content.decode("utf-8", "replace"), Finding(Kind.RAISES, "", "the file is not text in UTF-8")
