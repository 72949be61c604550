"""Floor 6: the command line, `minicnn train`, `report`, `check`, `grade` and `info`."""

import argparse
import sys
from collections.abc import Sequence

import minicnn as mc
from minicnn.check.command import add_parser as add_check_parser
from minicnn.cli.info import add_parser as add_info_parser
from minicnn.cli.reporting import add_parser as add_report_parser
from minicnn.cli.training import INTERRUPTED
from minicnn.cli.training import add_parser as add_train_parser
from minicnn.errors import MinicnnError
from minicnn.grade.command import add_parser as add_grade_parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return the exit status: 0, 1 for what could not be done, 2 without a command, 130 after Ctrl-C."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.run(arguments)
    except MinicnnError as error:
        notes = " ".join(getattr(error, "__notes__", ()))
        print(f"minicnn: error: {error} {notes}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nminicnn: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="minicnn", description="Train and inspect convolutional networks.", allow_abbrev=False
    )
    parser.set_defaults(run=lambda arguments: _help(parser))
    parser.add_argument("--version", action="version", version=f"minicnn {mc.__version__}")
    commands = parser.add_subparsers(metavar="COMMAND")
    for add in (add_train_parser, add_report_parser, add_check_parser, add_grade_parser, add_info_parser):
        add(commands)
    return parser


def _help(parser: argparse.ArgumentParser) -> int:
    parser.print_help()
    return 2
