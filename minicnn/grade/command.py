"""`minicnn grade FILE`."""

import argparse
from pathlib import Path
from typing import Any


def add_parser(commands: Any) -> None:
    """Add the command to the command line's subparsers."""
    grade = commands.add_parser(
        "grade", help="score a student's file", description=grade_command.__doc__, allow_abbrev=False
    )
    grade.set_defaults(run=grade_command)
    add = grade.add_argument
    add("file", metavar="FILE", help="the student's file, made from an assignment's starter.py")
    add("--assignment", metavar="NAME", help="which assignment it is (default: what the file's line ASSIGNMENT says)")
    add("--json", metavar="FILE", help="also write the result to this file, in the form of Gradescope's results.json")
    add("--markdown", action="store_true", help="print Markdown, for a mail or an issue")


def grade_command(arguments: argparse.Namespace) -> int:
    """Run a student's file in a process of its own and score it, part by part."""
    from minicnn.grade.grading import score
    from minicnn.train.files import prepare_folder, replace_file

    folder = prepare_folder(Path(arguments.json).parent) if arguments.json else None
    grade = score(arguments.file, assignment=arguments.assignment)
    if folder is not None:
        text = grade.to_json().encode()
        replace_file(folder / Path(arguments.json).name, lambda file: file.write(text))
    print(grade.to_markdown() if arguments.markdown else grade)
    return 0
