"""Calling a stranger's function: whatever it does, the caller gets an `Outcome`.

The function gets copies of its arguments, so that what it writes into them is seen and does no harm. What it prints is
kept, and warnings are its own affair. Where the system allows it (the main thread of a POSIX process) a call that takes
too long is interrupted. Only Ctrl-C goes through.
"""

import contextlib
import functools
import inspect
import io
import signal
import sysconfig
import threading
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from minicnn.backend.slots import takes_keyword

LONGEST_MESSAGE = 300
RING_AGAIN = 0.25  # seconds; a function that catches everything, in a loop, is told again
PACKAGE = str(Path(__file__).parents[1])
NOT_THE_AUTHORS = (PACKAGE, *(sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")))


class CandidateError(Exception):
    """What a candidate that runs elsewhere (in another process) has raised there.

    Attributes
    ----------
    type_name, message : str
        Of the exception there: "IndexError", "index 5 is out of bounds ...".
    line : str
        The author's own line, "line 12: y = x @ w"; empty if unknown.
    """

    def __init__(self, type_name: str, message: str, line: str = "") -> None:
        super().__init__(f"{type_name}: {message}")
        self.type_name, self.message, self.line = type_name, message, line


class CandidateTimeout(CandidateError):  # noqa: N818 (as TimeoutExpired in subprocess)
    """A call took longer than it may."""

    def __init__(self, seconds: float, line: str = "") -> None:
        super().__init__("TimeoutError", f"still running after {seconds:.3g} s", line)


class TimeIsUp(BaseException):
    """The alarm rang. No Exception, so that `except Exception` in a loop does not swallow it."""

    line = ""


@dataclass(frozen=True)
class Outcome:
    """What came of one call: results, or an error with the author's own line; what was written to and printed.

    `seconds` is the time that passed, `busy` the processor time of the calling thread, which others leave alone.
    """

    results: Any = None
    error: str = ""
    line: str = ""
    timed_out: bool = False
    unwritten: bool = False
    seconds: float = 0.0
    busy: float = 0.0
    written_to: tuple[str, ...] = ()
    printed: str = ""


def keywords_for(function: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options that the function takes (all, if it does not tell)."""
    try:
        own = inspect.signature(function)
    except (ValueError, TypeError):
        return dict(options)
    return {name: value for name, value in options.items() if takes_keyword(own, name)}


def call(function: Callable, args: Mapping[str, Any], options: Mapping[str, Any], *, seconds: float) -> Outcome:
    """Call `function(*args.values(), **options)` on copies, for at most that many seconds."""
    own_args = {name: copied(value) for name, value in args.items()}
    own_options = {name: copied(value) for name, value in options.items()}
    keywords = keywords_for(function, own_options)
    outcome = guarded(lambda: function(*own_args.values(), **keywords), function, seconds=seconds)
    after = {**own_args, **own_options}
    written_to = tuple(name for name, value in {**args, **options}.items() if not _unchanged(value, after[name]))
    return Outcome(**{**vars(outcome), "written_to": written_to})


def guarded(run: Callable[[], Any], function: object, *, seconds: float) -> Outcome:
    """Run something of an author's, for at most that many seconds; `function` tells which files are the author's."""
    printed = _Beginning()
    begun, busy = time.perf_counter(), time.thread_time()
    try:
        with _alarm(seconds), _quietly(printed):
            results = run()
    except (TimeIsUp, CandidateTimeout) as error:
        message = str(error) if isinstance(error, CandidateTimeout) else f"still running after {seconds:.3g} s"
        line = error.line or own_line(error, function)
        return Outcome(error=message, line=line, timed_out=True, printed=printed.text)
    except CandidateError as error:
        unwritten = error.type_name == "NotImplementedError"
        return Outcome(error=_cut(str(error)), line=error.line, unwritten=unwritten, printed=printed.text)
    except SystemExit as error:
        message = "SystemExit: the function ends the whole program; return instead"
        return Outcome(error=message, line=own_line(error, function), printed=printed.text)
    except Exception as error:
        unwritten = isinstance(error, NotImplementedError)
        return Outcome(error=said(error), line=own_line(error, function), unwritten=unwritten, printed=printed.text)
    seconds, busy = time.perf_counter() - begun, time.thread_time() - busy
    return Outcome(results, seconds=seconds, busy=busy, printed=printed.text)


def copied(value: Any) -> Any:
    """Return an array's copy, a list of copies, or any other value as it is."""
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def said(error: BaseException) -> str:
    """Return an exception as text: "IndexError: index 5 is out of bounds ..."."""
    try:
        text = str(error)
    except Exception:  # an exception of the author's own may be broken, too
        text = ""
    return _cut(f"{type(error).__name__}: {text}" if text else type(error).__name__)


def own_line(error: BaseException, function: object) -> str:
    """Return the last line of a traceback that its author wrote: "line 12: y = x @ w".

    That is a line in a file of the function's, else in some file outside minicnn, the standard library and installed
    packages, which is then named; else "".
    """
    frames = traceback.extract_tb(error.__traceback__)
    files = _files_of(function)
    own = [frame for frame in frames if frame.filename in files]
    if own:
        return _written(own[-1])
    others = [f for f in frames if not f.filename.startswith(NOT_THE_AUTHORS) and not f.filename.startswith("<frozen")]
    return f"{Path(others[-1].filename).name}, {_written(others[-1])}" if others else ""


def _written(frame: traceback.FrameSummary) -> str:
    return f"line {frame.lineno}: {frame.line}" if frame.line else f"line {frame.lineno}"


def _files_of(function: object) -> set[str]:
    """Return the files that a function, a callable object or a layer was written in.

    Files of minicnn and of installed packages are left out.
    """
    parts: list[Any] = [function]
    while isinstance(parts[-1], functools.partial):
        parts.append(parts[-1].func)
    parts += [getattr(parts[-1], name, None) for name in ("py_func", "__wrapped__", "__func__")]
    if not isinstance(parts[0], types.FunctionType | types.BuiltinFunctionType):
        parts += [getattr(type(parts[0]), name, None) for name in ("__call__", "forward", "backward")]
    codes = [getattr(part, "__code__", part if isinstance(part, types.CodeType) else None) for part in parts]
    return {code.co_filename for code in codes if code is not None and not code.co_filename.startswith(NOT_THE_AUTHORS)}


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ..."


def _unchanged(before: Any, after: Any) -> bool:
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_unchanged, before, after))
    return not isinstance(before, np.ndarray) or np.array_equal(before, after, equal_nan=before.dtype.kind == "f")


class _Beginning(io.TextIOBase):
    """A stream that keeps the beginning of what is written to it."""

    def __init__(self) -> None:
        self.text = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.text += text[: max(LONGEST_MESSAGE - len(self.text), 0)]
        return len(text)


@contextlib.contextmanager
def _quietly(printed: _Beginning) -> Iterator[None]:
    with contextlib.redirect_stdout(printed), np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `TimeIsUp` inside the block once the time is over, where signals allow it.

    While Numba compiles or a module is being imported, the alarm is let pass, and rings again: an exception amid LLVM's
    calls back into Python would end the process, and half a module is left behind for whoever imports it next.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(signum: int, frame: FrameType | None) -> None:
        if not _compiles_or_imports(frame):
            raise TimeIsUp

    begun = time.monotonic()
    handler = signal.signal(signal.SIGALRM, ring)
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds, RING_AGAIN)
    try:
        yield
    finally:
        stop_alarm()
        signal.signal(signal.SIGALRM, handler)
        if left:  # somebody else's alarm was set, a test runner's for one
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - begun), 1e-3), interval)


def _compiles_or_imports(frame: FrameType | None) -> bool:
    """Return whether a frame, or one between it and here, belongs to Numba's compiler or to an import."""
    while frame is not None and (name := frame.f_globals.get("__name__", "")) != __name__:
        if name.startswith(("numba.", "llvmlite.", "importlib.")):
            return True
        frame = frame.f_back
    return False


def stop_alarm() -> None:
    """Let the alarm of `call` ring no more: for who has to tidy up after it rang."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, 0)
