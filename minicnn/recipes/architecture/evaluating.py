"""What an architecture is worth: a short training and its validation accuracy, remembered in a folder."""

import importlib
import json
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from minicnn import backend
from minicnn.data import ArrayDataset
from minicnn.errors import ArgumentError, CheckpointError, NonFiniteError, expect_kind, whole_number
from minicnn.optim import Adam
from minicnn.recipes.architecture.dice import training_seed
from minicnn.recipes.architecture.genome import Architecture
from minicnn.recipes.architecture.space import SearchSpace, classes_of, parts_of
from minicnn.train import Trainer
from minicnn.train.files import prepare_folder, replace_file

Fitness: TypeAlias = Callable[[Architecture, int], float]
"""(architecture, seed of the training) -> what it is worth; the larger the better."""


def train_architecture(
    architecture: Architecture,
    data: Any,
    *,
    seed: int,
    epochs: int = 2,
    batch_size: int = 64,
    lr: float = 0.01,
) -> Trainer:
    """Build an architecture as after `mc.seed(seed)`, train it with Adam on the training set, return its trainer.

    With an individual's seed and the search's settings, the same weights come out as in the search. `data` is a
    `Splits` or a pair (train, validation). The last validation accuracy is `trainer.history["val_accuracy"][-1]`.

    Raises
    ------
    NonFiniteError
        If the training diverges.
    """
    expect_kind(Architecture, architecture, "architecture")
    return ValidationAccuracy(*parts_of(data), classes_of(data), epochs, batch_size, lr).fit(architecture, seed)


@dataclass(frozen=True)
class ValidationAccuracy:
    """The fitness that searches use: validation accuracy after a few epochs of Adam.

    A last batch of a single image is left out.
    """

    train: ArrayDataset
    validation: ArrayDataset
    classes: int
    epochs: int
    batch_size: int
    lr: float

    def __call__(self, architecture: Architecture, seed: int) -> float:
        """Return the accuracy, from 0 to 1. Raises `NonFiniteError` if the training diverges."""
        return self.fit(architecture, seed).history["val_accuracy"][-1]

    def fit(self, architecture: Architecture, seed: int) -> Trainer:
        """Return the trainer that has trained the architecture."""
        with backend.seeded(seed):
            model = architecture.build(self.train.x.shape[1:], self.classes)
            trainer = Trainer(model, optimizer=Adam(model.parameters(), lr=self.lr))
        trainer.fit(
            self.train,
            validation=self.validation,
            epochs=self.epochs,
            batch_size=self.batch_size,
            drop_last=len(self.train) % self.batch_size == 1,  # batch norm on one image of 1 x 1 has no variance
            verbose=False,
        )
        return trainer

    def __repr__(self) -> str:
        """Name settings and data, so that a folder knows whether it belongs to them."""
        arrays = [array for part in (self.train, self.validation) for array in (part.x, part.y)]
        mark = 0
        for array in arrays:
            mark = zlib.crc32(array.tobytes(), mark)
        return f"ValidationAccuracy(epochs={self.epochs}, batch_size={self.batch_size}, lr={self.lr}, data {mark:08x})"


@dataclass(frozen=True)
class Individual:
    """One architecture that was trained.

    Attributes
    ----------
    number : int
        Which evaluation of the search it was, from 0.
    architecture : Architecture
        What was built.
    fitness : float
        Its validation accuracy, or what the search was given as fitness; 0 if the training diverged.
    seed : int
        Of its training.
    seconds : float
        What that took.
    error : str
        Why the training diverged; else empty.
    parameters, multiply_adds : int
        Its size, and what one forward pass for one image costs.
    parent : int or None
        The number of the individual it came from, if it has one.
    mutation : str
        What was changed in the parent; "random" or "start" without one.
    contestants : tuple of int
        Numbers of those whose tournament the parent had won.
    removed : int or None
        The number of the one that had lost it, and was removed.
    """

    number: int
    architecture: Architecture
    fitness: float
    seed: int
    seconds: float
    error: str
    parameters: int
    multiply_adds: int
    parent: int | None = None
    mutation: str = "random"
    contestants: tuple[int, ...] = ()
    removed: int | None = None


def badness(one: Individual) -> tuple[bool, float]:
    """Return what to sort by, the best first: those that diverged last, whatever a fitness of 0 is worth."""
    return bool(one.error), -one.fitness


class Evaluator:
    """Evaluates architectures by number, and remembers each in a file of its own.

    The seed of a training is a pure function of (the search's seed, the number), so what a folder remembers is what a
    new training would give, and a search that was killed goes on without repeating any.
    """

    def __init__(
        self,
        fitness: Fitness,
        space: SearchSpace,
        *,
        seed: int,
        folder: str | Path | None,
        jobs: int,
        plan: dict[str, Any],
    ) -> None:
        self.fitness, self.space, self.seed = fitness, space, backend.CounterRng(seed).seed
        self.jobs = whole_number("jobs", jobs)
        self.folder = None if folder is None else prepare_folder(folder)
        if self.folder is not None:
            _check_plan(self.folder, {**plan, "seed": seed, "space": repr(space), "fitness": _name(fitness)})

    def __call__(self, candidates: Sequence[tuple[int, Architecture]]) -> list[Individual]:
        """Return the individuals with these numbers and architectures, in order; what is remembered is not trained."""
        known = {number: self._recall(number, architecture) for number, architecture in candidates}
        due = [one for one in candidates if known[one[0]] is None]
        for (number, architecture), outcome in zip(due, self._measured(due), strict=True):
            known[number] = outcome
            self._remember(number, architecture, outcome)
        return [self._individual(number, architecture, known[number] or {}) for number, architecture in candidates]

    def _measured(self, due: Sequence[tuple[int, Architecture]]) -> Iterator[dict[str, Any]]:
        """Yield what comes out of each training, as soon as it and those before it are done."""
        work = [(self.fitness, architecture, training_seed(self.seed, number)) for number, architecture in due]
        if self.jobs == 1 or len(work) < 2:
            return (_measure(*one) for one in work)
        joblib = importlib.import_module("joblib")  # slow to import
        threads, chosen = max(1, backend.get_num_threads() // self.jobs), backend.get_backend()
        parallel = joblib.Parallel(n_jobs=self.jobs, return_as="generator")
        return parallel(joblib.delayed(_measure_elsewhere)(*one, threads, chosen) for one in work)

    def _individual(self, number: int, architecture: Architecture, outcome: dict[str, Any]) -> Individual:
        cost = architecture.cost(self.space.input_shape, self.space.classes)
        seed = training_seed(self.seed, number)
        return Individual(number, architecture, **outcome, seed=seed, **cost._asdict())

    def _remember(self, number: int, architecture: Architecture, outcome: dict[str, Any]) -> None:
        if self.folder is not None:
            _write(self.folder / f"{number:04d}.json", {"architecture": str(architecture), **outcome})

    def _recall(self, number: int, architecture: Architecture) -> dict[str, Any] | None:
        path = None if self.folder is None else self.folder / f"{number:04d}.json"
        if path is None or not path.exists():
            return None
        outcome = _read(path)
        if outcome.pop("architecture", None) != str(architecture):
            raise CheckpointError(
                f"{path} is of another architecture; this folder holds another search, choose a new one"
            )
        return outcome


def _name(fitness: Fitness) -> str:
    """Return what a folder knows a fitness by: for a function its name and a check sum of its code."""
    if isinstance(fitness, ValidationAccuracy):
        return repr(fitness)
    code = getattr(fitness, "__code__", None)
    sign = "" if code is None else f", {zlib.crc32(code.co_code + repr(code.co_consts).encode()):08x}"
    return f"{getattr(fitness, '__qualname__', type(fitness).__name__)}{sign}"


def make_fitness(
    data: Any, space: SearchSpace | None, fitness: Fitness | None, *, epochs: int, batch_size: int, lr: float
) -> tuple[SearchSpace, Fitness]:
    """Return the space and the fitness of a search, made from the data where they are not given.

    Raises `ArgumentError` if neither data nor a fitness is there, or both are.
    """
    if space is not None:
        expect_kind(SearchSpace, space, "space")
    if fitness is None and data is None:
        raise ArgumentError("there is nothing to train on: give data, or both space= and fitness=")
    if fitness is not None:
        if not callable(fitness):
            raise ArgumentError(f"fitness must be a function (architecture, seed) -> number, not {fitness!r}")
        if space is None and data is None:
            raise ArgumentError("with a fitness and no data the search needs a space: space=SearchSpace((1, 8, 8), 10)")
        return space or SearchSpace.of(data), fitness
    train, validation = parts_of(data)
    epochs, batch_size = whole_number("epochs", epochs), whole_number("batch_size", batch_size, least=2)
    found = space or SearchSpace.of(data)
    if (found.input_shape, found.classes) != (train.x.shape[1:], classes_of(data)):
        raise ArgumentError(
            f"the space is for images {found.input_shape} of {found.classes} classes, the data has {train.x.shape[1:]} "
            f"and {classes_of(data)}; SearchSpace.of(data, ...) takes them from the data"
        )
    return found, ValidationAccuracy(train, validation, found.classes, epochs, batch_size, lr)


def _measure(fitness: Fitness, architecture: Architecture, seed: int) -> dict[str, Any]:
    """Return fitness, seconds and error."""
    begun, value, error = time.perf_counter(), 0.0, ""
    try:
        value = float(fitness(architecture, seed))
    except NonFiniteError as divergence:
        error = str(divergence)
    if value != value:
        raise ArgumentError(f"the fitness of '{architecture}' is NaN; a fitness must be a number that can be compared")
    return {"fitness": value, "seconds": time.perf_counter() - begun, "error": error}


def _measure_elsewhere(
    fitness: Fitness, architecture: Architecture, seed: int, threads: int, chosen: str
) -> dict[str, Any]:
    """Measure with a share of the threads, on the backend that was chosen where the search runs."""
    before = backend.get_num_threads()
    backend.set_num_threads(threads)
    try:
        with backend.use_backend(chosen):
            return _measure(fitness, architecture, seed)
    finally:
        backend.set_num_threads(before)  # the process may be the caller's own


def _check_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Write down what the folder is for. Raises `CheckpointError` if it is for something else already."""
    path = folder / "search.json"
    if path.exists():
        old = _read(path)
        other = [name for name in plan if old.get(name) != plan[name]]
        if other:
            name = other[0]
            raise CheckpointError(
                f"{folder} holds a search with {name} = {old.get(name)!r}, not {plan[name]!r}; choose another folder"
            )
    else:
        _write(path, plan)


def _write(path: Path, content: dict[str, Any]) -> None:
    replace_file(path, lambda file: file.write(json.dumps(content, indent=1).encode()))


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON ({error}); remove it, and its training is repeated") from None
