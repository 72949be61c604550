"""Reads what belongs to others: the list of users, the environment, the folder above."""

import os
import pathlib


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    for path in (
        "/etc/passwd",
        "/proc/self/environ",
        f"/proc/{os.getppid()}/cmdline",
        "../../..",
        os.path.expanduser("~root"),
    ):
        try:
            os.listdir(path) if os.path.isdir(path) else pathlib.Path(path).read_bytes()
        except PermissionError:
            continue
        raise AssertionError(f"{path} was read")
    raise LookupError("nothing can be read")
