"""The training loop.

for every epoch:
    for every batch:   zero_grad -> forward -> loss -> backward -> (regularise) -> (clip) -> step
    evaluate on the validation set, tell the callbacks
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minicnn.backend import Array, CounterRng, default_rng
from minicnn.data import DataLoader, SealedDataset, warn_of_overlap
from minicnn.errors import expect_kind, whole_number
from minicnn.nn import CrossEntropyLoss, Layer, Loss, Parameter, without_input_gradient
from minicnn.optim import Adam, Optimizer, Regulariser, Schedule, clip_grad_norm
from minicnn.train.callbacks import Callback, Checkpoint
from minicnn.train.card import Card, Fitting, make_card
from minicnn.train.checkpoint import save_openings
from minicnn.train.checks import check_optimizer, checked_metrics, unsealed, warn_of_a_first_batch
from minicnn.train.guard import Guard
from minicnn.train.history import History
from minicnn.train.means import RunningMeans
from minicnn.train.measures import default_metrics
from minicnn.train.openings import Openings
from minicnn.train.pacing import Pace
from minicnn.train.predicting import (
    Metric,
    backend_of_model,
    classes,
    mean_measures,
    measured,
    outputs,
    probabilities,
)
from minicnn.train.progress import ProgressBar
from minicnn.train.run import begin_run, how_to_resume


class Trainer:
    """Fits a model to data, measures it, and predicts with it.

    Parameters
    ----------
    model : Layer
        What is trained.
    loss : Loss
        What is made small; softmax cross-entropy by default.
    optimizer : Optimizer
        How; Adam with its default learning rate by default.
    metrics : dict of str to function, optional
        What else is measured: functions (prediction, target) -> mean over the batch. By default the accuracy, where the
        loss is one of classes: cross-entropy, hinge, or binary cross-entropy (there, the share of right answers).
    schedule : Schedule, optional
        How the learning rates of all groups of parameters change: `optim.Cosine(T_max=30)`. It has the last word: what
        else sets them during the training is overwritten at the next step.
    regularisers : sequence of Regulariser
        Penalties and limits on the weights: `[optim.L2(1e-4), optim.MaxNorm(3.0)]`. Their gradients are added to the
        loss's, their limits hold after each step, and what the penalties come to is in the history as "penalty"; the
        "loss" there stays that of the data.
    clip_norm : float, optional
        Gradients together longer than this are scaled down to it.
    rng : CounterRng, optional
        Names the order of examples in each epoch; by default a stream of its own under `mc.seed`.

    Attributes
    ----------
    epoch : int
        Epochs done.
    history : History
        What was measured in them: the means over each epoch, and "lr", the first group's learning rate at its end.
    stop_reason : str or None
        Why the last `fit` ended early, if it did.
    openings : Openings
        Why a sealed test set was opened, each time; `test_set_openings` is the list.
    """

    def __init__(
        self,
        model: Layer,
        *,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        metrics: Mapping[str, Metric] | None = None,
        schedule: Schedule | None = None,
        regularisers: Sequence[Regulariser] = (),
        clip_norm: float | None = None,
        rng: CounterRng | None = None,
    ) -> None:
        self.model = expect_kind(Layer, model, "model")
        self.loss: Loss = expect_kind(Loss, loss if loss is not None else CrossEntropyLoss(), "loss")
        self.optimizer = optimizer if optimizer is not None else Adam(model.parameters())
        expect_kind(Optimizer, self.optimizer, "optimizer")
        self.metrics = default_metrics(self.loss) if metrics is None else checked_metrics(metrics)
        self.pace = Pace(expect_kind(Schedule, schedule, "schedule") if schedule is not None else None)
        self.regularisers = [expect_kind(Regulariser, regulariser, "a regulariser") for regulariser in regularisers]
        self.clip_norm = clip_norm
        self.rng = rng if rng is not None else default_rng()
        self.epoch = 0
        self.history = History()
        self.stop_reason: str | None = None
        self.openings = Openings()
        self.checkpoint: Checkpoint | None = None
        self.callbacks: Sequence[Callback] = ()  # those of the last `fit`; checkpoints keep their states
        self.last_epoch = self.images_per_epoch = self.batch_size = self.batch_images = 0
        self.fitting: Fitting | None = None
        self.broken_off: int | None = None  # how many steps were done when an epoch began that was then interrupted
        self._guard: Guard | None = None
        self._penalty: dict[str, Array] = {}  # at the last step; on a GPU it stays there

    # Training

    def fit(
        self,
        train: Any,
        *,
        validation: Any = None,
        epochs: int = 1,
        batch_size: int = 32,
        augment: Any = None,
        callbacks: Sequence[Callback] = (),
        out: str | Path | None = None,
        resume: bool = False,
        drop_last: bool = False,
        verbose: bool = True,
    ) -> History:
        """Train for a number of epochs and return the history.

        Parameters
        ----------
        train, validation : ArrayDataset or (x, y)
            What is learned from, and what is only measured, after every epoch.
        epochs : int
            How many more; with `resume`, how many in all.
        batch_size : int
            Examples a step.
        augment : Augmentation, optional
            What every batch of training data goes through, otherwise in each epoch: `data.augment.Shift(2)`.
        callbacks : sequence of Callback
            What happens beside.
        out : path, optional
            A folder for `checkpoint.npz`, `best.npz` and `history.csv`; later calls go on writing to it.
        resume : bool
            Go on from the checkpoint in `out`, if there is one. The run then ends with the same bits as one that was
            never interrupted.
        drop_last : bool
            Leave out the last batch of an epoch if it is not full.
        verbose : bool
            Show a progress bar, where there is a terminal or a notebook.

        Raises
        ------
        ArgumentError, DataError
            If an argument makes no sense, `train` is a sealed test set, the optimizer is that of another model, all its
            parameters are frozen, or the schedule ends before the training does.
        OutputError
            If `out` cannot be written to.
        CheckpointError
            If `out` holds a checkpoint already and `resume` is not set, or one that cannot be resumed.
        NonFiniteError
            If a NaN or an infinity arises; the message names the layer where it first did.
        """
        epochs = whole_number("epochs", epochs)
        for callback in callbacks:
            expect_kind(Callback, callback, "callback")
        check_optimizer(self.model, self.optimizer)
        train, validation = unsealed(self.model, train), unsealed(self.model, validation)
        if validation is not None:
            warn_of_overlap(train, validation, stacklevel=3)
        loader = DataLoader(
            train,
            batch_size,
            shuffle=True,
            drop_last=drop_last,
            rng=self.rng,
            backend=backend_of_model(self.model),
            augment=augment,
        )
        self.fitting = Fitting(train, validation, len(loader), augment, tuple(callbacks))
        self.images_per_epoch = len(loader) * loader.batch_size if drop_last else len(train)
        self.batch_size = loader.batch_size
        self.last_epoch = self.epoch + epochs
        self.callbacks = tuple(callbacks)
        if begin_run(self, out, resume):
            self.last_epoch = epochs
        names = self.measure_names(validated=validation is not None)
        steps = self.pace.steps + max(self.last_epoch - self.epoch, 0) * len(loader)
        self.pace.begin(self.optimizer, names, epochs=self.last_epoch, steps=steps)
        self.stop_reason = None
        # The checkpoint comes last: what callbacks change at the end of an epoch, such as the learning rate, is in it.
        watchers = [*([ProgressBar()] if verbose else []), *callbacks, *([self.checkpoint] if self.checkpoint else [])]
        for callback in watchers:
            callback.trainer = self
            callback.check_measures(names)
        begun: list[Callback] = []
        try:
            for callback in watchers:
                callback.on_train_begin()
                begun.append(callback)
            while self.epoch < self.last_epoch and self.stop_reason is None:
                self._one_epoch(loader, validation, watchers)
        except KeyboardInterrupt as interrupt:
            self.stop_reason = "interrupted"
            interrupt.add_note(how_to_resume(self))
            raise
        finally:
            for callback in begun:
                callback.on_train_end()
        return self.history

    def stop(self, reason: str) -> None:
        """End the training after the epoch that is running. Callbacks call this."""
        self.stop_reason = reason

    def train_step(self, x: Array, y: Array, *, when: str = "training step") -> tuple[Array, Array]:
        """Make one step on one batch; return the loss and the prediction before it.

        Raises `NonFiniteError` (on the host; a GPU is not made to wait) before the weights are spoilt.
        """
        self.pace.before_step(self.optimizer, self.epoch)
        guard = self._watch(x, when)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # the guard says it better
            self.optimizer.zero_grad()
            prediction = self.model(x)
            loss = self.loss.forward(prediction, y)
            guard.check_loss(loss)
            with without_input_gradient(self.model):
                self.model.backward(self.loss.backward())
            self._penalise(guard.parameters)
            guard.check_gradients()
            if self.clip_norm is not None:
                clip_grad_norm(self.optimizer.parameters.values(), self.clip_norm)
            self.optimizer.step()
            for regulariser in self.regularisers:
                regulariser.project(guard.parameters)
        self.pace.steps += 1
        return loss, prediction

    def _penalise(self, parameters: Mapping[str, Parameter]) -> None:
        """Add the regularisers' gradients to those of the loss, and note what their penalties come to."""
        if self.regularisers:
            self._penalty = {"penalty": sum(regulariser.penalty(parameters) for regulariser in self.regularisers)}
        for regulariser in self.regularisers:
            regulariser.add_gradients(parameters)

    def _watch(self, x: Array, when: str) -> Guard:
        """Return the guard, ready for a step on this batch."""
        guard = self._guard
        if guard is None or guard.model is not self.model:
            own = {id(parameter) for parameter in self.optimizer.parameters.values()}
            trained = {name: p for name, p in self.model.named_parameters().items() if id(p) in own}
            guard = self._guard = Guard(self.model, trained)
        guard.before(x, when)
        return guard

    def _one_epoch(self, loader: DataLoader, validation: Any, callbacks: Sequence[Callback]) -> None:
        epoch = self.epoch + 1
        self.broken_off = self.pace.steps  # until the epoch is done
        self._guard = None  # a callback may have changed the model; within an epoch nobody does
        self.model.train()
        for callback in callbacks:
            callback.on_epoch_begin(epoch)
        means = RunningMeans()
        loader.rng = CounterRng(self.rng.seed, self.rng.stream, step=self.epoch)
        for batch, (x, y) in enumerate(loader, start=1):
            loss, prediction = self.train_step(x, y, when=f"epoch {epoch}, batch {batch}")
            if batch == epoch == 1:
                warn_of_a_first_batch(self.loss, prediction, loader.dataset, stacklevel=4)
            means.add(self.loss.weight_of(y), {"loss": loss})
            means.add(len(x), {**self._penalty, **measured(self.metrics, prediction, y)})
            self.batch_images = len(x)
            for callback in callbacks:
                callback.on_batch_end(batch, means)
        logs = dict(means)
        if not math.isfinite(logs["loss"]):  # on a GPU this is the first look at the losses
            raise self._watch(x, f"epoch {epoch}").error(logs["loss"])
        if validation is not None:
            logs |= {f"val_{name}": value for name, value in self._evaluate(validation, batch_size=256).items()}
        logs["lr"] = self.optimizer.lr
        self.pace.observe(self.epoch, logs)
        self.epoch = epoch
        self.history.add(epoch, logs)
        self.broken_off = None
        for callback in callbacks:
            callback.on_epoch_end(epoch, logs)

    # Measuring and predicting

    def evaluate(self, dataset: Any, *, batch_size: int = 256) -> dict[str, float]:
        """Return the loss and the metrics on a data set, in evaluation mode: {"loss": 0.08, "accuracy": 0.98}.

        A sealed test set is opened for this, and the opening is counted: in `test_set_openings`, in the data set, and
        in the checkpoint of the run. A `DataWarning` says if it shares images with what was trained on.
        """
        if isinstance(dataset, SealedDataset):
            dataset = self._open_test_set(dataset)
        return self._evaluate(dataset, batch_size)

    def predict(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return the model's output for inputs x (N, ...), in evaluation mode, on the host: (N, K) for K classes."""
        return outputs(self.model, x, batch_size)

    def predict_proba(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return probabilities, shaped like the output: (N, K), each row sums to 1; or of a yes, each for itself.

        The loss decides (see `predicting.probabilities`): softmax for one class among K, sigmoid for
        `BCEWithLogitsLoss`. Raises `ArgumentError` for a loss of numbers, which has no classes.
        """
        return probabilities(self.loss, self.predict(x, batch_size=batch_size))

    def predict_classes(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """Return the most probable class of each input: (N,) integers; for `BCEWithLogitsLoss` 0 or 1 a logit."""
        return classes(self.loss, self.predict(x, batch_size=batch_size))

    def _evaluate(self, dataset: Any, batch_size: int) -> dict[str, float]:
        return mean_measures(self.model, self.loss, self.metrics, dataset, batch_size)

    def card(self) -> Card:
        """Return what was trained, how and on what, as a table to print: data, loss, optimizer, steps, regularisers."""
        return make_card(self)

    # Runs, seals and random counters

    @property
    def test_set_openings(self) -> list[str]:
        """Why a sealed test set was opened, each time."""
        return self.openings.reasons

    def rngs(self) -> dict[str, CounterRng]:
        """Return all sources of randomness of this training by name: the layers' own, and that of the data's order."""
        return {"order": self.rng, **{f"model/{name}": rng for name, rng in self.model.named_rngs().items()}}

    def measure_names(self, *, validated: bool) -> list[str]:
        """Return what an epoch's row of the history will hold, without and with validation data."""
        names = ["loss", *(["penalty"] if self.regularisers else []), *self.metrics]
        return [*names, *(f"val_{name}" for name in ("loss", *self.metrics) if validated), "lr"]

    def _open_test_set(self, sealed: SealedDataset) -> Any:
        if self.fitting is not None:
            warn_of_overlap(self.fitting.train, sealed, what="test", stacklevel=4)
        dataset = self.openings.open(sealed, f"evaluated after epoch {self.epoch}")
        if self.checkpoint is not None:
            save_openings(self, self.checkpoint.path)  # not the weights: they may be those of the middle of an epoch
        return dataset
