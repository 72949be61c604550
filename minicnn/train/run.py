"""The folder of a run: beginning one, or going on with it."""

from pathlib import Path
from typing import TYPE_CHECKING

from minicnn.errors import ArgumentError, CheckpointError
from minicnn.train.callbacks import Checkpoint
from minicnn.train.checkpoint import load_checkpoint

if TYPE_CHECKING:
    from minicnn.train.trainer import Trainer


def begin_run(trainer: "Trainer", out: str | Path | None, resume: bool) -> bool:
    """Prepare the run's folder; return whether a training that began earlier goes on.

    Raises
    ------
    ArgumentError
        If a run is to be resumed and no folder is named.
    CheckpointError
        If the folder holds another run, or one that cannot be resumed.
    OutputError
        If it cannot be written to.
    """
    if out is None:
        if resume:
            raise ArgumentError("resume=True needs the folder of the run: fit(..., out='runs/my-run', resume=True)")
        if trainer.broken_off is not None:  # the interrupted epoch is done again, with the weights that it left
            trainer.pace.steps = trainer.broken_off
        return False
    checkpoint = Checkpoint(out)
    exists = checkpoint.path.exists()
    own = trainer.checkpoint is not None and trainer.checkpoint.folder.resolve() == checkpoint.folder.resolve()
    if exists and not resume and not own:
        raise CheckpointError(f"{checkpoint.path} exists: resume=True goes on from it; another folder begins anew")
    if exists and own and not resume and trainer.broken_off is not None:
        raise CheckpointError(
            f"the last fit was interrupted in the middle of epoch {trainer.epoch + 1}: resume=True goes on from the "
            f"checkpoint after epoch {trainer.epoch} in {checkpoint.folder}"
        )
    if exists and resume:
        load_checkpoint(trainer, checkpoint.path, callbacks=trainer.callbacks)
    trainer.checkpoint = checkpoint  # only now: a folder that was refused is not written to
    return exists and resume


def how_to_resume(trainer: "Trainer") -> str:
    """Return what to say when a training is interrupted."""
    if trainer.checkpoint is None:
        return (
            f"Interrupted in epoch {trainer.epoch + 1}; the weights are those of its middle. Nothing is on disk: "
            "fit(..., out=FOLDER) keeps checkpoints."
        )
    return (
        f"Interrupted in epoch {trainer.epoch + 1}. The checkpoint after epoch {trainer.epoch} is kept in "
        f"{trainer.checkpoint.folder}; fit(..., out='{trainer.checkpoint.folder}', resume=True) goes on from it."
    )
