"""Averaging over chance: what a network says when its random layers, or its inputs, are drawn many times.

A network trained with dropout is a family of networks that share weights, one for each mask. In evaluation mode one
network stands for all; here some of them are asked, and the mean of what they say is taken. How far they lie apart is a
measure of how unsure the network is. Gal and Ghahramani, "Dropout as a Bayesian approximation", ICML 2016, section 4.

With `augment` the inputs are drawn anew as well: test-time augmentation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from minicnn.backend import CounterRng, Key, to_backend, to_host
from minicnn.data import ArrayDataset, SealedDataset
from minicnn.data.augment.base import check_result, checked_augment
from minicnn.data.dataset import checked_inputs
from minicnn.errors import ArgumentError, DataError, expect_kind, whole_number
from minicnn.nn import Layer, evaluating
from minicnn.train.predicting import backend_of_model, dtype_of_inputs, softmax

Augment = Callable[..., tuple[Any, Any]]
"""augment(x, y, key=Key) -> (x, y)"""

AUGMENT_STREAM = 2**32 - 1
FIRST_STEP = 2**63  # no training has come so far, so its draws are not repeated


@dataclass(frozen=True)
class Averaged:
    """What the network said each time, and what follows from that.

    Attributes
    ----------
    samples : array (S, N, K)
        The probabilities of K classes (the raw outputs, with `softmax=False`) for N inputs in each of S draws.
    are_probabilities : bool
        Whether these are probabilities; entropies need that.
    """

    samples: np.ndarray
    are_probabilities: bool

    @property
    def mean(self) -> np.ndarray:
        """The mean over the draws, (N, K): the prediction. Means of probabilities are probabilities."""
        return self.samples.mean(axis=0)

    @property
    def std(self) -> np.ndarray:
        """The standard deviation over the draws, (N, K): how far they lie apart."""
        return self.samples.std(axis=0)

    @property
    def entropy(self) -> np.ndarray:
        """Entropy of the mean, -sum_k p_k log p_k, (N,): from 0, one class is certain, to log K, all are alike."""
        return self._entropy_of(self.mean, axis=1)

    @property
    def disagreement(self) -> np.ndarray:
        """The entropy of the mean less the mean of the draws' entropies, (N,): what is left where every draw is sure.

        It is the mutual information of prediction and draw: 0 if all draws say the same, however unsure they are.
        Houlsby et al., "Bayesian active learning for classification and preference learning", 2011, equation 2.
        """
        within = self._entropy_of(self.samples, axis=2).mean(axis=0)
        return np.maximum(self.entropy - within, 0)  # rounding may go below

    def _entropy_of(self, p: np.ndarray, *, axis: int) -> np.ndarray:
        if not self.are_probabilities:
            raise ArgumentError("an entropy is one of probabilities, and these are raw outputs (softmax=False)")
        return -(p * np.log(np.where(p > 0, p, 1))).sum(axis=axis)

    def __repr__(self) -> str:
        draws, shape = len(self.samples), self.samples.shape[1:]
        return f"Averaged({draws} draws of {'probabilities' if self.are_probabilities else 'outputs'} {shape})"


def predict_averaged(
    model: Layer,
    x: Any,
    *,
    samples: int = 20,
    augment: Augment | None = None,
    softmax: bool = True,
    seed: int = 0,
    batch_size: int = 256,
) -> Averaged:
    """Ask a model `samples` times about inputs x (N, ...), each time with other random numbers, and average.

    Layers that draw random numbers do so as in training; all others, batch norm for one, are as in evaluation.
    Afterwards modes and random counters are what they were, so a training can go on as if nothing had been.

    Parameters
    ----------
    model : Layer
        Any model; it stays as it is.
    x : array (N, ...)
        Inputs.
    samples : int
        How many draws. The mean's error falls with their square root.
    augment : function, optional
        `augment(x, y, key=key) -> (x, y)`, called on the host for each batch of each draw with y = None: another view
        of the same inputs, `data.augment`'s for instance.
    softmax : bool
        Whether to average probabilities, the softmax over axis 1 of each draw's outputs, as one does for classifiers,
        or the raw outputs, for regression.
    seed : int
        Of all draws: the same seed gives the same numbers again. With another `batch_size` masks fall differently.
    batch_size : int
        Inputs at a time.

    Returns
    -------
    Averaged
        `.mean` (N, K), `.std` (N, K), `.entropy` (N,), `.disagreement` (N,), and all `.samples` (S, N, K).

    Raises
    ------
    ArgumentError
        If nothing is random, neither in the model nor by `augment`, or an argument makes no sense.
    DataError
        For a data set, or for inputs that are empty or not finite.
    ShapeError
        If `augment` returns another number of inputs.
    """
    expect_kind(Layer, model, "predict_averaged: model")
    samples, batch_size = whole_number("samples", samples), whole_number("batch_size", batch_size)
    seed = CounterRng(seed).seed
    if isinstance(x, ArrayDataset | SealedDataset):
        raise DataError("predict_averaged takes inputs, not a data set: predict_averaged(model, dataset.x)")
    if augment is None and not model.named_rngs():
        raise ArgumentError(
            "predict_averaged: nothing is random here, so every draw would be the same: the model has no layer that "
            "draws (Dropout, DropConnect, FractionalMaxPool2d, StochasticDepth) and there is no augment"
        )
    if augment is not None:
        checked_augment(augment)
    x = checked_inputs(to_host(x), dtype_of_inputs(model))
    with _drawing(model, seed):
        draws = [_one_draw(model, x, augment, seed, number, batch_size) for number in range(samples)]
    return Averaged(np.stack([_probabilities(draw) if softmax else draw for draw in draws]), softmax)


def _one_draw(
    model: Layer, x: np.ndarray, augment: Augment | None, seed: int, number: int, batch_size: int
) -> np.ndarray:
    """Return the model's outputs for all inputs, on the host, with random numbers that are drawn on the way."""
    backend, pieces = backend_of_model(model), []
    for start in range(0, len(x), batch_size):
        piece = x[start : start + batch_size]
        if augment is not None:
            piece = _augmented(augment, piece, Key(seed, AUGMENT_STREAM, (number << 32) + start))
        pieces.append(to_host(model(to_backend(piece, backend))))
    return np.concatenate(pieces)


def _augmented(augment: Augment, x: np.ndarray, key: Key) -> np.ndarray:
    result = augment(x, None, key=key)
    check_result(augment, x, result)
    return result[0]


def _probabilities(outputs: np.ndarray) -> np.ndarray:
    if outputs.ndim < 2 or outputs.shape[1] == 1:
        raise ArgumentError(
            f"outputs of shape {outputs.shape} are no scores of classes, (N, K) with K of at least 2; use softmax=False"
        )
    return softmax(outputs)


@contextmanager
def _drawing(model: Layer, seed: int) -> Iterator[None]:
    """Let the layers that draw do so, from this seed, and the others evaluate; afterwards all is as it was."""
    rngs = list({id(rng): rng for rng in model.named_rngs().values()}.values())
    before = [(rng, rng.seed, rng.stream, rng.step) for rng in rngs]
    with evaluating(model):
        for _, layer in model.named_layers():
            layer.training = layer.draws()
        try:
            for stream, rng in enumerate(rngs):  # layers built under two seeds may have the same one
                rng.seed, rng.stream, rng.step = seed, stream, FIRST_STEP
            yield
        finally:
            for rng, old_seed, stream, step in before:
                rng.seed, rng.stream, rng.step = old_seed, stream, step
