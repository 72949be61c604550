"""Keeping Numba's cache on disk honest.

Numba compiles a function again when the file that it stands in has changed, but looks at no other file. These kernels
are made of functions from many files, so after a change to one of those the cache would go on serving the old code
without a word. Hence all of them are compiled again when any of the files is another.
"""

import contextlib
import hashlib
from pathlib import Path
from typing import Any

STAMP = "minicnn-sources.txt"


def forget_if_sources_changed(kernel: Any, sources: Path) -> None:
    """Empty the cache in which this kernel is kept, unless it was made from these source files (a folder's).

    A cache that cannot be written to is left as it is.
    """
    folder = Path(kernel._cache.cache_path)
    digest = hashlib.sha256()
    for file in sorted(sources.glob("*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    stamp = folder / STAMP
    with contextlib.suppress(OSError):
        if stamp.exists() and stamp.read_text() == digest.hexdigest():
            return
        for pattern in ("*.nbi", "*.nbc"):
            for file in folder.glob(pattern):
                file.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        stamp.write_text(digest.hexdigest())
