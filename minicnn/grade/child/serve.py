"""Answers the grader's requests, one after the other: load the file, tell what it defines, call it."""

import faulthandler
import inspect
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from minicnn.grade import limits, protocol
from minicnn.grade.child import functions, guard, imports, objects, student
from minicnn.grade.child.places import Places


def serve(settings: dict[str, Any]) -> NoReturn:
    """Shut the doors, then answer until the grader hangs up."""
    allowed = limits.Limits(**settings["limits"])
    trace = open(settings["trace"], "w")  # noqa: SIM115 (it stays open)
    faulthandler.enable(trace)  # which line it was, should the interpreter crash,
    faulthandler.register(signal.SIGUSR1, trace)  # or when the grader loses patience
    connection = socket.socket(fileno=settings["socket"])
    places = Places(settings["folder"], settings["sites"])
    sys.path[:] = [path for path in sys.path if places.readable(os.path.realpath(path))]
    sys.meta_path.insert(0, imports.Gate(places))
    limits.keep(allowed)
    guard.stand_guard(places, files=allowed.files)

    desk = Desk(student.StudentFile(settings["file"]))
    while True:
        try:
            request = protocol.receive(connection, largest=2**62)
        except (EOFError, OSError):
            os._exit(0)
        answer = desk.answer(request)
        try:
            protocol.send(connection, answer)
        except OSError:
            os._exit(0)
        except Exception as error:  # nothing was sent yet: the result cannot be put into a message
            problem = {"type": type(error).__name__, "message": f"the result is of no use: {error}", "line": ""}
            protocol.send(connection, {"number": answer["number"], "error": problem})


class Desk:
    """The student's file and the objects made of its classes."""

    def __init__(self, file: student.StudentFile) -> None:
        self.file = file
        self.objects: list[Any] = []
        self.tasks: dict[str, Callable[..., dict[str, Any]]] = {
            "load": self.load,
            "describe": self.describe,
            "call": self.call,
            "create": self.create,
            "pass": self.make_pass,
        }

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Do what was asked; return the results, or the error that the student's code raised."""
        number, task = request.pop("number"), self.tasks[request.pop("do")]
        try:
            return {"number": number, **task(**request)}
        except BaseException as error:
            return {"number": number, "error": self.file.describe_error(error)}
        finally:
            for stream in (sys.stdout, sys.stderr):
                student.flush(stream)

    def load(self) -> dict[str, Any]:
        """Run the top level of the file."""
        self.file.run()
        return {}

    def describe(self, name: str) -> dict[str, Any]:
        """Return the parameters of a function (or of a class' constructor) of the file; {} if there is none."""
        function = self.file.names.get(name)
        if not callable(function):
            return {}
        parameters = inspect.signature(function).parameters.values()
        kinds = [[p.name, p.kind.name, p.default is not p.empty] for p in parameters]
        return {"parameters": [list(kind) for kind in kinds]}

    def call(self, name: str, args: list, options: dict[str, Any]) -> dict[str, Any]:
        """Call a function; return its results and those arguments that it wrote to."""
        args = [functions.made_from(value) for value in args]
        return self._watched(lambda: self.file.names[name](*args, **options), args, options)

    def create(self, name: str, args: list, options: dict[str, Any]) -> dict[str, Any]:
        """Make an object of a class; return its number and its parameters' values."""
        made = self.file.names[name](*args, **options)
        self.objects.append(made)
        return {"object": len(self.objects) - 1, "parameters": objects.values(made)}

    def make_pass(self, object: int, method: str, args: list, parameters: dict[str, Any]) -> dict[str, Any]:
        """Call a method of an object whose parameters get these values and gradients first; return them after it."""
        made = self.objects[object]
        objects.set_values(made, parameters)
        answer = self._watched(lambda: getattr(made, method)(*args), args, {})
        return {**answer, "parameters": objects.values(made)}

    @staticmethod
    def _watched(run: Callable[[], Any], args: list, options: dict[str, Any]) -> dict[str, Any]:
        given: dict[str, Any] = {**{str(i): value for i, value in enumerate(args)}, **options}
        arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
        before = {name: array.tobytes() for name, array in arrays.items()}
        result = run()
        written = {name: array for name, array in arrays.items() if array.tobytes() != before[name]}
        return {"result": result, "written": written}
