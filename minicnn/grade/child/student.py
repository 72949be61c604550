"""The student's file: running it, and saying which of its lines an error comes from."""

import contextlib
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from minicnn.grade.child.imports import builtins_for_student

MESSAGE = 600
"""Characters of an error's message that are told."""


class StudentFile:
    """A file and, once it was run, the names that it defines."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.text = Path(path).read_text(encoding="utf-8")
        self.module = types.ModuleType(Path(path).stem)
        self.module.__file__ = path
        self.names = self.module.__dict__

    def run(self) -> None:
        """Run the top level. The module's name is not "__main__", so trials under that condition do not run."""
        sys.modules[self.module.__name__] = self.module
        self.names["__builtins__"] = builtins_for_student()
        exec(compile(self.text, self.path, "exec", dont_inherit=True), self.names)

    def describe_error(self, error: BaseException) -> dict[str, str]:
        """Return type, message and the student's own line of an error, whatever strange kind of error it is."""
        try:
            message = str(error)[:MESSAGE]
        except BaseException:
            message = "(an error without a message)"
        return {"type": str(type(error).__name__), "message": message, "line": self._line_of(error)}

    def _line_of(self, error: BaseException) -> str:
        """Return the last line of the file on the way to the error: "line 12: y = x @ w"."""
        numbers = [number for frame, number in traceback.walk_tb(error.__traceback__) if self._owns(frame)]
        number = numbers[-1] if numbers else None
        if isinstance(error, SyntaxError) and error.filename == self.path:
            number = error.lineno
        return self.line(number) if number else ""

    def _owns(self, frame: types.FrameType) -> bool:
        return frame.f_code.co_filename == self.path

    def line(self, number: int) -> str:
        """Return "line 12: y = x @ w"."""
        lines = self.text.splitlines()
        return f"line {number}: {lines[number - 1].strip()}" if number <= len(lines) else f"line {number}"


def flush(stream: Any) -> None:
    """Write out what the student printed, if that can still be done."""
    with contextlib.suppress(BaseException):  # the file is full, or the student has put something else there
        stream.flush()
