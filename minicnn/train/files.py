"""Writing files so that a crash leaves the old one or the new one, never half of one."""

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from minicnn.errors import OutputError


def prepare_folder(path: str | Path) -> Path:
    """Make a folder, and make sure that files can be written there. Raises `OutputError` if they cannot."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / ".writable", lambda file: file.write(b""))
        (folder / ".writable").unlink()
    except OSError as error:
        raise OutputError(
            f"cannot write to the folder {folder}: {error.strerror or error}; choose another one"
        ) from None
    return folder


def replace_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file beside the old one, wait until it is on the disk, and put it in the old one's place in one step.

    Raises `OutputError` if the disk is full or the folder gone; the old file is then still there.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}-{threading.get_ident()}.new")  # two may write one file at once
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
