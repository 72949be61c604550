"""What the tests of the grader share."""

from pathlib import Path

from filling import solution

from minicnn.grade import Limits, score

HOSTILE = Path(__file__).parent / "hostile"
STARTERS = Path(__file__).parents[2] / "lessons" / "assignments"
IMPATIENT = Limits(load=6, call=1.5, part=4, memory=2**27, file_size=2**20, files=10)


def grade_text(folder, text, *, assignment=None, limits=None):
    path = folder / "answer.py"
    path.write_text(text)
    return score(path, assignment=assignment, limits=limits)


def changed(assignment, *changes):
    """The text of a solution in which some pieces were replaced; each has to be there."""
    text = solution(assignment)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def points(grade):
    return {part.name: part.points for part in grade.parts}


def kinds(grade):
    return {part.name: [str(finding.kind) for finding in part.findings] for part in grade.parts}
