"""Pretrained networks by name. Nothing is downloaded: a network is trained here when it is first asked for, and kept.

    <cache folder>/pretrained/digits-lenet.npz      the weights and the card; `minicnn.train.load_weights` reads it too
    <cache folder>/pretrained/digits-lenet.json     the card alone, to be read by people

The cache folder is the one that the environment variable MINICNN_HOME names, or the platform's own.
"""

import json
import os
import sys
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minicnn import data, models
from minicnn.backend import CounterRng
from minicnn.data import Normaliser
from minicnn.errors import ArgumentError, CheckpointError, listed
from minicnn.nn import Sequential
from minicnn.nn.init import he_normal
from minicnn.optim import Adam, Cosine
from minicnn.train import Trainer
from minicnn.train.checkpoint import FORMAT, load_weights, read_checkpoint
from minicnn.train.files import replace_file


@dataclass(frozen=True)
class Recipe:
    """All that decides what a pretrained network is like. A kept one that was made by another recipe is made anew."""

    data: str
    model: str
    input_shape: tuple[int, int, int]
    epochs: int
    classes: int = 10
    batch_size: int = 64
    lr: float = 2e-3
    seed: int = 0


RECIPES = {
    "digits-lenet": Recipe("digits", "lenet", (1, 8, 8), epochs=20),
    "mnist-lenet": Recipe("mnist", "lenet", (1, 28, 28), epochs=3),
}


@dataclass(frozen=True)
class Pretrained:
    """A trained network, and what one has to know to use it.

    Attributes
    ----------
    model : Sequential
        The network, in training mode as every new one.
    normaliser : Normaliser
        x -> (x - mean) / std, by the data that it was trained on; x are pixels from 0 to 1.
    classes : tuple of str
        What its scores stand for.
    card : dict
        How it was made and what it reaches: data, model, seed, epochs, images, loss and accuracy in validation.
    """

    model: Sequential
    normaliser: Normaliser
    classes: tuple[str, ...]
    card: dict[str, Any]


def pretrained(name: str, *, verbose: bool = True) -> Pretrained:
    """Return a network that was trained on one of the named data sets.

    "digits-lenet" knows scikit-learn's ten digits of 8 x 8 pixels, "mnist-lenet" those of 28 x 28 (MNIST's files are
    found as `data.load("mnist")` finds them). The first call on a machine trains it, which takes seconds, and keeps it
    in the cache folder; later calls read it. A kept file that is damaged, or was made by another recipe, is made anew.
    The test set stays sealed: the card's scores are those of the validation set.

    Parameters
    ----------
    name : str
        Which one.
    verbose : bool
        Say on standard error that a network is being trained.

    Raises
    ------
    ArgumentError
        If there is none of that name; the message lists those there are.
    DataError
        If it has to be trained, and the data are missing.

    Warns
    -----
    UserWarning
        If it cannot be kept, because the cache folder cannot be written to.
    """
    if name not in RECIPES:
        raise ArgumentError(f"there is no pretrained network {name!r}; there are {listed(RECIPES)}")
    recipe, path = RECIPES[name], cache_folder() / "pretrained" / f"{name}.npz"
    model = models.create(recipe.model, recipe.input_shape, recipe.classes)
    own = [(rng, rng.seed, rng.stream, rng.step) for rng in model.named_rngs().values()]
    card = _load(model, recipe, path, verbose)
    if card is None:
        if verbose:
            print(f"{name} is trained, once on this machine, and kept in {path}", file=sys.stderr)
        card = _train(model, recipe)
        _keep(model, card, path)
    for rng, seed, stream, step in own:  # the same model, whether it was trained or read
        rng.seed, rng.stream, rng.step = seed, stream, step
    model.zero_grad()
    model.train()
    mean, std = (np.array(card["normaliser"][what]) for what in ("mean", "std"))
    return Pretrained(model, Normaliser(mean, std), tuple(card["classes"]), card)


def cache_folder() -> Path:
    """Return the folder for what minicnn keeps between runs: $MINICNN_HOME, or the platform's cache folder."""
    given = os.environ.get("MINICNN_HOME")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "minicnn"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "minicnn"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minicnn"


def _train(model: Sequential, recipe: Recipe) -> dict[str, Any]:
    """Train a model, from weights that only the recipe decides, and return its card."""
    splits = data.normalise(data.load(recipe.data, seed=recipe.seed))
    _start(model, recipe.seed)
    trainer = Trainer(
        model,
        optimizer=Adam(model.parameters(), lr=recipe.lr),
        schedule=Cosine(recipe.epochs),
        rng=CounterRng(recipe.seed),
    )
    trainer.fit(splits.train, epochs=recipe.epochs, batch_size=recipe.batch_size, verbose=False)
    normaliser = splits.normaliser
    assert isinstance(normaliser, Normaliser)
    return {
        "recipe": _as_json(recipe),
        "images": len(splits.train),
        "validation_images": len(splits.validation),
        "validation": trainer.evaluate(splits.validation),
        "classes": list(splits.classes),
        "normaliser": {"mean": normaliser.mean.tolist(), "std": normaliser.std.tolist()},
    }


def _start(model: Sequential, seed: int) -> None:
    """Draw the weights, and set the random streams, by a seed of their own: `mc.seed` is the caller's."""
    state = {
        name: he_normal(value.shape, CounterRng(seed, stream)) if value.ndim > 1 else value
        for stream, (name, value) in enumerate(model.state_dict().items(), start=1)
    }
    model.load_state_dict(state)
    for stream, rng in enumerate(model.named_rngs().values(), start=1 + len(state)):
        rng.seed, rng.stream, rng.step = seed, stream, 0


def _load(model: Sequential, recipe: Recipe, path: Path, verbose: bool) -> dict[str, Any] | None:
    """Give a model the weights that were kept, and return its card; None if there are none that are any use."""
    if not path.exists():
        return None
    try:
        _, meta = read_checkpoint(path)
        card = meta["card"]
        if card["recipe"] != _as_json(recipe):
            return None
        Normaliser(*(np.array(card["normaliser"][what], dtype=np.float64) for what in ("mean", "std")))
        load_weights(model, path)
    except (CheckpointError, KeyError, TypeError, ValueError):
        if verbose:
            print(f"{path} is damaged", file=sys.stderr)
        return None
    return card


def _keep(model: Sequential, card: dict[str, Any], path: Path) -> None:
    """Write weights and card, each in one step. Warns if that is impossible."""
    arrays = {f"model/{name}": value for name, value in model.state_dict().items()}
    meta = json.dumps({"format": FORMAT, "card": card})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, lambda file: np.savez(file, **{"meta": np.array(meta)}, **arrays))  # type: ignore[arg-type]
        replace_file(path.with_suffix(".json"), lambda file: file.write(json.dumps(card, indent=2).encode()))
    except OSError as error:  # an OutputError is one
        warnings.warn(
            f"cannot keep the pretrained network in {path.parent} ({error}), so it is trained anew each time; "
            "set the environment variable MINICNN_HOME to a folder that can be written to",
            stacklevel=3,
        )


def _as_json(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as it comes back from a JSON file."""
    return json.loads(json.dumps(asdict(recipe)))
