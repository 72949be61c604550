"""The assignments: filled from the engine they get all points, untouched none."""

import subprocess
import sys
import time

import pytest
from filling import solution
from grading import STARTERS, grade_text

from minicnn.errors import ArgumentError
from minicnn.grade import ASSIGNMENTS, score

FOLDERS = sorted(path.name for path in STARTERS.iterdir() if path.is_dir())


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_points_add_up_to_100(name):
    assert sum(part.points for part in ASSIGNMENTS[name].parts) == 100


def test_there_is_a_folder_for_every_entry():
    assert sorted(ASSIGNMENTS) == FOLDERS


@pytest.mark.slow
def test_all_assignments_filled_from_the_engine_get_full_marks_within_two_minutes(tmp_path):
    begun = time.monotonic()
    for name in ASSIGNMENTS:
        grade = grade_text(tmp_path, solution(name))
        assert (grade.assignment, grade.score, grade.max_score) == (name, 100, 100), str(grade)
    assert time.monotonic() - begun < 120


@pytest.mark.parametrize("name", FOLDERS)
def test_an_untouched_starter_scores_nothing(name):
    grade = score(STARTERS / name / "starter.py")
    assert grade.assignment == name
    assert grade.score == 0
    assert all(part.findings or part.note.startswith("not before") for part in grade.parts)


@pytest.mark.parametrize("name", FOLDERS)
def test_an_empty_file_scores_nothing(name, tmp_path):
    grade = grade_text(tmp_path, "", assignment=name)
    assert grade.score == 0
    assert "the file defines no" in str(grade)


def test_the_assignment_is_known_by_its_line_by_its_folder_or_from_the_caller(tmp_path):
    assert grade_text(tmp_path, 'ASSIGNMENT = "a08_dropout"').assignment == "a08_dropout"
    assert grade_text(tmp_path, 'ASSIGNMENT = "a08_dropout"', assignment="a06_pooling").assignment == "a06_pooling"
    folder = tmp_path / "a07_batch_norm"
    folder.mkdir()
    assert grade_text(folder, "").assignment == "a07_batch_norm"
    with pytest.raises(ArgumentError, match="does not say which assignment it is"):
        grade_text(tmp_path, "")
    with pytest.raises(ArgumentError, match="there is no assignment 'a99'"):
        grade_text(tmp_path, "", assignment="a99")


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ArgumentError, match=r"nothing\.py cannot be read"):
        score(tmp_path / "nothing.py")


def test_the_command_line_does_not_import_the_grader_before_it_is_needed():
    code = "import sys, minicnn.grade.command; print([n for n in sys.modules if n.startswith('minicnn.grade.')])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "['minicnn.grade.command']"
