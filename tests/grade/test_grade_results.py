"""Points, and the forms that a grade is written in."""

import argparse
import json

import pytest
from filling import solution
from grading import STARTERS, grade_text

from minicnn.check import Finding, Kind
from minicnn.errors import MinicnnError
from minicnn.grade import Grade, PartResult
from minicnn.grade.command import add_parser
from minicnn.grade.results import Verdict

GRADE = Grade(
    "answer.py",
    "a05_conv_backward",
    [
        PartResult("conv2d_backward: dx", 30.0, 30.0, [], "18 of 18 results"),
        PartResult(
            "conv2d_backward: dw",
            2.5,
            30.0,
            [Finding(Kind.SCALE, "dw", "each entry is 1/N times too large | <b>", {}, "What do you divide by?")],
            "2 of 18 results",
        ),
        PartResult("training", 0.0, 20.0, [], "not before everything above is right"),
    ],
    "hello\n",
    1.25,
)


@pytest.mark.parametrize(
    ("ok", "share", "most", "points"),
    [
        (True, 0.0, 30, 30),
        (False, 0.0, 30, 0),
        (False, 0.5, 25, 12.5),
        (False, 0.49, 25, 12),
        (False, 1.0, 30, 27),  # right everywhere, but with a fault
        (False, 1.0, 10, 9),
        (False, -1.0, 10, 0),
        (False, 1 / 3, 30, 10),
    ],
)
def test_a_share_is_rounded_down_to_halves_and_all_points_are_for_what_has_no_fault(ok, share, most, points):
    assert Verdict(ok, share).points_of(most) == points


def test_a_person_reads_parts_then_what_is_wrong():
    assert str(GRADE) == (
        "answer.py as a05_conv_backward\n"
        "\n"
        "  conv2d_backward: dx    30 / 30  18 of 18 results\n"
        "  conv2d_backward: dw   2.5 / 30  2 of 18 results\n"
        "  training                0 / 20  not before everything above is right\n"
        "  ------------------------------\n"
        "  total                32.5 / 80  in 1.2 s\n"
        "\n"
        "conv2d_backward: dw\n"
        "  * [scale] dw: each entry is 1/N times too large | <b>\n"
        "    > What do you divide by?\n"
        "\n"
        "The code printed:\n"
        "  | hello"
    )


def test_markdown_is_safe_against_what_a_student_writes():
    text = GRADE.to_markdown()
    assert text.startswith("## a05_conv_backward: 32.5 of 80 points\n\n| part | points | |\n|---|---:|---|\n")
    assert "- [scale] dw: each entry is 1/N times too large \\| &lt;b>\n  - *What do you divide by?*" in text
    assert text.endswith("### The code printed\n\n    hello")


def test_gradescope_gets_its_form():
    result = json.loads(GRADE.to_json())
    assert result["score"] == 32.5
    assert result["output"] == "a05_conv_backward: 32.5 of 80 points\n\nThe code printed:\nhello"
    assert result["execution_time"] == 1.25
    assert result["stdout_visibility"] == "hidden"
    assert [test["name"] for test in result["tests"]] == [part.name for part in GRADE.parts]
    assert result["tests"][1] == {
        "name": "conv2d_backward: dw",
        "score": 2.5,
        "max_score": 30.0,
        "status": "failed",
        "output": "2 of 18 results\n[scale] dw: each entry is 1/N times too large | <b>\n    What do you divide by?",
        "visibility": "visible",
    }
    assert result["tests"][0]["status"] == "passed"


def test_what_a_student_prints_moves_no_cursor_and_fills_no_screen():
    finding = Finding(Kind.RAISES, "", "ValueError: \x1b[2J\x07all right")
    grade = Grade("a.py", "a08_dropout", [PartResult("training", 0.0, 20.0, [finding], "")], "\x1b]0;x\n" * 1000, 0.1)
    for text in (str(grade), grade.to_markdown(), json.loads(grade.to_json())["output"]):
        assert all(c.isprintable() or c == "\n" for c in text)
        assert "... and 988 lines more" in text


def test_parts_that_fail_for_one_reason_are_named_together(tmp_path):
    grade = grade_text(tmp_path, "raise ValueError('no')", assignment="a08_dropout")
    assert "dropout_forward, dropout_backward, training\n  * [raises] the file cannot be loaded: ValueError: no" in str(
        grade
    )
    assert "line 1: raise ValueError('no')" in str(grade)


def run(*argv):
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    arguments = parser.parse_args(["grade", *map(str, argv)])
    return arguments.run(arguments)


def test_the_command_prints_a_table(capsys):
    assert run(STARTERS / "a08_dropout" / "starter.py") == 0
    assert "total" in capsys.readouterr().out


def test_the_command_writes_results_json_and_markdown(tmp_path, capsys):
    path = tmp_path / "answer.py"
    path.write_text(solution("a08_dropout"))
    assert run(path, "--json", tmp_path / "new" / "results.json", "--markdown") == 0
    assert json.loads((tmp_path / "new" / "results.json").read_text())["score"] == 100
    assert capsys.readouterr().out.startswith("## a08_dropout: 100 of 100 points")


def test_the_command_refuses_what_it_cannot_grade_or_write(tmp_path):
    with pytest.raises(MinicnnError, match="cannot be read"):
        run(tmp_path / "nothing.py")
    (tmp_path / "file").touch()
    with pytest.raises(MinicnnError, match="cannot write to the folder"):
        run(STARTERS / "a08_dropout" / "starter.py", "--json", tmp_path / "file" / "results.json")
    with pytest.raises(MinicnnError, match="there is no assignment 'a99'"):
        run(STARTERS / "a08_dropout" / "starter.py", "--assignment", "a99")
