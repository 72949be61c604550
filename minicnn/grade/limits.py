"""What a student's process may use. The grader keeps the times; the system keeps the rest.

The times are wall-clock times, because a process that sleeps uses no processor. The limit on processor time is only for
the case that the grader itself was killed.
"""

import contextlib
import os
from dataclasses import dataclass

MEBIBYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """Limits for one student's file.

    Attributes
    ----------
    load, call, part : float
        Seconds for running the file's top level, for one call of a function, and for everything in one part.
    processor : int
        Seconds of processor time for one process.
    memory : int
        Bytes of address space beyond what Python and NumPy take.
    file_size : int
        Bytes in one file; what the student prints goes to a file too.
    files : int
        How often a file may be opened for writing.
    open_files : int
        How many may be open at a time.
    shown : int
        Characters of what the student printed that are kept.
    reply : int
        Bytes of arrays in one answer.
    deaths : int
        How often the process may die within one part before the part is given up.
    """

    load: float = 30.0
    call: float = 10.0
    part: float = 60.0
    processor: int = 600
    memory: int = 2048 * MEBIBYTE
    file_size: int = 4 * MEBIBYTE
    files: int = 200
    open_files: int = 64
    shown: int = 4000
    reply: int = 256 * MEBIBYTE
    deaths: int = 2


def keep(limits: Limits) -> None:
    """Set the system's limits for this process, for good: they cannot be raised again without the right to."""
    _set("RLIMIT_CORE", 0)
    _set("RLIMIT_CPU", limits.processor)
    _set("RLIMIT_FSIZE", limits.file_size)
    _set("RLIMIT_NOFILE", limits.open_files)
    _set("RLIMIT_NPROC", 0)  # no process and no thread; the system does not hold the superuser to it
    _set("RLIMIT_AS", address_space() + limits.memory)


def address_space() -> int:
    """Return the bytes of address space that this process has; 1 GiB where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 1024 * MEBIBYTE


def _set(name: str, value: int) -> None:
    import resource  # not on Windows, where this file can be imported all the same

    kind = getattr(resource, name, None)  # not every system has all of them
    if kind is None:
        return
    most = resource.getrlimit(kind)[1]
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    with contextlib.suppress(ValueError, OSError):  # macOS refuses RLIMIT_AS; the other limits hold all the same
        resource.setrlimit(kind, (value, value))
