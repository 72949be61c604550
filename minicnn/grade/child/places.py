"""Where files lie, and so whose they are: Python's, a library's, or the student's own."""

import os
import sys
from collections.abc import Iterable

HERE = os.path.dirname(os.path.abspath(__file__))
STDLIB = os.path.dirname(os.path.abspath(os.__file__))
LIBRARIES = ("numpy", "numba", "llvmlite", "scipy")
SYSTEM_FILES = frozenset({"/dev/null", "/dev/urandom", "/dev/random", "/proc/cpuinfo"})
SYSTEM_FOLDERS = ("/sys/devices/system/cpu",)


class Places:
    """The folders of a student's process.

    Attributes
    ----------
    own : str
        The temporary folder, the only one that may be written to.
    sites : tuple of str
        The folders where the libraries are installed.
    """

    def __init__(self, own: str, sites: Iterable[str]) -> None:
        self.own = os.path.realpath(own)
        self.sites = tuple(os.path.realpath(site) for site in sites)
        self.stdlib = os.path.realpath(STDLIB)

    def library(self, path: str) -> str | None:
        """Return what a path belongs to among the installed packages: "numpy"; None if it lies elsewhere."""
        for site in self.sites:
            if path.startswith(site + os.sep):
                return path[len(site) + 1 :].split(os.sep, 1)[0]
        return None

    def writable(self, path: str) -> bool:
        """Return whether a student's process may write there."""
        return path.startswith(self.own + os.sep)

    def readable(self, path: str) -> bool:
        """Return whether a student's process may read that file, or look into that folder."""
        if path == self.own or self.writable(path) or path in self.sites or path in SYSTEM_FILES:
            return True
        library = self.library(path)  # asked first: packages may lie inside the standard library's folder
        if library is not None:
            return library.removesuffix(".libs") in LIBRARIES or library.endswith((".dist-info", ".egg-info"))
        return path == self.stdlib or path.startswith((self.stdlib + os.sep, *SYSTEM_FOLDERS))

    def caller(self) -> str | None:
        """Return the library whose code is asking, past Python's own helpers for imports and foreign functions."""
        helpers = (HERE, "<frozen", os.path.join(self.stdlib, "ctypes"), os.path.join(self.stdlib, "importlib"))
        frame = sys._getframe(1)
        while frame.f_back is not None and frame.f_code.co_filename.startswith(helpers):
            frame = frame.f_back
        return self.library(frame.f_code.co_filename)
