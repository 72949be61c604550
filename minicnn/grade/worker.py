"""A process for a student's file: started, asked, timed, and killed together with whatever it has started."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import re
import signal
import site
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from minicnn.check.running import CandidateError, CandidateTimeout, TimeIsUp, stop_alarm
from minicnn.errors import BackendError
from minicnn.grade.limits import Limits
from minicnn.grade.protocol import ProtocolError, receive, send

START = Path(__file__).parent / "child" / "start.py"
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
SEARCH_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables that Python itself may need to find its libraries; nothing else of the environment is handed on."""
PATIENCE = 1.0
"""Seconds that a process gets to say in which line it is before it is killed."""
_LAST_WORDS = re.compile(r"^(Python runtime state:|Current thread|Extension modules:|  File \").*\n?", re.MULTILINE)
"""What Python prints of its own when it crashes."""


class Worker:
    """A process that has not loaded the student's file yet; `request` asks it to.

    Attributes
    ----------
    alive : bool
        Whether it still answers. After a death or a time out there is no way back: start another.
    """

    def __init__(self, source: str, name: str, limits: Limits) -> None:
        if os.name != "posix":
            raise BackendError(
                "grading needs limits that only Linux and macOS have; on Windows, run it in WSL or Docker"
            )
        self.source = source
        self.limits = limits
        self.number = 0
        self.alive = True
        self._folder = tempfile.TemporaryDirectory(prefix="minicnn-grade-", ignore_cleanup_errors=True)
        self.folder = Path(self._folder.name).resolve()
        (self.folder / "work").mkdir()
        self.file = self.folder / "work" / name
        self.file.write_text(source, encoding="utf-8")
        self.connection, theirs = socket.socketpair()
        with theirs, (self.folder / "printed.txt").open("wb") as printed:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-X", "utf8", str(START), self._settings(theirs.fileno())],
                cwd=self.folder / "work",
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.STDOUT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )

    def _settings(self, descriptor: int) -> str:
        settings = {
            "socket": descriptor,
            "name": self.file.name,
            "file": str(self.file),
            "folder": str(self.folder),
            "trace": str(self.folder / "trace.txt"),
            "sites": _sites(),
            "limits": dataclasses.asdict(self.limits),
        }
        return json.dumps(settings)

    def _environment(self) -> dict[str, str]:
        own = {"HOME": str(self.folder), "TMPDIR": str(self.folder / "work"), "LANG": "C.UTF-8"}
        own["NUMBA_CACHE_DIR"] = str(self.folder / "work" / "numba")
        kept = {name: os.environ[name] for name in SEARCH_PATHS if name in os.environ}
        return {**own, **kept, **dict.fromkeys(ONE_THREAD, "1")}

    def request(self, seconds: float, **content: Any) -> dict[str, Any]:
        """Ask, and return the answer. Whatever else happens, the process is dead afterwards.

        Raises
        ------
        CandidateError
            If the student's code raised something (the process goes on), or the process is gone.
        CandidateTimeout
            If there is no answer in that time.
        """
        self.number += 1
        deadline = time.monotonic() + seconds
        try:
            self.connection.settimeout(seconds)
            send(self.connection, {"number": self.number, **content})
            answer = receive(self.connection, largest=self.limits.reply, deadline=deadline)
            if not isinstance(answer, dict) or answer.get("number") != self.number:
                raise ProtocolError("an answer to another question")
        except TimeoutError:
            line = self._line_after(signal.SIGUSR1)
            self.close()
            raise CandidateTimeout(seconds, line) from None
        except (EOFError, OSError):
            raise self._death() from None
        except ProtocolError as error:
            self.close()
            raise CandidateError("ProtocolError", f"the process gave an answer that cannot be read: {error}") from None
        except BaseException as error:  # the caller's alarm, or Ctrl-C: the answer would come when nobody waits for it
            stop_alarm()
            if isinstance(error, TimeIsUp | CandidateTimeout) and not error.line:
                error.line = self._line_after(signal.SIGUSR1)
            self.close()
            raise
        if "error" in answer:
            raise _candidate_error(answer["error"])
        return answer

    def close(self) -> None:
        """End the process and all that belong to its group; keep what it printed, and remove its folder."""
        if not self.alive:
            return
        self.alive = False
        self.connection.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        self._printed = self.printed()
        self._folder.cleanup()

    def printed(self) -> str:
        """Return the beginning of what the student's code has printed."""
        if not self.alive and hasattr(self, "_printed"):
            return self._printed
        text = _read(self.folder / "printed.txt", self.limits.shown)
        return _LAST_WORDS.sub("", text).replace(f"{self.folder / 'work'}/", "")

    def _death(self) -> CandidateError:
        """Return an error that says how the process ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(PATIENCE)  # the connection may break a moment before the process is gone
        code = self.process.poll()
        line = self._traced_line()
        self.close()
        if code is None:
            return CandidateError("ProcessDied", "the code cut the connection to the grader", line)
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            return CandidateError("ProcessDied", f"the Python process crashed ({name})", line)
        return CandidateError("ProcessDied", f"the code ended the Python process (exit status {code})", line)

    def _line_after(self, signal_number: int) -> str:
        """Ask the process where it is; return the student's line."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(self.process.pid, signal_number)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            line = self._traced_line()
            if line:
                return line
            time.sleep(0.02)
        return ""

    def _traced_line(self) -> str:
        """Return the innermost line of the student's file in the trace that was left, or "" if there is none."""
        trace = _read(self.folder / "trace.txt", 20_000) + _read(self.folder / "printed.txt", 20_000, end=True)
        found = re.search(rf'File "{re.escape(str(self.file))}", line (\d{{1,6}}) ', trace)
        lines = self.source.splitlines()
        if not found or not 1 <= int(found[1]) <= len(lines):
            return ""
        return f"line {found[1]}: {lines[int(found[1]) - 1].strip()}"


def _candidate_error(told: Any) -> CandidateError:
    """Return the error of which a student's process told, believing nothing about its form."""
    told = told if isinstance(told, dict) else {}
    type_name, message, line = (str(told.get(name, ""))[:600] for name in ("type", "message", "line"))
    return CandidateError(type_name or "Exception", message, line)


def _sites() -> list[str]:
    """Return the folders that NumPy and Numba are installed in."""
    specs = [importlib.util.find_spec(name) for name in ("numpy", "numba")]
    found = [str(Path(spec.origin).parents[1]) for spec in specs if spec is not None and spec.origin]
    return list(dict.fromkeys([*found, *site.getsitepackages()]))


def _read(path: Path, count: int, *, end: bool = False) -> str:
    """Return the beginning (or the end) of a file that a stranger may have replaced; "" if it is no plain file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)  # a pipe would keep us waiting
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return ""
        file.seek(max(status.st_size - count, 0) if end else 0)
        return file.read(count).decode("utf-8", "replace")
