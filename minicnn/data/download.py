"""Files from the network: known by their hash, fetched from the first mirror that serves, and kept.

A file comes under its own name only when it is whole: pooch loads it beside, compares its hash, and then renames it.
"""

import hashlib
import math
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minicnn.errors import DataError, OutputError

CHUNK = 1 << 18
"""So many bytes are read at a time, at most."""


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded: its name, the MD5 of its content, and the addresses that have it, best first."""

    name: str
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Patience:
    """When a download is given up, in seconds.

    connect : without an answer   silence : without a byte   window : with less than `least` bytes (a slow drip)
    """

    connect: float = 10
    silence: float = 30
    window: float = 60
    least: int = 1 << 16


def by_hand(files: Iterable[RemoteFile], folder: Path) -> str:
    """Say how files get to their place without `fetch`."""
    return f"put into {folder}: " + ", ".join(f"{file.name} from {file.urls[0]} (md5 {file.md5})" for file in files)


def cache_folder() -> Path:
    """Return where downloads are kept when nobody names a folder: the user's cache, as the system has it."""
    import pooch  # slow to import: not before it is needed

    return Path(pooch.os_cache("minicnn"))


def fetch(file: RemoteFile, folder: Path, *, patience: Patience | None = None) -> Path:
    """Return the path of a file in `folder`; it is downloaded unless it is there.

    What lies there under its name is taken as it is, and never overwritten: whoever reads it will notice if it is
    damaged. The mirrors are tried one after the other.

    Raises
    ------
    DataError
        If no mirror gave the right file. The message says why each did not, and how to put the file there by hand.
    OutputError
        If the folder cannot be written to.
    """
    import pooch

    path = folder / file.name
    if path.is_file():
        return path
    _prepare(folder)
    reasons = []
    for url in file.urls:
        download = _Download(patience or Patience())
        try:
            pooch.retrieve(url, f"md5:{file.md5}", fname=file.name, path=folder, downloader=download)
            return path
        except OSError as error:  # the disk's; those of the network have become DataError
            raise OutputError(f"cannot write {path}: {error.strerror or error}; choose another root") from None
        except DataError as error:
            reasons.append(f"{url}: {error}")
        except ValueError:  # pooch compared the hashes; it has removed what came
            reasons.append(
                f"{url}: what came is another file: md5 {download.md5}, expected {file.md5} ({download.size} bytes)"
            )
    why = "; ".join(reasons)
    raise DataError(f"cannot download {file.name} ({why}). Try again later, or {by_hand((file,), folder)}")


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}; choose another root") from None
    if not os.access(folder, os.W_OK):
        raise OutputError(f"cannot write to the folder {folder}; choose another root")


class _Download:
    """Loads a URL to a file, as pooch wants it done, with a bar on a terminal. Network errors become `DataError`."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.size = 0
        self.md5 = ""

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        import requests
        import urllib3

        wait = (self.patience.connect, self.patience.silence)
        # An archive is to come as it lies there: unpacked on the way, its hash would be another.
        headers = {"User-Agent": "minicnn", "Accept-Encoding": "identity"}
        try:
            with requests.get(url, stream=True, timeout=wait, headers=headers) as response:
                response.raise_for_status()
                with open(output_file, "wb") as file:
                    self._copy(response, file, Path(url).name)
        except requests.HTTPError as error:
            raise DataError(f"the server answered {error}") from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise DataError(
                f"no answer for {self.patience.connect:g} s, or no byte for {self.patience.silence:g} s"
            ) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise DataError(f"{_in_short(error)}") from None

    def _copy(self, response: Any, file: Any, name: str) -> None:
        from tqdm import tqdm

        md5 = hashlib.md5(usedforsecurity=False)
        length = response.headers.get("Content-Length", "")  # urllib3 sees to it that so much comes
        pace = _Pace(self.patience)
        with tqdm(
            total=int(length) if length.isdecimal() else None, unit="B", unit_scale=True, desc=name, disable=None
        ) as bar:
            while chunk := response.raw.read1(CHUNK, decode_content=False):  # what has come, without waiting for more
                file.write(chunk)
                md5.update(chunk)
                self.size += len(chunk)
                bar.update(len(chunk))
                pace.check(self.size)
        self.md5 = md5.hexdigest()


class _Pace:
    """Whether enough comes in: a server that sends a byte now and then would never be silent for long."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.since, self.before = time.monotonic(), 0

    def check(self, size: int) -> None:
        """Raise `DataError` if the window is over and too little came in it."""
        now = time.monotonic()
        if now - self.since < self.patience.window:
            return
        if size - self.before < self.patience.least:
            raise DataError(f"too slow: {size - self.before} bytes in {math.ceil(now - self.since)} s")
        self.since, self.before = now, size


def _in_short(error: BaseException) -> str:
    """Say what is behind an error of requests, whose own message is a stack of classes."""
    text = str(error)
    for sign, meaning in (
        ("NameResolutionError", "the name of the server is not known; is there a network?"),
        ("Connection refused", "the connection was refused"),
        ("Network is unreachable", "there is no network"),
        ("IncompleteRead", "truncated: the connection ended before the file did"),
    ):
        if sign in text:
            return meaning
    return f"{type(error).__name__}: {text[:200]}"
