"""The audit hook: Python tells it before it opens a file, starts a process or connects to anything, and it may refuse.

This is no wall. It keeps honest files honest and stops what is in every list of tricks; code that calls the system
without Python's knowledge (compiled by Numba, say) passes it. What holds in the end is that the answers are not in this
process, that the grader believes nothing it is told, and the limits of the system. PEP 578 says what hooks are for.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

from minicnn.grade.child.places import LIBRARIES, Places

REFUSED = frozenset(
    """
    os.exec os.fork os.forkpty os.kill os.killpg os.posix_spawn os.spawn os.startfile os.system os.setxattr
    os.removexattr pty.spawn resource.prlimit resource.setrlimit signal.pthread_kill sqlite3.connect subprocess.Popen
    syslog.openlog syslog.syslog webbrowser.open
    """.split()  # noqa: SIM905 (a list of words is read more easily as words)
)
PATHS_WRITTEN = {
    **dict.fromkeys(("os.chmod", "os.chown", "os.mkdir", "os.remove", "os.rmdir", "os.truncate", "os.utime"), 1),
    **dict.fromkeys(("os.link", "os.rename", "os.symlink"), 2),
}
"""Events that change files, and how many paths they name."""
PATHS_READ = frozenset({"os.chdir", "os.listdir", "os.scandir"})
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def stand_guard(places: Places, *, files: int) -> None:
    """Refuse from now on what a student's process may not do. `files` is how often files may be opened for writing."""
    left = [files]

    def check_path(path: Any, *, write: bool) -> None:
        if path is None or isinstance(path, int):
            return  # a file that is open already, or the working folder
        full = os.path.realpath(os.fsdecode(path))
        if write:
            if not places.writable(full):
                raise PermissionError(f"{os.fsdecode(path)} may not be written to while a file is graded")
        elif not places.readable(full):
            raise PermissionError(f"{os.fsdecode(path)} may not be read while a file is graded")

    def check_open(event: str, args: tuple) -> None:
        path, mode, flags = args
        writes = bool((flags or 0) & WRITING) or any(letter in (mode or "") for letter in "wax+")
        check_path(path, write=writes)
        left[0] -= writes
        if left[0] < 0:
            raise PermissionError(f"more than {files} files were written while a file is graded")

    def check_written(event: str, args: tuple) -> None:
        for path in args[: PATHS_WRITTEN[event]]:
            check_path(path, write=True)

    def check_read(event: str, args: tuple) -> None:
        check_path(args[0], write=False)

    def refuse(event: str, args: tuple) -> None:
        raise PermissionError(f"{event} is not allowed while a file is graded")

    def check_foreign(event: str, args: tuple) -> None:
        if places.caller() not in LIBRARIES:
            refuse(event, args)

    checks: dict[str, Callable[[str, tuple], None]] = {
        "open": check_open,
        **dict.fromkeys(PATHS_WRITTEN, check_written),
        **dict.fromkeys(PATHS_READ, check_read),
        **dict.fromkeys(REFUSED, refuse),
    }

    def hook(event: str, args: tuple) -> None:
        check = checks.get(event)
        if check is not None:
            check(event, args)
        elif event.startswith("ctypes."):
            check_foreign(event, args)
        elif event.startswith("socket."):
            refuse(event, args)

    sys.addaudithook(hook)
