"""`minicnn report`: one page about a run."""

import argparse
from pathlib import Path
from typing import Any

import minicnn as mc
from minicnn.backend import backend_problem
from minicnn.cli.training import began_with, build
from minicnn.errors import CheckpointError


def add_parser(commands: Any) -> None:
    """Add the command to the others."""
    report = commands.add_parser("report", help="write a page about a run", description=report_command.__doc__)
    report.set_defaults(run=report_command)
    report.add_argument("folder", metavar="RUN", help="the folder of the run, such as runs/digits-basic-1")
    report.add_argument("--out", metavar="FILE", help="the page (default: report.html in the run's folder)")
    report.add_argument("--data-root", metavar="DIR", help="where the data set's files are now, if they have moved")


def report_command(arguments: argparse.Namespace) -> int:
    """Write a page with the curves, mistakes and features of a trained network, as its validation set shows them."""
    from minicnn.analyse import write_report
    from minicnn.train import load_checkpoint
    from minicnn.train.card import Fitting

    folder = Path(arguments.folder)
    settings = began_with(folder)
    if arguments.data_root is not None:
        settings["data_root"] = arguments.data_root
    recorded = settings["backend"] or mc.get_backend()
    problem = backend_problem(recorded)
    if problem is None:
        mc.set_backend(recorded)
    else:
        print(f"the run was made on {recorded}, which cannot run here ({problem}); going on on {mc.get_backend()}")
    trainer, splits = build(settings)
    load_checkpoint(trainer, folder / "checkpoint.npz")
    if trainer.epoch == 0:
        raise CheckpointError(f"the run in {folder} has not finished its first epoch; minicnn train --resume {folder}")
    batches = -(-len(splits.train) // settings["batch_size"])
    trainer.fitting = Fitting(splits.train, splits.validation, batches, augment=None, callbacks=())
    trainer.batch_size, trainer.last_epoch = settings["batch_size"], settings["epochs"]
    title = f"{settings['model']} on {settings['dataset']}"
    path = write_report(
        trainer, splits.validation, arguments.out or folder / "report.html", title=title, classes=splits.classes
    )
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB): open it in a browser; it needs no network")
    return 0
