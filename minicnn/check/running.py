"""Calling a stranger's function: whatever it does, the caller gets an `Outcome`.

The function gets copies of its arguments, so that what it writes into them is seen and does no harm. Warnings are its
own affair. Where the system allows it (the main thread of a POSIX process) a call that takes too long is interrupted.
"""

import inspect
import signal
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.backend.slots import describe_function, takes_keyword


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


@dataclass(frozen=True)
class Outcome:
    """What came of one call: results, or an error with the author's own line, and what was written to."""

    results: Any = None
    error: str = ""
    line: str = ""
    timed_out: bool = False
    unwritten: bool = False
    seconds: float = 0.0
    written_to: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)


def keywords_for(function: Callable, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options that the function takes (all, if it does not tell)."""
    try:
        own = inspect.signature(function)
    except ValueError:
        return dict(options)
    return {name: value for name, value in options.items() if takes_keyword(own, name)}


def call(function: Callable, args: Mapping[str, Any], options: Mapping[str, Any], *, seconds: float) -> Outcome:
    """Call `function(*args.values(), **options)` on copies, for at most that many seconds."""
    own_args = {name: _copied(value) for name, value in args.items()}
    own_options = {name: _copied(value) for name, value in options.items()}
    begun = time.perf_counter()
    try:
        with _alarm(seconds), np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = function(*own_args.values(), **keywords_for(function, own_options))
    except CandidateError as error:
        timed_out = isinstance(error, CandidateTimeout)
        line = error.line or own_line(error, function)
        return Outcome(
            error=str(error), line=line, timed_out=timed_out, unwritten=error.type_name == "NotImplementedError"
        )
    except RecursionError as error:
        return Outcome(error=f"RecursionError: {error}", line=own_line(error, function))
    except Exception as error:
        unwritten = isinstance(error, NotImplementedError)
        message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return Outcome(error=message, line=own_line(error, function), unwritten=unwritten)
    given = {**args, **options}
    after = {**own_args, **own_options}
    written_to = tuple(name for name, value in given.items() if not _unchanged(value, after[name]))
    return Outcome(results, seconds=time.perf_counter() - begun, written_to=written_to, arguments=after)


def _copied(value: Any) -> Any:
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value.copy() if isinstance(value, np.ndarray) else value


def _unchanged(before: Any, after: Any) -> bool:
    if isinstance(before, list):
        return len(before) == len(after) and all(map(_unchanged, before, after))
    return not isinstance(before, np.ndarray) or np.array_equal(before, after, equal_nan=before.dtype.kind == "f")


def own_line(error: BaseException, function: object) -> str:
    """Return the last line of the traceback that stands in the file of the function: "line 12: y = x @ w"."""
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    frames = traceback.extract_tb(error.__traceback__)
    here = str(Path(__file__))
    own = [frame for frame in frames if code is not None and frame.filename == code.co_filename]
    own = own or [frame for frame in frames if frame.filename != here]
    if not own:
        return ""
    return f"line {own[-1].lineno}: {own[-1].line}" if own[-1].line else f"line {own[-1].lineno}"


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    """Raise `CandidateTimeout` inside the block once the time is over, where signals allow it."""
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(signum: int, frame: object) -> None:
        raise CandidateTimeout(seconds)

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def name_of(function: Callable) -> str:
    """Name a function as its author would."""
    return describe_function(function)
