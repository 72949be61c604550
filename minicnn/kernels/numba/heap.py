"""Keeping the memory of one training step for the next.

The C library gives large arrays back to the system as soon as they are freed, and the system clears every page of them
when they are asked for again: several milliseconds a step for the activations of a small network. Told to keep up to
KEEP bytes, it hands out the same memory in every step.
"""

import contextlib
import ctypes
import sys

KEEP = 1 << 30
TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3
"""The names of mallopt(3) in the GNU C library."""


def keep_freed_memory() -> None:
    """Tell the C library so, where it is GNU's; elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):  # another C library
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version.restype = ctypes.c_char_p
        library.gnu_get_libc_version()
        library.mallopt(MMAP_THRESHOLD, KEEP)
        library.mallopt(TRIM_THRESHOLD, KEEP)
        library.mallopt(TOP_PAD, KEEP // 16)
