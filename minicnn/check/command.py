"""`minicnn check FILE[:NAME]`."""

import argparse
import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minicnn.errors import OutputError

if TYPE_CHECKING:
    from minicnn.check.report import Report

LOOK_EVERY = 0.25  # seconds, while watching a file
MISSING = -1.0


def add_parser(commands: Any) -> None:
    """Add the command to the command line's subparsers."""
    check = commands.add_parser(
        "check",
        help="examine the operations in a file, and name the kind of mistake",
        description=check_command.__doc__,
        allow_abbrev=False,
    )
    check.set_defaults(run=check_command)
    add = check.add_argument
    add("file", metavar="FILE[:NAME]", help="a Python file, and which of its functions (default: all)")
    add("--watch", action="store_true", help="do it again whenever the file is saved; Ctrl-C ends")
    add("--json", action="store_true", help="print a JSON list of reports instead")
    add("--figures", metavar="DIR", help="also draw wrong results into this folder: expected, got, difference")
    add("--seconds", type=float, default=20.0, metavar="X", help="how long one function may take (default: 20)")


def check_command(arguments: argparse.Namespace) -> int:
    """Examine every function of a file that has the name of an operation, such as conv2d_backward.

    The exit status is 0 if all are right, 1 if one is not.
    """
    path, name = _path_and_name(arguments.file)
    if arguments.watch:
        return _watch(path, arguments)
    from minicnn.check.examine import examine
    from minicnn.check.source import candidates_in, load_file

    with contextlib.redirect_stdout(sys.stderr):  # what the file prints is not the report
        functions = candidates_in(load_file(path), name or None)
    reports = []
    for operation, function in functions.items():
        report = examine(operation, function, seconds=arguments.seconds)
        reports.append(report)
        if not arguments.json:
            print(report.text(color=_in_color()), end="\n\n", flush=True)
    if arguments.json:
        print("[" + ",\n".join(report.to_json() for report in reports) + "]")
    if arguments.figures:
        _draw(dict(zip(functions, reports, strict=True)), Path(arguments.figures), quiet=arguments.json)
    right = sum(report.ok for report in reports)
    if len(reports) > 1 and not arguments.json:
        unwritten = sum(report.unwritten for report in reports)
        more = f", {unwritten} not written yet" if unwritten else ""
        print(f"{right} of {len(reports)} operations right{more}")
    return 0 if right == len(reports) else 1


def _path_and_name(text: str) -> tuple[Path, str]:
    """Split FILE:NAME; a path may hold colons of its own."""
    path, _, name = text.rpartition(":")
    return (Path(text), "") if not path or Path(text).exists() or not name.isidentifier() else (Path(path), name)


def _draw(reports: "dict[str, Report]", folder: Path, *, quiet: bool) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}; choose another one") from None
    for operation, report in reports.items():
        if report.comparisons:
            report.plot().savefig(folder / f"{operation}.png", dpi=120)
            if not quiet:
                print(f"drew {folder / operation}.png")


def _watch(path: Path, arguments: argparse.Namespace) -> int:
    """Check in a process of its own whenever the file was saved: a crash there does not end the watching."""
    command = [sys.executable, "-m", "minicnn", "check", arguments.file, "--seconds", str(arguments.seconds)]
    command += ["--figures", arguments.figures] if arguments.figures else []
    command += ["--json"] if arguments.json else []
    seen: float | None = None
    try:
        while True:
            saved = _saved(path)
            if saved is None and seen != MISSING:
                seen = MISSING
                print(f"there is no file {path}; waiting for it, Ctrl-C ends", flush=True)
            if saved is not None and saved != seen:
                seen = saved
                if sys.stdout.isatty():
                    print("\033[2J\033[H", end="")
                print(f"{path}, {time.strftime('%H:%M:%S')}", flush=True)
                status = subprocess.run(command, check=False).returncode
                if status < 0:
                    print(f"the check crashed (signal {-status}): something in the file ends the Python process")
                print("waiting for the next save; Ctrl-C ends", flush=True)
            time.sleep(LOOK_EVERY)
    except KeyboardInterrupt:
        print()
        return 0


def _saved(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:  # an editor may be about to put the new file in its place
        return None


def _in_color() -> bool:
    """Return whether to print in colour: in a terminal, unless NO_COLOR is set (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")
