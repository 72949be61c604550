"""Writes outside of its folder, and very much inside of it."""

import contextlib
import os
import pathlib


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    for path in ("/tmp/from-a-student.txt", "../../from-a-student.txt", os.path.expanduser("~root/from-a-student.txt")):
        try:
            pathlib.Path(path).touch()
        except PermissionError:
            continue
        raise AssertionError(f"{path} was written")
    for number in range(10**9):
        with open(f"{number}.bin", "wb", buffering=0) as file, contextlib.suppress(OSError):
            file.write(bytes(2**22))
