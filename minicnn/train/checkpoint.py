"""Checkpoints: one `.npz` file with everything that a training needs to go on as if it had never stopped.

    model/<name>                parameters and buffers
    optimizer/<name>/<what>     velocity, moments
    callback/<name>/<what>      arrays in the states of callbacks
    meta                        JSON: epoch, history, hyper-parameters, pace of the schedule, random counters,
                                openings of the test set, the rest of the callbacks' states

No pickle: a checkpoint from a stranger can be read without running the stranger's code.
"""

import json
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from zipfile import BadZipFile

import numpy as np

from minicnn.backend import CounterRng
from minicnn.errors import CheckpointError, CheckpointWarning, OutputError, expect_kind, listed
from minicnn.nn import Layer
from minicnn.train.callback_states import named_callbacks, packed, unpacked
from minicnn.train.files import replace_file
from minicnn.train.history import History

if TYPE_CHECKING:
    from minicnn.train.callbacks import Callback
    from minicnn.train.trainer import Trainer

FORMAT = 1
UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, BadZipFile, zlib.error)
"""What reading something that is no checkpoint, or half of one, may raise."""


def save_checkpoint(trainer: "Trainer", path: str | Path) -> None:
    """Write the state of a training to a file, in one step. Raises `OutputError` if it cannot be written."""
    optimizer = trainer.optimizer.state_dict()
    arrays = {f"model/{name}": value for name, value in trainer.model.state_dict().items()}
    steps = {}
    for name, slots in optimizer["memory"].items():
        steps[name] = slots["step"]
        arrays |= {f"optimizer/{name}/{what}": value for what, value in slots.items() if what != "step"}
    callback_arrays, callbacks = packed(trainer.callbacks)
    arrays |= callback_arrays
    meta = {
        "format": FORMAT,
        "epoch": trainer.epoch,
        "history": trainer.history.rows,
        "optimizer": type(trainer.optimizer).__name__,
        "hyperparameters": optimizer["hyperparameters"],
        "optimizer_steps": steps,
        "pace": trainer.pace.state_dict(),
        "rngs": {name: [rng.seed, rng.stream, rng.step] for name, rng in trainer.rngs().items()},
        "test_set_openings": trainer.test_set_openings,
        "examples": trainer.images_per_epoch,
        "batch_size": trainer.batch_size,
        "callbacks": callbacks,
    }
    _write(Path(path), arrays, meta)


def save_openings(trainer: "Trainer", path: str | Path) -> None:
    """Write down in a checkpoint why the test set was opened; all else stays as it was when the epoch ended.

    What was seen cannot be taken back: if it cannot be written down, a `CheckpointWarning` says so.
    """
    try:
        arrays, meta = read_checkpoint(path)
        _write(Path(path), arrays, {**meta, "test_set_openings": trainer.test_set_openings})
    except (CheckpointError, OutputError) as error:
        text = f"the opening of the test set could not be written down: {error}"
        warnings.warn(text, CheckpointWarning, stacklevel=5)


def save_weights(model: "Layer | Trainer", path: str | Path) -> None:
    """Write parameters and buffers alone, of a model or of a trainer's model, in one step; `load_weights` reads them.

    Raises `ArgumentError` if it is neither, `OutputError` if the file cannot be written.
    """
    layer = model if isinstance(model, Layer) else getattr(model, "model", model)
    arrays = {f"model/{name}": value for name, value in expect_kind(Layer, layer, "model").state_dict().items()}
    _write(Path(path), arrays, {"format": FORMAT, "epoch": getattr(model, "epoch", None)})


def load_checkpoint(trainer: "Trainer", path: str | Path, *, callbacks: "Sequence[Callback] | None" = None) -> None:
    """Bring a training, and the callbacks that will go on with it, to the state in a file.

    callbacks : those of the training; None leaves the states of callbacks in the file alone

    Raises
    ------
    CheckpointError
        If the file is missing, damaged, no checkpoint, or of another model, optimizer or schedule. The training then
        stays as it was. (Other callbacks are allowed: a `CheckpointWarning` says which.)
    """
    arrays, meta = read_checkpoint(path)
    kind = type(trainer.optimizer).__name__
    if "rngs" not in meta:
        raise CheckpointError(f"{path} holds weights alone: a training cannot go on from it; use load_weights")
    if "pace" not in meta:
        raise CheckpointError(f"{path} was written by an older version of minicnn; train anew")
    if meta["optimizer"] != kind:
        raise CheckpointError(f"{path} was written with the optimizer {meta['optimizer']}, this training has {kind}")
    memory: dict[str, dict[str, Any]] = {name: {"step": step} for name, step in meta["optimizer_steps"].items()}
    for name, value in arrays.items():
        if name.startswith("optimizer/"):
            parameter, _, what = name.removeprefix("optimizer/").rpartition("/")
            memory[parameter][what] = value
    rngs = trainer.rngs()
    if set(rngs) != set(meta["rngs"]):
        raise CheckpointError(f"{path} is of another model: it keeps random counters for {sorted(meta['rngs'])}")
    for name, now in (("examples", trainer.images_per_epoch), ("batch_size", trainer.batch_size)):
        if now and meta[name] and now != meta[name]:
            raise CheckpointError(f"{path} was written with {name} {meta[name]}, this training has {now}")
    try:
        trainer.pace.check(meta["pace"])
    except CheckpointError as error:
        raise CheckpointError(f"{path} was {error}") from None
    states = unpacked(arrays, meta.get("callbacks", {}))
    before = trainer.model.state_dict()
    _load_model(trainer.model, arrays, path)
    try:
        trainer.optimizer.load_state_dict({"hyperparameters": meta["hyperparameters"], "memory": memory})
    except CheckpointError:
        trainer.model.load_state_dict(before)
        raise
    trainer.pace.load_state_dict(meta["pace"], trainer.optimizer)
    for name, (seed, stream, step) in meta["rngs"].items():
        _set(rngs[name], seed, stream, step)
    trainer.epoch, trainer.broken_off = meta["epoch"], None
    trainer.history = History(meta["history"])
    trainer.openings.inherit(meta["test_set_openings"])
    if callbacks is not None:
        _warn_of_other_callbacks(callbacks, states, path)
    for name, callback in named_callbacks(callbacks or ()).items():
        if name in states:
            callback.load_state_dict(states[name])


def load_weights(model: Layer, path: str | Path) -> None:
    """Give a model the parameters and buffers in a checkpoint or in `best.npz`.

    Raises `CheckpointError` if the file is missing, damaged or of another model; the model then stays as it was.
    """
    arrays, _ = read_checkpoint(path)
    _load_model(model, arrays, path)


def read_checkpoint(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return a file's arrays and its meta data. Raises `CheckpointError` if it is missing or damaged."""
    try:
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:  # np.load alone may leave it open
            arrays = {name: file[name] for name in file.files}
        meta = json.loads(str(arrays.pop("meta")))
    except FileNotFoundError:
        raise CheckpointError(f"there is no checkpoint {path}") from None
    except UNREADABLE as error:
        raise CheckpointError(
            f"{path} is no checkpoint, or it is damaged ({type(error).__name__}: {error}); "
            "take another one, or delete it and train anew"
        ) from None
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a checkpoint of another version of minicnn")
    return arrays, meta


def _load_model(model: Layer, arrays: dict[str, np.ndarray], path: str | Path) -> None:
    state = {name.removeprefix("model/"): value for name, value in arrays.items() if name.startswith("model/")}
    try:
        model.load_state_dict(state)
    except CheckpointError as error:
        raise CheckpointError(f"{path} is of another model: {error}") from None


def _warn_of_other_callbacks(callbacks: "Sequence[Callback]", states: dict[str, Any], path: str | Path) -> None:
    """Warn (`CheckpointWarning`) unless exactly those callbacks are given whose states are in the file."""
    given = named_callbacks(callbacks)
    without, anew = (listed(sorted(names)) for names in (set(states) - set(given), set(given) - set(states)))
    parts = [f"goes on without {without}, whose state is in the file"] if without else []
    parts += [f"begins anew with {anew}"] if anew else []
    if parts:
        warnings.warn(
            f"{path} was written with other callbacks: the training {' and '.join(parts)}; it will not end as one that "
            "was never interrupted",
            CheckpointWarning,
            stacklevel=5,
        )


def _set(rng: CounterRng, seed: int, stream: int, step: int) -> None:
    rng.seed, rng.stream, rng.step = seed, stream, step


def _write(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> None:
    def write(file: BinaryIO) -> None:
        np.savez(file, **{"meta": np.array(json.dumps(meta)), **arrays})  # type: ignore[arg-type]

    replace_file(path, write)
