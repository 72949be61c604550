"""The moving average of the weights: the path of a training goes to and fro, its middle lies lower."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minicnn.backend import Array, array_module, to_host
from minicnn.errors import ArgumentError, expect_kind
from minicnn.nn import Layer, Parameter
from minicnn.nn.parameter import Buffer
from minicnn.train.callbacks import Callback
from minicnn.train.early_stopping import EarlyStopping


class MovingAverage(Callback):
    """Average the weights over the steps of a training: w_t those after step t, a_t their average.

        a_0 = w_0        a_t = d_t a_(t-1) + (1 - d_t) w_t        d_t = decay, or min(decay, (1 + t) / (10 + t))

    Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", 1992, average all w_t alike; the
    exponential weights forget the beginning, and the smaller decay at first (that of TensorFlow's
    `ExponentialMovingAverage`) forgets it sooner. Without it this is PyTorch's `swa_utils.AveragedModel` with
    `get_ema_multi_avg_fn(decay)` and `use_buffers=True`.

    Buffers of floating point are averaged like the weights: the mean that batch norm sees depends on the weights before
    it, so that averaged weights need the averaged means. Other buffers, which count, are copied.

    The training does not see the average, and neither does its validation. To measure it, at any time:

        with average.applied(trainer.model):
            trainer.evaluate(digits.validation)

    Checkpoints keep the average, and a run that is resumed goes on with it. `best.npz` holds weights without averaging.

    Parameters
    ----------
    decay : float
        At least 0 and below 1. About 1 / (1 - decay) steps count: let these be a small part of the training.
    warm_up : bool
        Begin with a smaller decay.
    apply_at_end : bool
        Give the model the averaged weights when the training ends. If it is trained further with this callback, it goes
        on from its own.

    Attributes
    ----------
    average : dict of str to array
        The average by the names of parameters and buffers; empty before the first step.
    updates : int
        How many steps it has seen.

    Raises
    ------
    ArgumentError
        If decay makes no sense, or the average is that of another model.
    """

    def __init__(self, decay: float = 0.999, *, warm_up: bool = True, apply_at_end: bool = True) -> None:
        if not isinstance(decay, int | float) or not 0 <= decay < 1:
            raise ArgumentError(f"MovingAverage: decay must be at least 0 and below 1, not {decay!r}")
        self.decay = decay
        self.warm_up = warm_up
        self.apply_at_end = apply_at_end
        self.average: dict[str, Array] = {}
        self.updates = 0
        self._model: Layer | None = None  # whose average it is
        self._own: dict[str, tuple[Array, Array]] = {}  # after the end: what the model was given, and its own weights

    def decay_at(self, t: int) -> float:
        """Return d_t."""
        return min(self.decay, (1 + t) / (10 + t)) if self.warm_up else self.decay

    def on_train_begin(self) -> None:
        """Put the model's own weights back if it was given the average and still has it."""
        if self._model is not None and self._model is not self.trainer.model:
            raise ArgumentError("the average is that of another model; each model needs a MovingAverage of its own")
        self._check(self.trainer.model)
        others = [c for c in self.trainer.callbacks if isinstance(c, EarlyStopping) and c.restore_best_weights]
        if self.apply_at_end and others:
            raise ArgumentError(
                "EarlyStopping and MovingAverage both want to set the weights at the end; say "
                "MovingAverage(apply_at_end=False) or EarlyStopping(restore_best_weights=False)"
            )
        self._model = self.trainer.model
        holders = _holders(self.trainer.model)
        if self._own and all(holders[name].data is given for name, (given, _) in self._own.items()):
            for name, (_, own) in self._own.items():
                holders[name].data = own
        self._own = {}

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Take the weights after a step into the average."""
        d = self.decay_at(self.updates)
        for name, holder in _holders(self.trainer.model).items():
            w = holder.data
            if self.updates == 0 or w.dtype.kind != "f":
                self.average[name] = _copy(w)
            else:
                a = _like(self.average[name], w)
                self.average[name] = a + (1 - d) * (w - a)
        self.updates += 1

    def on_train_end(self) -> None:
        """Give the model the averaged weights, if asked to."""
        if self.apply_at_end and self.average:
            self._own = self._give(self.trainer.model)

    @contextmanager
    def applied(self, model: Layer) -> Iterator[None]:
        """Give a model the averaged weights and buffers for a `with` block; afterwards it has its own again.

        Raises `ArgumentError` if nothing has been averaged yet, or the average is that of another model.
        """
        expect_kind(Layer, model, "model")
        if not self.average:
            raise ArgumentError("nothing has been averaged yet: trainer.fit(..., callbacks=[average]) comes first")
        self._check(model)
        replaced = self._give(model)
        try:
            yield
        finally:
            for name, holder in _holders(model).items():
                holder.data = replaced[name][1]

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates."""
        return {"updates": self.updates, **{f"average/{name}": value for name, value in self.average.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.updates = state["updates"]
        prefix = "average/"
        self.average = {name.removeprefix(prefix): a for name, a in state.items() if name.startswith(prefix)}

    def _give(self, model: Layer) -> dict[str, tuple[Array, Array]]:
        """Give a model the average; return by name what it was given and what it had."""
        replaced = {}
        for name, holder in _holders(model).items():
            given = _copy(_like(self.average[name], holder.data))
            replaced[name] = given, holder.data
            holder.data = given
        return replaced

    def _check(self, model: Layer) -> None:
        own = {name: tuple(holder.data.shape) for name, holder in _holders(model).items()}
        averaged = {name: tuple(a.shape) for name, a in self.average.items()}
        if averaged and own != averaged:
            name = next(name for name in {**own, **averaged} if own.get(name) != averaged.get(name))
            shape, other = own.get(name, "missing"), averaged.get(name, "missing")
            raise ArgumentError(
                f"the average is that of another model: {name!r} is {other} there and {shape} in this one; "
                "each model needs a MovingAverage of its own"
            )


def _holders(model: Layer) -> dict[str, Parameter | Buffer]:
    """Return parameters, each once, and buffers by name."""
    return {**model.named_parameters(), **model.named_buffers()}


def _copy(array: Array) -> Array:
    return array_module(array).array(array)


def _like(array: Array, w: Array) -> Array:
    """Return an array in the dtype of w and where w is: a checkpoint's arrays come on the host."""
    if type(array) is type(w):
        return array.astype(w.dtype, copy=False)
    return array_module(w).asarray(to_host(array), dtype=w.dtype)
