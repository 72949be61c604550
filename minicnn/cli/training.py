"""`minicnn train`: a run from its settings to its results, in a folder that says everything about it."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import minicnn as mc
from minicnn.backend.backends import BACKENDS
from minicnn.errors import ArgumentError, CheckpointError, DataError, listed, whole_number

if TYPE_CHECKING:
    from minicnn.data import Splits
    from minicnn.train import Callback, Trainer

OPTIMIZERS = {
    "adam": (1e-3, lambda parameters, lr: mc.optim.Adam(parameters, lr=lr)),
    "sgd": (1e-2, lambda parameters, lr: mc.optim.SGD(parameters, lr=lr, momentum=0.9)),
}
DEFAULTS = {
    "dataset": "digits",
    "model": "basic",
    "epochs": 30,
    "batch_size": 32,
    "lr": None,
    "optimizer": "adam",
    "backend": None,
    "seed": 0,
    "data_root": None,
}
UNITS = {"loss": "nats"}
INTERRUPTED = 130  # what a shell expects of a program that Ctrl-C ended


def add_parser(commands: Any) -> None:
    """Add the command to the others."""
    train = commands.add_parser(
        "train", help="train a network and test it", description=train_command.__doc__, allow_abbrev=False
    )
    train.set_defaults(run=train_command)
    add = train.add_argument
    add("--dataset", metavar="NAME", help=f"one of {', '.join(mc.data.DATASETS)} (default: digits)")
    add("--model", metavar="NAME", help=f"one of {', '.join(mc.models.CLASSIFIERS)} (default: basic)")
    add("--epochs", type=int, metavar="N", help="passes over the training set (default: 30)")
    add("--batch-size", type=int, metavar="N", help="examples a step (default: 32)")
    add("--lr", type=float, metavar="X", help="learning rate (default: 0.001 for adam, 0.01 for sgd)")
    add("--optimizer", choices=OPTIMIZERS, type=str.lower, help="adam, or sgd with momentum 0.9 (default: adam)")
    add("--backend", metavar="NAME", help=f"one of {', '.join(BACKENDS)} (default: {mc.get_backend()})")
    add("--seed", type=int, metavar="N", help="of the split, the weights, the order and the dropout (default: 0)")
    add("--data-root", metavar="DIR", help="where the data set's files are (default: the variable MINICNN_DATA)")
    add("--download", action="store_true", help="fetch the data set's files, if they are not there")
    add("--plot", action="store_true", help="draw the curves after every epoch: in a window, or without one in a file")
    folder = train.add_mutually_exclusive_group()
    folder.add_argument("--out", metavar="DIR", help="folder for the results (default: a new one under runs/)")
    folder.add_argument("--resume", metavar="DIR", help="go on with the run in this folder")


def train_command(arguments: argparse.Namespace) -> int:
    """Train a network on a data set, test it once, and keep history, checkpoint and learning curves in a folder."""
    settings = _settings(arguments)
    if settings["backend"]:
        mc.set_backend(settings["backend"])
    settings["backend"] = mc.get_backend()
    if settings["lr"] is None:
        settings["lr"] = OPTIMIZERS[settings["optimizer"]][0]
    whole_number("epochs", settings["epochs"])
    whole_number("batch_size", settings["batch_size"])
    trainer, splits = build(settings, download=arguments.download)
    image_shape = splits.train.x.shape[1:]
    done = 0 if arguments.resume is None else _epochs_done(Path(arguments.resume))
    if done >= settings["epochs"]:
        print(f"the run in {arguments.resume} is complete; --epochs N with N above {done} goes on with it")
        return 0

    out = _folder(arguments, settings)
    print(f"minicnn {mc.__version__} on {mc.get_backend()}, seed {settings['seed']}; results go to {out}")
    print(f"{splits!r}, normalised by the training set's mean and standard deviation")
    print(f"\n{trainer.model.summary(image_shape)}\n", flush=True)
    try:
        return _train_and_test(trainer, splits, settings, out, plot=arguments.plot)
    except KeyboardInterrupt:
        print(
            f"\nminicnn: interrupted; the checkpoint after epoch {trainer.epoch} is kept. Go on with:\n"
            f"  minicnn train --resume {out}",
            file=sys.stderr,
        )
        return INTERRUPTED


def _train_and_test(trainer: "Trainer", splits: "Splits", settings: dict[str, Any], out: Path, *, plot: bool) -> int:
    from minicnn.analyse import plot_history
    from minicnn.train.files import replace_file

    trainer.fit(
        splits.train,
        validation=splits.validation,
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        callbacks=_watchers(out, plot),
        out=out,
        resume=True,
    )
    result = trainer.evaluate(splits.test)
    curves = plot_history(trainer.history, units=UNITS)
    replace_file(out / "curves.png", lambda file: curves.savefig(file, format="png"))
    record = {
        "epochs": trainer.epoch,
        "test": result,
        "test_set_openings": trainer.test_set_openings,
        "normalised_by": {name: getattr(splits.normaliser, name).tolist() for name in ("mean", "std")},
    }
    replace_file(out / "card.md", lambda file: file.write((trainer.card().to_markdown() + "\n").encode()))
    replace_file(out / "result.json", lambda file: file.write(json.dumps(record, indent=2).encode()))

    times = len(trainer.test_set_openings)
    print(f"\ntest accuracy {result['accuracy']:.4f}")
    print(f"test loss {result['loss']:.4f}; the test set of {len(splits.test)} images was opened {_times(times)}")
    print(f"wrote to {out}:")
    for name, what in (
        ("curves.png", "the learning curves, to look at"),
        ("history.csv", "loss and accuracy of every epoch"),
        ("checkpoint.npz", "the state after the last epoch"),
        ("best.npz", "the weights of the best validation loss"),
        ("config.json", "what was asked for"),
        ("result.json", "what came out"),
        ("card.md", "what was trained, how, and on what: the table that a report begins with"),
    ):
        print(f"  {name:<15} {what}")
    return 0


def _watchers(out: Path, plot: bool) -> list["Callback"]:
    """Return what shows the training while it runs, beside the bar that a terminal gets."""
    from minicnn.analyse import LivePlot
    from minicnn.train.progress import EpochLines

    on_terminal = sys.stdout.isatty() and sys.stderr.isatty()
    watchers: list[Callback] = [] if on_terminal else [EpochLines()]
    if plot:
        live = LivePlot(out / "curves.png", units=UNITS)
        where = f"in {live.path}: there is no window here" if live.open() == "file" else "in a window"
        print(f"the learning curves are drawn after every epoch {where}\n", flush=True)
        watchers.append(live)
    return watchers


def _epochs_done(folder: Path) -> int:
    """Return how long a run was trained before it was tested: to go no further would only open the test set again."""
    try:
        return int(json.loads((folder / "result.json").read_text())["epochs"])
    except (OSError, ValueError, KeyError):
        return 0


def _settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what was asked for over the defaults; for a run that goes on, over what was asked for when it began."""
    given = {name: getattr(arguments, name) for name in DEFAULTS if getattr(arguments, name) is not None}
    if arguments.resume is not None and Path(arguments.resume).is_file():
        arguments.resume = str(Path(arguments.resume).parent)  # somebody named the checkpoint in it
    if arguments.resume is None:
        return {**DEFAULTS, **given}
    changed = sorted(set(given) - {"epochs", "data_root"})
    if changed:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in changed)
        raise CheckpointError(f"{options}: a run that goes on keeps its settings, but for --epochs and --data-root")
    return {**began_with(Path(arguments.resume)), **given}


def began_with(folder: Path) -> dict[str, Any]:
    """Return the settings of the run in a folder. Raises `CheckpointError` if there is none."""
    path = folder / "config.json"
    try:
        return {**DEFAULTS, **json.loads(path.read_text())["settings"]}
    except FileNotFoundError:
        hint = ""
        if (folder / "checkpoint.npz").exists():
            hint = "; a script of your own goes on by fit(..., resume=True) and reports by analyse.write_report"
        raise CheckpointError(f"there is no run in {folder}: `minicnn train` leaves config.json there{hint}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"there is no run in {folder}: {path} ({error})") from None


def _folder(arguments: argparse.Namespace, settings: dict[str, Any]) -> Path:
    """Return the folder of the run, made and with the settings in it."""
    from minicnn.train.files import prepare_folder, replace_file

    if arguments.resume is not None:
        out = prepare_folder(arguments.resume)
    elif arguments.out is not None:
        out = prepare_folder(arguments.out)
        if (out / "checkpoint.npz").exists():
            raise CheckpointError(f"{out} holds a run already: --resume {out} goes on with it; or choose another --out")
    else:
        out = prepare_folder(_next_free(Path("runs"), f"{settings['dataset']}-{settings['model']}"))
    config = {"minicnn": mc.__version__, "settings": settings}
    replace_file(out / "config.json", lambda file: file.write(json.dumps(config, indent=2).encode()))
    return out


def _next_free(parent: Path, stem: str) -> Path:
    number = 1
    while (parent / f"{stem}-{number}").exists():
        number += 1
    return parent / f"{stem}-{number}"


def build(settings: dict[str, Any], *, download: bool = False) -> tuple["Trainer", "Splits"]:
    """Return the trainer and the normalised data of a run with these settings, as they are before the first step.

    Raises `DataError` for a data set whose images have any number of labels, `ArgumentError` for a model that answers
    with an image.
    """
    if (name := settings["model"]) in mc.models.MODELS and name not in mc.models.CLASSIFIERS:
        raise ArgumentError(
            f"this command trains classifiers, and {name!r} answers with an image; from Python, mc.Trainer trains "
            f"mc.models.create({name!r}) on images and what they are to become; "
            f"the classifiers are {listed(mc.models.CLASSIFIERS)}"
        )
    mc.seed(settings["seed"])
    name = settings["dataset"]
    if name in mc.data.MULTI_LABEL:
        raise DataError(
            f"{name} has images with any number of findings, and `minicnn train` trains networks that choose one "
            f"class. In a script: data.load({name!r}) and nn.BCEWithLogitsLoss()"
        )
    splits = mc.data.load(name, root=settings["data_root"], seed=settings["seed"], download=download)
    model = mc.models.create(settings["model"], splits.train.x.shape[1:], len(splits.classes))
    _, make_optimizer = OPTIMIZERS[settings["optimizer"]]
    return mc.Trainer(model, optimizer=make_optimizer(model.parameters(), settings["lr"])), mc.data.normalise(splits)


def _times(count: int) -> str:
    return f"{count} time{'' if count == 1 else 's'}"
