"""Ensembles: several networks answer one question, and their answers are averaged, or counted as votes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from minicnn.backend import seeded, to_host
from minicnn.data import SealedDataset
from minicnn.data.dataset import ArrayDataset, as_dataset
from minicnn.errors import ArgumentError, DataError, ShapeError, expect_kind, whole_number
from minicnn.metrics import accuracy_score
from minicnn.nn import Layer
from minicnn.recipes.contributions import Contributions, Score, measure_contributions
from minicnn.train import Callback, History, Trainer
from minicnn.train.predicting import outputs, softmax


class Ensemble:
    """Networks that classify together.

    Hansen and Salamon, "Neural network ensembles", 1990. Members may differ in everything but the classes: each is
    asked on its own backend and in its own dtype, in evaluation mode. All get the same inputs; a member that wants them
    prepared otherwise begins with a layer that does so.

    Parameters
    ----------
    models : sequence of Layer
        The members: each turns inputs (N, ...) into scores (N, K).
    vote : "mean" or "majority"
        What a class's probability is: the mean of the members' probabilities, or the share of the members whose most
        probable class it is.

    Attributes
    ----------
    models : list of Layer
        The members.
    histories : list of History
        Their trainings, if `train_ensemble` made them.

    Raises
    ------
    ArgumentError
        If there are no models, or one is no layer. The number of classes shows in the first outputs: if the members
        disagree on it, the first prediction raises `ArgumentError` before it goes through all inputs.
    """

    def __init__(self, models: Sequence[Layer], *, vote: Literal["mean", "majority"] = "mean") -> None:
        if isinstance(models, Layer) or not isinstance(models, Sequence):
            raise ArgumentError(f"an ensemble takes a list of models, [model, ...], not {models!r}")
        if not models:
            raise ArgumentError("an ensemble needs at least one model; the list is empty")
        if vote not in ("mean", "majority"):
            raise ArgumentError(f"vote must be 'mean' or 'majority', not {vote!r}")
        self.models = [expect_kind(Layer, model, f"models[{i}]") for i, model in enumerate(models)]
        self.vote = vote
        self.histories: list[History] = []

    def __len__(self) -> int:
        return len(self.models)

    def __repr__(self) -> str:
        return f"Ensemble({len(self)} models, vote={self.vote!r})"

    def predict_proba(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return probabilities of the classes for inputs x (N, ...): (N, K), each row sums to 1.

        Raises `ArgumentError` if members tell different numbers of classes apart, `ShapeError` if a member does not
        give scores (N, K), and `DataError` as `Trainer.predict` does.
        """
        return combined(self.member_probabilities(x, batch_size=batch_size), self.vote)

    def predict_classes(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return the class of each input: (N,) integers.

        Of classes with equally many votes, the one with the largest mean probability wins.
        """
        return decided(self.member_probabilities(x, batch_size=batch_size), self.vote)

    def member_probabilities(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return what each member thinks: probabilities (members, N, K)."""
        self._check_classes(x)
        return np.stack([softmax(outputs(model, x, batch_size)) for model in self.models])

    def evaluate(self, dataset: Any, y: Any = None, *, batch_size: int = 256) -> dict[str, float]:
        """Return the ensemble's measures on a data set, or on inputs and labels: {"loss": 0.05, "accuracy": 0.99}.

        The loss is the mean of -log(probability of the label), in nats per example. A majority has none: a class
        without a vote would make it infinite. A sealed test set is opened, and counted, once for all members.

        Raises
        ------
        ArgumentError
            If members tell different numbers of classes apart, or the data set names another number of them.
        DataError
            If labels are no whole numbers of the members' classes.
        """
        p, labels = self._on(dataset if y is None else (dataset, y), "evaluated", batch_size)
        accuracy = float(accuracy_score(labels, decided(p, self.vote)))
        if self.vote == "majority":
            return {"accuracy": accuracy}
        of_labels = combined(p, "mean")[np.arange(len(labels)), labels]
        return {"loss": float(-np.log(np.maximum(of_labels, np.finfo(p.dtype).tiny)).mean()), "accuracy": accuracy}

    def contributions(self, dataset: Any, *, score: Score = accuracy_score, batch_size: int = 256) -> Contributions:
        """Return what each member adds, as a result that prints as a table and can be drawn.

        Parameters
        ----------
        dataset : ArrayDataset or (x, y)
            What to measure on. Members are chosen by such numbers, so let it be the validation set; a sealed test set
            is opened, and counted, once.
        score : function (y_true, y_pred) -> float
            The larger the better, as those of `minicnn.metrics`.

        Raises
        ------
        ArgumentError, DataError
            As `evaluate` does.
        """
        p, labels = self._on(dataset, "contributions measured", batch_size)
        return measure_contributions(labels, p.argmax(axis=2), lambda some: decided(p[some], self.vote), score)

    def _on(self, dataset: Any, what: str, batch_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the members' probabilities (members, N, K) and the labels (N,) of a data set."""
        if isinstance(dataset, SealedDataset):
            dataset = dataset.open(f"{what}: an ensemble of {len(self)}")
        dataset = as_dataset(dataset)  # outputs() converts to what each member computes in
        labels, classes = dataset.y, self._check_classes(dataset.x)
        if labels.ndim != 1 or labels.dtype.kind not in "iu":
            raise DataError(f"labels must be whole numbers (N,), not {labels.dtype} of shape {labels.shape}")
        if labels.min() < 0 or labels.max() >= classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise DataError(f"there is a label {wrong}, but the members tell classes 0 to {classes - 1} apart")
        if dataset.classes is not None and len(dataset.classes) != classes:
            raise ArgumentError(
                f"the members tell {classes} classes apart, but the data set has {len(dataset.classes)}: "
                f"{', '.join(dataset.classes)}"
            )
        return self.member_probabilities(dataset.x, batch_size=batch_size), labels

    def _check_classes(self, x: Any) -> int:
        """Return K, from the outputs for one example: before anything else is computed."""
        if isinstance(x, ArrayDataset | SealedDataset):
            raise DataError("predict takes inputs, not a data set: predict_proba(dataset.x)")
        x = np.asarray(to_host(x))
        shapes = [outputs(model, x[:1] if x.ndim else x, 1).shape for model in self.models]
        for i, shape in enumerate(shapes):
            if len(shape) != 2 or shape[1] < 2:
                raise ShapeError(f"models[{i}] gives {shape} for one example; an ensemble needs scores (N, K), K >= 2")
            if shape[1] != shapes[0][1]:
                raise ArgumentError(
                    f"models[0] tells {shapes[0][1]} classes apart and models[{i}] {shape[1]}; "
                    "the members of an ensemble must have the same classes"
                )
        return shapes[0][1]


def combined(p: np.ndarray, vote: str) -> np.ndarray:
    """Return the mean (N, K) of members' probabilities p (members, N, K), or the share of their votes."""
    if vote == "mean":
        return p.mean(axis=0)
    votes = p.argmax(axis=2)[:, :, None] == np.arange(p.shape[2])
    return votes.mean(axis=0, dtype=p.dtype)


def decided(p: np.ndarray, vote: str) -> np.ndarray:
    """Return the classes (N,) that members' probabilities p (members, N, K) lead to; ties go to the larger mean."""
    mean = combined(p, "mean")
    if vote == "mean":
        return mean.argmax(axis=1)
    share = combined(p, vote)
    leading = share == share.max(axis=1, keepdims=True)
    return np.where(leading, mean, -1).argmax(axis=1)


def train_ensemble(
    make: Callable[[int], Trainer],
    data: Any,
    *,
    members: int = 5,
    seed: int = 0,
    out: str | Path | None = None,
    callbacks: Callable[[], Sequence[Callback]] = list,
    vote: Literal["mean", "majority"] = "mean",
    **fit: Any,
) -> Ensemble:
    """Train networks that differ by their seeds alone, one after the other, and return them as an ensemble.

        def make(seed):
            model = models.create("basic", input_shape=(1, 8, 8), classes=10)
            return mc.Trainer(model, optimizer=optim.Adam(model.parameters(), lr=3e-3))

        ensemble = train_ensemble(make, digits.train, members=5, validation=digits.validation, epochs=10)

    Member m is built and trained under `mc.seed(seed + m)`, so that each repeats on its own, whichever members were
    trained before it; `mc.seed` stays as it was.

    Parameters
    ----------
    make : function seed -> Trainer
        Builds a new model and its trainer.
    data : ArrayDataset or (x, y)
        What is learned from.
    members : int
        How many.
    seed : int
        Of the first member.
    out : path, optional
        A folder; member m's run is kept in its subfolder `member_<m>`. With `resume=True` finished members are loaded.
    callbacks : function () -> sequence of Callback
        Builds new callbacks for each member, since they may remember a training.
    vote : "mean" or "majority"
        The ensemble's.
    **fit
        Whatever else `Trainer.fit` takes.

    Raises
    ------
    ArgumentError
        If an argument makes no sense, or `make` gives no trainer or one it gave before; and what `Trainer.fit` raises.
    """
    members, seed = whole_number("members", members), whole_number("seed", seed, least=0)
    if not callable(callbacks):
        raise ArgumentError("callbacks may remember a training: give a function that builds them, lambda: [...]")
    trainers: list[Trainer] = []
    for m in range(members):
        with seeded(seed + m):
            trainer = expect_kind(Trainer, make(seed + m), "what make(seed) returns")
            if any(trainer.model is other.model for other in trainers):
                raise ArgumentError("make(seed) returned a model that it had returned before; it has to build another")
            trainer.fit(data, callbacks=callbacks(), out=None if out is None else Path(out) / f"member_{m}", **fit)
        trainers.append(trainer)
    ensemble = Ensemble([trainer.model for trainer in trainers], vote=vote)
    ensemble.histories = [trainer.history for trainer in trainers]
    return ensemble
