"""The folder of a search: its plan, and a record of each trial, so that a search that was killed goes on.

search.json          what is searched: the space, the seed, the epochs, a check sum of the data, ...
trial-0007.json      settings, status, score, measures; written in one step when the trial is done
trial-0007-0/        in successive halving: the checkpoint that the trial's training goes on from
"""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.data.dataset import as_dataset
from minicnn.errors import ArgumentError, CheckpointError
from minicnn.recipes.search.trial import Trial, from_record, to_record
from minicnn.train.files import prepare_folder, replace_file

FORMAT = 1
Plan = dict[str, Any]


class SearchFolder:
    """The records of a search in a folder; without a folder (None), nothing is kept.

    Raises
    ------
    ArgumentError
        If the folder holds another search. The message says what differs.
    CheckpointError
        If what it holds cannot be read.
    OutputError
        If it cannot be written to.
    """

    def __init__(self, folder: str | Path | None, plan: Plan, *, may_grow: bool = False) -> None:
        self.path = None if folder is None else prepare_folder(folder)
        if self.path is None:
            return
        plan = {"format": FORMAT, **plan}
        kept = _read(self.path / "search.json") if (self.path / "search.json").exists() else None
        if kept is not None:
            _check_same(self.path, kept, plan, may_grow)
        if kept != plan:
            _write(self.path / "search.json", plan)

    def file_of(self, number: int) -> Path | None:
        """Return where a trial's record is, or will be."""
        return None if self.path is None else self.path / f"trial-{number:04d}.json"

    def keep(self, trial: Trial) -> None:
        """Write a trial's record, in one step."""
        file = self.file_of(trial.number)
        if file is not None:
            _write(file, to_record(trial))

    def recall(self, trials: Sequence[Trial]) -> list[Trial]:
        """Return the trials, those with a record as the record says."""
        return [self._recalled(trial) for trial in trials]

    def _recalled(self, trial: Trial) -> Trial:
        file = self.file_of(trial.number)
        if file is None or not file.exists():
            return trial
        record = _read(file)
        try:
            kept = from_record(record, trial.settings)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(file, error) from None
        if (kept.number, kept.seeds) != (trial.number, trial.seeds):
            raise CheckpointError(f"{file} is the record of another trial; delete it, and the trial is run again")
        return kept


def fingerprint(dataset: Any) -> str:
    """Return a data set's size and a check sum, by which another one is recognised."""
    dataset = as_dataset(dataset)
    code = 0
    for array in (dataset.x, dataset.y):
        code = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, code)
    return f"{len(dataset)} examples, check sum {code:08x}"


def _check_same(folder: Path, kept: Any, plan: Plan, may_grow: bool) -> None:
    """Raise `ArgumentError` if the folder's plan is not the one now asked for."""
    if not isinstance(kept, dict) or kept.get("format") != FORMAT:
        raise CheckpointError(f"{folder / 'search.json'} is that of another version of minicnn; choose another folder")
    differing = [name for name in dict.fromkeys([*plan, *kept]) if kept.get(name) != plan.get(name)]
    if differing == ["trials"] and may_grow and kept["trials"] < plan["trials"]:
        return
    if differing:
        words = "; ".join(f"{name} was {kept.get(name)}, and is {plan.get(name)}" for name in differing)
        more = " (more trials than before are fine, fewer are not)" if differing == ["trials"] and may_grow else ""
        raise ArgumentError(f"{folder} holds another search: {words}{more}; choose another folder")


def _write(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, allow_nan=True) + "\n"
    replace_file(path, lambda file: file.write(text.encode()))


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> CheckpointError:
    what = "choose another folder" if path.name == "search.json" else "delete it, and the trial is run again"
    return CheckpointError(f"{path} is damaged ({type(error).__name__}: {error}); {what}")
