"""The card of a training: what one asks of any training script before one believes its numbers.

Mitchell et al., "Model cards for model reporting", 2019, ask for more: whom a model is for and whom it fails. This is
the part that a trainer knows by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minicnn.data import ArrayDataset
from minicnn.nn import BatchNorm1d, BatchNorm2d, Layer
from minicnn.optim.groups import describe
from minicnn.train.callbacks import Callback
from minicnn.train.predicting import backend_of_model, dtype_of_model

if TYPE_CHECKING:
    from minicnn.train.trainer import Trainer

UNKNOWN = "not known before fit"


@dataclass(frozen=True)
class Fitting:
    """What the last `fit` was given.

    Attributes
    ----------
    train, validation : ArrayDataset
        The data; validation may be None.
    batches : int
        Batches an epoch.
    augment : Augmentation or None
        What was done to the batches.
    callbacks : sequence of Callback
        Those of the user.
    """

    train: ArrayDataset
    validation: ArrayDataset | None
    batches: int
    augment: Any
    callbacks: Sequence[Callback]


class Card(Mapping[str, str]):
    """A table of what was trained, how, and on what: `print(card)`, `card["optimiser"]`, `card.to_markdown()`."""

    def __init__(self, rows: Mapping[str, str]) -> None:
        self.rows = dict(rows)

    def __getitem__(self, name: str) -> str:
        return self.rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        width = max(map(len, self.rows))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in self.rows.items())

    __repr__ = __str__

    def to_markdown(self) -> str:
        """Return the table in Markdown, as notebooks show it."""
        lines = [f"| {name} | {_in_a_cell(value)} |" for name, value in self.rows.items()]
        return "\n".join(["| training | |", "|---|---|", *lines])

    _repr_markdown_ = to_markdown


def make_card(trainer: "Trainer") -> Card:
    """Return the card of a trainer as it stands now."""
    fitting, model = trainer.fitting, trainer.model
    return Card(
        {
            "input": _input(fitting),
            "output": _output(trainer),
            "data": _data(fitting, trainer),
            "cost function": repr(trainer.loss),
            "optimiser": _optimiser(trainer),
            "schedule": "none" if trainer.pace.schedule is None else repr(trainer.pace.schedule),
            "steps": _steps(trainer),
            "batch size": str(trainer.batch_size or UNKNOWN),
            "augmentation": UNKNOWN
            if fitting is None
            else "none"
            if fitting.augment is None
            else repr(fitting.augment),
            "dropout and relatives": _layers(model, Layer.draws) or "none",
            "normalisation": _layers(model, lambda layer: isinstance(layer, BatchNorm1d | BatchNorm2d)) or "none",
            "other regularisers": ", ".join(_regularisers(trainer)) or "none",
            "callbacks": ", ".join(_name(callback) for callback in fitting.callbacks) or "none" if fitting else UNKNOWN,
            "parameters": _parameters(model),
            "computed with": f"{backend_of_model(model)}, {dtype_of_model(model)}",
            "seed": str(trainer.rng.seed),
            "result": _result(trainer),
            "test set": _test_set(trainer),
        }
    )


def _input(fitting: Fitting | None) -> str:
    if fitting is None:
        return UNKNOWN
    x = fitting.train.x
    return f"{_shape(x.shape[1:])}, {x.dtype}, from {x.min():.3g} to {x.max():.3g}"


def _output(trainer: "Trainer") -> str:
    """Say what comes out for one example, and what it is held against."""
    if trainer.fitting is None:
        return UNKNOWN
    train = trainer.fitting.train
    output = _shape(trainer.predict(train.x[:1]).shape[1:])
    if train.classes is not None:
        return f"{output}, for the classes {_listed(train.classes)}"
    target = "one number" if train.y.ndim == 1 else _shape(train.y.shape[1:])
    return f"{output}, for targets of {target}, {train.y.dtype}"


def _data(fitting: Fitting | None, trainer: "Trainer") -> str:
    if fitting is None:
        return UNKNOWN
    parts = [f"{len(fitting.train):,} examples to train on"]
    parts.append("none to validate" if fitting.validation is None else f"{len(fitting.validation):,} to validate")
    if trainer.openings.size is not None:
        parts.append(f"{trainer.openings.size:,} to test")
    return ", ".join(parts)


def _optimiser(trainer: "Trainer") -> str:
    """Say what it is, with the settings that the training began with: a schedule has changed them since."""
    if not trainer.pace.initial:
        return repr(trainer.optimizer)
    return describe(type(trainer.optimizer).__name__, trainer.pace.initial)


def _steps(trainer: "Trainer") -> str:
    if trainer.fitting is None:
        return UNKNOWN
    batches = trainer.fitting.batches
    done = f"{trainer.pace.steps:,}, in {_count(trainer.epoch, 'epoch')} of {_count(batches, 'batch', 'batches')}"
    if trainer.stop_reason is not None:
        return f"{done}; stopped early: {trainer.stop_reason}"
    return done if trainer.epoch >= trainer.last_epoch else f"{done}; {trainer.last_epoch} epochs were asked for"


def _layers(model: Layer, wanted: Any) -> str:
    """Return the layers of a kind, each once with the places where it stands."""
    places: dict[str, list[str]] = {}
    for name, layer in model.named_layers():
        if wanted(layer):
            places.setdefault(repr(layer), []).append(name or "the whole")
    return ", ".join(f"{layer} at {_listed(names)}" for layer, names in places.items())


def _regularisers(trainer: "Trainer") -> Iterator[str]:
    yield from map(repr, trainer.regularisers)
    decays = {group.get("weight_decay", 0.0) for group in trainer.optimizer.param_groups} - {0.0}
    if decays:
        yield f"weight decay {_listed([f'{decay:g}' for decay in sorted(decays)])}"
    if getattr(trainer.loss, "label_smoothing", 0.0):
        yield f"label smoothing {trainer.loss.label_smoothing:g}"  # type: ignore[attr-defined]
    if trainer.clip_norm is not None:
        yield f"gradients clipped to length {trainer.clip_norm:g}"


def _name(thing: Any) -> str:
    """Return how a callback or an augmentation shows itself, or what it is called if it has not learned to."""
    shown = repr(thing)
    if not shown.startswith("<"):
        return shown
    return str(getattr(thing, "__name__", type(thing).__name__))


def _parameters(model: Layer) -> str:
    total = sum(parameter.data.size for parameter in model.parameters())
    frozen = sum(parameter.data.size for parameter in model.parameters() if parameter.frozen)
    return f"{total:,}" + (f", of which {frozen:,} are frozen" if frozen else "")


def _result(trainer: "Trainer") -> str:
    if not trainer.history.rows:
        return "none yet"
    last = dict(trainer.history.rows[-1])
    epoch = int(last.pop("epoch"))
    last.pop("lr", None)
    return f"after epoch {epoch}: " + ", ".join(f"{name} {value:.4g}" for name, value in last.items())


def _test_set(trainer: "Trainer") -> str:
    reasons = trainer.test_set_openings
    if not reasons:
        return "not opened"
    return f"opened {_count(len(reasons), 'time')}: {'; '.join(reasons)}"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "1"


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _listed(names: Sequence[str], most: int = 12) -> str:
    """Return names with commas, the middle left out where there are many."""
    names = list(names)
    return ", ".join(names if len(names) <= most else [*names[: most - 2], "...", names[-1]])


def _in_a_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")
