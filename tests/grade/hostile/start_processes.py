"""Starts processes without end, in every way there is."""

import os


def conv2d_forward(x, w, b, *, stride=1, padding=0):
    arguments = ("sh", ["sh", "-c", "sleep 1000"])
    ways = [
        lambda: os.fork(),
        lambda: os.system("sleep 1000 &"),
        lambda: os.execv("/bin/sh", arguments[1]),
        lambda: os.posix_spawn("/bin/sh", arguments[1], {}),
        lambda: os.spawnv(os.P_NOWAIT, "/bin/sh", arguments[1]),
        lambda: os.popen("sleep 1000"),
        lambda: __import__("subprocess").Popen(arguments[1]),
        lambda: __import__("multiprocessing").Process(target=print).start(),
    ]
    for way in ways:
        try:
            way()
        except (PermissionError, ImportError):
            continue
        raise AssertionError("a process was started")
    raise LookupError("no process can be started")
