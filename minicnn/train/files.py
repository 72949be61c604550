"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import contextlib
import os
import platform
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from minicnn.errors import OutputError

_HOST = re.sub(r"\W", "", platform.node())[:20]
"""This machine, in the names of files that are being written: others may see the same folder."""


def prepare_folder(path: str | Path) -> Path:
    """Make a folder, make sure that files can be written there, and remove what was half-written when somebody died.

    Raises `OutputError` if they cannot.
    """
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / ".writable", lambda file: file.write(b""))
        (folder / ".writable").unlink()
        _remove_leftovers(folder)
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder {folder}: {error.strerror or error}; choose another one"
        ) from None
    return folder


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside the old one, wait until it is on the disk, and put it in the old one's place in one step.

    Raises `OutputError` if the disk is full or the folder gone; the old file is then still there.
    """
    writer = f"{_HOST}-{os.getpid()}-{threading.get_ident()}"  # two may write one file at once
    beside = path.with_name(f"{path.name}.{writer}.new")
    try:
        with open(beside, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException as error:  # Ctrl-C too: whatever happens, no half-written file stays behind
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
        raise


def _remove_leftovers(folder: Path) -> None:
    """Remove files that processes of this machine were writing when they were killed."""
    for file in folder.glob(f"*.{_HOST}-*.new"):
        process = re.fullmatch(r".+-(\d+)-\d+\.new", file.name)
        if process and not _lives(int(process[1])):
            file.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    """Return whether there is such a process; where that cannot be asked, yes."""
    if os.name != "posix":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
