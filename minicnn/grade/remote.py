"""Stand-ins for what a student has written: called here, they run there, in the student's process."""

import inspect
import time
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from minicnn import nn
from minicnn.backend import Array
from minicnn.check.running import CandidateError, CandidateTimeout
from minicnn.grade.limits import Limits
from minicnn.grade.worker import Worker


class Student:
    """A student's file, in a process of its own that is started anew when it has died.

    Use it in a `with` block. Every part begins with `begin_part`, which gives it time and forgives earlier deaths.
    """

    def __init__(self, source: str, name: str, limits: Limits) -> None:
        self.source, self.name, self.limits = source, name, limits
        self.deaths = 0
        self.generation = 0
        """How many processes there have been: an object made in one of them is not in the next."""
        self._worker: Worker | None = None
        self._printed = ""
        self._part_ends = time.monotonic() + limits.part
        self._last_death: CandidateError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
            self._printed += self._worker.printed()
            self._worker = None

    def printed(self) -> str:
        """Return the beginning of what the student's code has printed so far."""
        running = self._worker.printed() if self._worker is not None else ""
        return (self._printed + running)[: self.limits.shown]

    def begin_part(self) -> None:
        """Give the next part its time, whatever became of the one before."""
        self.deaths = 0
        self._part_ends = time.monotonic() + self.limits.part

    def request(self, **content: Any) -> dict[str, Any]:
        """Ask the student's process; start one first if there is none.

        Raises `CandidateError` for an error there, for a process that died, and for a part whose time is over.
        """
        worker = self.ready()
        left = self._part_ends - time.monotonic()
        if left <= 0:
            raise CandidateTimeout(self.limits.part)
        return self._ask(worker, min(self.limits.call, left), content)

    def ready(self) -> Worker:
        """Return a process that has loaded the file. Raises `CandidateError` if there have been too many deaths."""
        if self.deaths >= self.limits.deaths and self._last_death is not None:
            raise self._last_death
        if self._worker is None:
            self._worker = Worker(self.source, self.name, self.limits)
            self.generation += 1
            try:
                self._ask(self._worker, self.limits.load, {"do": "load"})
            except BaseException:
                self.close()  # a file that was loaded half is of no use
                raise
        return self._worker

    def _ask(self, worker: Worker, seconds: float, content: dict[str, Any]) -> dict[str, Any]:
        try:
            return worker.request(seconds, **content)
        except CandidateError as error:
            self._last_death = error
            raise
        finally:
            if not worker.alive:
                self.deaths += 1
                self.close()

    def function(self, name: str) -> "RemoteFunction | None":
        """Return a function (or a class' constructor) of the file; None if the file does not define it."""
        parameters = self.request(do="describe", name=name).get("parameters")
        return None if parameters is None else RemoteFunction(self, name, _signature(parameters))


class RemoteFunction:
    """A student's function. What it writes into its arguments there is written into the arrays here too."""

    def __init__(self, student: Student, name: str, signature: inspect.Signature) -> None:
        self.student = student
        self.__name__ = name
        self.__signature__ = signature

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Call it there. Raises `CandidateError` for whatever goes wrong there."""
        try:
            answer = self.student.request(do="call", name=self.__name__, args=list(args), options=options)
        except CandidateError as error:
            error.line = error.line or self.__name__  # a process that died cannot say where
            raise
        write_back(answer.get("written"), {**{str(i): value for i, value in enumerate(args)}, **options})
        return answer.get("result")


class RemoteLayer(nn.Layer):
    """An object of a student's class of layers: values and gradients of its parameters live here, it works there.

    Before every pass the parameters there get the values and the gradients from here, and after it the gradients from
    there come here: whether they are added up is up to the student's code.

    Parameters
    ----------
    student : Student
        Where the class is.
    class_name : str
        Its name.
    args, options
        What its constructor is given.
    parameters : sequence of str
        The attributes that have to be parameters. Raises `CandidateError` if one is not.
    """

    weight: nn.Parameter
    bias: nn.Parameter

    def __init__(
        self, student: Student, class_name: str, args: tuple, options: Mapping[str, Any], parameters: tuple[str, ...]
    ) -> None:
        self._student, self._class_name = student, class_name
        self._args, self._options, self._names = args, dict(options), parameters
        for name, value in self._create().items():
            setattr(self, name, nn.Parameter(value))

    def _create(self) -> dict[str, np.ndarray]:
        """Make the object there; return its parameters' values."""
        answer = self._student.request(
            do="create", name=self._class_name, args=list(self._args), options=dict(self._options)
        )
        self._object, self._generation = answer.get("object"), self._student.generation
        return {name: content["data"] for name, content in self._parameters_in(answer).items()}

    def _parameters_in(self, answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Return values and gradients of the expected parameters. Raises `CandidateError` if they are not there."""
        given = answer.get("parameters")
        found = {}
        for name in self._names:
            content = given.get(name) if isinstance(given, dict) else None
            data, grad = (content.get(what) if isinstance(content, dict) else None for what in ("data", "grad"))
            if not isinstance(data, np.ndarray) or data.dtype.kind != "f":
                raise CandidateError("AttributeError", f"self.{name} is not there, or no nn.Parameter")
            found[name] = {"data": data, "grad": grad if isinstance(grad, np.ndarray) else None}
        return found

    def forward(self, x: Array) -> Array:
        """Run the student's forward pass."""
        return self._pass("forward", x)

    def backward(self, dy: Array) -> Array:
        """Run the student's backward pass."""
        return self._pass("backward", dy)

    def _pass(self, method: str, array: Array) -> Any:
        self._student.ready()
        if self._generation != self._student.generation:
            self._create()  # the process died in between; what the object remembered is lost
        own = {name: getattr(self, name) for name in self._names}
        answer = self._student.request(
            do="pass",
            object=self._object,
            method=method,
            args=[array],
            parameters={name: {"data": p.data, "grad": p.grad} for name, p in own.items()},
        )
        write_back(answer.get("written"), {"0": array})
        for name, content in self._parameters_in(answer).items():
            own[name].grad = content["grad"]
        return answer.get("result")

    def __deepcopy__(self, memo: object) -> "RemoteLayer":
        """Return a layer with an object of its own there, and with equal parameters."""
        copied = RemoteLayer(self._student, self._class_name, self._args, self._options, self._names)
        copied.load_state_dict(self.state_dict())
        return copied

    def __repr__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self._options.items())
        return f"{self._class_name}({', '.join(map(repr, self._args))}{options})"


def write_back(written: Any, arguments: Mapping[str, Any]) -> None:
    """Bring the arguments here to what the student's code has made of them there, so that it is seen."""
    for name, value in (written if isinstance(written, dict) else {}).items():
        own = arguments.get(name)
        if not (isinstance(own, np.ndarray) and isinstance(value, np.ndarray)):
            continue
        if own.shape == value.shape and own.flags.writeable:
            own[...] = value.astype(own.dtype, copy=False)


def _signature(told: Any) -> inspect.Signature:
    """Return a signature from what the student's process tells of it: [name, kind, whether it has a default] each."""
    kinds = {kind.name: kind for kind in inspect._ParameterKind}
    try:
        return inspect.Signature(
            [
                inspect.Parameter(name, kinds[kind], default=None if has_default else inspect.Parameter.empty)
                for name, kind, has_default in told
            ]
        )
    except (TypeError, ValueError, KeyError) as error:
        raise CandidateError("TypeError", f"the arguments of the function cannot be read: {error}") from None
